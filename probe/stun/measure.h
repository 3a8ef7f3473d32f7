// Asks one STUN server over one transport, and keeps all that comes of it.
#pragma once

#include "probe/stun/evidence.h"
#include "probe/stun/options.h"

namespace turnkit::probe {

// Blocks until all requests are answered or given up.
StunEvidence measure_stun(const StunTarget& target, const StunOptions& options);

}  // namespace turnkit::probe
