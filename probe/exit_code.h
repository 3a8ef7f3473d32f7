// Exit codes of turn-probe. Scripts depend on them: the manual page lists the same numbers.
#pragma once

namespace turnkit::probe {

enum ExitCode : int {
  kExitPass = 0,         // every check passed, perhaps with warnings
  kExitFail = 1,         // at least one check failed
  kExitUsage = 2,        // the command line is wrong
  kExitUnconfirmed = 3,  // nothing failed, but silence proves nothing
  kExitCannotStart = 4,  // the port has an owner, the host name does not resolve, ...
};

}  // namespace turnkit::probe
