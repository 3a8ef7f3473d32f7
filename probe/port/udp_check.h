// The UDP part of `turn-probe port`: probes to one port, and all that comes back.
#pragma once

#include <chrono>

#include "base/address.h"
#include "probe/port/evidence.h"

namespace turnkit::probe {

struct CheckPace {
  unsigned count = 20;
  std::chrono::milliseconds interval{25};
  std::chrono::milliseconds wait{3000};
};

// Blocks for about count * interval, and up to `wait` more when answers are missing. Thread-safe.
UdpEvidence check_udp(const Address& target, const CheckPace& pace);

}  // namespace turnkit::probe
