// Worker: one core's share of the relay: its own loop, listeners, engine, buffers and counters. Nothing on its data
// path is shared.
//
// client to peer: Listener::on_readable -> RecvBatch -> classify -> on_channel_data | on_stun -> Engine
//                 StreamClient::on_readable -> next_frame, or DtlsClients::on_datagram -> on_client_message -> the same
// peer to client: Relay::on_readable -> RecvBatch -> on_peer_data -> SendBatch::add -> flush
//                 or StreamClient::send -> one write at the end of the turn, or DtlsClient::send -> SendBatch
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "net/event_loop.h"
#include "net/udp_batch.h"
#include "turnd/engine/engine.h"
#include "turnd/relay/client_link.h"
#include "turnd/relay/connection_counts.h"
#include "turnd/relay/dtls_clients.h"
#include "turnd/relay/forwarding.h"
#include "turnd/relay/listener.h"
#include "turnd/relay/packet_log.h"
#include "turnd/relay/port_pool.h"
#include "turnd/relay/read_arena.h"
#include "turnd/relay/relay.h"
#include "turnd/relay/scratch.h"
#include "turnd/relay/stream_config.h"
#include "turnd/relay/streams.h"

namespace turnkit::relay {

// What every worker gets to see of the server; all of it outlives the workers.
struct WorkerSurroundings {
  PortPool& ports;
  engine::Quotas& quotas;
  engine::Observer& observer;                       // called from every worker's thread
  std::shared_ptr<ConnectionCounts> connections{};  // null: this worker counts for itself
};

class Worker {
 public:
  Worker(unsigned index, std::shared_ptr<const engine::Rules> rules, const WorkerSurroundings& surroundings);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before start(): a socket on which clients reach this worker, and the addresses that are never a client's own.
  void add_listener(net::UdpSocket socket);
  void add_stream_listener(net::UniqueFd listening, const StreamListenerOptions& options);
  void set_own_addresses(std::vector<Address> addresses) { own_addresses_ = std::move(addresses); }
  // All workers of the server by their index, this one included: among whom the limits of the whole server are shared,
  // and where streams may be handed to. Empty: this is the only one.
  void set_peers(std::vector<Worker*> workers);
  // Runs the loop in a thread of its own, until stop().
  void start();
  // Ends all allocations and joins the thread. Idempotent.
  void stop();
  // Thread-safe: takes effect in the worker's thread.
  void set_external_ips(const engine::ExternalIps& ips);
  void set_rules(std::shared_ptr<const engine::Rules> rules);
  void set_stream_config(std::shared_ptr<const StreamConfig> config);
  void set_packet_log(const PacketLogRules& rules);
  // A stream becomes a client of the worker of this index, in that worker's thread.
  void hand_over_stream(unsigned worker, DetachedStream stream);
  [[nodiscard]] Worker& peer(unsigned worker) { return *peers_[worker]; }
  // The client side of an allocation, in what is no media.
  void send_signal(engine::Allocation& allocation, Bytes message);

  // The hops, called by listeners and relays in the worker's thread.
  void on_listener_readable(Listener& listener);
  void on_relay_readable(Relay& relay);
  // A datagram of a client that landed on another worker. `datagram` stays until flush_sends().
  void on_forwarded(const net::Datagram& datagram);
  // Whether this 5-tuple of UDP, or DTLS over it, is known here.
  [[nodiscard]] bool serves(const engine::FiveTuple& udp_tuple);
  // This worker's relayed addresses, for hand-over between two of them. A relay registers itself while it is attached.
  void add_relay(Relay& relay) { relays_.insert_or_assign(relay.local(), &relay); }
  void remove_relay(const Relay& relay) { relays_.erase(relay.local()); }
  // One message from a client, whatever it came on; `message` stays until flush_sends(). The memo speeds up runs: one
  // for all messages of one read, of one client.
  struct RouteMemo {
    engine::Allocation* allocation = nullptr;
    engine::PeerRoute route;
    std::uint32_t channel = 0;  // 0: nothing remembered
  };
  void on_client_message(ClientLink& link, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos,
                         RouteMemo& memo);
  void queue(const net::Outgoing& datagram) { sending_.add(datagram); }
  void drop(engine::Drop reason, std::uint64_t datagrams = 1) { drops_[static_cast<std::size_t>(reason)] += datagrams; }
  // Hands everything queued to the kernel. What was received and is still being handled stays.
  void flush_sends();
  // Room for what a client sent; what is kept of it stays until the end of the turn. May flush, so not while something
  // that was read before is still being handled.
  MutableBytes read_space(std::size_t size);
  void keep_read(std::size_t size) { arena_.keep(size); }
  // A copy that stays until flush_sends().
  Bytes keep_until_flush(Bytes bytes);

  [[nodiscard]] net::EventLoop& loop() { return loop_; }
  [[nodiscard]] engine::Engine& engine() { return engine_; }
  [[nodiscard]] Streams& streams() { return streams_; }
  [[nodiscard]] DtlsClients& dtls() { return dtls_; }
  [[nodiscard]] Forwarding& forwarding() { return forwarding_; }
  [[nodiscard]] unsigned index() const { return index_; }

 private:
  // Relayed ports for this worker's engine.
  class Ports final : public engine::RelayPorts {
   public:
    Ports(Worker& worker, PortPool& pool) : worker_(worker), pool_(pool) {}
    [[nodiscard]] bool supports(Family family) const override { return pool_.supports(family); }
    [[nodiscard]] bool can_set_dont_fragment(Family) const override { return true; }
    engine::OpenedRelay open(Family family, engine::Parity parity, const Address& server, const Now& now) override;
    std::unique_ptr<engine::TcpRelayEndpoint> open_tcp(Family family, const Address& server, const Now& now) override;
    [[nodiscard]] bool holds(std::uint64_t token, const Now& now) override { return pool_.holds(token, now.mono); }
    std::unique_ptr<engine::RelayEndpoint> claim(std::uint64_t token, const Now& now) override;

   private:
    Worker& worker_;
    PortPool& pool_;
  };

  void run();
  void sweep();
  void end_turn();
  void release_received();
  void on_client_datagram(Listener& listener, const net::Datagram& datagram);
  void serve_datagram(Listener& listener, const net::Datagram& datagram);
  void on_stun(ClientLink& link, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos);
  // worker_moves.cc
  bool goes_elsewhere(ClientLink& link, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos);
  bool hand_over_association(unsigned worker, DtlsClient& client, Bytes message, std::uint8_t tos);
  void bind_connection(ClientLink& link, const engine::FiveTuple& tuple, const engine::Outcome& outcome);
  void answer_elsewhere(ClientLink& link, const engine::FiveTuple& tuple, const engine::Outcome& outcome);
  [[nodiscard]] Listener* find_listener(const Address& local);
  void on_channel_data(const engine::FiveTuple& tuple, Bytes segment, std::uint8_t tos, RouteMemo& memo);
  void send_to_peer(engine::Allocation& allocation, engine::RelayEndpoint& endpoint, const Address& peer, Bytes data,
                    std::uint8_t tos);
  void send_unfragmented(const engine::Outcome& outcome, std::uint8_t tos);
  void on_peer_data(engine::Allocation& allocation, const net::Datagram& datagram);
  void hand_over(engine::Allocation& to, const Address& source, Bytes data, std::uint8_t tos);
  void relay_to_client(engine::Allocation& allocation, const engine::ClientRoute& route, const Address& source,
                       MutableBytes head, Bytes data, std::uint8_t tos);
  void send_indication(engine::Allocation& allocation, const Address& peer, Bytes data, std::uint8_t tos);
  void send_to_client(engine::Allocation& allocation, Bytes head, Bytes payload, std::uint8_t tos);
  void on_icmp_errors(Relay& relay);
  // Makes scratch memory for `bytes` more.
  void make_room(std::size_t bytes);
  void log_drops();

  const unsigned index_;
  net::EventLoop loop_;
  net::RecvBatch received_;
  net::SendBatch sending_;
  Scratch scratch_;
  ReadArena arena_;
  PortPool& pool_;
  Ports ports_;
  std::unordered_map<Address, Relay*> relays_;
  engine::Engine engine_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::shared_ptr<ConnectionCounts> connections_;
  Streams streams_;
  DtlsClients dtls_;
  Forwarding forwarding_{*this};
  unsigned sweeps_ = 0;
  std::vector<Worker*> peers_;
  std::vector<Address> own_addresses_;
  std::array<std::uint64_t, engine::kDropCount> drops_{};
  PacketLog packet_log_{index_};
  std::thread thread_;
};

}  // namespace turnkit::relay
