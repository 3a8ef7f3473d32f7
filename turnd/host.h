// The host's addresses: on which of them to listen and to relay, where the options name none.
#pragma once

#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "turnd/config.h"

namespace turnkit::turnd {

// Every address of the host but IPv6 link-local ones, which need a zone.
std::vector<IpAddress> host_addresses(bool with_loopback);

struct ServerAddresses {
  std::vector<IpAddress> listening;  // never empty; an unspecified address stands for all of its family
  std::vector<IpAddress> relay;      // never empty
};
// As the options say, or else from the host. The error names the option and why.
Result<ServerAddresses> choose_addresses(const Config& config);

// The addresses that packets from ourselves would have as their source: those of the host for a listener on all of
// them.
std::vector<Address> reachable_addresses(const std::vector<Address>& listeners);

}  // namespace turnkit::turnd
