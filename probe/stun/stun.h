// `turn-probe stun`: asks a STUN server for this host's address, and says what that shows.
#pragma once

#include "probe/stun/options.h"

namespace turnkit::probe {

// Returns an ExitCode.
int run_stun(const StunOptions& options);

}  // namespace turnkit::probe
