#include "probe/port/evidence.h"

#include <algorithm>

#include "base/encoding.h"
#include "stun/classify.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

constexpr unsigned kTlsAlert = 21;
constexpr unsigned kTlsHandshake = 22;

bool is_text(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) {
    const auto c = std::to_integer<unsigned>(b);
    return (c >= 0x20 && c != 0x7F) || c == '\n' || c == '\r' || c == '\t';
  });
}

bool is_echo(Bytes bytes, const std::vector<Bytes>& sent) {
  return std::any_of(sent.begin(), sent.end(), [bytes](Bytes message) {
    return !message.empty() && bytes.size() >= message.size() && equal(bytes.first(message.size()), message);
  });
}

// TLS records (RFC 8446, section 5.1) and DTLS records (RFC 9147, section 4) differ in the version's first byte.
Foreign record_kind(Bytes bytes) {
  if (bytes.size() < 3) return Foreign::kOther;
  const auto type = std::to_integer<unsigned>(bytes[0]);
  const auto major = std::to_integer<unsigned>(bytes[1]);
  if ((type == kTlsAlert || type == kTlsHandshake) && major == 3) return Foreign::kTls;
  if (stun::classify(bytes) == stun::PacketKind::kDtls && major == 0xFE) return Foreign::kDtls;
  return Foreign::kOther;
}

Foreign kind_of(Bytes bytes, const std::vector<Bytes>& sent) {
  if (is_echo(bytes, sent)) return Foreign::kEcho;
  const std::string_view text = as_text(bytes);
  if (text.starts_with("HTTP/")) return Foreign::kHttp;
  if (text.starts_with("SSH-")) return Foreign::kSsh;
  if (is_text(bytes)) return Foreign::kText;
  if (stun::MessageView::parse(bytes)) return Foreign::kStun;
  return record_kind(bytes);
}

}  // namespace

ForeignData classify_foreign(Bytes bytes, const std::vector<Bytes>& sent) {
  if (bytes.empty()) return {};
  return {kind_of(bytes, sent), bytes.size(), escaped(bytes, 80)};
}

}  // namespace turnkit::probe
