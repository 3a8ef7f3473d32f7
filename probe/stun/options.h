// What `turn-probe stun` is told.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "probe/stun/targets.h"

namespace turnkit::probe {

// How long a server may take (RFC 8489, section 6.2.1).
enum class Patience : std::uint8_t {
  kFast,     // 3 requests, 2.5 s
  kNormal,   // 4 requests, 5.5 s
  kPatient,  // 7 requests, 39.5 s: the RFC's
};

struct StunOptions {
  std::string server;                 // as typed
  std::vector<Transport> transports;  // empty: UDP, or TLS for stuns:
  std::optional<Family> family;
  std::optional<Address> local;             // port 0: any
  unsigned count = 5;                       // transactions of each check
  std::chrono::milliseconds interval{200};  // between two of them
  Patience patience = Patience::kNormal;
  bool attributes = false;  // show them
  bool verify = true;       // certificates
  std::string ca_file;      // empty: the system's
  bool json = false;
};

}  // namespace turnkit::probe
