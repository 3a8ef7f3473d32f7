#include "base/log_line.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/encoding.h"

namespace turnkit::log {

namespace {

constexpr std::size_t kMaxField = 512;  // of a JSON value

constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

std::string_view level_name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "DEBUG";
    case Level::kInfo:
      return "INFO";
    case Level::kWarning:
      return "WARNING";
    case Level::kError:
    case Level::kOff:
      break;
  }
  return "ERROR";
}

std::string_view json_level_name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
    case Level::kOff:
      break;
  }
  return "error";
}

std::string default_format(Shape shape) {
  switch (shape) {
    case Shape::kText:
    case Shape::kJson:
      break;
    case Shape::kCoturn:
      return "%Y-%m-%dT%H:%M:%S.%f%z";
    case Shape::kCoturn46:
    case Shape::kCoturn45:
      return "";
  }
  return "%Y-%m-%dT%H:%M:%S.%f%:z";
}

void append_strftime(std::string& to, std::string& format, const std::tm& local) {
  std::array<char, 128> out{};
  if (!format.empty()) to.append(out.data(), std::strftime(out.data(), out.size(), format.c_str(), &local));
  format.clear();
}

void append_offset(std::string& to, const std::tm& local) {
  const long minutes = local.tm_gmtoff / 60;
  to += fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', std::abs(minutes) / 60, std::abs(minutes) % 60);
}

}  // namespace

std::size_t cut_length(std::string_view text, std::size_t max) {
  if (text.size() <= max) return text.size();
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
  return max;
}

std::string flattened(std::string_view message) {
  while (!message.empty() && is_control(message.back())) message.remove_suffix(1);
  std::string out(message);
  for (char& c : out) {
    if (is_control(c)) c = c == '\n' || c == '\r' || c == '\t' ? ' ' : '?';
  }
  return out;
}

std::string json_body(std::string_view message, std::span<const Field> fields) {
  std::string out = "\"message\":" + json_string(message.substr(0, cut_length(message, kMaxLine)));
  for (const Field& field : fields) {
    out += ',';
    out += json_string(field.key);
    out += ':';
    if (field.is_number) {
      out += std::to_string(field.number);
    } else {
      out += json_string(field.text.substr(0, cut_length(field.text, kMaxField)));
    }
  }
  return out;
}

std::string_view Timestamp::text(std::chrono::system_clock::time_point time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time - second).count();
  if (second != second_ || text_.empty()) render(second);
  for (const std::size_t at : milliseconds_at_) {
    const std::string digits = fmt::format("{:03}", ms);
    std::copy(digits.begin(), digits.end(), text_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return text_;
}

void Timestamp::render(std::chrono::sys_seconds second) {
  second_ = second;
  const std::time_t t = std::chrono::system_clock::to_time_t(second);
  std::tm local{};
  ::localtime_r(&t, &local);
  text_.clear();
  milliseconds_at_.clear();
  std::string piece;
  for (std::size_t i = 0; i < format_.size(); ++i) {
    if (format_.compare(i, 2, "%f") == 0) {
      append_strftime(text_, piece, local);
      milliseconds_at_.push_back(text_.size());
      text_ += "000";
      i += 1;
    } else if (format_.compare(i, 3, "%:z") == 0) {
      append_strftime(text_, piece, local);
      append_offset(text_, local);
      i += 2;
    } else {
      piece += format_[i];
      if (format_[i] == '%' && i + 1 < format_.size()) piece += format_[++i];
    }
  }
  append_strftime(text_, piece, local);
}

LineWriter::LineWriter(Shape shape, std::string timestamp_format, std::chrono::system_clock::time_point started)
    : shape_(shape),
      counts_seconds_((shape == Shape::kCoturn46 || shape == Shape::kCoturn45) && timestamp_format.empty()),
      timestamp_(timestamp_format.empty() ? default_format(shape) : std::move(timestamp_format)),
      started_(started) {}

void LineWriter::write_head(const Message& message) {
  switch (shape_) {
    case Shape::kText:
    case Shape::kCoturn:
      line_ += timestamp_.text(message.time);
      line_ += ' ';
      line_ += level_name(message.level);
      line_ += ' ';
      return;
    case Shape::kCoturn46:
    case Shape::kCoturn45:
      if (counts_seconds_) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(message.time - started_).count();
        line_ += std::to_string(std::max<std::int64_t>(seconds, 0));
      } else {
        line_ += timestamp_.text(message.time);
      }
      if (shape_ == Shape::kCoturn46) {
        line_ += fmt::format(": ({}): {}: ", message.thread, level_name(message.level));
      } else {
        line_ += ": : ";
        if (message.level >= Level::kWarning) line_ += fmt::format("{}: ", level_name(message.level));
      }
      return;
    case Shape::kJson:
      line_ += fmt::format(R"({{"time":{},"level":"{}",)", json_string(timestamp_.text(message.time)),
                           json_level_name(message.level));
      return;
  }
}

std::string_view LineWriter::line(const Message& message) {
  line_.clear();
  write_head(message);
  if (shape_ == Shape::kJson) {
    line_ += message.body;
    line_ += "}\n";
    return line_;
  }
  const std::size_t room = line_.size() < kMaxLine - 1 ? kMaxLine - 1 - line_.size() : 0;
  line_ += message.body.substr(0, cut_length(message.body, room));
  line_ += '\n';
  return line_;
}

}  // namespace turnkit::log
