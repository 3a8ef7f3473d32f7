// What belongs to another worker than the one it came to, and connections that become part of a TCP relay: RFC 6062
// ConnectionBind and RFC 8016 Refresh name their owner.
#include "stun/types.h"
#include "turnd/engine/handles.h"
#include "turnd/relay/stream_client.h"
#include "turnd/relay/tcp_relay.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {

using engine::Transport;

// Whether the message was passed on to the worker that it names. A 5-tuple with an allocation stays: whatever it says
// concerns that first.
bool Worker::goes_elsewhere(ClientLink& link, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos) {
  const std::optional<unsigned> owner = engine::named_worker(message);
  if (!owner || *owner == index_ || *owner >= peers_.size() || forwarding_.is_receiving()) return false;
  const bool refreshes = stun::method_of(load_be16(message.data())) == stun::Method::kRefresh;
  if (refreshes && !engine_.config().mobility) return false;
  if (engine_.find(tuple, loop_.now()) != nullptr) return false;
  if (engine::is_stream(tuple.transport)) {
    auto& client = static_cast<StreamClient&>(link);
    if (!client.may_move()) return false;
    hand_over_stream(*owner, client.detach(true));
    return true;
  }
  if (!refreshes) return false;
  // UDP and DTLS from one port go the same way, and the source of a datagram may be forged: who is served here stays.
  engine::FiveTuple udp_tuple = tuple;
  udp_tuple.transport = Transport::kUdp;
  if (tuple.transport == Transport::kDtls) {
    if (engine_.find(udp_tuple, loop_.now()) != nullptr) return false;
    return hand_over_association(*owner, static_cast<DtlsClient&>(link), message, tos);
  }
  if (serves(udp_tuple)) return false;
  forwarding_.pass_on(*owner, tuple, message, tos);
  return true;
}

bool Worker::hand_over_association(unsigned worker, DtlsClient& client, Bytes message, std::uint8_t tos) {
  auto association = std::make_shared<DetachedDtls>();
  engine::FiveTuple udp_tuple = client.tuple();
  udp_tuple.transport = Transport::kUdp;
  if (!forwarding_.add(udp_tuple, worker)) return false;
  *association = dtls_.detach(client, message, tos);
  Worker& to = peer(worker);
  to.loop_.post([&to, association, udp_tuple, from = index_] {
    Listener* listener = to.find_listener(udp_tuple.server);
    if (listener == nullptr) return;
    to.forwarding_.on_guest(udp_tuple, from);
    to.dtls_.adopt(std::move(*association), *listener);
  });
  return true;
}

void Worker::on_forwarded(const net::Datagram& datagram) {
  Listener* listener = find_listener(datagram.local);
  if (listener == nullptr) return drop(engine::Drop::kNoListener);
  serve_datagram(*listener, datagram);
}

bool Worker::serves(const engine::FiveTuple& udp_tuple) {
  if (engine_.find(udp_tuple, loop_.now()) != nullptr) return true;
  engine::FiveTuple dtls_tuple = udp_tuple;
  dtls_tuple.transport = Transport::kDtls;
  return dtls_.has(dtls_tuple);
}

void Worker::send_signal(engine::Allocation& allocation, Bytes message) {
  if (allocation.path == nullptr || message.empty()) return;
  static_cast<ClientLink&>(*allocation.path).send(allocation.tuple, {}, keep_until_flush(message), 0);
}

// ConnectionBind has succeeded (RFC 6062, section 5.4): the answer is the last thing on this connection that is STUN.
void Worker::bind_connection(ClientLink& link, const engine::FiveTuple& tuple, const engine::Outcome& outcome) {
  engine::Allocation& allocation = *outcome.allocation;
  const engine::PeerConnection* connection = allocation.tcp->find(outcome.connection);
  auto& relay = static_cast<TcpRelay&>(*allocation.leg(connection->peer.family()).relay);
  link.send(tuple, {}, outcome.answer, 0);
  relay.bind(outcome.connection, static_cast<StreamClient&>(link).detach(false));
}

}  // namespace turnkit::relay
