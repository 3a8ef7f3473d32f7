// The only file that sees spdlog. One line a message, as coturn 4.17 writes it: "<ISO 8601 time> LEVEL text". Each line
// goes out with one write, so that scripts that wait for a start-up line see it, a crash loses nothing, and no thread
// is needed to flush.
#include "base/log.h"

#include <fcntl.h>
#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace turnkit::log {

namespace {

constexpr std::size_t kMaxLine = 1023;  // with the line end, as in coturn

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      break;
  }
  return spdlog::level::off;
}

std::string_view level_name(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return "DEBUG";
    case spdlog::level::info:
      return "INFO";
    case spdlog::level::warn:
      return "WARNING";
    default:
      return "ERROR";
  }
}

// strftime with %f for the three digits of the milliseconds, and %:z for "+02:00". The text of one second is kept.
class Timestamp {
 public:
  explicit Timestamp(std::string format) : format_(format.empty() ? "%Y-%m-%dT%H:%M:%S.%f%:z" : std::move(format)) {}

  std::string_view text(std::chrono::system_clock::time_point time) {
    const auto second = std::chrono::floor<std::chrono::seconds>(time);
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time - second).count();
    if (second != second_ || text_.empty()) render(second);
    for (const std::size_t at : milliseconds_at_) fmt::format_to_n(text_.data() + at, 3, "{:03}", ms);
    return text_;
  }

 private:
  void render(std::chrono::sys_seconds second) {
    second_ = second;
    const std::time_t t = std::chrono::system_clock::to_time_t(second);
    std::tm local{};
    ::localtime_r(&t, &local);
    text_.clear();
    milliseconds_at_.clear();
    std::string piece;
    for (std::size_t i = 0; i < format_.size(); ++i) {
      if (format_[i] == '%' && format_.compare(i, 2, "%f") == 0) {
        append(piece, local);
        milliseconds_at_.push_back(text_.size());
        text_ += "000";
        i += 1;
      } else if (format_.compare(i, 3, "%:z") == 0) {
        append(piece, local);
        append_offset(local);
        i += 2;
      } else {
        piece += format_[i];
        if (format_[i] == '%' && i + 1 < format_.size()) piece += format_[++i];
      }
    }
    append(piece, local);
  }
  void append(std::string& piece, const std::tm& local) {
    std::array<char, 128> out{};
    if (!piece.empty()) text_.append(out.data(), std::strftime(out.data(), out.size(), piece.c_str(), &local));
    piece.clear();
  }
  void append_offset(const std::tm& local) {
    const long minutes = local.tm_gmtoff / 60;
    text_ += fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', std::abs(minutes) / 60, std::abs(minutes) % 60);
  }

  const std::string format_;
  std::chrono::sys_seconds second_{};
  std::string text_;
  std::vector<std::size_t> milliseconds_at_;
};

// The length of `text` cut to at most `max` bytes without cutting a UTF-8 sequence.
std::size_t cut_length(std::string_view text, std::size_t max) {
  if (text.size() <= max) return text.size();
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
  return max;
}

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(std::string timestamp_format)
      : timestamp_format_(std::move(timestamp_format)), timestamp_(timestamp_format_) {}

  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& dest) override {
    const auto append = [&dest](std::string_view s) { dest.append(s.data(), s.data() + s.size()); };
    append(timestamp_.text(msg.time));
    append(" ");
    append(level_name(msg.level));
    append(" ");
    const std::string_view text(msg.payload.data(), msg.payload.size());
    const std::size_t room = dest.size() < kMaxLine - 1 ? kMaxLine - 1 - dest.size() : 0;
    append(text.substr(0, cut_length(text, room)));
    append("\n");
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(timestamp_format_);
  }

 private:
  const std::string timestamp_format_;
  Timestamp timestamp_;
};

// A file opened for appending, written without a buffer.
class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FileSink(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~FileSink() override { ::close(fd_); }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;

  static int open(const std::string& path) {
    return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
  }
  // Keeps the open file where the path cannot be opened any more.
  bool reopen() {
    const int fd = open(path_);
    if (fd < 0) return false;
    const std::lock_guard lock(mutex_);
    ::close(std::exchange(fd_, fd));
    return true;
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    spdlog::memory_buf_t line;
    formatter_->format(msg, line);
    const char* data = line.data();
    std::size_t left = line.size();
    while (left > 0) {
      const ssize_t n = ::write(fd_, data, left);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return;  // a full disk loses lines, not the service
      data += n;
      left -= static_cast<std::size_t>(n);
    }
  }
  void flush_() override {}

 private:
  const std::string path_;
  int fd_;
};

struct State {
  std::atomic<Level> level{Level::kInfo};
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<FileSink> file;

  State() { install({std::make_shared<spdlog::sinks::stderr_sink_mt>()}, {}, Level::kInfo); }
  void install(std::vector<spdlog::sink_ptr> sinks, const std::string& timestamp_format, Level new_level) {
    logger = std::make_shared<spdlog::logger>("turnkit", sinks.begin(), sinks.end());
    logger->set_formatter(std::make_unique<LineFormatter>(timestamp_format));
    logger->set_level(spdlog::level::trace);  // enabled() filters
    logger->flush_on(spdlog::level::warn);
    level.store(new_level, std::memory_order_relaxed);
  }
};

// Never destroyed: threads and destructors may log until the process is gone.
State& state() {
  static State& instance = *new State;
  return instance;
}

std::optional<int> facility_number(std::string_view name) {
  if (name.empty()) return LOG_DAEMON;
  static constexpr std::pair<std::string_view, int> kFacilities[] = {
      {"LOG_AUTH", LOG_AUTH},     {"LOG_AUTHPRIV", LOG_AUTHPRIV}, {"LOG_CRON", LOG_CRON},
      {"LOG_DAEMON", LOG_DAEMON}, {"LOG_FTP", LOG_FTP},           {"LOG_KERN", LOG_KERN},
      {"LOG_LOCAL0", LOG_LOCAL0}, {"LOG_LOCAL1", LOG_LOCAL1},     {"LOG_LOCAL2", LOG_LOCAL2},
      {"LOG_LOCAL3", LOG_LOCAL3}, {"LOG_LOCAL4", LOG_LOCAL4},     {"LOG_LOCAL5", LOG_LOCAL5},
      {"LOG_LOCAL6", LOG_LOCAL6}, {"LOG_LOCAL7", LOG_LOCAL7},     {"LOG_LPR", LOG_LPR},
      {"LOG_MAIL", LOG_MAIL},     {"LOG_NEWS", LOG_NEWS},         {"LOG_SYSLOG", LOG_SYSLOG},
      {"LOG_USER", LOG_USER},     {"LOG_UUCP", LOG_UUCP},
  };
  for (const auto& [known, number] : kFacilities) {
    if (name == known) return number;
  }
  return std::nullopt;
}

constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

// The message on one line: blanks for line ends and tabs, '?' for other control characters, nothing for those at the
// end.
std::string flattened(std::string_view message) {
  while (!message.empty() && is_control(message.back())) message.remove_suffix(1);
  std::string out(message);
  for (char& c : out) {
    if (is_control(c)) c = c == '\n' || c == '\r' || c == '\t' ? ' ' : '?';
  }
  return out;
}

}  // namespace

Status configure(const Config& config) {
  std::vector<spdlog::sink_ptr> sinks;
  std::shared_ptr<FileSink> file;
  if (config.to_stdout) sinks.push_back(std::make_shared<spdlog::sinks::stdout_sink_mt>());
  if (!config.file.empty()) {
    const int fd = FileSink::open(config.file);
    if (fd < 0) {
      return Error{fmt::format("Cannot open the log file {}: {}; give a path that this user may write.", config.file,
                               std::strerror(errno))};
    }
    file = std::make_shared<FileSink>(config.file, fd);
    sinks.push_back(file);
  }
  if (config.to_syslog) {
    const auto facility = facility_number(config.syslog_facility);
    if (!facility) {
      return Error{
          fmt::format("Unknown syslog facility {}; it must be one of syslog(3), such as LOG_DAEMON or LOG_LOCAL1.",
                      config.syslog_facility)};
    }
    state().install({}, {}, Level::kOff);  // an earlier syslog sink closes before the next one opens the same log
    sinks.push_back(std::make_shared<spdlog::sinks::syslog_sink_mt>(config.ident, LOG_PID, *facility, false));
  }
  state().install(std::move(sinks), config.timestamp_format, config.level);
  state().file = std::move(file);
  return {};
}

void reopen() {
  State& s = state();
  if (s.file && !s.file->reopen())
    warning("Cannot reopen the log file: {}; the old one stays in use", std::strerror(errno));
}

void flush() {
  try {
    state().logger->flush();
  } catch (...) {  // NOLINT(bugprone-empty-catch): logging never fails its caller
  }
}

bool enabled(Level level) {
  const Level least = state().level.load(std::memory_order_relaxed);
  return level >= least && level != Level::kOff;
}

void write(Level level, std::string_view message) {
  if (!enabled(level)) return;
  try {
    const std::string_view text = message.substr(0, cut_length(message, kMaxLine));
    spdlog::logger& logger = *state().logger;
    if (std::none_of(text.begin(), text.end(), is_control)) {
      logger.log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
    } else {
      logger.log(to_spdlog(level), flattened(text));
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch): logging never fails its caller
  }
}

}  // namespace turnkit::log
