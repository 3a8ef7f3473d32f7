// The configuration file: finding it as coturn does, and cutting its text into keys and values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "turnd/options/options.h"

namespace turnkit::turnd {

// Longer lines are refused: coturn would cut them in two.
inline constexpr std::size_t kMaxLine = 1024;

struct ConfigLine {
  std::size_t number = 0;  // from 1
  std::string key;
  std::string value;                 // empty when there was none
  bool ends_with_semicolon = false;  // kept in `value`, as in coturn, but hardly meant
  bool looks_commented = false;      // `value` has a '#' behind a blank, which does not start a comment
  std::string fault;                 // what is wrong with the line itself; the other fields then mean nothing
};

// Comments and blank lines are left out. Never fails: a broken line is one with a fault.
std::vector<ConfigLine> parse_config_text(std::string_view text);

// The whole file. The error names the path and why; directories and files above 16 MiB are refused.
Result<std::string> read_config_file(const std::string& path);

// The path of the file called `name`, searched for in coturn's places; empty when there is none. A name that starts
// with '/' or '~' is taken as it is.
std::string find_config_file(const std::string& name, const Environment& environment);
// The same for the files that are read when none is named: turnd.conf, then turnserver.conf; the other way round for a
// program that was called turnserver.
std::string find_default_config_file(const Environment& environment);

}  // namespace turnkit::turnd
