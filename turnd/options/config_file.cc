// The configuration file: finding it as coturn does, and cutting its text into keys and values.
#include "turnd/options/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "net/fd.h"

namespace turnkit::turnd {
namespace {

constexpr std::size_t kMaxFile = std::size_t{16} << 20;
constexpr std::string_view kBlanks = " \t\r\n\v\f";

std::string_view without_trailing_blanks(std::string_view text) {
  const std::size_t last = text.find_last_not_of(kBlanks);
  return last == std::string_view::npos ? std::string_view{} : text.substr(0, last + 1);
}

std::string_view without_leading(std::string_view text, std::string_view characters) {
  const std::size_t first = text.find_first_not_of(characters);
  return first == std::string_view::npos ? std::string_view{} : text.substr(first);
}

// `line` has no leading or trailing blanks and is no comment. coturn: the key ends at the first blank or '='; any run
// of those is skipped; one double quote is dropped from each end of the value, and only when it starts with one.
ConfigLine parse_line(std::size_t number, std::string_view line) {
  ConfigLine out;
  out.number = number;
  if (line.size() > kMaxLine) {
    out.fault = fmt::format("the line is {} bytes long; at most {} are read", line.size(), kMaxLine);
    return out;
  }
  if (line.find('\0') != std::string_view::npos) {
    out.fault = "the line has a zero byte; this is not a text file";
    return out;
  }
  const std::size_t separator = line.find_first_of(" \t=");
  out.key = line.substr(0, separator);
  if (separator == 0) out.fault = "there is no key in front of the equals sign; expected key=value";
  if (separator == 0 || separator == std::string_view::npos) return out;
  std::string_view value = without_leading(line.substr(separator), " \t=");
  out.ends_with_semicolon = value.ends_with(';');
  if (value.starts_with('"')) {
    value.remove_prefix(1);
    if (value.ends_with('"')) value.remove_suffix(1);
  } else {
    out.looks_commented = value.find(" #") != std::string_view::npos || value.find("\t#") != std::string_view::npos;
  }
  out.value = value;
  return out;
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

std::string joined(const std::string& directory, const std::string& name) {
  if (directory.empty()) return name;
  return directory.back() == '/' ? directory + name : directory + '/' + name;
}

}  // namespace

std::vector<ConfigLine> parse_config_text(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // UTF-8 byte order mark
  std::vector<ConfigLine> lines;
  for (std::size_t number = 1, start = 0; start < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = without_leading(without_trailing_blanks(text.substr(start, end - start)), kBlanks);
    start = end + 1;
    if (line.empty() || line.front() == '#') continue;
    lines.push_back(parse_line(number, line));
  }
  return lines;
}

Result<std::string> read_config_file(const std::string& path) {
  const auto failed = [&](int error) { return Error{fmt::format("{}: {}", path, std::strerror(error))}; };
  const net::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return failed(errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed(errno);
  if (S_ISDIR(info.st_mode)) return Error{path + ": this is a directory; name a file"};
  std::string text;
  for (;;) {
    char buffer[16384];
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(errno);
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kMaxFile) return Error{path + ": larger than 16 MiB; this is no configuration file"};
  }
}

std::string find_config_file(const std::string& name, const Environment& environment) {
  if (name.empty()) return {};
  if (name.front() == '/' || name.front() == '~') return exists(name) ? name : std::string();
  static constexpr const char* kPlaces[] = {"",        "turnd/",        "turnserver/",        "coturn/",
                                            "etc/",    "etc/turnd/",    "etc/turnserver/",    "etc/coturn/",
                                            "../etc/", "../etc/turnd/", "../etc/turnserver/", "../etc/coturn/"};
  static constexpr const char* kSystemPlaces[] = {
      "/etc/",           "/etc/turnd/",           "/etc/turnserver/",           "/etc/coturn/",
      "/usr/local/etc/", "/usr/local/etc/turnd/", "/usr/local/etc/turnserver/", "/usr/local/etc/coturn/"};
  if (!environment.credentials_directory.empty() && name.find('/') == std::string::npos) {
    if (std::string path = joined(environment.credentials_directory, name); exists(path)) return path;
  }
  std::vector<std::string> bases = {environment.working_directory};
  if (!environment.program_directory.empty()) bases.push_back(environment.program_directory);
  for (const std::string& base : bases) {
    for (const char* place : kPlaces) {
      if (std::string path = joined(base, place + name); exists(path)) return path;
    }
  }
  if (environment.search_system) {
    for (const char* place : kSystemPlaces) {
      if (std::string path = place + name; exists(path)) return path;
    }
  }
  return name.starts_with("etc/") ? find_config_file(name.substr(4), environment) : std::string();
}

std::string find_default_config_file(const Environment& environment) {
  constexpr const char* kOurs = "turnd.conf";
  constexpr const char* kCoturns = "turnserver.conf";
  const bool coturns_first = environment.called_turnserver;
  for (const char* name : {coturns_first ? kCoturns : kOurs, coturns_first ? kOurs : kCoturns}) {
    if (std::string path = find_config_file(name, environment); !path.empty()) return path;
  }
  return {};
}

}  // namespace turnkit::turnd
