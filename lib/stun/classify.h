// The one first-byte demultiplexer (RFC 7983, section 7), for servers, captures and fuzzers alike. Total, no allocation.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "stun/channel_data.h"

namespace turnkit::stun {

enum class PacketKind : std::uint8_t {
  kEmpty,
  kStun,         // 0-3
  kZrtp,         // 16-19
  kDtls,         // 20-63
  kChannelData,  // 64-79, or as far as `channels` goes
  kRtp,          // 128-191: RTP or RTCP
  kUnknown,      // the rest
};

constexpr PacketKind classify(Bytes packet, ChannelRange channels = kRfc8656Channels) {
  if (packet.empty()) return PacketKind::kEmpty;
  const auto first = std::to_integer<unsigned>(packet[0]);
  if (first <= 3) return PacketKind::kStun;
  if (first >= (channels.first >> 8) && first <= (channels.last >> 8)) return PacketKind::kChannelData;
  if (first >= 16 && first <= 19) return PacketKind::kZrtp;
  if (first >= 20 && first <= 63) return PacketKind::kDtls;
  if (first >= 128 && first <= 191) return PacketKind::kRtp;
  return PacketKind::kUnknown;
}

}  // namespace turnkit::stun
