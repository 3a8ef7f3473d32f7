// `turn-probe listen`: the far end of a port check, for turn-probe, for netcat and for a person who watches.
#pragma once

#include "probe/options.h"

namespace turnkit::probe {

// Runs until Ctrl-C or options.run_for, printing to standard output. Returns an ExitCode.
int run_listen(const ListenOptions& options);

}  // namespace turnkit::probe
