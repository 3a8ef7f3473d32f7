// `turn-probe nat`: what the NAT in front of this host does, and what that means for calls.
#pragma once

#include "probe/nat/options.h"

namespace turnkit::probe {

// Returns an ExitCode.
int run_nat(const NatOptions& options);

}  // namespace turnkit::probe
