// Logging. spdlog stays behind log.cc, because its headers cost seconds to compile; messages are formatted by fmt.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace turnkit::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

struct Config {
  Level level = Level::kInfo;
  bool to_stdout = true;
  std::string file{};  // path of the log file; empty: none
  bool to_syslog = false;
  std::string syslog_facility{};   // such as "LOG_DAEMON"; empty: LOG_DAEMON
  std::string ident{};             // the program's name, for syslog
  std::string timestamp_format{};  // strftime, with %f for milliseconds; empty: ISO 8601
};

// Until it is called, messages go to standard error at level info. Not thread-safe against messages under way.
Status configure(const Config& config);
// Opens the log file anew (for logrotate). Thread-safe.
void reopen();
void flush();

[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view message);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kDebug)) write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kWarning)) write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kError)) write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace turnkit::log
