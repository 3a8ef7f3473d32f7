// `turn-probe port`: checks the ports of a host from here and prints a verdict for each.
#pragma once

#include "probe/options.h"

namespace turnkit::probe {

// Returns an ExitCode.
int run_port(const PortOptions& options);

}  // namespace turnkit::probe
