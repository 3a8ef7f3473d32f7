// The only file that sees spdlog. Each line goes out with one write, so that scripts that wait for a start-up line see
// it, a crash loses nothing, and no thread is needed to flush.
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
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <utility>
#include <vector>

#include "base/log_line.h"

namespace turnkit::log {

namespace {

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

Level from_spdlog(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return Level::kDebug;
    case spdlog::level::info:
      return Level::kInfo;
    case spdlog::level::warn:
      return Level::kWarning;
    default:
      return Level::kError;
  }
}

// Seconds of the older coturn shapes count from the first use of the log.
std::chrono::system_clock::time_point start_of_process() {
  static const std::chrono::system_clock::time_point start = std::chrono::system_clock::now();
  return start;
}

class LineFormatter final : public spdlog::formatter {
 public:
  LineFormatter(Shape shape, std::string timestamp_format)
      : shape_(shape),
        timestamp_format_(std::move(timestamp_format)),
        writer_(shape_, timestamp_format_, start_of_process()) {}

  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& dest) override {
    const std::string_view line = writer_.line(
        {msg.time, from_spdlog(msg.level), msg.thread_id, std::string_view(msg.payload.data(), msg.payload.size())});
    dest.append(line.data(), line.data() + line.size());
  }
  [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(shape_, timestamp_format_);
  }

 private:
  const Shape shape_;
  const std::string timestamp_format_;
  LineWriter writer_;
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
  // Another sink for the same open file, for when its path cannot be opened any more.
  [[nodiscard]] std::shared_ptr<FileSink> duplicate() {
    const std::lock_guard lock(mutex_);
    const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
    return fd < 0 ? nullptr : std::make_shared<FileSink>(path_, fd);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
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
  std::atomic<bool> anonymize{false};
  std::shared_mutex mutex;  // guards what follows; held shared while a message is written
  Shape shape = Shape::kText;
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<FileSink> file;

  State() {
    (void)start_of_process();
    install({std::make_shared<spdlog::sinks::stderr_sink_mt>()}, {});
  }
  void install(std::vector<spdlog::sink_ptr> sinks, const Config& config) {
    logger = std::make_shared<spdlog::logger>("turnkit", sinks.begin(), sinks.end());
    logger->set_formatter(std::make_unique<LineFormatter>(config.shape, config.timestamp_format));
    logger->set_level(spdlog::level::trace);  // enabled() filters
    logger->flush_on(spdlog::level::warn);
    shape = config.shape;
    anonymize.store(config.anonymize, std::memory_order_relaxed);
    level.store(config.level, std::memory_order_relaxed);
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

}  // namespace

namespace {

// A log file that root opened stays in use when whom turnd runs as by now may not open it.
std::shared_ptr<FileSink> open_file(const std::string& path) {
  if (const int fd = FileSink::open(path); fd >= 0) return std::make_shared<FileSink>(path, fd);
  const int error = errno;
  State& s = state();
  const std::shared_lock lock(s.mutex);
  std::shared_ptr<FileSink> same = s.file && s.file->path() == path ? s.file->duplicate() : nullptr;
  errno = error;
  return same;
}

}  // namespace

Status configure(const Config& config) {
  std::vector<spdlog::sink_ptr> sinks;
  std::shared_ptr<FileSink> file;
  if (config.to_stdout) sinks.push_back(std::make_shared<spdlog::sinks::stdout_sink_mt>());
  if (!config.file.empty()) {
    file = open_file(config.file);
    if (!file) {
      return Error{fmt::format("Cannot open the log file {}: {}; give a path that this user may write.", config.file,
                               std::strerror(errno))};
    }
    sinks.push_back(file);
  }
  const auto facility = facility_number(config.syslog_facility);
  if (config.to_syslog && !facility) {
    return Error{
        fmt::format("Unknown syslog facility {}; it must be one of syslog(3), such as LOG_DAEMON or LOG_LOCAL1.",
                    config.syslog_facility)};
  }
  State& s = state();
  const std::unique_lock lock(s.mutex);
  if (config.to_syslog) {
    s.install({}, {.level = Level::kOff});  // an earlier syslog sink closes before the next one opens the same log
    // Syslog has time and level of its own; JSON is one object all the same.
    sinks.push_back(std::make_shared<spdlog::sinks::syslog_sink_mt>(config.ident, LOG_PID, *facility,
                                                                    config.shape == Shape::kJson));
  }
  s.install(std::move(sinks), config);
  s.file = std::move(file);
  return {};
}

void reopen() {
  State& s = state();
  bool failed = false;
  {
    const std::shared_lock lock(s.mutex);
    failed = s.file && !s.file->reopen();
  }
  if (failed) warning("Cannot reopen the log file: {}; the old one stays in use", std::strerror(errno));
}

void flush() {
  try {
    State& s = state();
    const std::shared_lock lock(s.mutex);
    s.logger->flush();
  } catch (...) {  // NOLINT(bugprone-empty-catch): logging never fails its caller
  }
}

std::string shown(const IpAddress& ip) {
  if (!state().anonymize.load(std::memory_order_relaxed)) return ip.to_string();
  std::array<std::byte, 16> cut{};
  const Bytes bytes = ip.bytes();
  std::copy_n(bytes.begin(), ip.is_v4() ? 3 : 6, cut.begin());
  return IpAddress::from_bytes(Bytes(cut).first(bytes.size())).to_string();
}

std::string shown(const Address& address) {
  if (!state().anonymize.load(std::memory_order_relaxed)) return address.to_string();
  return address.ip.is_v4() ? fmt::format("{}:0", shown(address.ip)) : fmt::format("[{}]:0", shown(address.ip));
}

bool enabled(Level level) {
  const Level least = state().level.load(std::memory_order_relaxed);
  return level >= least && level != Level::kOff;
}

void write(Level level, std::string_view message, std::span<const Field> fields) {
  if (!enabled(level)) return;
  try {
    State& s = state();
    const std::shared_lock lock(s.mutex);
    const std::string_view text = message.substr(0, cut_length(message, kMaxLine));
    const std::string body = s.shape == Shape::kJson ? json_body(flattened(text), fields) : flattened(text);
    s.logger->log(to_spdlog(level), spdlog::string_view_t(body.data(), body.size()));
  } catch (...) {  // NOLINT(bugprone-empty-catch): logging never fails its caller
  }
}

}  // namespace turnkit::log
