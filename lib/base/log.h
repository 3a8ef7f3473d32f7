// Logging. spdlog stays behind log.cc, because its headers cost seconds to compile; messages are formatted by fmt.
#pragma once

#include <fmt/core.h>

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"

namespace turnkit::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

// What a line looks like.
enum class Shape : std::uint8_t {
  kText,      // "2026-01-31T12:00:00.000+00:00 INFO text"
  kCoturn,    // "2026-01-31T12:00:00.000+0000 INFO text", as coturn 4.17 writes
  kCoturn46,  // "12: (1234): INFO: text": seconds since the start and thread id, as coturn 4.6.2 to 4.16 writes
  kCoturn45,  // "12: : text", "12: : ERROR: text", as coturn up to 4.6.1 writes
  kJson,      // {"time":"...","level":"info","message":"text", and the message's fields}
};

struct Config {
  Level level = Level::kInfo;
  bool to_stdout = true;
  std::string file{};  // path of the log file; empty: none
  bool to_syslog = false;
  std::string syslog_facility{};   // such as "LOG_DAEMON"; empty: LOG_DAEMON
  std::string ident{};             // the program's name, for syslog
  std::string timestamp_format{};  // strftime, with %f for milliseconds; empty: that of the shape
  Shape shape = Shape::kText;
  bool anonymize = false;  // shown() cuts addresses
  friend bool operator==(const Config&, const Config&) = default;
};

// Until it is called, messages go to standard error at level info. On an error the log goes on as before. Thread-safe.
Status configure(const Config& config);
// Opens the log file anew (for logrotate). Thread-safe.
void reopen();
void flush();

// An address as the log may show it: as it is, or cut to /24 (IPv4) or /48 (IPv6) and without its port.
std::string shown(const Address& address);
std::string shown(const IpAddress& ip);

// Part of a message for programs that read Shape::kJson; other shapes leave it out. `text` need not be printable.
struct Field {
  Field(std::string_view k, std::string_view t) : key(k), text(t) {}
  Field(std::string_view k, std::unsigned_integral auto n) : key(k), number(n), is_number(true) {}
  std::string_view key;
  std::string_view text;
  std::uint64_t number = 0;
  bool is_number = false;
};

[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view message, std::span<const Field> fields = {});

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
