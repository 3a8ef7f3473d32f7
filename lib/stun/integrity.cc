// MAC and fingerprint checks.
#include "stun/integrity.h"

#include <array>
#include <cstring>

#include "base/digest.h"
#include "stun/crc32.h"

namespace turnkit::stun {

namespace {

constexpr std::size_t kSha1Size = 20;
constexpr std::size_t kSha256Size = 32;

// The header as the MAC covers it: its length runs to the end of the MAC's attribute (RFC 8489, section 14.5).
// Requires: `end` is within the message.
std::array<std::byte, kHeaderSize> covered_header(Bytes message, std::size_t end) {
  std::array<std::byte, kHeaderSize> header;
  std::memcpy(header.data(), message.data(), header.size());
  store_be16(header.data() + 2, static_cast<std::uint16_t>(end - kHeaderSize));
  return header;
}

}  // namespace

MacKind deciding_mac(const MessageView& message) {
  const auto sha1 = message.find(Attr::kMessageIntegrity);
  const auto sha256 = message.find(Attr::kMessageIntegritySha256);
  if (sha1 && sha1->value.size() != kSha1Size) return MacKind::kMalformed;
  if (sha256) {
    const std::size_t size = sha256->value.size();
    return size >= 16 && size <= kSha256Size && size % 4 == 0 ? MacKind::kSha256 : MacKind::kMalformed;
  }
  return sha1 ? MacKind::kSha1 : MacKind::kNone;
}

bool verify_integrity(const MessageView& message, Bytes key) {
  const MacKind kind = deciding_mac(message);
  if (kind != MacKind::kSha1 && kind != MacKind::kSha256) return false;
  const bool is_sha1 = kind == MacKind::kSha1;
  const std::size_t offset = *message.offset_of(is_sha1 ? Attr::kMessageIntegrity : Attr::kMessageIntegritySha256);
  const Bytes all = message.bytes();
  const Bytes mac = all.subspan(offset + kAttributeHeaderSize, load_be16(all.data() + offset + 2));
  const auto header = covered_header(all, offset + kAttributeHeaderSize + mac.size());
  const Bytes attributes = all.subspan(kHeaderSize, offset - kHeaderSize);
  if (is_sha1) return constant_time_equal(mac, hmac_sha1(key, {header, attributes}));
  return constant_time_equal(mac, hmac_sha256(key, {header, attributes}));
}

std::uint32_t fingerprint_of(Bytes covered) { return crc32(covered) ^ kFingerprintXor; }

}  // namespace turnkit::stun
