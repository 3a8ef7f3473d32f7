// Reading /proc/PID: see server_usage.h.
#include "probe/load/server_usage.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace turnkit::probe {

namespace {

std::optional<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<std::uint64_t> leading_number(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::uint64_t> parse_schedstat(std::string_view text) { return leading_number(text); }

std::optional<std::uint64_t> parse_rss_anon(std::string_view status) {
  constexpr std::string_view kKey = "RssAnon:";
  std::size_t at = 0;
  while (at < status.size()) {
    const std::size_t end = std::min(status.find('\n', at), status.size());
    const std::string_view line = status.substr(at, end - at);
    if (line.starts_with(kKey)) {
      const auto kilobytes = leading_number(line.substr(kKey.size()));
      return kilobytes ? std::optional(*kilobytes * 1024) : std::nullopt;
    }
    at = end + 1;
  }
  return std::nullopt;
}

Result<ServerUsage> read_server_usage(int pid) {
  const std::filesystem::path process = "/proc/" + std::to_string(pid);
  const auto gone = [&] {
    return Error{"Cannot read " + process.string() + "; give the id of a running process that you may look at."};
  };
  const auto status = read_file(process / "status");
  if (!status) return gone();
  ServerUsage usage;
  usage.resident = parse_rss_anon(*status).value_or(0);
  std::error_code error;
  for (std::filesystem::directory_iterator it(process / "task", error), end; !error && it != end; it.increment(error)) {
    const auto text = read_file(it->path() / "schedstat");
    if (!text) continue;  // the thread has just ended
    const auto run_time = parse_schedstat(*text);
    if (!run_time)
      return Error{"Cannot read " + (it->path() / "schedstat").string() + "; the kernel needs CONFIG_SCHED_INFO."};
    usage.cpu += std::chrono::nanoseconds(*run_time);
  }
  if (error) return gone();
  return usage;
}

}  // namespace turnkit::probe
