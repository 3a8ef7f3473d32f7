// TcpRelay: one relayed transport address for TCP (RFC 6062): a listening socket, and connections to peers from its
// port. What a peer sends before the client has bound its connection stays in the kernel, so its window closes; after
// that a Tunnel carries it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "net/event_loop.h"
#include "turnd/engine/relay_ports.h"
#include "turnd/relay/port_pool.h"
#include "turnd/relay/stream_session.h"

namespace turnkit::relay {

class Worker;

class TcpRelay final : public engine::TcpRelayEndpoint, public net::IoHandler {
 public:
  TcpRelay(Worker& worker, TcpPortLease lease);
  ~TcpRelay() override;

  void attach(engine::Allocation& owner) override;
  bool connect(engine::ConnectionId id, const Address& peer) override;
  void give_up(engine::ConnectionId id) override;
  void close(engine::ConnectionId id) override;
  // ConnectionBind has succeeded: from now on the client's stream and the peer's are one. What the client sent behind
  // the request is for the peer; the answer, if it has not left yet, goes first.
  void bind(engine::ConnectionId id, DetachedStream client);

  void on_readable() override;

 private:
  class Peer;

  void accept_one(net::UniqueFd fd, const Address& peer);
  void report(engine::ConnectionId id, bool connected);
  void pause_accepting();

  Worker& worker_;
  TcpPortLease lease_;
  std::optional<net::IoWatch> watch_;  // after the lease, so that it goes before the descriptor is closed
  std::unique_ptr<net::Timer> resume_;
  std::unordered_map<engine::ConnectionId, std::unique_ptr<Peer>> peers_;
};

}  // namespace turnkit::relay
