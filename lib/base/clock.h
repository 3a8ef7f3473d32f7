// Time as the suite's code sees it. Nothing below a program's loop reads a clock: `Now` is handed in, so tests run
// hours in milliseconds.
#pragma once

#include <chrono>

namespace turnkit {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;  // for deadlines
using WallTime = std::chrono::sys_seconds;                                       // for nonces and REST credentials

struct Now {
  TimePoint mono;
  WallTime wall;
};

// The real clocks.
Now read_clock();

}  // namespace turnkit
