// A second parser of STUN messages, written for clearness alone: every rule is a pass of its own over copies. Fuzz
// targets compare the real one with it.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "base/digest.h"
#include "fuzz.h"
#include "stun/message.h"

namespace turnkit::fuzz {

using stun::ParseError;

struct ReferenceAttribute {
  unsigned type = 0;
  std::size_t offset = 0;
  Buffer value;
};

struct ReferenceMessage {
  ParseError error = ParseError::kNone;
  std::vector<ReferenceAttribute> counting;  // those that RFC 8489, sections 14.5 and 14.6, let count
};

inline unsigned octet(Bytes bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }
inline unsigned number16(Bytes bytes, std::size_t i) { return octet(bytes, i) * 256 + octet(bytes, i + 1); }

// The CRC as ITU V.42 defines it, a bit at a time.
inline std::uint32_t reference_fingerprint(Bytes bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const std::byte b : bytes) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? 0xEDB88320 ^ (crc >> 1) : crc >> 1;
  }
  return ~crc ^ 0x5354554E;
}

inline ParseError reference_header(Bytes m, bool any_cookie) {
  // The message types on the wire, from the tables of RFC 8489, 8656 and 6062.
  static const std::set<unsigned> types = {
      0x0001, 0x0011, 0x0101, 0x0111, 0x0003, 0x0103, 0x0113, 0x0004, 0x0104, 0x0114, 0x0016, 0x0017, 0x0008, 0x0108,
      0x0118, 0x0009, 0x0109, 0x0119, 0x000A, 0x010A, 0x011A, 0x000B, 0x010B, 0x011B, 0x001C, 0x0200, 0x0300, 0x0310};
  if (m.size() < 20) return ParseError::kTooShort;
  if (octet(m, 0) > 0x3F) return ParseError::kNotStun;
  if (number16(m, 2) % 4 != 0 || 20 + number16(m, 2) != m.size()) return ParseError::kBadLength;
  if (!any_cookie && (number16(m, 4) != 0x2112 || number16(m, 6) != 0xA442)) return ParseError::kBadCookie;
  return types.contains(number16(m, 0)) ? ParseError::kNone : ParseError::kBadMethod;
}

inline ReferenceMessage reference_parse(Bytes m, bool any_cookie) {
  ReferenceMessage out;
  out.error = reference_header(m, any_cookie);
  if (out.error != ParseError::kNone) return out;

  std::vector<ReferenceAttribute> all;
  ParseError error = ParseError::kNone;
  for (std::size_t at = 20; at < m.size() && error == ParseError::kNone;) {
    const std::size_t length = number16(m, at + 2);
    const std::size_t next = at + 4 + (length + 3) / 4 * 4;
    if (next > m.size()) {
      error = ParseError::kBadAttribute;
      break;
    }
    all.push_back({number16(m, at), at, copy(m.subspan(at + 4, length))});
    // A bad FINGERPRINT decides before a bad attribute behind it.
    if (all.back().type == 0x8028) {
      const bool right =
          length == 4 && next == m.size() && load_be32(m.data() + at + 4) == reference_fingerprint(m.first(at));
      if (!right) error = ParseError::kBadFingerprint;
    }
    at = next;
  }
  out.error = error;
  if (error != ParseError::kNone) return out;

  std::set<unsigned> macs;  // those passed so far
  for (const ReferenceAttribute& a : all) {
    bool counts = macs.empty() || a.type == 0x8028;
    if (a.type == 0x001C && macs == std::set<unsigned>{0x0008}) counts = true;
    if (counts) out.counting.push_back(a);
    if (counts && (a.type == 0x0008 || a.type == 0x001C)) macs.insert(a.type);
  }
  return out;
}

// Whether the MAC that decides is right for `key`.
inline bool reference_verify(Bytes m, const ReferenceMessage& message, Bytes key) {
  std::map<unsigned, ReferenceAttribute> first;
  for (const ReferenceAttribute& a : message.counting) first.try_emplace(a.type, a);
  const bool has_sha1 = first.contains(0x0008);
  if (has_sha1 && first[0x0008].value.size() != 20) return false;
  const bool use_sha256 = first.contains(0x001C);
  if (!has_sha1 && !use_sha256) return false;
  const ReferenceAttribute& mac = first[use_sha256 ? 0x001C : 0x0008];
  Buffer covered = copy(m.first(mac.offset));
  store_be16(covered.data() + 2, static_cast<std::uint16_t>(mac.offset + 4 + mac.value.size() - 20));
  return use_sha256 ? equal(mac.value, hmac_sha256(key, {covered})) : equal(mac.value, hmac_sha1(key, {covered}));
}

}  // namespace turnkit::fuzz
