// The geometry of RFC 5780 on the relay: which listener is the "other" one of which, and where an answer that a client
// wants from another address leaves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace turnkit::engine {

class Discovery {
 public:
  Discovery() = default;  // off

  // `ips`: the addresses that have listeners, each on every port. `ports`: pairs of a port and its alternate. The error
  // says why no family can be served.
  struct PortPair {
    std::uint16_t port = 0;
    std::uint16_t alternate = 0;
  };
  static Result<Discovery> make(const std::vector<IpAddress>& ips, std::vector<PortPair> ports);

  // OTHER-ADDRESS: the next IP address of the family in a ring, with the alternate port. nullopt: `local` has none.
  [[nodiscard]] std::optional<Address> other(const Address& local) const;

 private:
  std::vector<IpAddress> ips_;  // two or more of each family that is there
  std::vector<PortPair> ports_;
};

}  // namespace turnkit::engine
