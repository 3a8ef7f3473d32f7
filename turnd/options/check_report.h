// The report of --check-config: what is set and where, what it comes to, and everything there is to say about it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "turnd/options/draft.h"

namespace turnkit::turnd {

std::string check_text(const Draft& draft);
// One JSON object; docs/migrating-from-coturn.md describes it.
std::string check_json(const Draft& draft);

// What the configuration comes to, a line each: "listens on" and "every address: UDP and TCP 3478".
std::vector<std::pair<std::string, std::string>> effects(const Draft& draft);
// The settings in the order of the file, then of the command line, and whether a later one replaces each.
struct ShownSetting {
  const Setting* setting;
  bool replaced = false;
};
std::vector<ShownSetting> shown_settings(const Draft& draft);
// How the report names a kind of finding: "unsafe".
const char* kind_name(Finding::Kind kind);

}  // namespace turnkit::turnd
