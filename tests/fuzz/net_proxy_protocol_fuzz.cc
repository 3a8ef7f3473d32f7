// read_proxy_header: the same however the stream is cut, and what it read can be written again.
#include <algorithm>

#include "fuzz.h"
#include "net/proxy_protocol.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using State = net::ProxyHeader::State;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer stream = input(data, size);
  const net::ProxyHeader whole = net::read_proxy_header(stream);
  require(whole.state != State::kDone || whole.size <= size, "a header lies within the input");
  require(whole.state != State::kNeedMore || (whole.size > size && whole.size <= 16 + 4096), "more is asked for");
  for (std::size_t cut = 0; cut < std::min<std::size_t>(size, 120); ++cut) {
    const net::ProxyHeader part = net::read_proxy_header(copy(Bytes(stream).first(cut)));
    require(part.state != State::kBroken || whole.state == State::kBroken, "broken stays broken");
    require(part.state != State::kDone || (whole.state == State::kDone && whole.size == part.size), "done stays done");
  }
  if (!whole.addresses) return 0;
  const auto written = net::proxy_header_v2(whole.addresses->source, whole.addresses->destination);
  const net::ProxyHeader again = net::read_proxy_header(written);
  require(again.state == State::kDone && again.size == written.size(), "what was written is read whole");
  require(again.addresses && again.addresses->source == whole.addresses->source &&
              again.addresses->destination == whole.addresses->destination,
          "the same addresses");
  return 0;
}
