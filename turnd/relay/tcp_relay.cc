#include "turnd/relay/tcp_relay.h"

#include <cstring>
#include <utility>

#include "net/stream.h"
#include "turnd/relay/tunnel.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {

namespace {

constexpr int kAcceptBatch = 16;  // connections a turn
constexpr std::chrono::milliseconds kAcceptPause{250};
constexpr int kClientSide = 0;

}  // namespace

// One connection with a peer: under way, waiting for its client, or in a tunnel.
class TcpRelay::Peer final : public net::IoHandler, public TunnelOwner {
 public:
  Peer(TcpRelay& relay, engine::ConnectionId id, net::UniqueFd fd) : relay_(relay), id_(id), fd_(std::move(fd)) {}
  ~Peer() {
    if (tunnel_ != nullptr) relay_.worker_.streams().close(*tunnel_);
  }

  void watch_connecting() {
    watch_.emplace(relay_.worker_.loop(), fd_.get(), *this);
    watch_->want_read(false);
    watch_->want_write(true);
  }
  void splice(DetachedStream client) {
    watch_.reset();
    count(kClientSide, client.unread.size());
    const StreamLimits& rules = relay_.worker_.streams().config().limits;
    TunnelLimits limits;
    limits.half_closed = rules.backend_half_closed;
    TunnelEnd a{std::move(client.stream), std::move(client.unsent)};
    TunnelEnd b{net::make_tcp_stream(std::move(fd_)), std::move(client.unread)};
    TcpRelay& relay = relay_;
    const engine::ConnectionId id = id_;
    Tunnel& tunnel =
        relay.worker_.streams().open_tunnel(std::move(a), std::move(b), limits, this, std::move(client.ticket));
    if (relay.peers_.contains(id)) tunnel_ = &tunnel;  // otherwise it has ended already, and so has this
  }

  // net::IoHandler, while connecting.
  void on_readable() override {}
  void on_writable() override {
    watch_.reset();
    relay_.report(id_, net::tcp_connect_error(fd_.get()) == 0);
  }

  // TunnelOwner.
  void on_moved(Tunnel&, int side, std::size_t bytes) override {
    if (engine::TokenBucket* bucket = bucket_of(side)) bucket->take(bytes, relay_.worker_.loop().now().mono);
    count(side, bytes);
  }
  std::size_t allowance(Tunnel&, int side) override {
    engine::TokenBucket* bucket = bucket_of(side);
    return bucket != nullptr ? bucket->available(relay_.worker_.loop().now().mono) : SIZE_MAX;
  }
  void on_tunnel_closed(Tunnel&, std::string_view reason) override {
    tunnel_ = nullptr;
    relay_.worker_.engine().on_connection_closed(*relay_.owner(), id_, reason);
    relay_.peers_.erase(id_);  // ends this
  }

 private:
  [[nodiscard]] engine::TokenBucket* bucket_of(int side) {
    engine::Bandwidth* bandwidth = relay_.owner()->bandwidth.get();
    if (bandwidth == nullptr) return nullptr;
    return side == kClientSide ? &bandwidth->to_peer : &bandwidth->to_client;
  }
  // A read counts as a packet, as coturn counts them.
  void count(int side, std::size_t bytes) {
    if (bytes == 0) return;
    engine::Allocation& owner = *relay_.owner();
    engine::Usage& from = side == kClientSide ? owner.client_usage : owner.peer_usage;
    engine::Usage& to = side == kClientSide ? owner.peer_usage : owner.client_usage;
    from.received_packets++;
    from.received_bytes += bytes;
    to.sent_packets++;
    to.sent_bytes += bytes;
  }

  TcpRelay& relay_;
  const engine::ConnectionId id_;
  net::UniqueFd fd_;  // until there is a tunnel
  std::optional<net::IoWatch> watch_;
  Tunnel* tunnel_ = nullptr;
};

TcpRelay::TcpRelay(Worker& worker, TcpPortLease lease)
    : TcpRelayEndpoint(lease.local()), worker_(worker), lease_(std::move(lease)) {}

TcpRelay::~TcpRelay() = default;

void TcpRelay::attach(engine::Allocation& owner) {
  RelayEndpoint::attach(owner);
  watch_.emplace(worker_.loop(), lease_.fd(), *this);
}

// To peers.

bool TcpRelay::connect(engine::ConnectionId id, const Address& peer) {
  auto fd = net::tcp_connect(peer, lease_.local(), lease_.device());
  if (!fd) return false;
  const auto it = peers_.emplace(id, std::make_unique<Peer>(*this, id, *std::move(fd))).first;
  it->second->watch_connecting();
  return true;
}

void TcpRelay::give_up(engine::ConnectionId id) { report(id, false); }

// Tells the client what became of its Connect request.
void TcpRelay::report(engine::ConnectionId id, bool connected) {
  engine::Allocation& allocation = *owner();
  const engine::Outcome outcome = worker_.engine().on_connect_result(allocation, id, connected, worker_.loop().now());
  if (!connected) peers_.erase(id);
  worker_.send_signal(allocation, outcome.answer);
}

// From peers.

void TcpRelay::on_readable() {
  for (int i = 0; i < kAcceptBatch; ++i) {
    net::Accepted accepted = net::tcp_accept(lease_.fd());
    if (!accepted.fd) {
      // Out of descriptors or memory: the connection waits in the kernel, and trying at once would only spin.
      if (accepted.error != 0) pause_accepting();
      return;
    }
    accept_one(std::move(accepted.fd), accepted.peer);
  }
}

// RFC 6062, section 5.3: whoever has no permission is closed at once.
void TcpRelay::accept_one(net::UniqueFd fd, const Address& peer) {
  engine::Allocation& allocation = *owner();
  const engine::Outcome outcome = worker_.engine().on_peer_connected(allocation, peer, worker_.loop().now());
  if (outcome.connection == 0) return worker_.drop(outcome.drop);
  peers_.emplace(outcome.connection, std::make_unique<Peer>(*this, outcome.connection, std::move(fd)));
  worker_.send_signal(allocation, outcome.answer);
}

void TcpRelay::pause_accepting() {
  watch_->want_read(false);
  if (resume_ == nullptr) resume_ = std::make_unique<net::Timer>(worker_.loop(), [this] { watch_->want_read(true); });
  resume_->once(kAcceptPause);
}

// Between them.

void TcpRelay::bind(engine::ConnectionId id, DetachedStream client) {
  const auto it = peers_.find(id);
  if (it != peers_.end()) it->second->splice(std::move(client));
}

void TcpRelay::close(engine::ConnectionId id) { peers_.erase(id); }

}  // namespace turnkit::relay
