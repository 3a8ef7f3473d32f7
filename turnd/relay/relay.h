// Relay: one relayed transport address, as a real UDP socket that its worker's loop watches.
#pragma once

#include <optional>

#include "net/event_loop.h"
#include "turnd/engine/relay_ports.h"
#include "turnd/relay/port_pool.h"

namespace turnkit::relay {

class Worker;

class Relay final : public engine::RelayEndpoint, public net::IoHandler {
 public:
  Relay(Worker& worker, PortLease lease);
  ~Relay() override;

  void attach(engine::Allocation& owner) override;
  void on_readable() override;
  [[nodiscard]] net::UdpSocket& socket() { return lease_.socket(); }

 private:
  Worker& worker_;
  PortLease lease_;
  std::optional<net::IoWatch> watch_;  // after the lease, so that it goes before the descriptor is closed
};

}  // namespace turnkit::relay
