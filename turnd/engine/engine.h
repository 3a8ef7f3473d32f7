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
#include "turnd/engine/drop.h"
#include "turnd/engine/events.h"
#include "turnd/engine/external_ips.h"
#include "turnd/engine/quota.h"
#include "turnd/engine/relay_ports.h"
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
  bool serve_binding = true;                             // false: no-stun
  bool serve_turn = true;                                // false: stun-only
  bool fingerprint = false;  // add FINGERPRINT always; otherwise only where the request had it
  std::string software;      // SOFTWARE; empty: not sent
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
  Allocation* allocation = nullptr;  // for Send indications
  RelayEndpoint* relay = nullptr;    // not null: send `data` to `peer` from here
  Address peer;
  Bytes data;
  bool dont_fragment = false;
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

class Engine {
 public:
  // `worker` numbers the engine's sessions apart from those of other workers.
  Engine(const Surroundings& surroundings, unsigned worker);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // A STUN message from a client (classify() said kStun).
  Outcome on_message(Bytes message, const FiveTuple& tuple, ClientPath& path, const Now& now);

  // The connection that carried this 5-tuple is gone: so is its allocation (RFC 8656, section 5).
  void on_path_closed(const FiveTuple& tuple, std::string_view reason);
  // From now on these rules hold. Allocations stay; permissions and channels for peers that are now denied go.
  void set_rules(std::shared_ptr<const Rules> rules);
  [[nodiscard]] const EngineConfig& config() const { return rules_->config; }

  // The allocation of a 5-tuple; null when there is none or it has expired.
  [[nodiscard]] Allocation* find(const FiveTuple& tuple, const Now& now);

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

  // Frees what has expired, a part of the allocations at each call: calling it every kSweepInterval visits all once a
  // second.
  static constexpr std::chrono::milliseconds kSweepInterval{125};
  void sweep(const Now& now);

  // Ends every allocation (at shutdown).
  void clear(std::string_view reason);

  void set_external_ips(ExternalIps ips) { external_ = std::move(ips); }
  [[nodiscard]] const ExternalIps& external_ips() const { return external_; }
  [[nodiscard]] std::size_t allocations() const { return clients_.size(); }

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
  Outcome on_binding(const Request& request);
  Outcome on_allocate(const Request& request);
  Outcome on_refresh(const Request& request);
  Outcome on_create_permission(const Request& request);
  Outcome on_channel_bind(const Request& request);
  Outcome on_send(const stun::MessageView& message, const FiveTuple& tuple, const Now& now);

  // allocate.cc
  struct AllocateWish;
  struct Opened;
  [[nodiscard]] std::optional<stun::Code> parse_wish(const Request& request, AllocateWish& wish) const;
  [[nodiscard]] std::optional<stun::Code> open_legs(const Request& request, const AllocateWish& wish, Opened& opened);
  Outcome answer_allocated(const Request& request, const Allocation& allocation);
  [[nodiscard]] std::optional<std::chrono::seconds> granted_lifetime(const stun::MessageView& message) const;

  // engine.cc
  [[nodiscard]] stun::Builder begin(const Request& request, stun::Class cls);
  Outcome finish(const Request& request, stun::Builder& answer, std::optional<stun::Code> error);
  Outcome succeed(const Request& request);  // an answer without attributes of its own
  Outcome refuse(const Request& request, stun::Code code, bool challenge = false);
  Outcome refuse_unknown_attributes(const Request& request, std::span<const stun::Attr> unknown);
  [[nodiscard]] std::string_view phrase_for(const Request& request, stun::Code code, std::size_t rest) const;
  Outcome repeat_deletion(const Request& request);
  void remove(Allocation& allocation, std::string_view reason);
  void remove_leg(Allocation& allocation, Family family);
  void expire_parts(Allocation& allocation, TimePoint now);
  void emit(Event::Kind kind, const Allocation& allocation, const Address& peer = {}, std::uint16_t channel = 0,
            std::chrono::seconds lifetime = std::chrono::seconds{0}, std::string_view reason = {});

  // permission.cc
  [[nodiscard]] std::optional<stun::Code> check_peer(const Allocation& allocation, const Address& peer, bool any_port);
  // A permission is for an IP address; where the policy knows ports, each datagram's port counts too.
  [[nodiscard]] bool allows_port(const Allocation& allocation, const Address& peer) const;
  [[nodiscard]] std::size_t count_new_peers(const Request& request) const;
  void apply_policy(Allocation& allocation);
  void install_permission(Allocation& allocation, const IpAddress& peer, TimePoint now);
  [[nodiscard]] static bool has_unknown_attributes(const stun::MessageView& message);
  [[nodiscard]] std::optional<Address> decode_peer(Bytes value, const stun::MessageView& message) const;

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

  std::array<std::byte, 1400> answer_;
};

}  // namespace turnkit::engine
