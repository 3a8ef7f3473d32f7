// How a message of the log becomes a line: the shapes of coturn's releases, and JSON. No sinks, no threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace turnkit::log {

inline constexpr std::size_t kMaxLine = 1023;  // of a text line with its end, as in coturn

// The length of `text` cut to at most `max` bytes without cutting a UTF-8 sequence.
std::size_t cut_length(std::string_view text, std::size_t max);

// The message on one line: blanks for line ends and tabs, '?' for other control characters, nothing for those at the
// end.
std::string flattened(std::string_view message);

// `"message":"...","key":"value"`: what stands between the time and the closing brace of a JSON line.
std::string json_body(std::string_view message, std::span<const Field> fields);

// strftime with %f for the three digits of the milliseconds, and %:z for "+02:00". The text of one second is kept.
class Timestamp {
 public:
  explicit Timestamp(std::string format) : format_(std::move(format)) {}
  // Valid until the next call.
  std::string_view text(std::chrono::system_clock::time_point time);

 private:
  void render(std::chrono::sys_seconds second);

  std::string format_;
  std::chrono::sys_seconds second_{};
  std::string text_;
  std::vector<std::size_t> milliseconds_at_;
};

// One shape of lines. Not thread-safe: one per sink.
class LineWriter {
 public:
  // `started` is what the older coturn shapes count seconds from.
  LineWriter(Shape shape, std::string timestamp_format, std::chrono::system_clock::time_point started);

  struct Message {
    std::chrono::system_clock::time_point time;
    Level level = Level::kInfo;
    std::size_t thread = 0;
    std::string_view body;  // a flattened() text; Shape::kJson: a json_body()
  };
  // The line with its end; valid until the next call.
  std::string_view line(const Message& message);

 private:
  void write_head(const Message& message);

  Shape shape_;
  bool counts_seconds_;
  Timestamp timestamp_;
  std::chrono::system_clock::time_point started_;
  std::string line_;
};

}  // namespace turnkit::log
