// The TURN server's protocol (RFC 8489, RFC 8656) without I/O: bytes, addresses and the time go in; answers and routes
// come out. Clock, random numbers, credentials and relayed ports are injected, so tests run hours of protocol in
// milliseconds.
//
// One engine a worker; nothing in it is shared, everything belongs to the worker's thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "auth/authenticator.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "stun/builder.h"
#include "stun/channel_data.h"
#include "stun/message.h"
#include "turnd/engine/allocation.h"
#include "turnd/engine/client_table.h"
#include "turnd/engine/discovery.h"
#include "turnd/engine/drop.h"
#include "turnd/engine/events.h"
#include "turnd/engine/external_ips.h"
#include "turnd/engine/quota.h"
#include "turnd/engine/redirect.h"
#include "turnd/engine/relay_ports.h"
#include "turnd/engine/source_limit.h"
#include "turnd/peer_policy.h"

namespace turnkit::engine {

struct EngineConfig {
  bool authenticate = true;  // false: anyone may allocate (no-auth)
  stun::ChannelRange channels = stun::kRfc5766Channels;
  std::chrono::seconds default_lifetime{600};  // of an allocation that asks for none or less (RFC 8656, section 7.2)
  std::chrono::seconds max_lifetime{3600};
  std::chrono::seconds permission_lifetime{300};
  std::chrono::seconds channel_lifetime{600};
  std::size_t max_permissions = 1024;  // per allocation
  std::size_t max_channels = 1024;
  std::optional<Family> default_family = Family::kIPv4;  // without REQUESTED-ADDRESS-FAMILY; nullopt: the client leg's
  bool serve_udp_relay = true;                           // false: no-udp-relay (442)
  bool serve_tcp_relay = true;                           // false: no-tcp-relay (442)
  std::size_t max_tcp_connections = 64;                  // with peers, per allocation (RFC 6062)
  bool mobility = false;                                 // RFC 8016
  bool serve_binding = true;                             // false: no-stun
  bool serve_turn = true;                                // false: stun-only
  bool fingerprint = false;  // add FINGERPRINT always; otherwise only where the request had it
  std::string software;      // SOFTWARE; empty: not sent

  bool draining = false;               // new Allocates get 403, or 300 where an alternate is set
  Alternates alternates;               // redirection
  bool detailed_reasons = false;       // include-reason-string: say what is wrong in particular, not the RFC's phrase
  bool check_origin = false;           // check-origin-consistency: 441 where ORIGIN is not the session's
  bool server_relay = false;           // peers need no permission to send
  std::uint32_t unauthorized_rps = 0;  // 401s a second to one source over UDP; 0: no limit
  std::chrono::milliseconds bandwidth_burst{200};  // how much of a session's bandwidth may come at once

  bool secure_stun = false;     // Binding asks for credentials, too
  bool mapped_address = false;  // Binding answers have MAPPED-ADDRESS, too (stun-backward-compatibility)
  bool serve_rfc3489 = false;   // Binding requests without magic cookie are answered
  Discovery discovery;          // RFC 5780
};

// What a reload replaces as a whole. Whoever makes it keeps alive what it refers to for as long as it lives itself.
struct Rules {
  EngineConfig config;
  const auth::Authenticator& authenticator;
  const turnd::PeerPolicy& policy;
};

// What the engine needs from its surroundings; what it refers to outlives the engine.
struct Surroundings {
  std::shared_ptr<const Rules> rules;
  RelayPorts& ports;
  Quotas& quotas;
  Observer& observer;
};

// What became of a message from a client: an answer, a datagram for a peer, or neither.
struct Outcome {
  Bytes answer;                      // to the client, on the path it came; valid until the next call
  Drop drop = Drop::kNone;           // why there is neither
  Allocation* allocation = nullptr;  // for Send indications, and where `connection` is set
  RelayEndpoint* relay = nullptr;    // not null: send `data` to `peer` from here
  Address peer;
  Bytes data;
  bool dont_fragment = false;
  // RFC 5780: where the answer leaves from and goes to, if not the way the request came. UDP only.
  std::optional<Address> answer_from;
  std::optional<Address> answer_to;
  bool pending = false;         // Connect: the answer comes from on_connect_result()
  ConnectionId connection = 0;  // ConnectionBind: after the answer, the client's stream belongs to this connection
};

// Where data goes next.
struct PeerRoute {
  RelayEndpoint* relay = nullptr;  // null: drop
  Address peer;
  Drop drop = Drop::kNone;
};
struct ClientRoute {
  std::uint16_t channel = 0;  // 0: a Data indication
  Drop drop = Drop::kNone;
};

// Why a request is refused, and for include-reason-string, what in particular is wrong (a literal).
struct Refusal {
  Refusal(stun::Code why, std::string_view text = {}) : code(why), detail(text) {}  // NOLINT: implicit
  stun::Code code;
  std::string_view detail;
};

class Engine {
 public:
  // `worker` numbers the engine's sessions apart from those of other workers.
  Engine(const Surroundings& surroundings, unsigned worker);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // A STUN message from a client (classify() said kStun).
  Outcome on_message(Bytes message, const FiveTuple& tuple, ClientPath& path, const Now& now);

  // The connection that carried this 5-tuple is gone: so is its allocation (RFC 8656, section 5), unless it is mobile.
  void on_path_closed(const FiveTuple& tuple, std::string_view reason);
  // From now on these rules hold. Allocations stay; permissions and channels for peers that are now denied go.
  void set_rules(std::shared_ptr<const Rules> rules);
  [[nodiscard]] const EngineConfig& config() const { return rules_->config; }

  // The allocation of a 5-tuple; null when there is none or it has expired.
  [[nodiscard]] Allocation* find(const FiveTuple& tuple, const Now& now);
  // The same for a 5-tuple that data came from, which ends a mobile client's hand-over.
  [[nodiscard]] Allocation* find_for_data(const FiveTuple& tuple, const Now& now) {
    Allocation* allocation = find(tuple, now);
    if (allocation != nullptr && allocation->mobility) on_arrival(*allocation, tuple);
    return allocation;
  }

  // ChannelData from the client: where it goes (RFC 8656, section 12.6). Data never refreshes anything.
  [[nodiscard]] PeerRoute route_to_peer(Allocation& allocation, std::uint16_t channel, TimePoint now) const;
  // A datagram from a peer: on which channel it goes to the client (RFC 8656, sections 11.3 and 12.7).
  [[nodiscard]] ClientRoute route_to_client(const Allocation& allocation, const Address& peer, TimePoint now) const;
  // The head of a Data indication for `data` from `peer`, up to where the data begins; the data and its padding to 4
  // follow it. Written into `out`; empty when the data is too large for one message.
  static constexpr std::size_t kMaxDataHead = stun::kHeaderSize + 4 + 20 + 4;
  Bytes data_indication_head(const Address& peer, std::size_t data_size, std::array<std::byte, kMaxDataHead>& out);
  // An ICMP error that a datagram to `peer` caused: the Data indication to send, if TURN passes it on (RFC 8656,
  // section 11.5).
  Outcome on_icmp(const Allocation& allocation, const Address& peer, const stun::Icmp& icmp, TimePoint now);

  // RFC 6062. The attempt that a Connect request began is over: the answer for the client, on the allocation's path.
  // After a failure the id is forgotten.
  Outcome on_connect_result(Allocation& allocation, ConnectionId id, bool connected, const Now& now);
  // A peer has connected to a relayed address: the ConnectionAttempt indication for the client and the connection's id;
  // or why it is to be closed.
  Outcome on_peer_connected(Allocation& allocation, const Address& peer, const Now& now);
  // A connection has ended, from whichever side.
  void on_connection_closed(Allocation& allocation, ConnectionId id, std::string_view reason);

  // Frees what has expired, a part of the allocations at each call: calling it every kSweepInterval visits all once a
  // second.
  static constexpr std::chrono::milliseconds kSweepInterval{125};
  void sweep(const Now& now);

  // Ends every allocation (at shutdown).
  void clear(std::string_view reason);

  [[nodiscard]] Observer& observer() { return observer_; }
  void set_external_ips(ExternalIps ips) { external_ = std::move(ips); }
  [[nodiscard]] const ExternalIps& external_ips() const { return external_; }
  [[nodiscard]] std::size_t allocations() const { return allocations_.size(); }

 private:
  // What a handler works on.
  struct Request {
    const stun::MessageView& message;
    const FiveTuple& tuple;
    ClientPath& path;
    const Now& now;
    Allocation* allocation;          // of this 5-tuple, if there is one
    const auth::Identity* identity;  // null: not authenticated (yet)
  };
  Outcome on_request(const stun::MessageView& message, const FiveTuple& tuple, ClientPath& path, const Now& now);
  Outcome on_allocate(const Request& request);
  Outcome on_refresh(const Request& request);
  Outcome refresh(const Request& request, bool moves);
  Outcome on_create_permission(const Request& request);
  Outcome on_channel_bind(const Request& request);
  Outcome on_send(const stun::MessageView& message, const FiveTuple& tuple, const Now& now);

  // allocate.cc
  struct AllocateWish;
  struct Opened;
  [[nodiscard]] std::optional<stun::Code> check_transport(const Request& request, std::uint8_t protocol) const;
  [[nodiscard]] std::optional<Refusal> parse_wish(const Request& request, AllocateWish& wish) const;
  [[nodiscard]] std::optional<stun::Code> open_legs(const Request& request, const AllocateWish& wish, Opened& opened);
  Outcome answer_allocated(const Request& request, const Allocation& allocation);
  [[nodiscard]] std::optional<std::chrono::seconds> granted_lifetime(const Request& request) const;
  [[nodiscard]] std::string_view realm_of(const Request& request) const;
  std::optional<Refusal> adopt_token(Allocation& allocation, const auth::Identity& identity);
  void limit_bandwidth(Allocation& allocation, const Request& request);

  // binding.cc
  struct Behaviour;
  Outcome on_binding(const Request& request);
  [[nodiscard]] std::optional<Refusal> parse_behaviour(const Request& request, Behaviour& behaviour) const;
  Outcome on_classic(Bytes message, const FiveTuple& tuple, ClientPath& path, const Now& now);

  // redirect.cc
  std::optional<Outcome> redirect(const Request& request);

  // engine.cc
  [[nodiscard]] stun::Builder begin(const Request& request, stun::Class cls);
  Outcome finish(const Request& request, stun::Builder& answer, std::optional<stun::Code> error);
  void seal(stun::Builder& answer, const auth::Identity* identity, bool fingerprint) const;
  Outcome succeed(const Request& request);  // an answer without attributes of its own
  Outcome refuse(const Request& request, const Refusal& why);
  Outcome refuse_unauthentic(const Request& request, const auth::AuthResult& result);
  Outcome refuse_unknown_attributes(const Request& request, std::span<const stun::Attr> unknown);
  [[nodiscard]] std::string_view phrase_for(const Request& request, const Refusal& why, std::size_t rest) const;
  Outcome repeat_deletion(const Request& request);
  void remove(Allocation& allocation, std::string_view reason);
  void remove_leg(Allocation& allocation, Family family);
  void expire_parts(Allocation& allocation, TimePoint now);
  void emit(Event::Kind kind, const Allocation& allocation, const Address& peer = {}, std::uint16_t channel = 0,
            std::chrono::seconds lifetime = std::chrono::seconds{0}, std::string_view reason = {});

  // permission.cc
  [[nodiscard]] std::optional<Refusal> check_peer(const Allocation& allocation, const Address& peer, bool any_port);
  // A permission is for an IP address; where the policy knows ports, each datagram's port counts too.
  [[nodiscard]] bool allows_port(const Allocation& allocation, const Address& peer) const;
  [[nodiscard]] std::size_t count_new_peers(const Request& request) const;
  void apply_policy(Allocation& allocation);
  void install_permission(Allocation& allocation, const IpAddress& peer, TimePoint now);
  [[nodiscard]] bool has_unknown_attributes(const stun::MessageView& message) const;
  [[nodiscard]] std::optional<Address> decode_peer(Bytes value, const stun::MessageView& message) const;

  // tcp.cc (RFC 6062)
  Outcome on_connect(const Request& request);
  Outcome on_connection_bind(const Request& request);
  [[nodiscard]] Allocation* find_connection(const stun::MessageView& message, const Now& now);
  PeerConnection& add_connection(Allocation& allocation, ConnectionId id, const Address& peer);
  [[nodiscard]] ConnectionId new_connection_id();
  template <typename Predicate>
  void close_connections(Allocation& allocation, Predicate&& closes, std::string_view reason);
  void close_all_connections(Allocation& allocation);
  void close_connections_of(Allocation& allocation, Family family);
  void close_denied_connections(Allocation& allocation);
  void expire_connections(Allocation& allocation, TimePoint now);

  // mobility.cc (RFC 8016)
  void make_mobile(Allocation& allocation);
  [[nodiscard]] Allocation* find_ticket(const stun::MessageView& message, const Now& now);
  [[nodiscard]] std::optional<stun::Code> check_move(const Request& request, const Allocation* named) const;
  void begin_move(Allocation& allocation, const Request& request);
  void cancel_move(Allocation& allocation);
  void finish_move(Allocation& allocation);
  void forget_previous_ticket(Mobility& mobility);
  void on_arrival(Allocation& allocation, const FiveTuple& tuple);
  void expire_move(Allocation& allocation, TimePoint now);
  [[nodiscard]] Allocation* find_alias(const FiveTuple& tuple) const;
  void lose_path(Allocation& allocation, const FiveTuple& tuple, std::string_view reason);
  void end_mobility(Allocation& allocation);

  const unsigned worker_;
  std::shared_ptr<const Rules> rules_;
  RelayPorts& ports_;
  Quotas& quotas_;
  Observer& observer_;
  ExternalIps external_;
  SystemRandom random_;

  ClientTable clients_;
  std::vector<std::unique_ptr<Allocation>> allocations_;  // in no order; swept in turn
  std::size_t sweep_position_ = 0;
  std::uint64_t next_session_id_;

  // A deleted allocation's last Refresh, so that its retransmission gets the same answer (RFC 8489, section 6.3.1.1).
  struct Deleted {
    stun::TransactionId id;
    auth::Identity identity;
    TimePoint forget;
  };
  struct TupleHash {
    std::size_t operator()(const FiveTuple& t) const noexcept { return hash_value(t); }
  };
  std::unordered_map<FiveTuple, Deleted, TupleHash> deleted_;

  std::unordered_map<ConnectionId, Allocation*> connections_;      // RFC 6062: all of this worker's
  std::unordered_map<Ticket, Allocation*, TicketHash> tickets_;    // RFC 8016: current and previous ones
  std::unordered_map<FiveTuple, Allocation*, TupleHash> aliases_;  // the new 5-tuples of hand-overs under way

  Redirector redirector_;
  SourceLimit unauthorized_;  // 401s
  SourceLimit reflected_;     // answers that RFC 5780 sends elsewhere or pads

  std::array<std::byte, 2048> answer_;
};

}  // namespace turnkit::engine
