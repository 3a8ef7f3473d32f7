// judge_first_bytes and read_client_hello: a prefix never says something else than the whole, and what is asked for is
// reached.
#include <algorithm>

#include "fuzz.h"
#include "net/client_hello.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using State = net::HelloResult::State;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer stream = input(data, size);
  const net::HelloResult whole = net::read_client_hello(stream);
  require(whole.state != State::kNeedMore || (whole.needed > size && whole.needed <= net::kMaxClientHello),
          "more is asked for, within the limit");
  require(whole.hello.server_name.size() <= 253, "a host name that DNS can hold");
  const net::FirstBytes judged = net::judge_first_bytes(stream);
  for (std::size_t cut = 0; cut < std::min<std::size_t>(size, 64); ++cut) {
    const Buffer part = copy(Bytes(stream).first(cut));
    const net::FirstBytes early = net::judge_first_bytes(part);
    require(early == judged || early == net::FirstBytes::kNeedMore || early == net::FirstBytes::kStun,
            "a prefix is judged as the whole is, unless it could have been STUN");
    const net::HelloResult some = net::read_client_hello(part);
    require(some.state != State::kBroken || whole.state == State::kBroken, "broken stays broken");
    require(some.state != State::kDone || whole.state == State::kDone, "done stays done");
  }
  return 0;
}
