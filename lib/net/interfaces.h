// The host's own addresses.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"

namespace turnkit::net {

struct InterfaceAddress {
  std::string device;
  IpAddress ip;
  unsigned scope_id = 0;  // of IPv6 link-local addresses
};

// Every address of every interface that is up, in the kernel's order (getifaddrs).
std::vector<InterfaceAddress> interface_addresses();

}  // namespace turnkit::net
