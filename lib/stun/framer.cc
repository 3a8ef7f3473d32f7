// Message boundaries in streams.
#include "stun/framer.h"

#include "stun/types.h"

namespace turnkit::stun {

namespace {

Frame whole(Frame::Kind kind, Bytes buffered, std::size_t message_size, std::size_t size) {
  if (buffered.size() < size) return {Frame::Kind::kNeedMore, size, {}};
  return {kind, size, buffered.first(message_size)};
}

}  // namespace

Frame next_frame(Bytes buffered, ChannelRange channels, std::size_t max_message) {
  constexpr Frame kBroken{Frame::Kind::kBroken, 0, {}};
  constexpr std::size_t kLengthEnd = 4;  // where the length field of both kinds ends
  constexpr std::size_t kCookieEnd = 8;
  if (buffered.empty()) return {Frame::Kind::kNeedMore, kLengthEnd, {}};

  const auto first = std::to_integer<unsigned>(buffered[0]);
  const bool is_stun = first <= 3;
  if (!is_stun && (first < channels.first >> 8 || first > channels.last >> 8)) return kBroken;
  if (!is_stun && buffered.size() >= 2 && !channels.contains(load_be16(buffered.data()))) return kBroken;
  if (buffered.size() < kLengthEnd) return {Frame::Kind::kNeedMore, kLengthEnd, {}};

  const std::size_t length = load_be16(buffered.data() + 2);
  if (!is_stun) {
    const std::size_t message_size = kChannelHeaderSize + length;
    return whole(Frame::Kind::kChannelData, buffered, message_size, (message_size + 3) & ~std::size_t{3});
  }
  const std::size_t size = kHeaderSize + length;
  if (length % 4 != 0 || size > max_message) return kBroken;
  if (buffered.size() < kCookieEnd) return {Frame::Kind::kNeedMore, kCookieEnd, {}};
  // Streams carry no RFC 3489 messages, so a wrong cookie means that this is something else.
  if (load_be32(buffered.data() + 4) != kMagicCookie) return kBroken;
  return whole(Frame::Kind::kStun, buffered, size, size);
}

Frame next_rfc4571_frame(Bytes buffered, std::size_t max_packet) {
  constexpr std::size_t kPrefix = 2;
  if (buffered.size() < kPrefix) return {Frame::Kind::kNeedMore, kPrefix, {}};
  const std::size_t length = load_be16(buffered.data());
  if (length > max_packet) return {Frame::Kind::kBroken, 0, {}};
  if (buffered.size() < kPrefix + length) return {Frame::Kind::kNeedMore, kPrefix + length, {}};
  return {Frame::Kind::kPacket, kPrefix + length, buffered.subspan(kPrefix, length)};
}

}  // namespace turnkit::stun
