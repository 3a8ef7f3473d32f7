// PROXY protocol: reading and writing headers of both versions, as HAProxy's proxy-protocol.txt defines them.
#include "net/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace turnkit::net {
namespace {

// Section 2.1: the longest line, with CRLF. Section 2.2: the signature.
constexpr std::size_t kMaxV1 = 107;
constexpr std::string_view kV1 = "PROXY ";
constexpr std::string_view kV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kV2Header = 16;
constexpr std::size_t kMaxV2Rest = 4096;

ProxyHeader broken() { return {ProxyHeader::State::kBroken, 0, std::nullopt}; }
ProxyHeader need(std::size_t bytes) { return {ProxyHeader::State::kNeedMore, bytes, std::nullopt}; }
bool is_mapped(const IpAddress& ip) {
  return !ip.is_v4() && load_be64(ip.bytes().data()) == 0 && load_be32(ip.bytes().data() + 8) == 0xFFFF;
}
ProxyHeader done(std::size_t size, std::optional<ProxyHeader::Addresses> addresses) {
  // A dual-stack listener of the proxy writes IPv4 clients as IPv6 (RFC 4291, section 2.5.5.2).
  if (addresses && is_mapped(addresses->source.ip) && is_mapped(addresses->destination.ip)) {
    addresses->source.ip = addresses->source.ip.canonical();
    addresses->destination.ip = addresses->destination.ip.canonical();
  }
  return {ProxyHeader::State::kDone, size, addresses};
}

bool begins_like(Bytes start, std::string_view pattern) {
  const std::size_t common = std::min(start.size(), pattern.size());
  return equal(start.first(common), as_bytes(pattern).first(common));
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return port;
}

std::optional<IpAddress> read_ip(std::string_view text, Family family) {
  if (text.find_first_of("[]%") != std::string_view::npos) return std::nullopt;
  const auto ip = IpAddress::parse(text);
  return ip && ip->family() == family ? ip : std::nullopt;
}

// "TCP4 192.0.2.1 192.0.2.2 1024 443": exactly one blank between the words.
std::optional<ProxyHeader::Addresses> read_v1_words(std::string_view line) {
  std::array<std::string_view, 5> words;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t blank = line.find(' ');
    const bool last = i + 1 == words.size();
    if ((blank == std::string_view::npos) != last) return std::nullopt;
    words[i] = line.substr(0, blank);
    if (!last) line.remove_prefix(blank + 1);
  }
  if (words[0] != "TCP4" && words[0] != "TCP6") return std::nullopt;
  const Family family = words[0] == "TCP4" ? Family::kIPv4 : Family::kIPv6;
  const auto source = read_ip(words[1], family);
  const auto destination = read_ip(words[2], family);
  const auto source_port = read_port(words[3]);
  const auto destination_port = read_port(words[4]);
  if (!source || !destination || !source_port || !destination_port) return std::nullopt;
  return ProxyHeader::Addresses{{*source, *source_port}, {*destination, *destination_port}};
}

ProxyHeader read_v1(Bytes start) {
  const std::string_view text = as_text(start.first(std::min(start.size(), kMaxV1)));
  const std::size_t end = text.find('\r');
  if (end == std::string_view::npos || end + 1 == text.size()) {
    return text.size() < kMaxV1 ? need(start.size() + 1) : broken();
  }
  if (text[end + 1] != '\n') return broken();
  const std::string_view line = text.substr(kV1.size(), end - kV1.size());
  // What follows UNKNOWN is to be ignored.
  if (line == "UNKNOWN" || line.substr(0, 8) == "UNKNOWN ") return done(end + 2, std::nullopt);
  const auto addresses = read_v1_words(line);
  return addresses ? done(end + 2, addresses) : broken();
}

std::optional<ProxyHeader::Addresses> read_v2_addresses(Bytes rest, std::size_t ip_size) {
  Reader in(rest);
  const Bytes source = in.take(ip_size);
  const Bytes destination = in.take(ip_size);
  const std::uint16_t source_port = in.u16();
  const std::uint16_t destination_port = in.u16();
  if (!in.ok()) return std::nullopt;
  return ProxyHeader::Addresses{{IpAddress::from_bytes(source), source_port},
                                {IpAddress::from_bytes(destination), destination_port}};
}

// Section 2.2: version and command, family and protocol, length, addresses; TLVs behind them are skipped.
ProxyHeader read_v2(Bytes start) {
  Reader in(start);
  in.skip(kV2.size());
  const unsigned version_and_command = in.u8();
  if (in.ok() && version_and_command != 0x20 && version_and_command != 0x21) return broken();
  const unsigned family = in.u8();
  const std::size_t length = in.u16();
  if (!in.ok()) return need(kV2Header);
  if (length > kMaxV2Rest) return broken();
  if ((family >> 4) > 3 || (family & 0xF) > 2) return broken();
  const std::size_t size = kV2Header + length;
  if (start.size() < size) return need(size);
  const Bytes rest = start.subspan(kV2Header, length);
  const bool local = version_and_command == 0x20;
  const std::size_t ip_size = (family >> 4) == 1 ? 4 : (family >> 4) == 2 ? 16 : 0;
  if (local || ip_size == 0 || (family & 0xF) == 0) return done(size, std::nullopt);
  const auto addresses = read_v2_addresses(rest, ip_size);
  return addresses ? done(size, addresses) : broken();
}

}  // namespace

ProxyHeader read_proxy_header(Bytes start) {
  if (begins_like(start, kV2)) return start.size() < kV2.size() ? need(kV2Header) : read_v2(start);
  if (!begins_like(start, kV1)) return broken();
  return start.size() < kV1.size() ? need(start.size() + 1) : read_v1(start);
}

std::string proxy_header_v1(const Address& source, const Address& destination) {
  if (source.family() != destination.family()) return "PROXY UNKNOWN\r\n";
  return std::string("PROXY ") + (source.ip.is_v4() ? "TCP4 " : "TCP6 ") + source.ip.to_string() + " " +
         destination.ip.to_string() + " " + std::to_string(source.port) + " " + std::to_string(destination.port) +
         "\r\n";
}

std::vector<std::byte> proxy_header_v2(const Address& source, const Address& destination) {
  const bool same = source.family() == destination.family();
  std::array<std::byte, kV2Header + 36> buffer;
  Writer out(buffer);
  out.bytes(as_bytes(kV2));
  out.u8(same ? 0x21 : 0x20);  // PROXY; LOCAL when there is nothing that can be told
  out.u8(!same ? 0x00 : source.ip.is_v4() ? 0x11 : 0x21);
  out.u16(!same ? std::uint16_t{0} : source.ip.is_v4() ? std::uint16_t{12} : std::uint16_t{36});
  if (same) {
    out.bytes(source.ip.bytes());
    out.bytes(destination.ip.bytes());
    out.u16(source.port);
    out.u16(destination.port);
  }
  return {out.written().begin(), out.written().end()};
}

}  // namespace turnkit::net
