// CRC-32 with the polynomial of ITU V.42 and zlib, which FINGERPRINT uses (RFC 8489, section 14.7). Eight bytes a step.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace turnkit::stun {

inline constexpr auto kCrc32Tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xEDB88320 ^ (c >> 1) : c >> 1;
    tables[0][i] = c;
  }
  for (std::size_t t = 1; t < 8; ++t) {
    for (std::size_t i = 0; i < 256; ++i) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xFF];
    }
  }
  return tables;
}();

constexpr std::uint32_t crc32(Bytes bytes) {
  const auto& t = kCrc32Tables;
  std::uint32_t crc = 0xFFFFFFFF;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    // The register takes bytes from its low end, so a big-endian load is met by the tables in reverse order.
    const std::uint64_t word = load_be64(bytes.data() + i);
    const auto byte = [word](unsigned n) { return static_cast<std::uint32_t>((word >> (56 - 8 * n)) & 0xFF); };
    crc = t[7][byte(0) ^ (crc & 0xFF)] ^ t[6][byte(1) ^ ((crc >> 8) & 0xFF)] ^ t[5][byte(2) ^ ((crc >> 16) & 0xFF)] ^
          t[4][byte(3) ^ (crc >> 24)] ^ t[3][byte(4)] ^ t[2][byte(5)] ^ t[1][byte(6)] ^ t[0][byte(7)];
  }
  for (; i < bytes.size(); ++i) crc = (crc >> 8) ^ t[0][(crc ^ std::to_integer<std::uint32_t>(bytes[i])) & 0xFF];
  return ~crc;
}

}  // namespace turnkit::stun
