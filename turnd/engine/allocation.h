// An allocation and what hangs on it (RFC 8656, section 2.2): relayed addresses, permissions, channels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "auth/authenticator.h"
#include "base/address.h"
#include "base/clock.h"
#include "base/flat_map.h"
#include "stun/types.h"
#include "turnd/engine/handles.h"
#include "turnd/engine/quota.h"
#include "turnd/engine/relay_ports.h"
#include "turnd/engine/token_bucket.h"

namespace turnkit::engine {

enum class Transport : std::uint8_t { kUdp, kTcp, kTls, kDtls };

// What identifies an allocation (RFC 8656, section 3.2).
struct FiveTuple {
  Address client;
  Address server;
  Transport transport = Transport::kUdp;
  friend bool operator==(const FiveTuple&, const FiveTuple&) = default;
};

inline std::size_t hash_value(const FiveTuple& tuple) noexcept {
  return turnkit::hash_value(tuple.client) ^ (std::size_t{tuple.server.port} << 17) ^
         (static_cast<std::size_t>(tuple.transport) << 40);
}

bool is_stream(Transport transport);  // TCP or TLS

// The way back to a client: a datagram listener or a stream. Owned by the shell, outlives the allocations that name it.
class ClientPath {
 public:
  // "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: none. For the log.
  [[nodiscard]] virtual std::string protection() const { return {}; }

 protected:
  ~ClientPath() = default;
};

struct Permission {
  TimePoint expires;
  bool ports_differ = false;  // the policy forbids some ports of this address: each datagram's port counts too
};

struct Channel {
  Address peer;
  TimePoint expires;
};

// Packets and bytes of application data; on the client's side with their ChannelData or STUN framing, as coturn counts
// them.
struct Usage {
  std::uint64_t received_packets = 0;  // from the client (or the peer)
  std::uint64_t received_bytes = 0;
  std::uint64_t sent_packets = 0;  // to it
  std::uint64_t sent_bytes = 0;

  void count_received(std::size_t bytes) {
    ++received_packets;
    received_bytes += bytes;
  }
  void count_sent(std::size_t bytes) {
    ++sent_packets;
    sent_bytes += bytes;
  }
};

// A session's bandwidth limit, per direction.
struct Bandwidth {
  TokenBucket to_peer;
  TokenBucket to_client;
};

// One relayed transport address of the allocation. A dual allocation has two (RFC 8656, section 7.2, step 9).
struct Leg {
  std::unique_ptr<RelayEndpoint> relay;  // null: not there
  TimePoint expires;
};

// What the answer to a Connect request needs once the outcome is known.
struct ConnectRequest {
  stun::TransactionId id;
  auth::Identity identity;
  bool authenticated = false;
  bool fingerprint = false;
};

// A connection between a relayed address and a peer (RFC 6062).
struct PeerConnection {
  enum class State : std::uint8_t { kConnecting, kUnbound, kBound };
  Address peer;
  State state = State::kConnecting;
  TimePoint deadline;                       // of connecting, then of binding
  std::unique_ptr<ConnectRequest> request;  // while connecting
};

// What lets a client move (RFC 8016).
struct Mobility {
  struct NextPath {
    FiveTuple tuple;
    ClientPath* path;
    TimePoint until;  // then the client counts as moved, with or without data
  };
  Ticket ticket;
  std::optional<Ticket> previous;  // still good, for a client that did not get the answer with the new one
  TimePoint previous_until;
  std::optional<NextPath> next;  // during a hand-over
};

struct Allocation {
  FiveTuple tuple;
  ClientPath* path = nullptr;  // null: a mobile client is away
  std::uint64_t session_id = 0;
  auth::Identity identity;
  stun::TransactionId allocate_id;                      // of the Allocate request that made it, for its retransmissions
  std::optional<stun::TransactionId> half_deletion_id;  // of the Refresh that deleted one half of a dual allocation
  std::optional<std::uint64_t> reservation_token;
  std::optional<stun::Code> missing_half;  // why a dual allocation got one address only
  std::array<Leg, 2> legs;                 // IPv4, IPv6
  std::size_t position = 0;                // in the engine's list

  FlatMap<IpAddress, Permission> permissions;
  FlatMap<std::uint16_t, Channel> channels;
  FlatMap<Address, std::uint16_t> channel_of;  // the inverse of `channels`, so that either direction is one look-up

  std::unique_ptr<FlatMap<ConnectionId, PeerConnection>> tcp;  // not null: the relayed addresses are TcpRelayEndpoints
  std::unique_ptr<Mobility> mobility;                          // not null: the client got a ticket

  Usage client_usage;
  Usage peer_usage;
  std::unique_ptr<Bandwidth> bandwidth;  // null: no limit
  QuotaTicket quota;

  [[nodiscard]] Leg& leg(Family family) { return legs[family == Family::kIPv6 ? 1 : 0]; }
  [[nodiscard]] const Leg& leg(Family family) const { return legs[family == Family::kIPv6 ? 1 : 0]; }
  [[nodiscard]] bool has_leg(Family family, TimePoint now) const {
    const Leg& l = leg(family);
    return l.relay != nullptr && l.expires > now;
  }
  [[nodiscard]] TimePoint expires() const {
    TimePoint last{};
    for (const Leg& l : legs) {
      if (l.relay != nullptr && l.expires > last) last = l.expires;
    }
    return last;
  }
  [[nodiscard]] bool permits(const IpAddress& peer, TimePoint now) const {
    const Permission* permission = permissions.find(peer);
    return permission != nullptr && permission->expires > now;
  }
};

}  // namespace turnkit::engine
