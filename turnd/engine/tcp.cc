// TCP allocations (RFC 6062): Connect, ConnectionBind, ConnectionAttempt, and the connections between a relayed address
// and its peers.
#include <algorithm>
#include <vector>

#include "stun/attributes.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

using stun::Attr;
using stun::Class;
using stun::Code;
using stun::Method;

namespace {

// RFC 6062, sections 5.2 and 5.4: for the peer to answer, and for the client to bind.
constexpr std::chrono::seconds kConnectTimeout{30};
constexpr std::chrono::seconds kBindTimeout{30};

TcpRelayEndpoint& tcp_relay(Allocation& allocation, Family family) {
  return static_cast<TcpRelayEndpoint&>(*allocation.leg(family).relay);
}

bool has_connection_to(const Allocation& allocation, const Address& peer) {
  const auto& connections = *allocation.tcp;
  return std::any_of(connections.begin(), connections.end(),
                     [&](const auto& entry) { return entry.second.peer == peer; });
}

}  // namespace

bool is_stream(Transport transport) { return transport == Transport::kTcp || transport == Transport::kTls; }

PeerConnection& Engine::add_connection(Allocation& allocation, ConnectionId id, const Address& peer) {
  connections_.emplace(id, &allocation);
  PeerConnection connection;
  connection.peer = peer;
  return allocation.tcp->insert(id, std::move(connection));
}

ConnectionId Engine::new_connection_id() {
  ConnectionId id = 0;
  while (id == 0 || connections_.contains(id)) id = make_connection_id(random_, worker_);
  return id;
}

// RFC 6062, section 5.2.
Outcome Engine::on_connect(const Request& request) {
  Allocation& allocation = *request.allocation;
  const auto attribute = request.message.find(Attr::kXorPeerAddress);
  const auto peer = attribute ? decode_peer(attribute->value, request.message) : std::nullopt;
  if (allocation.tcp == nullptr) return refuse(request, {Code::kBadRequest, "The allocation is for UDP"});
  if (!peer || peer->port == 0) {
    return refuse(request, {Code::kBadRequest, "XOR-PEER-ADDRESS is missing, malformed or without a port"});
  }
  if (has_connection_to(allocation, *peer)) return refuse(request, Code::kConnectionAlreadyExists);
  if (const auto error = check_peer(allocation, *peer, false)) return refuse(request, *error);
  if (allocation.tcp->size() >= config().max_tcp_connections) {
    return refuse(request, {Code::kInsufficientCapacity, "The allocation has its most connections"});
  }

  const ConnectionId id = new_connection_id();
  if (!tcp_relay(allocation, peer->family()).connect(id, *peer)) {
    return refuse(request, Code::kConnectionTimeoutOrFailure);
  }
  PeerConnection& connection = add_connection(allocation, id, *peer);
  connection.deadline = request.now.mono + kConnectTimeout;
  connection.request = std::make_unique<ConnectRequest>(ConnectRequest{
      request.message.transaction_id(), request.identity != nullptr ? *request.identity : auth::Identity{},
      request.identity != nullptr, request.message.has(Attr::kFingerprint)});
  Outcome outcome;
  outcome.pending = true;
  return outcome;
}

Outcome Engine::on_connect_result(Allocation& allocation, ConnectionId id, bool connected, const Now& now) {
  Outcome outcome;
  PeerConnection* connection = allocation.tcp->find(id);
  if (connection == nullptr || connection->state != PeerConnection::State::kConnecting) {
    outcome.drop = Drop::kNoAllocation;
    return outcome;
  }
  const std::unique_ptr<ConnectRequest> asked = std::move(connection->request);
  const std::optional<Code> error = connected ? std::nullopt : std::optional(Code::kConnectionTimeoutOrFailure);
  stun::Builder answer(answer_, error ? Class::kError : Class::kSuccess, Method::kConnect, asked->id);
  if (error) {
    answer.error_code(*error, stun::reason_phrase(*error));
    connections_.erase(id);
    allocation.tcp->erase(id);
  } else {
    answer.u32(Attr::kConnectionId, id);
    connection->state = PeerConnection::State::kUnbound;
    connection->deadline = now.mono + kBindTimeout;
    emit(Event::Kind::kPeerConnected, allocation, connection->peer, 0, kBindTimeout, "connected to the peer");
  }
  seal(answer, asked->authenticated ? &asked->identity : nullptr, asked->fingerprint);
  outcome.answer = answer.finish().value_or(Bytes{});
  outcome.connection = error ? 0 : id;
  observer_.on_request({allocation.tuple, &allocation, Method::kConnect, error, nullptr});
  return outcome;
}

// RFC 6062, section 5.3.
Outcome Engine::on_peer_connected(Allocation& allocation, const Address& peer, const Now& now) {
  Outcome outcome;
  if (allocation.path == nullptr) {
    outcome.drop = Drop::kClientAway;
  } else if (!allocation.permits(peer.ip, now.mono)) {
    outcome.drop = Drop::kPeerNoPermission;
  } else if (!allows_port(allocation, peer)) {
    outcome.drop = Drop::kPeerForbidden;
  } else if (allocation.tcp->size() >= config().max_tcp_connections) {
    outcome.drop = Drop::kTooManyConnections;
  }
  if (outcome.drop != Drop::kNone) return outcome;

  outcome.connection = new_connection_id();
  PeerConnection& connection = add_connection(allocation, outcome.connection, peer);
  connection.state = PeerConnection::State::kUnbound;
  connection.deadline = now.mono + kBindTimeout;
  emit(Event::Kind::kPeerConnected, allocation, peer, 0, kBindTimeout, "the peer connected");

  stun::TransactionId id;
  random_.fill(id.bytes);
  stun::Builder builder(answer_, Class::kIndication, Method::kConnectionAttempt, id);
  builder.xor_address(Attr::kXorPeerAddress, external_.to_external(peer)).u32(Attr::kConnectionId, outcome.connection);
  if (config().fingerprint) builder.fingerprint();
  outcome.answer = builder.finish().value_or(Bytes{});
  return outcome;
}

// The allocation that waits for the ConnectionBind in `message`; null: none does.
Allocation* Engine::find_connection(const stun::MessageView& message, const Now& now) {
  const auto attribute = message.find(Attr::kConnectionId);
  const auto id = attribute ? stun::decode_u32(attribute->value) : std::nullopt;
  const auto it = id ? connections_.find(*id) : connections_.end();
  if (it == connections_.end()) return nullptr;
  Allocation& allocation = *it->second;
  const PeerConnection& connection = *allocation.tcp->find(*id);
  const bool waits = connection.state == PeerConnection::State::kUnbound && connection.deadline > now.mono;
  return waits && allocation.expires() > now.mono ? &allocation : nullptr;
}

// RFC 6062, section 5.4. The request came on a stream, from the connection's owner where there is one.
Outcome Engine::on_connection_bind(const Request& request) {
  if (request.allocation != nullptr) {
    return refuse(request, {Code::kBadRequest, "A connection with an allocation cannot carry data"});
  }
  Allocation* allocation = find_connection(request.message, request.now);
  if (allocation == nullptr) return refuse(request, {Code::kBadRequest, "CONNECTION-ID is unknown, bound or over"});
  const ConnectionId id = *stun::decode_u32(request.message.find(Attr::kConnectionId)->value);
  allocation->tcp->find(id)->state = PeerConnection::State::kBound;
  Request served = request;
  served.allocation = allocation;
  Outcome outcome = succeed(served);
  outcome.allocation = allocation;
  outcome.connection = id;
  return outcome;
}

void Engine::on_connection_closed(Allocation& allocation, ConnectionId id, std::string_view reason) {
  const PeerConnection* connection = allocation.tcp->find(id);
  if (connection == nullptr) return;
  const Address peer = connection->peer;
  const bool was_connected = connection->state != PeerConnection::State::kConnecting;
  connections_.erase(id);
  allocation.tcp->erase(id);
  if (was_connected) emit(Event::Kind::kPeerDisconnected, allocation, peer, 0, std::chrono::seconds{0}, reason);
}

template <typename Predicate>
void Engine::close_connections(Allocation& allocation, Predicate&& closes, std::string_view reason) {
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : *allocation.tcp) {
    if (closes(connection)) ids.push_back(id);
  }
  for (const ConnectionId id : ids) {
    const Family family = allocation.tcp->find(id)->peer.family();
    if (allocation.leg(family).relay != nullptr) tcp_relay(allocation, family).close(id);
    on_connection_closed(allocation, id, reason);
  }
}

void Engine::close_all_connections(Allocation& allocation) {
  close_connections(
      allocation, [](const PeerConnection&) { return true; }, "the allocation ends");
}

void Engine::close_connections_of(Allocation& allocation, Family family) {
  close_connections(
      allocation, [&](const PeerConnection& connection) { return connection.peer.family() == family; },
      "the allocation ends");
}

void Engine::close_denied_connections(Allocation& allocation) {
  close_connections(
      allocation,
      [&](const PeerConnection& connection) {
        return rules_->policy.check(connection.peer) != turnd::PeerVerdict::kAllowed;
      },
      "the peer is denied now");
}

// The 30 s of RFC 6062, sections 5.2 to 5.4.
void Engine::expire_connections(Allocation& allocation, TimePoint now) {
  std::vector<std::pair<ConnectionId, Family>> hopeless;
  for (const auto& [id, connection] : *allocation.tcp) {
    if (connection.state == PeerConnection::State::kConnecting && connection.deadline <= now) {
      hopeless.emplace_back(id, connection.peer.family());
    }
  }
  for (const auto& [id, family] : hopeless) tcp_relay(allocation, family).give_up(id);
  close_connections(
      allocation,
      [&](const PeerConnection& connection) {
        return connection.state == PeerConnection::State::kUnbound && connection.deadline <= now;
      },
      "not bound within 30 s");
}

}  // namespace turnkit::engine
