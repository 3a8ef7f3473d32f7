// What a server process uses: CPU time of all its threads and resident memory, from /proc. Linux only, needs no
// privileges for one's own processes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace turnkit::probe {

struct ServerUsage {
  std::chrono::nanoseconds cpu{0};  // run time of all threads that exist now
  std::uint64_t resident = 0;       // bytes of anonymous memory (RssAnon)
};

// Reads /proc/PID/task/*/schedstat and /proc/PID/status. The error names the process.
Result<ServerUsage> read_server_usage(int pid);

// The first field of a schedstat line: nanoseconds on a CPU. nullopt when it is not such a line.
std::optional<std::uint64_t> parse_schedstat(std::string_view text);
// The bytes of a "RssAnon:   1234 kB" line in /proc/PID/status.
std::optional<std::uint64_t> parse_rss_anon(std::string_view status);

}  // namespace turnkit::probe
