// What `turn-probe nat` is told.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"

namespace turnkit::probe {

struct NatOptions {
  std::vector<std::string> servers;  // as typed; the first is asked for RFC 5780, all are compared
  std::optional<Family> family;
  std::optional<IpAddress> local;    // to send from
  std::chrono::seconds lifetime{0};  // measure up to this long; 0: not at all
  bool hairpin = false;
  bool json = false;
  bool quiet = false;  // no progress
};

}  // namespace turnkit::probe
