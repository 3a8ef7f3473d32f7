// The load generator's sockets: clients with an allocation and a channel each, and the peers they talk to. Set up, kept
// alive, deleted.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "client/turn_session.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"
#include "probe/load/poller.h"

namespace turnkit::probe {

struct FleetConfig {
  Address server;
  IpAddress local;  // of the client sockets
  IpAddress peer;   // of the peer sockets
  unsigned allocations = 100;
  unsigned peers = 1;
  unsigned parallel = 64;
  bool segment = true;  // sockets may send runs with UDP_SEGMENT; off, equal packets stay single
  client::SessionOptions session;
};

struct Client {
  Client(net::UdpSocket bound, client::TurnSession turn) : socket(std::move(bound)), session(std::move(turn)) {}
  net::UdpSocket socket;
  client::TurnSession session;
  std::uint32_t peer = 0;  // index into peers
  std::uint16_t channel = 0;
  Address relayed;
  bool ready = false;
  int ports_tried = 1;
};

struct SetUp {
  unsigned made = 0;  // allocations with their channel
  std::chrono::nanoseconds took{0};
  // Why it ended early; none: all were made, or `stop` said so.
  std::optional<client::Failure> failure;
};

class Fleet {
 public:
  // Binds all sockets and raises the limit of open files where it must. Nothing is sent.
  static Result<std::unique_ptr<Fleet>> open(const FleetConfig& config);

  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Makes all allocations and binds their channels, `parallel` at a time. `stop` is asked now and then.
  SetUp set_up(const std::function<bool()>& stop);
  // Call about once a second: refreshes what is due. Answers must be handed to on_control().
  void keep_alive(TimePoint now);
  // A datagram of the server on the socket of clients()[index] that is not data.
  void on_control(std::uint32_t index, Bytes datagram, TimePoint now);
  // Deletes all allocations; gives up at `limit`. Returns how many were confirmed.
  unsigned tear_down(Duration limit);

  // The first request that failed for good, at any time.
  [[nodiscard]] const std::optional<client::Failure>& failure() const { return failure_; }

  [[nodiscard]] Poller& poller() { return poller_; }
  // A token of poller(): below clients().size() a client, then the peers.
  [[nodiscard]] std::deque<Client>& clients() { return clients_; }
  [[nodiscard]] std::deque<net::UdpSocket>& peers() { return peers_; }
  [[nodiscard]] const FleetConfig& config() const { return config_; }

 private:
  Fleet(FleetConfig config, Poller poller) : config_(std::move(config)), poller_(std::move(poller)) {}
  Status bind_clients();
  Result<net::UdpSocket> bind_client(std::uint64_t token);
  // Another local port and a new session, to start over after 437. False: no socket could be had.
  bool start_over(Client& client, std::uint32_t index, TimePoint now);
  Status bind_peers();
  void flush(Client& client);
  void receive(Client& client, TimePoint now);
  // Carries datagrams once: waits for input, for a deadline of a client in `active`, or for `limit`.
  void turn(const std::vector<std::uint32_t>& active, Duration limit);
  void serve(std::uint32_t index, TimePoint now);
  void on_event(std::uint32_t index, const client::Event& event, TimePoint now);

  FleetConfig config_;
  Poller poller_;
  SystemRandom random_;  // sessions point to it
  std::deque<Client> clients_;
  std::deque<net::UdpSocket> peers_;
  net::RecvBatch receive_{16, 4096};
  std::optional<client::Failure> failure_;
};

}  // namespace turnkit::probe
