// Judging a connection's first bytes, and the parts of a TLS ClientHello that say whom it is for.
#include "net/client_hello.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "stun/types.h"

namespace turnkit::net {
namespace {

constexpr std::byte kHandshakeRecord{22};
constexpr std::uint8_t kClientHelloMessage = 1;
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMessageHeader = 4;
constexpr std::size_t kMaxRecord = 16384;
constexpr std::uint16_t kServerNameExtension = 0;
constexpr std::uint16_t kAlpnExtension = 16;

enum class Match : std::uint8_t { kNo, kPart, kWhole };

// Whether `start` begins with `pattern`, or may do so when more bytes come.
Match match(Bytes start, std::string_view pattern) {
  const std::size_t common = std::min(start.size(), pattern.size());
  if (!equal(start.first(common), as_bytes(pattern).first(common))) return Match::kNo;
  return common == pattern.size() ? Match::kWhole : Match::kPart;
}

// The best match of several patterns.
template <std::size_t N>
Match match_any(Bytes start, const std::array<std::string_view, N>& patterns) {
  Match best = Match::kNo;
  for (const std::string_view pattern : patterns) best = std::max(best, match(start, pattern));
  return best;
}

// A record header's content type and major version; its minor version is 0 to 4.
Match match_tls(Bytes start) {
  const Match head = match(start, "\x16\x03");
  if (head != Match::kWhole) return head;
  if (start.size() < 3) return Match::kPart;
  return std::to_integer<unsigned>(start[2]) <= 4 ? Match::kWhole : Match::kNo;
}

bool may_be_stun(Bytes start) {
  if (std::to_integer<unsigned>(start[0]) > 0x3F) return false;
  if (start.size() >= 4 && load_be16(start.data() + 2) % 4 != 0) return false;
  std::array<std::byte, 4> cookie;
  store_be32(cookie.data(), stun::kMagicCookie);
  const Bytes seen =
      start.subspan(std::min<std::size_t>(start.size(), 4))
          .first(std::min<std::size_t>(cookie.size(), start.size() - std::min<std::size_t>(start.size(), 4)));
  return equal(seen, Bytes(cookie).first(seen.size()));
}

// RFC 6066, section 3: ASCII, no trailing dot; here also what DNS can hold at all.
std::string host_name(Bytes raw) {
  if (raw.empty() || raw.size() > 253) return {};
  std::string out;
  for (const char c : as_text(raw)) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool fits = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!fits) return {};
    out += lower;
  }
  return out;
}

bool read_server_name(Bytes extension, ClientHello& out) {
  Reader list(extension);
  Reader names(list.take(list.u16()));
  if (!list.ok() || list.remaining() != 0) return false;
  while (names.remaining() != 0) {
    const std::uint8_t type = names.u8();
    const Bytes name = names.take(names.u16());
    if (!names.ok()) return false;
    if (type == 0 && out.server_name.empty()) out.server_name = host_name(name);
  }
  return true;
}

bool read_alpn(Bytes extension, ClientHello& out) {
  Reader list(extension);
  Reader names(list.take(list.u16()));
  if (!list.ok() || list.remaining() != 0) return false;
  while (names.remaining() != 0) {
    const Bytes name = names.take(names.u8());
    if (!names.ok() || name.empty()) return false;
    out.alpn.emplace_back(as_text(name));
  }
  return true;
}

bool read_extensions(Reader& hello, ClientHello& out) {
  if (hello.remaining() == 0) return true;  // TLS 1.2 and below may leave them out
  Reader extensions(hello.take(hello.u16()));
  if (!hello.ok() || hello.remaining() != 0) return false;
  bool named = false;
  bool offered = false;
  while (extensions.remaining() != 0) {
    const std::uint16_t type = extensions.u16();
    const Bytes value = extensions.take(extensions.u16());
    if (!extensions.ok()) return false;
    if (type == kServerNameExtension) {
      if (std::exchange(named, true) || !read_server_name(value, out)) return false;
    } else if (type == kAlpnExtension) {
      if (std::exchange(offered, true) || !read_alpn(value, out)) return false;
    }
  }
  return true;
}

// RFC 8446, section 4.1.2, without the message's own header.
std::optional<ClientHello> read_body(Bytes body) {
  Reader in(body);
  in.skip(2 + 32);  // legacy_version, random
  const std::uint8_t session_id = in.u8();
  in.skip(session_id);
  const std::uint16_t suites = in.u16();
  in.skip(suites);
  const std::uint8_t compressions = in.u8();
  in.skip(compressions);
  if (!in.ok() || session_id > 32 || suites < 2 || suites % 2 != 0 || compressions == 0) return std::nullopt;
  ClientHello out;
  if (!read_extensions(in, out)) return std::nullopt;
  return out;
}

HelloResult broken() { return {HelloResult::State::kBroken, 0, {}}; }
HelloResult need(std::size_t bytes) {
  if (bytes > kMaxClientHello) return broken();
  return {HelloResult::State::kNeedMore, bytes, {}};
}

}  // namespace

FirstBytes judge_first_bytes(Bytes start) {
  if (start.empty()) return FirstBytes::kNeedMore;
  static constexpr std::array<std::string_view, 2> kProxyStarts{"PROXY ", std::string_view("\r\n\r\n\0\r\nQUIT\n", 12)};
  static constexpr std::array<std::string_view, 10> kHttpStarts{"GET ",     "HEAD ",    "POST ",  "PUT ",   "DELETE ",
                                                                "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI "};
  const Match tls = match_tls(start);
  const Match proxy = match_any(start, kProxyStarts);
  const Match http = match_any(start, kHttpStarts);
  if (tls == Match::kWhole) return FirstBytes::kTls;
  if (proxy == Match::kWhole) return FirstBytes::kProxy;
  if (http == Match::kWhole) return FirstBytes::kHttp;
  if (tls == Match::kPart || proxy == Match::kPart || http == Match::kPart) return FirstBytes::kNeedMore;
  return may_be_stun(start) ? FirstBytes::kStun : FirstBytes::kOther;
}

HelloResult read_client_hello(Bytes start) {
  start = start.first(std::min(start.size(), kMaxClientHello));
  std::vector<std::byte> message;
  std::size_t wanted = kMessageHeader;  // bytes of the message, as far as is known
  std::size_t at = 0;
  while (message.size() < wanted) {
    // RFC 8446, section 5.1: a handshake message may span records, which then are neither empty nor mixed with others.
    const Bytes rest = start.subspan(std::min(at, start.size()));
    if (!rest.empty() && rest[0] != kHandshakeRecord) return broken();
    if (rest.size() > 1 && rest[1] != std::byte{3}) return broken();
    if (rest.size() < kRecordHeader) return need(at + kRecordHeader);
    const std::size_t length = load_be16(rest.data() + 3);
    if (length == 0 || length > kMaxRecord) return broken();
    const Bytes seen = rest.subspan(kRecordHeader).first(std::min(length, rest.size() - kRecordHeader));
    message.insert(message.end(), seen.begin(), seen.end());
    if (!message.empty() && message[0] != std::byte{kClientHelloMessage}) return broken();
    if (message.size() >= kMessageHeader) {
      wanted = kMessageHeader + (load_be32(message.data()) & 0xFFFFFF);
      if (wanted > kMaxClientHello) return broken();
    }
    if (message.size() >= wanted) break;
    const std::size_t end_of_record = at + kRecordHeader + length;
    const std::size_t end_of_message = at + kRecordHeader + seen.size() + (wanted - message.size());
    if (seen.size() < length) return need(std::min(end_of_record, end_of_message));
    at = end_of_record;
  }
  auto hello = read_body(Bytes(message).subspan(kMessageHeader).first(wanted - kMessageHeader));
  if (!hello) return broken();
  return {HelloResult::State::kDone, 0, *std::move(hello)};
}

}  // namespace turnkit::net
