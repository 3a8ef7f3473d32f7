// ChannelData messages (RFC 8656, section 12.4): channel number16, length16 (of the data), data, on streams padded to 4 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace turnkit::stun {

inline constexpr std::size_t kChannelHeaderSize = 4;

// Which numbers count as channels: RFC 8656 (and RFC 7983), or all that RFC 5766 lets a client bind.
struct ChannelRange {
  std::uint16_t first = 0x4000;
  std::uint16_t last = 0x4FFF;
  [[nodiscard]] constexpr bool contains(std::uint16_t number) const { return number >= first && number <= last; }
};
inline constexpr ChannelRange kRfc8656Channels{0x4000, 0x4FFF};
inline constexpr ChannelRange kRfc5766Channels{0x4000, 0x7FFE};

struct ChannelData {
  std::uint16_t number = 0;
  Bytes data;
};

// A datagram's ChannelData: trailing bytes are ignored (RFC 8656, section 12.5). nullopt when shorter than 4 + length.
// Does not check the number's range.
constexpr std::optional<ChannelData> parse_channel_data(Bytes datagram) {
  if (datagram.size() < kChannelHeaderSize) return std::nullopt;
  const std::size_t length = load_be16(datagram.data() + 2);
  if (length > datagram.size() - kChannelHeaderSize) return std::nullopt;
  return ChannelData{load_be16(datagram.data()), datagram.subspan(kChannelHeaderSize, length)};
}

// Writes the 4-byte header. Requires: 4 bytes at `out`, length <= 65535.
constexpr void write_channel_header(std::byte* out, std::uint16_t number, std::size_t length) {
  store_be16(out, number);
  store_be16(out + 2, static_cast<std::uint16_t>(length));
}

}  // namespace turnkit::stun
