#include "probe/listen/listen.h"

#include "probe/exit_code.h"

namespace turnkit::probe {

int run_listen(const ListenOptions&) { return kExitCannotStart; }

}  // namespace turnkit::probe
