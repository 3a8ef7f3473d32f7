// The text of --help, made from the option table.
#include <fmt/format.h>

#include "turnd/options/options.h"
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

constexpr std::size_t kWidth = 100;
constexpr std::size_t kIndent = 8;

// `text` broken into lines of at most kWidth characters, each indented.
std::string wrapped(std::string_view text) {
  std::string out;
  std::string line(kIndent, ' ');
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (line.size() > kIndent && line.size() + 1 + end > kWidth) {
      out += line + '\n';
      line.assign(kIndent, ' ');
    }
    if (line.size() > kIndent) line += ' ';
    line += text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out + line + '\n';
}

std::string heading(const Option& option) {
  const std::string letter = option.letter == 0 ? "" : fmt::format("-{}, ", option.letter);
  const char* metavar = option.metavar;
  switch (option.arg) {
    case Arg::kNone:
      return fmt::format("  {}--{}\n", letter, option.name);
    case Arg::kOptional:
      return metavar[0] == '\0' ? fmt::format("  {}--{}\n", letter, option.name)
                                : fmt::format("  {}--{}[={}]\n", letter, option.name, metavar);
    case Arg::kRequired:
      return fmt::format("  {}--{}={}\n", letter, option.name, metavar);
  }
  return {};
}

constexpr const char* kUsage = R"(Usage: turnd [OPTION]...
A TURN relay and STUN server (RFC 8656, RFC 8489) that reads coturn's configuration.

Every option but those for the command line only can stand in the configuration file too, one a line,
without the dashes: key=value. Names may be shortened as long as they stay unique. Without a file,
and without credentials on the command line, turnd generates a secret and prints how to use it.
)";

constexpr const char* kExamples = R"(
Examples:
  turnd
        Start with a generated secret; how to use it is printed.
  turnd -n --static-auth-secret=SECRET --realm=example.org --external-ip=auto
        A relay behind 1:1 NAT for Mattermost Calls, with everything on the command line.
  turnd -n --static-auth-secret=SECRET --realm=example.org --only-peer-ip=10.0.0.5:8443
        Relay to one media server and to nothing else.
  turnd --check-config /etc/turnserver.conf
        Report everything that is wrong with a file.

Exit codes: 0 stopped as asked; 1 failed while running; 2 bad command line or configuration;
3 a port, file or privilege could not be had at start-up. See turnd(8) and turnd.conf(5).
)";

}  // namespace

std::string help_text() {
  std::string out = kUsage;
  for (const char* group : option_groups()) {
    out += fmt::format("\n{}:\n", group);
    for (const Option& option : live_options()) {
      if (std::string_view(option.group) != group) continue;
      out += heading(option);
      std::string text = option.help;
      if (option.default_text[0] != '\0') text += fmt::format(" Default: {}.", option.default_text);
      out += wrapped(text);
    }
  }
  out += "\nAccepted for coturn's sake, without a function in this version (turnd.conf(5) says why):\n";
  std::string names;
  for (const Option& option : coturn_keys()) names += fmt::format("{}{}", names.empty() ? "" : ", ", option.name);
  return out + wrapped(names) + kExamples;
}

}  // namespace turnkit::turnd
