// What a server asks of a TCP socket beside reading and writing: a look at the first bytes without taking them, waiting
// for more of them without spinning, and bounds on what a slow reader may leave behind.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "base/clock.h"

namespace turnkit::net {

// The bytes that have arrived, as far as `out` goes; they stay in the socket. kEnd: the other side ended before sending
// anything. kNothing: nothing yet.
struct Peeked {
  enum class State : std::uint8_t { kBytes, kNothing, kEnd, kFailed };
  State state = State::kNothing;
  std::size_t bytes = 0;
};
Peeked tcp_peek(int fd, MutableBytes out);
// Takes `bytes` that were peeked; false when they are not there.
bool tcp_skip(int fd, std::size_t bytes);
// The descriptor counts as readable once `bytes` are there (SO_RCVLOWAT), or the other side has ended.
void tcp_wait_for(int fd, std::size_t bytes);
// At most `bytes` that are not yet on the wire are taken by the kernel (TCP_NOTSENT_LOWAT), so that what a slow reader
// leaves behind waits where it is counted.
void tcp_limit_unsent(int fd, std::size_t bytes);
// The connection fails when what was sent is not acknowledged, or no window opens, for so long (TCP_USER_TIMEOUT). 0:
// the system's default.
void tcp_give_up_after(int fd, Duration time);

}  // namespace turnkit::net
