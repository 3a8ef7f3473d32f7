#include "probe/port/port.h"

#include "probe/exit_code.h"

namespace turnkit::probe {

int run_port(const PortOptions&) { return kExitUnconfirmed; }

}  // namespace turnkit::probe
