// Allocate (RFC 8656, section 7.2), step by step.
#include <algorithm>

#include "stun/attributes.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

namespace {

using stun::Attr;
using stun::Class;
using stun::Code;

constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint64_t kBandwidthUnit = 128;  // bytes per second in a unit of BANDWIDTH

// ADDITIONAL-ADDRESS-FAMILY, also by the number of the draft before RFC 8656, which coturn (4.6 to 4.17) and its
// turnutils_uclient -Z go on using: without it uclient would refresh an IPv6 half that it never got.
std::optional<stun::Attribute> find_additional_family(const stun::MessageView& message) {
  const auto standard = message.find(Attr::kAdditionalAddressFamily);
  return standard ? standard : message.find(Attr::kDraftAdditionalAddressFamily);
}

}  // namespace

// What a well-formed Allocate request asks for.
struct Engine::AllocateWish {
  Family family = Family::kIPv4;
  bool dual = false;  // ADDITIONAL-ADDRESS-FAMILY: IPv6 beside IPv4
  Parity parity = Parity::kAny;
  std::optional<std::uint64_t> token;
  std::chrono::seconds lifetime{0};
  bool tcp = false;     // RFC 6062
  bool mobile = false;  // RFC 8016
};

// The relayed addresses that were opened for it.
struct Engine::Opened {
  std::array<std::unique_ptr<RelayEndpoint>, 2> endpoints;  // IPv4, IPv6
  std::optional<std::uint64_t> reservation_token;
  std::optional<Code> missing_half;  // a dual allocation that got only one family
};

// The lifetime to grant: at least the default, at most the maximum (RFC 8656, section 7.2, "time-to-expiry"); a maximum
// below the default holds. nullopt: malformed. An access token's end is the allocation's (RFC 7635, section 4.1.1).
std::optional<std::chrono::seconds> Engine::granted_lifetime(const Request& request) const {
  const std::chrono::seconds least = std::min(config().default_lifetime, config().max_lifetime);
  std::chrono::seconds granted = least;
  if (const auto attribute = request.message.find(Attr::kLifetime)) {
    const auto asked = stun::decode_u32(attribute->value);
    if (!asked) return std::nullopt;
    granted = std::clamp(std::chrono::seconds(*asked), least, config().max_lifetime);
  }
  if (request.identity == nullptr || !request.identity->valid_until) return granted;
  return std::clamp(*request.identity->valid_until - request.now.wall, std::chrono::seconds(1), granted);
}

// Step 3 for TCP and UDP (RFC 6062, section 5.1).
std::optional<Code> Engine::check_transport(const Request& request, std::uint8_t protocol) const {
  const bool stream = is_stream(request.tuple.transport);
  if (protocol == kProtocolUdp) {
    if (config().serve_udp_relay) return std::nullopt;
    return stream && config().serve_tcp_relay ? Code::kForbidden : Code::kUnsupportedTransportProtocol;
  }
  if (protocol != kProtocolTcp || !config().serve_tcp_relay) return Code::kUnsupportedTransportProtocol;
  const stun::MessageView& message = request.message;
  const bool fits = stream && !message.has(Attr::kDontFragment) && !message.has(Attr::kEvenPort) &&
                    !message.has(Attr::kReservationToken);
  return fits ? std::nullopt : std::optional(Code::kBadRequest);
}

// Steps 3 to 9, as far as they only look at the request.
std::optional<Refusal> Engine::parse_wish(const Request& request, AllocateWish& wish) const {
  const stun::MessageView& message = request.message;

  // Step 3: REQUESTED-TRANSPORT.
  const auto transport = message.find(Attr::kRequestedTransport);
  if (!transport) return Refusal{Code::kBadRequest, "REQUESTED-TRANSPORT is missing"};
  const auto protocol = stun::decode_requested_transport(transport->value);
  if (!protocol) return Refusal{Code::kBadRequest, "REQUESTED-TRANSPORT is malformed"};
  if (const auto error = check_transport(request, *protocol)) return *error;
  wish.tcp = *protocol == kProtocolTcp;

  // RFC 8016, section 3.1.2.
  if (const auto ticket = message.find(Attr::kMobilityTicket)) {
    if (!config().mobility) return Code::kMobilityForbidden;
    if (!ticket->value.empty()) return Refusal{Code::kBadRequest, "MOBILITY-TICKET must be empty in Allocate"};
    wish.mobile = true;
  }

  const auto requested = message.find(Attr::kRequestedAddressFamily);
  const auto family = requested ? stun::decode_address_family(requested->value) : std::nullopt;
  const bool family_exists = family && (*family == 1 || *family == 2);
  wish.family =
      family_exists ? static_cast<Family>(*family) : config().default_family.value_or(request.tuple.client.family());

  // Step 4: DONT-FRAGMENT is an unknown attribute where DF cannot be set.
  if (message.has(Attr::kDontFragment) && !ports_.can_set_dont_fragment(wish.family)) return Code::kUnknownAttribute;

  const auto lifetime = granted_lifetime(request);
  if (!lifetime) return Refusal{Code::kBadRequest, "LIFETIME is malformed"};
  wish.lifetime = *lifetime;

  // Step 5: RESERVATION-TOKEN excludes the others.
  const auto token = message.find(Attr::kReservationToken);
  const auto even_port = message.find(Attr::kEvenPort);
  const auto additional = find_additional_family(message);
  if (token) {
    if (even_port || requested || additional) {
      return Refusal{Code::kBadRequest, "RESERVATION-TOKEN excludes EVEN-PORT and address families"};
    }
    wish.token = stun::decode_u64(token->value);
    if (!wish.token) return Refusal{Code::kBadRequest, "RESERVATION-TOKEN is malformed"};
    return std::nullopt;
  }

  // Step 6: one family or two.
  if (requested && additional) {
    return Refusal{Code::kBadRequest, "REQUESTED- and ADDITIONAL-ADDRESS-FAMILY exclude each other"};
  }

  // Step 7: REQUESTED-ADDRESS-FAMILY.
  if (requested && !family) return Refusal{Code::kBadRequest, "REQUESTED-ADDRESS-FAMILY is malformed"};
  if (requested && !family_exists) return Refusal{Code::kAddressFamilyNotSupported, "There is no such family"};
  if (!additional && !ports_.supports(wish.family)) {
    return Refusal{Code::kAddressFamilyNotSupported, "The server has no relay address of this family"};
  }

  // Step 8: EVEN-PORT.
  if (even_port) {
    const auto reserve = stun::decode_even_port(even_port->value);
    if (!reserve) return Refusal{Code::kBadRequest, "EVEN-PORT is malformed"};
    if (*reserve && additional) {
      return Refusal{Code::kBadRequest, "EVEN-PORT with R excludes ADDITIONAL-ADDRESS-FAMILY"};
    }
    wish.parity = *reserve ? Parity::kEvenAndReserveNext : Parity::kEven;
  }

  // Step 9: ADDITIONAL-ADDRESS-FAMILY, for which only IPv6 is valid.
  if (additional) {
    const auto value = stun::decode_address_family(additional->value);
    if (!value || *value != static_cast<std::uint8_t>(Family::kIPv6)) {
      return Refusal{Code::kBadRequest, "ADDITIONAL-ADDRESS-FAMILY must be IPv6"};
    }
    wish.dual = true;
    wish.family = Family::kIPv4;
  }
  return std::nullopt;
}

// Opens the relayed addresses: steps 5, 7, 8 and 9 as far as they need ports.
std::optional<Code> Engine::open_legs(const Request& request, const AllocateWish& wish, Opened& opened) {
  const auto place = [&](std::unique_ptr<RelayEndpoint> endpoint) {
    opened.endpoints[endpoint->local().family() == Family::kIPv6 ? 1 : 0] = std::move(endpoint);
  };
  if (wish.token) {
    auto endpoint = ports_.claim(*wish.token, request.now);
    if (endpoint == nullptr) return Code::kInsufficientCapacity;
    place(std::move(endpoint));
    return std::nullopt;
  }
  const auto open = [&](Family family, Parity parity) -> std::optional<Code> {
    if (!ports_.supports(family)) return Code::kAddressFamilyNotSupported;
    if (wish.tcp) {
      auto endpoint = ports_.open_tcp(family, request.tuple.server, request.now);
      if (endpoint == nullptr) return Code::kInsufficientCapacity;
      place(std::move(endpoint));
      return std::nullopt;
    }
    OpenedRelay relay = ports_.open(family, parity, request.tuple.server, request.now);
    if (relay.endpoint == nullptr) return Code::kInsufficientCapacity;
    if (relay.reservation_token) opened.reservation_token = relay.reservation_token;
    place(std::move(relay.endpoint));
    return std::nullopt;
  };
  const auto first = open(wish.family, wish.parity);
  if (!wish.dual) return first;
  const auto second = open(Family::kIPv6, wish.parity);
  if (first && second) return Code::kInsufficientCapacity;
  opened.missing_half = first ? first : second;
  return std::nullopt;
}

Outcome Engine::on_allocate(const Request& request) {
  const stun::MessageView& message = request.message;

  // Step 2: one allocation a 5-tuple; the retransmission of the request that made it gets its answer again.
  if (Allocation* existing = request.allocation) {
    const bool same_user = request.identity == nullptr || request.identity->same_owner(existing->identity);
    if (existing->allocate_id != message.transaction_id() || !same_user) {
      return refuse(request, {Code::kAllocationMismatch, "There is an allocation on this 5-tuple already"});
    }
    return answer_allocated(request, *existing);
  }

  // RFC 8656, section 21.4: never serve clients behind 6to4 or Teredo.
  if (request.tuple.client.ip.is_teredo() || request.tuple.client.ip.is_6to4())
    return refuse(request, {Code::kForbidden, "Clients behind 6to4 and Teredo are not served"});

  if (auto elsewhere = redirect(request)) return *std::move(elsewhere);
  if (config().draining) return refuse(request, {Code::kForbidden, "Server is draining"});

  AllocateWish wish;
  if (const auto error = parse_wish(request, wish)) {
    const std::array unknown{Attr::kDontFragment};
    return error->code == Code::kUnknownAttribute ? refuse_unknown_attributes(request, unknown)
                                                  : refuse(request, *error);
  }

  // A token that holds nothing is refused first (step 5), one that does is redeemed only within the quota.
  if (wish.token && !ports_.holds(*wish.token, request.now)) {
    return refuse(request, {Code::kInsufficientCapacity, "RESERVATION-TOKEN is unknown, used or over"});
  }

  // Step 10: quotas, before ports are opened.
  const std::string_view user = request.identity != nullptr ? request.identity->quota_name : std::string_view{};
  Quotas::Answer quota = quotas_.acquire(realm_of(request), user);
  if (quota.refusal != Quotas::Refusal::kNone) {
    return refuse(request, {Code::kAllocationQuotaReached, Quotas::text_of(quota.refusal)});
  }

  Opened opened;
  if (const auto error = open_legs(request, wish, opened)) return refuse(request, {*error, "No relayed port is free"});

  auto owned = std::make_unique<Allocation>();
  Allocation& allocation = *owned;
  allocation.tuple = request.tuple;
  allocation.path = &request.path;
  allocation.session_id = next_session_id_++;
  if (request.identity != nullptr) allocation.identity = *request.identity;
  allocation.identity.realm = realm_of(request);
  allocation.identity.origin = rules_->authenticator.realms().origin_of(message);
  allocation.allocate_id = message.transaction_id();
  allocation.reservation_token = opened.reservation_token;
  allocation.missing_half = opened.missing_half;
  allocation.quota = std::move(quota.ticket);
  limit_bandwidth(allocation, request);
  if (wish.tcp) allocation.tcp = std::make_unique<FlatMap<ConnectionId, PeerConnection>>();
  for (auto& endpoint : opened.endpoints) {
    if (endpoint == nullptr) continue;
    Leg& leg = allocation.leg(endpoint->local().family());
    leg.relay = std::move(endpoint);
    leg.expires = request.now.mono + wish.lifetime;
    leg.relay->attach(allocation);
  }
  allocation.position = allocations_.size();
  allocations_.push_back(std::move(owned));
  clients_.insert(allocation);
  if (wish.mobile) make_mobile(allocation);
  deleted_.erase(request.tuple);
  emit(Event::Kind::kAllocationCreated, allocation, {}, 0, wish.lifetime);

  Request served = request;
  served.allocation = &allocation;
  return answer_allocated(served, allocation);
}

// The realm whose limits hold for the request.
std::string_view Engine::realm_of(const Request& request) const {
  return request.identity != nullptr ? std::string_view(request.identity->realm)
                                     : rules_->authenticator.realms().realm_of(request.message);
}

// The session's bandwidth: what the quotas grant, or less where the client says so in BANDWIDTH, which is in units of
// 1024 bits as coturn's uclient -a sends it.
void Engine::limit_bandwidth(Allocation& allocation, const Request& request) {
  std::uint64_t rate = allocation.quota.bandwidth();
  auto attribute = request.message.find(Attr::kDraftBandwidth);
  if (!attribute) attribute = request.message.find(Attr::kBandwidth);
  if (attribute) {
    const std::uint64_t asked = std::uint64_t{stun::decode_u32(attribute->value).value_or(0)} * kBandwidthUnit;
    if (asked != 0 && (rate == 0 || asked < rate)) rate = asked;
  }
  if (rate == 0) return;
  const TokenBucket bucket(rate, config().bandwidth_burst, request.now.mono);
  allocation.bandwidth = std::make_unique<Bandwidth>(Bandwidth{bucket, bucket});
}

// RFC 7635: a session goes on under the token that its latest request brought, and moves to that token's realm.
std::optional<Refusal> Engine::adopt_token(Allocation& allocation, const auth::Identity& identity) {
  if (!identity.third_party) return std::nullopt;
  if (identity.realm != allocation.identity.realm) {
    const Quotas::Refusal refusal = quotas_.move(allocation.quota, identity.realm, identity.quota_name);
    if (refusal != Quotas::Refusal::kNone) return Refusal{Code::kAllocationQuotaReached, Quotas::text_of(refusal)};
  }
  std::string origin = std::move(allocation.identity.origin);
  allocation.identity = identity;
  allocation.identity.origin = std::move(origin);
  return std::nullopt;
}

// RFC 8656, section 7.2, at its end: the success response.
Outcome Engine::answer_allocated(const Request& request, const Allocation& allocation) {
  stun::Builder answer = begin(request, Class::kSuccess);
  for (const Leg& leg : allocation.legs) {
    if (leg.relay != nullptr) answer.xor_address(Attr::kXorRelayedAddress, external_.to_external(leg.relay->local()));
  }
  const auto left = std::chrono::ceil<std::chrono::seconds>(allocation.expires() - request.now.mono);
  answer.u32(Attr::kLifetime, static_cast<std::uint32_t>(left.count()));
  if (allocation.reservation_token) answer.u64(Attr::kReservationToken, *allocation.reservation_token);
  answer.xor_address(Attr::kXorMappedAddress, request.tuple.client);
  if (allocation.bandwidth) {
    const std::uint64_t units = allocation.bandwidth->to_peer.rate() / kBandwidthUnit;
    answer.u32(Attr::kDraftBandwidth, static_cast<std::uint32_t>(std::min<std::uint64_t>(units, 0xFFFF'FFFF)));
  }
  if (allocation.mobility) answer.raw(Attr::kMobilityTicket, std::as_bytes(std::span(allocation.mobility->ticket)));
  if (allocation.missing_half) {
    const Family family = allocation.legs[0].relay == nullptr ? Family::kIPv4 : Family::kIPv6;
    const bool standard = request.message.has(Attr::kAdditionalAddressFamily);
    answer.address_error_code(family, *allocation.missing_half, stun::reason_phrase(*allocation.missing_half),
                              standard ? Attr::kAddressErrorCode : Attr::kDraftAddressErrorCode);
  }
  return finish(request, answer, std::nullopt);
}

}  // namespace turnkit::engine
