// Host names to addresses.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace turnkit::net {

// An address as it is, otherwise A and AAAA through the system's resolver. Blocks: never call it from a loop's thread.
// The error names the host. Never returns an empty list.
Result<std::vector<IpAddress>> resolve(const std::string& host);

}  // namespace turnkit::net
