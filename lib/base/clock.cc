// The real clocks.
#include "base/clock.h"

namespace turnkit {

Now read_clock() {
  return {std::chrono::steady_clock::now(), std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())};
}

}  // namespace turnkit
