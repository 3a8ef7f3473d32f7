#include "turnd/relay/worker.h"

#include <algorithm>
#include <cerrno>

#include "base/log.h"
#include "stun/classify.h"
#include "turnd/relay/tcp_relay.h"

namespace turnkit::relay {

using engine::Allocation;
using engine::Drop;

namespace {

// Bounds of a turn: what one socket may take before the others have their turn.
constexpr std::size_t kListenerBatch = 64;
constexpr std::size_t kRelayBatch = 32;
constexpr int kMaxIcmpErrors = 16;
constexpr std::size_t kMaxUdpPayload = 65507;

Relay& relay_of(engine::RelayEndpoint& endpoint) { return static_cast<Relay&>(endpoint); }
// RFC 7983, section 7.
bool is_dtls(Bytes datagram) {
  return !datagram.empty() && datagram.front() >= std::byte{20} && datagram.front() <= std::byte{63};
}
ClientLink& link_of(engine::ClientPath& path) { return static_cast<ClientLink&>(path); }

}  // namespace

Worker::Worker(unsigned index, std::shared_ptr<const engine::Rules> rules, const WorkerSurroundings& surroundings)
    : index_(index),
      pool_(surroundings.ports),
      ports_(*this, surroundings.ports),
      engine_({std::move(rules), ports_, surroundings.quotas, surroundings.observer}, index),
      connections_(surroundings.connections ? surroundings.connections : std::make_shared<ConnectionCounts>()),
      streams_(*this, connections_),
      dtls_(*this, connections_) {}

Worker::~Worker() { stop(); }

void Worker::add_listener(net::UdpSocket socket) {
  listeners_.push_back(std::make_unique<Listener>(*this, std::move(socket)));
}

void Worker::add_stream_listener(net::UniqueFd listening, const StreamListenerOptions& options) {
  streams_.add_listener(std::move(listening), options);
}

void Worker::set_peers(std::vector<Worker*> workers) {
  peers_ = std::move(workers);
  streams_.set_share(std::max<std::size_t>(peers_.size(), 1));
  dtls_.set_share(std::max<std::size_t>(peers_.size(), 1));
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

void Worker::run() {
  net::Timer sweep_timer(loop_, [this] { sweep(); });
  sweep_timer.every(engine::Engine::kSweepInterval);
  loop_.run([this] { end_turn(); });
  engine_.clear("server is shutting down");
  dtls_.close_all();
  flush_sends();
  streams_.close_all();
  log_drops();
}

void Worker::sweep() {
  engine_.sweep(loop_.now());
  pool_.expire_reservations(loop_.now().mono);
  streams_.sweep();
  dtls_.sweep();
  constexpr unsigned kSweepsPerSecond = std::chrono::seconds(1) / engine::Engine::kSweepInterval;
  if (++sweeps_ % kSweepsPerSecond != 0) return;
  forwarding_.sweep();
  packet_log_.sweep(sending_.stats(), loop_.now().mono);
}

void Worker::set_external_ips(const engine::ExternalIps& ips) {
  loop_.post([this, ips] { engine_.set_external_ips(ips); });
}

void Worker::set_rules(std::shared_ptr<const engine::Rules> rules) {
  loop_.post([this, rules = std::move(rules)] { engine_.set_rules(rules); });
}

void Worker::set_packet_log(const PacketLogRules& rules) {
  loop_.post([this, rules] { packet_log_.set_rules(rules); });
}

void Worker::set_stream_config(std::shared_ptr<const StreamConfig> config) {
  const auto apply = [this, config = std::move(config)] {
    streams_.set_config(config);
    dtls_.set_config(config);
  };
  thread_.joinable() ? loop_.post(apply) : apply();
}

void Worker::hand_over_stream(unsigned worker, DetachedStream stream) {
  Worker& to = worker < peers_.size() ? *peers_[worker] : *this;
  // A task must be copyable.
  to.loop_.post(
      [&to, shared = std::make_shared<DetachedStream>(std::move(stream))] { to.streams_.adopt(std::move(*shared)); });
}

void Worker::flush_sends() {
  if (!sending_.empty()) sending_.flush();
  scratch_.clear();
}

// Everything that was received has been handled.
void Worker::release_received() {
  flush_sends();
  received_.clear();
  arena_.clear();
}

void Worker::end_turn() {
  forwarding_.flush();
  release_received();
  streams_.end_turn();
  dtls_.end_turn();
}

MutableBytes Worker::read_space(std::size_t size) {
  if (!arena_.fits(size)) {
    flush_sends();
    arena_.clear();
  }
  return arena_.space(size);
}

Bytes Worker::keep_until_flush(Bytes bytes) {
  make_room(bytes.size());
  return scratch_.keep(bytes);
}

// From clients.

void Worker::on_listener_readable(Listener& listener) {
  if (received_.free_slots() < kListenerBatch / 2) release_received();
  const std::span<const net::Datagram> datagrams = received_.receive(listener.socket(), kListenerBatch).datagrams;
  packet_log_.on_received(datagrams.size());
  for (const net::Datagram& datagram : datagrams) on_client_datagram(listener, datagram);
}

void Worker::on_client_datagram(Listener& listener, const net::Datagram& datagram) {
  if (datagram.truncated) return drop(Drop::kTruncated);
  if (datagram.source.port == 0) return drop(Drop::kForgedSource);
  if (!forwarding_.take(datagram)) serve_datagram(listener, datagram);
}

void Worker::serve_datagram(Listener& listener, const net::Datagram& datagram) {
  const engine::FiveTuple tuple{datagram.source, datagram.local, engine::Transport::kUdp};
  RouteMemo memo;
  datagram.for_each_segment([&](Bytes segment) {
    if (is_dtls(segment)) {
      memo = {};  // a Refresh with a ticket may end the allocation
      return dtls_.on_datagram(listener, tuple, segment, datagram.tos);
    }
    on_client_message(listener, tuple, segment, datagram.tos, memo);
  });
}

void Worker::on_client_message(ClientLink& link, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos,
                               RouteMemo& memo) {
  switch (stun::classify(message, engine_.config().channels)) {
    case stun::PacketKind::kChannelData:
      return on_channel_data(tuple, message, tos, memo);
    case stun::PacketKind::kStun:
      memo = {};  // the message may end the allocation
      return on_stun(link, tuple, message, tos);
    case stun::PacketKind::kEmpty:
      return drop(Drop::kEmpty);
    default:
      packet_log_.on_dropped(tuple.client, message, Drop::kNotTurn, loop_.now().mono);
      return drop(Drop::kNotTurn);
  }
}

void Worker::on_channel_data(const engine::FiveTuple& tuple, Bytes segment, std::uint8_t tos, RouteMemo& memo) {
  const auto channel_data = stun::parse_channel_data(segment);
  if (!channel_data) return drop(Drop::kMalformedData);
  if (memo.channel != channel_data->number) {
    if (memo.allocation == nullptr) memo.allocation = engine_.find_for_data(tuple, loop_.now());
    if (memo.allocation == nullptr) return drop(Drop::kNoAllocation);
    memo.route = engine_.route_to_peer(*memo.allocation, channel_data->number, loop_.now().mono);
    memo.channel = channel_data->number;
  }
  if (memo.route.relay == nullptr) return drop(memo.route.drop);
  memo.allocation->client_usage.count_received(segment.size());
  send_to_peer(*memo.allocation, *memo.route.relay, memo.route.peer, channel_data->data, tos);
}

void Worker::on_stun(ClientLink& link, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos) {
  // A message that claims to come from ourselves would have us answer ourselves for ever.
  if (std::find(own_addresses_.begin(), own_addresses_.end(), tuple.client) != own_addresses_.end()) {
    return drop(Drop::kForgedSource);
  }
  if (peers_.size() > 1 && goes_elsewhere(link, tuple, message, tos)) return;
  const engine::Outcome outcome = engine_.on_message(message, tuple, link, loop_.now());
  if (outcome.relay != nullptr) {
    outcome.allocation->client_usage.count_received(message.size());
    if (outcome.dont_fragment) return send_unfragmented(outcome, tos);
    return send_to_peer(*outcome.allocation, *outcome.relay, outcome.peer, outcome.data, tos);
  }
  if (outcome.connection != 0) return bind_connection(link, tuple, outcome);
  if (outcome.pending) return;
  if (outcome.answer.empty()) {
    packet_log_.on_dropped(tuple.client, message, outcome.drop, loop_.now().mono);
    return drop(outcome.drop);
  }
  if (outcome.answer_from || outcome.answer_to) return answer_elsewhere(link, tuple, outcome);
  link.send(tuple, {}, keep_until_flush(outcome.answer), 0);
}

// RFC 5780: from another of this server's addresses, to another of the client's ports.
void Worker::answer_elsewhere(ClientLink& link, const engine::FiveTuple& tuple, const engine::Outcome& outcome) {
  engine::FiveTuple path = tuple;
  path.client = outcome.answer_to.value_or(tuple.client);
  path.server = outcome.answer_from.value_or(tuple.server);
  ClientLink* from = outcome.answer_from ? find_listener(path.server) : &link;
  if (from == nullptr) return drop(Drop::kNoListener);
  from->send(path, {}, keep_until_flush(outcome.answer), 0);
}

Listener* Worker::find_listener(const Address& local) {
  const auto it = std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& listener) {
    const net::UdpSocket& socket = listener->socket();
    return socket.local() == local ||
           (socket.is_wildcard() && socket.local().port == local.port && socket.local().family() == local.family());
  });
  return it == listeners_.end() ? nullptr : it->get();
}

void Worker::send_to_peer(Allocation& allocation, engine::RelayEndpoint& endpoint, const Address& peer, Bytes data,
                          std::uint8_t tos) {
  if (allocation.bandwidth && !allocation.bandwidth->to_peer.take(data.size(), loop_.now().mono)) {
    return drop(Drop::kRateLimit);
  }
  allocation.peer_usage.count_sent(data.size());
  if (pool_.may_own(peer)) {
    if (const auto it = relays_.find(peer); it != relays_.end()) {
      return hand_over(*it->second->owner(), endpoint.local(), data, tos);
    }
  }
  sending_.add(
      {.socket = &relay_of(endpoint).socket(), .to = peer, .head = {}, .payload = data, .tos = tos, .from = nullptr});
}

// DF is a property of the socket, so this datagram is sent between two flushes (RFC 8656, section 14.1).
void Worker::send_unfragmented(const engine::Outcome& outcome, std::uint8_t tos) {
  sending_.flush();
  net::UdpSocket& socket = relay_of(*outcome.relay).socket();
  socket.set_dont_fragment(true);
  send_to_peer(*outcome.allocation, *outcome.relay, outcome.peer, outcome.data, tos);
  sending_.flush();
  socket.set_dont_fragment(false);
}

// From peers.

void Worker::on_relay_readable(Relay& relay) {
  if (received_.free_slots() < kRelayBatch / 2) release_received();
  const net::RecvBatch::Received received = received_.receive(relay.socket(), kRelayBatch);
  packet_log_.on_received(received.datagrams.size());
  for (const net::Datagram& datagram : received.datagrams) on_peer_data(*relay.owner(), datagram);
  if (received.error != 0) on_icmp_errors(relay);
}

void Worker::on_peer_data(Allocation& allocation, const net::Datagram& datagram) {
  const engine::ClientRoute route = engine_.route_to_client(allocation, datagram.source, loop_.now().mono);
  if (route.drop != Drop::kNone) return drop(route.drop);
  datagram.for_each_segment([&](MutableBytes data) {
    // In front of the first segment there is room for the header, so that header and data are one piece.
    std::array<std::byte, stun::kChannelHeaderSize> copied;
    const bool first = data.data() == datagram.data.data();
    const MutableBytes head = first ? MutableBytes(data.data() - copied.size(), copied.size()) : MutableBytes(copied);
    relay_to_client(allocation, route, datagram.source, head, data, datagram.tos);
  });
}

// A peer that is another allocation of this worker: the datagram skips the kernel on its way from relay to relay.
void Worker::hand_over(Allocation& to, const Address& source, Bytes data, std::uint8_t tos) {
  const engine::ClientRoute route = engine_.route_to_client(to, source, loop_.now().mono);
  if (route.drop != Drop::kNone) return drop(route.drop);
  std::array<std::byte, stun::kChannelHeaderSize> head;
  relay_to_client(to, route, source, head, data, tos);
}

// `head`: room for a ChannelData header; what lies directly in front of `data` need not be copied.
void Worker::relay_to_client(Allocation& allocation, const engine::ClientRoute& route, const Address& source,
                             MutableBytes head, Bytes data, std::uint8_t tos) {
  allocation.peer_usage.count_received(data.size());
  if (allocation.bandwidth && !allocation.bandwidth->to_client.take(data.size(), loop_.now().mono)) {
    return drop(Drop::kRateLimit);
  }
  if (route.channel == 0) return send_indication(allocation, source, data, tos);
  if (data.size() + stun::kChannelHeaderSize > kMaxUdpPayload) return drop(Drop::kPeerTooLarge);
  stun::write_channel_header(head.data(), route.channel, data.size());
  send_to_client(allocation, head, data, tos);
}

void Worker::send_indication(Allocation& allocation, const Address& peer, Bytes data, std::uint8_t tos) {
  std::array<std::byte, engine::Engine::kMaxDataHead> head_buffer;
  const Bytes head = engine_.data_indication_head(peer, data.size(), head_buffer);
  const std::size_t size = head.size() + ((data.size() + 3) & ~std::size_t{3});
  if (head.empty() || size > kMaxUdpPayload) return drop(Drop::kPeerTooLarge);
  make_room(size);
  const MutableBytes message = scratch_.take(size);
  Writer writer(message);
  writer.bytes(head);
  writer.bytes(data);
  writer.zeros(size - writer.size());
  send_to_client(allocation, {}, message, tos);
}

void Worker::send_to_client(Allocation& allocation, Bytes head, Bytes payload, std::uint8_t tos) {
  allocation.client_usage.count_sent(head.size() + payload.size());
  link_of(*allocation.path).send(allocation.tuple, head, payload, tos);
}

// RFC 8656, section 11.5. Also called when a read found nothing but the error that an ICMP message left on the socket.
void Worker::on_icmp_errors(Relay& relay) {
  net::IcmpError error;
  for (int i = 0; i < kMaxIcmpErrors && net::next_icmp_error(relay.socket().fd(), error); ++i) {
    Allocation& allocation = *relay.owner();
    const engine::Outcome outcome =
        engine_.on_icmp(allocation, error.destination, {error.type, error.code, error.info}, loop_.now().mono);
    if (outcome.answer.empty()) {
      drop(outcome.drop);
      continue;
    }
    make_room(outcome.answer.size());
    send_to_client(allocation, {}, scratch_.keep(outcome.answer), 0);
  }
}

void Worker::make_room(std::size_t bytes) {
  if (!scratch_.fits(bytes)) flush_sends();
}

void Worker::log_drops() {
  std::string text;
  for (std::size_t i = 1; i < drops_.size(); ++i) {
    if (drops_[i] != 0) text += fmt::format(" {}={}", engine::drop_name(static_cast<Drop>(i)), drops_[i]);
  }
  if (!text.empty()) log::info("relay thread {}: dropped:{}", index_, text);
}

engine::OpenedRelay Worker::Ports::open(Family family, engine::Parity parity, const Address& server, const Now& now) {
  PortPool::Opened opened = pool_.open(family, parity, server.ip, now.mono);
  if (!opened.lease) return {};
  return {std::make_unique<Relay>(worker_, std::move(opened.lease)), opened.reservation_token};
}

std::unique_ptr<engine::TcpRelayEndpoint> Worker::Ports::open_tcp(Family family, const Address& server, const Now&) {
  TcpPortLease lease = pool_.open_tcp(family, server.ip);
  return lease ? std::make_unique<TcpRelay>(worker_, std::move(lease)) : nullptr;
}

std::unique_ptr<engine::RelayEndpoint> Worker::Ports::claim(std::uint64_t token, const Now& now) {
  PortLease lease = pool_.claim(token, now.mono);
  return lease ? std::make_unique<Relay>(worker_, std::move(lease)) : nullptr;
}

}  // namespace turnkit::relay
