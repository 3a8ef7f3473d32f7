// The external-ip mapping: relayed addresses of a host behind 1:1 NAT are told to clients by their public form, and
// public forms in what clients send are taken back to the private one.
#pragma once

#include <vector>

#include "base/address.h"

namespace turnkit::engine {

class ExternalIps {
 public:
  struct Pair {
    IpAddress external;
    IpAddress internal;
    friend bool operator==(const Pair&, const Pair&) = default;
  };

  ExternalIps() = default;
  explicit ExternalIps(std::vector<Pair> pairs) : pairs_(std::move(pairs)) {}

  [[nodiscard]] Address to_external(const Address& address) const {
    return map(address, &Pair::internal, &Pair::external);
  }
  [[nodiscard]] Address to_internal(const Address& address) const {
    return map(address, &Pair::external, &Pair::internal);
  }
  [[nodiscard]] const std::vector<Pair>& pairs() const { return pairs_; }

 private:
  [[nodiscard]] Address map(const Address& address, IpAddress Pair::*from, IpAddress Pair::*to) const {
    for (const Pair& pair : pairs_) {
      if (pair.*from == address.ip) return {pair.*to, address.port};
    }
    return address;
  }

  std::vector<Pair> pairs_;
};

}  // namespace turnkit::engine
