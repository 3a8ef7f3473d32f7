// Address text (RFC 5952), parsing, classes and hashing.
#include "base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>

namespace turnkit {

namespace {

// A decimal number without sign, blanks or leading zeros.
template <typename T>
std::optional<T> parse_number(std::string_view text, T max) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value > max) return std::nullopt;
  return value;
}

IpAddress last_four(Bytes bytes) { return IpAddress::from_bytes(bytes.last(4)); }

// `ip` with the bits after the first `length` set to `ones`.
IpAddress with_host_bits(const IpAddress& ip, std::size_t length, bool ones) {
  std::array<std::byte, 16> bytes{};
  std::copy(ip.bytes().begin(), ip.bytes().end(), bytes.begin());
  const std::size_t size = ip.bytes().size();
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t kept = length <= i * 8 ? 0 : std::min<std::size_t>(8, length - i * 8);
    const auto host_mask = static_cast<std::byte>(0xFF >> kept);
    bytes[i] = ones ? bytes[i] | host_mask : bytes[i] & ~host_mask;
  }
  return IpAddress::from_bytes(Bytes(bytes).first(size));
}

// Folds the 128-bit product of two words: full avalanche in one multiplication.
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a ^ 0x9E3779B97F4A7C15) * (b ^ 0xD6E8FEB86659FD93);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

IpAddress IpAddress::from_bytes(Bytes bytes) {
  assert(bytes.size() == 4 || bytes.size() == 16);
  IpAddress ip;
  ip.family_ = bytes.size() == 16 ? Family::kIPv6 : Family::kIPv4;
  std::memcpy(ip.bytes_.data(), bytes.data(), std::min(bytes.size(), ip.bytes_.size()));
  return ip;
}

IpAddress IpAddress::any(Family family) {
  IpAddress ip;
  ip.family_ = family;
  return ip;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const bool bracketed = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  if (bracketed) text = text.substr(1, text.size() - 2);
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), buffer.begin());
  IpAddress ip;
  ip.family_ = text.find(':') == std::string_view::npos ? Family::kIPv4 : Family::kIPv6;
  if (bracketed && ip.is_v4()) return std::nullopt;
  if (::inet_pton(ip.is_v4() ? AF_INET : AF_INET6, buffer.data(), ip.bytes_.data()) != 1) return std::nullopt;
  return ip;
}

bool IpAddress::is_unspecified() const { return *this == any(family_); }

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == std::byte{127};
  return bytes_[15] == std::byte{1} &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::byte b) { return b == std::byte{}; });
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & std::byte{0xF0}) == std::byte{0xE0} : bytes_[0] == std::byte{0xFF};
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return load_be16(bytes_.data()) == 0xA9FE;
  return (load_be16(bytes_.data()) & 0xFFC0) == 0xFE80;
}

bool IpAddress::is_teredo() const { return !is_v4() && load_be32(bytes_.data()) == 0x20010000; }
bool IpAddress::is_6to4() const { return !is_v4() && load_be16(bytes_.data()) == 0x2002; }

IpAddress IpAddress::canonical() const {
  if (is_v4()) return *this;
  const Bytes b = bytes_;
  const std::uint64_t high = load_be64(b.data());
  const std::uint32_t third = load_be32(b.data() + 8);
  const std::uint32_t last = load_be32(b.data() + 12);
  if (high == 0 && third == 0x0000FFFF) return last_four(b);     // IPv4-mapped (RFC 4291, section 2.5.5.2)
  if (high == 0 && third == 0 && last > 1) return last_four(b);  // IPv4-compatible (RFC 4291, 2.5.5.1); not :: or ::1
  if (high == 0x0064FF9B00000000 && third == 0) return last_four(b);  // NAT64, well-known prefix (RFC 6052)
  if (high >> 16 == 0x0064FF9B0001) return last_four(b);              // NAT64, local prefix (RFC 8215)
  if (is_6to4()) return from_bytes(b.subspan(2, 4));                  // RFC 3056
  if (is_teredo()) {                                                  // RFC 4380, section 4: the client's, inverted
    std::array<std::byte, 4> client;
    store_be32(client.data(), ~last);
    return from_bytes(client);
  }
  return *this;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  return ::inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), buffer.data(), buffer.size());
}

std::optional<IpRange> IpRange::parse(std::string_view text) {
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    const auto ip = IpAddress::parse(text.substr(0, slash));
    if (!ip) return std::nullopt;
    const auto length = parse_number<unsigned>(text.substr(slash + 1), ip->is_v4() ? 32 : 128);
    if (!length) return std::nullopt;
    return IpRange{with_host_bits(*ip, *length, false), with_host_bits(*ip, *length, true)};
  }
  const auto dash = text.find('-');
  const auto first = IpAddress::parse(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : IpAddress::parse(text.substr(dash + 1));
  if (!first || !last || first->family() != last->family() || *first > *last) return std::nullopt;
  return IpRange{*first, *last};
}

std::string IpRange::to_string() const {
  return first == last ? first.to_string() : first.to_string() + '-' + last.to_string();
}

std::optional<Address> Address::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  const auto ip = IpAddress::parse(host);
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 65535);
  if (!ip || !port || (!ip->is_v4() && host.front() != '[')) return std::nullopt;
  return Address{*ip, *port};
}

std::optional<Address> Address::parse(std::string_view text, std::uint16_t default_port) {
  if (const auto ip = IpAddress::parse(text)) return Address{*ip, default_port};
  return parse(text);
}

std::string Address::to_string() const {
  const std::string host = ip.to_string();
  return (ip.is_v4() ? host : '[' + host + ']') + ':' + std::to_string(port);
}

std::size_t hash_value(const IpAddress& ip) noexcept {
  const Bytes b = ip.bytes();
  if (ip.is_v4()) return mix(load_be32(b.data()), 4);
  return mix(load_be64(b.data()), load_be64(b.data() + 8));
}

std::size_t hash_value(const Address& address) noexcept {
  const Bytes b = address.ip.bytes();
  if (address.ip.is_v4()) return mix((std::uint64_t{load_be32(b.data())} << 16) | address.port, 4);
  return mix(mix(load_be64(b.data()), load_be64(b.data() + 8)), address.port);
}

}  // namespace turnkit
