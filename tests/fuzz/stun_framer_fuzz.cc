// next_frame: the same frames however the stream is split, and those that a slow reading of the stream gives. Input: 1
// byte of choices, 1 byte n, n lengths of pieces (the last is repeated), the stream.
#include "stun/framer.h"

#include "framing.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using stun::Frame;

namespace {

// The frames of a whole stream, read byte by byte from the definitions (RFC 8489, section 6.2.2; RFC 8656,
// section 12.5).
Frames slow_frames(const Buffer& stream, stun::ChannelRange channels, std::size_t max_message) {
  Frames out;
  std::size_t at = 0;
  const auto octet = [&](std::size_t i) { return std::to_integer<unsigned>(stream[at + i]); };
  while (at < stream.size()) {
    const std::size_t left = stream.size() - at;
    const unsigned lowest = channels.first / 256;
    const unsigned highest = channels.last / 256;
    const bool stun = octet(0) < 4;
    if (!stun && (octet(0) < lowest || octet(0) > highest)) return out.broken = true, out;
    if (left < 2) return out;
    const unsigned number = octet(0) * 256 + octet(1);
    if (!stun && (number < channels.first || number > channels.last)) return out.broken = true, out;
    if (left < 4) return out;
    const std::size_t length = octet(2) * 256 + octet(3);
    if (!stun) {
      const std::size_t padding = (4 - length % 4) % 4;
      if (left < 4 + length + padding) return out;
      out.add('C', Bytes(stream).subspan(at, 4 + length));
      at += 4 + length + padding;
      continue;
    }
    if (length % 4 != 0 || 20 + length > max_message) return out.broken = true, out;
    if (left < 8) return out;
    if (octet(4) != 0x21 || octet(5) != 0x12 || octet(6) != 0xA4 || octet(7) != 0x42) return out.broken = true, out;
    if (left < 20 + length) return out;
    out.add('S', Bytes(stream).subspan(at, 20 + length));
    at += 20 + length;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const stun::ChannelRange channels = (data[0] & 1) != 0 ? stun::kRfc5766Channels : stun::kRfc8656Channels;
  const std::size_t max_message = (data[0] & 2) != 0 ? 200 : 65556;
  const auto [pieces, stream] = split_script(input(data + 1, size - 1));
  const auto next = [&](Bytes buffered) { return stun::next_frame(buffered, channels, max_message); };
  const Frames want = slow_frames(stream, channels, max_message);
  require(feed(next, stream, {stream.size()}) == want, "same frames as the slow reading");
  require(feed(next, stream, pieces) == want, "same frames however split");
  return 0;
}
