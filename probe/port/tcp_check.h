// The TCP part of `turn-probe port`: a connection, our messages on it, and how the other end takes them.
#pragma once

#include "base/address.h"
#include "probe/port/evidence.h"
#include "probe/port/udp_check.h"

namespace turnkit::probe {

// Blocks at most about 2 * pace.wait + 2 s. Thread-safe.
TcpEvidence check_tcp(const Address& target, const CheckPace& pace);

}  // namespace turnkit::probe
