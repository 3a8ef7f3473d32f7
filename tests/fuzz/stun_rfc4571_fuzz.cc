// next_rfc4571_frame: the same packets however the stream is split, and those that the lengths say. Input as
// stun_framer's.
#include "framing.h"
#include "stun/framer.h"

using namespace turnkit;
using namespace turnkit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t max_packet = (data[0] & 1) != 0 ? 300 : 65535;
  const auto [pieces, stream] = split_script(input(data + 1, size - 1));
  Frames want;
  for (std::size_t at = 0; at + 2 <= stream.size();) {
    const std::size_t length = load_be16(stream.data() + at);
    if (length > max_packet) want.broken = true;
    if (want.broken || at + 2 + length > stream.size()) break;
    want.add('P', Bytes(stream).subspan(at + 2, length));
    at += 2 + length;
  }
  const auto next = [max_packet](Bytes buffered) { return stun::next_rfc4571_frame(buffered, max_packet); };
  require(feed(next, stream, {stream.size()}) == want, "same packets as the lengths say");
  require(feed(next, stream, pieces) == want, "same packets however split");
  return 0;
}
