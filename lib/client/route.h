// Which local address packets to a destination leave from.
#pragma once

#include "base/address.h"
#include "base/result.h"

namespace turnkit::client {

// Asks the routing table (connect(2) on a throw-away UDP socket; nothing is sent). The error names the destination.
Result<IpAddress> source_address_for(const Address& destination);

}  // namespace turnkit::client
