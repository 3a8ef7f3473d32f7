// UdpPeer: a real UDP socket that tells with which DSCP, ECN, TTL and flow label a datagram came.
#pragma once

#include "net/fd.h"
#include "tests/conformance/harness/harness.h"

namespace turnkit::conformance {

class UdpPeer final : public Socket {
 public:
  // Fails the test when it cannot be bound.
  explicit UdpPeer(const Address& local);

  void send(const Address& to, Bytes data, const SendAs& as = {}) override;
  std::optional<Datagram> receive() override;
  std::optional<Datagram> poll() override;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  net::UniqueFd fd_;
};

}  // namespace turnkit::conformance
