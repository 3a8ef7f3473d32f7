#include "turnd/options/cpu_quota.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <vector>

namespace turnkit::turnd {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// A whole positive number at the start of `text`, which is then cut off; nullopt for "max", -1 and everything else.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value == 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with(' ')) text.remove_prefix(1);
  return value;
}

std::optional<unsigned> whole_cpus(std::optional<std::uint64_t> quota, std::optional<std::uint64_t> period) {
  if (!quota || !period) return std::nullopt;
  const std::uint64_t cpus = *quota / *period + (*quota % *period == 0 ? 0 : 1);
  return static_cast<unsigned>(std::clamp<std::uint64_t>(cpus, 1, 1 << 16));
}

std::optional<unsigned> quota_v2(const std::string& directory) {
  const std::string line = first_line(directory + "/cpu.max");
  std::string_view text = line;
  const std::optional<std::uint64_t> quota = take_number(text);
  return whole_cpus(quota, take_number(text));
}

std::optional<unsigned> quota_v1(const std::string& directory) {
  const std::string quota = first_line(directory + "/cpu.cfs_quota_us");
  const std::string period = first_line(directory + "/cpu.cfs_period_us");
  std::string_view quota_text = quota;
  std::string_view period_text = period;
  return whole_cpus(take_number(quota_text), take_number(period_text));
}

// The smallest quota of `path` below `mount` and of every group above it. In a container the path may be the host's:
// then only the mount itself is there.
template <typename ReadQuota>
std::optional<unsigned> smallest(const std::string& mount, std::string path, ReadQuota read_quota) {
  std::optional<unsigned> out;
  while (true) {
    while (path.ends_with('/')) path.pop_back();
    if (const std::optional<unsigned> quota = read_quota(mount + path)) out = std::min(out.value_or(*quota), *quota);
    if (path.empty()) return out;
    path.resize(std::min(path.rfind('/'), path.size() - 1));
  }
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == word) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

}  // namespace

// A line is "ID:CONTROLLERS:PATH"; the controllers of v2 are empty (cgroups(7)).
std::optional<unsigned> cpu_quota(const std::string& root, const std::string& membership) {
  std::optional<unsigned> out;
  std::ifstream file(membership);
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    std::vector<std::optional<unsigned>> quotas;
    if (controllers.empty()) {
      quotas.push_back(smallest(root, path, quota_v2));
      quotas.push_back(smallest(root + "/unified", path, quota_v2));
    } else if (has_word(controllers, "cpu")) {
      quotas.push_back(smallest(root + "/" + controllers, path, quota_v1));
      if (controllers != "cpu") quotas.push_back(smallest(root + "/cpu", path, quota_v1));
    }
    for (const std::optional<unsigned>& quota : quotas) {
      if (quota) out = std::min(out.value_or(*quota), *quota);
    }
  }
  return out;
}

}  // namespace turnkit::turnd
