// Allocate (RFC 8656, section 7.2), step by step.
#include <algorithm>

#include "stun/attributes.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

namespace {

using stun::Attr;
using stun::Class;
using stun::Code;

constexpr std::uint8_t kProtocolUdp = 17;

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
};

// The relayed addresses that were opened for it.
struct Engine::Opened {
  std::array<std::unique_ptr<RelayEndpoint>, 2> endpoints;  // IPv4, IPv6
  std::optional<std::uint64_t> reservation_token;
  std::optional<Code> missing_half;  // a dual allocation that got only one family
};

// The lifetime to grant: at least the default, at most the maximum (RFC 8656, section 7.2, "time-to-expiry"); a maximum
// below the default holds. nullopt: malformed.
std::optional<std::chrono::seconds> Engine::granted_lifetime(const stun::MessageView& message) const {
  const std::chrono::seconds least = std::min(config().default_lifetime, config().max_lifetime);
  const auto attribute = message.find(Attr::kLifetime);
  if (!attribute) return least;
  const auto asked = stun::decode_u32(attribute->value);
  if (!asked) return std::nullopt;
  return std::clamp(std::chrono::seconds(*asked), least, config().max_lifetime);
}

// Steps 3 to 9, as far as they only look at the request.
std::optional<Code> Engine::parse_wish(const Request& request, AllocateWish& wish) const {
  const stun::MessageView& message = request.message;

  // Step 3: REQUESTED-TRANSPORT.
  const auto transport = message.find(Attr::kRequestedTransport);
  if (!transport) return Code::kBadRequest;
  const auto protocol = stun::decode_requested_transport(transport->value);
  if (!protocol) return Code::kBadRequest;
  if (*protocol != kProtocolUdp || !config().serve_udp_relay) return Code::kUnsupportedTransportProtocol;

  const auto requested = message.find(Attr::kRequestedAddressFamily);
  const auto family = requested ? stun::decode_address_family(requested->value) : std::nullopt;
  const bool family_exists = family && (*family == 1 || *family == 2);
  wish.family =
      family_exists ? static_cast<Family>(*family) : config().default_family.value_or(request.tuple.client.family());

  // Step 4: DONT-FRAGMENT is an unknown attribute where DF cannot be set.
  if (message.has(Attr::kDontFragment) && !ports_.can_set_dont_fragment(wish.family)) return Code::kUnknownAttribute;

  const auto lifetime = granted_lifetime(message);
  if (!lifetime) return Code::kBadRequest;
  wish.lifetime = *lifetime;

  // Step 5: RESERVATION-TOKEN excludes the others.
  const auto token = message.find(Attr::kReservationToken);
  const auto even_port = message.find(Attr::kEvenPort);
  const auto additional = find_additional_family(message);
  if (token) {
    if (even_port || requested || additional) return Code::kBadRequest;
    wish.token = stun::decode_u64(token->value);
    if (!wish.token) return Code::kBadRequest;
    return std::nullopt;
  }

  // Step 6: one family or two.
  if (requested && additional) return Code::kBadRequest;

  // Step 7: REQUESTED-ADDRESS-FAMILY.
  if (requested && !family) return Code::kBadRequest;
  if (requested && !family_exists) return Code::kAddressFamilyNotSupported;
  if (!additional && !ports_.supports(wish.family)) return Code::kAddressFamilyNotSupported;

  // Step 8: EVEN-PORT.
  if (even_port) {
    const auto reserve = stun::decode_even_port(even_port->value);
    if (!reserve) return Code::kBadRequest;
    if (*reserve && additional) return Code::kBadRequest;
    wish.parity = *reserve ? Parity::kEvenAndReserveNext : Parity::kEven;
  }

  // Step 9: ADDITIONAL-ADDRESS-FAMILY, for which only IPv6 is valid.
  if (additional) {
    const auto value = stun::decode_address_family(additional->value);
    if (!value || *value != static_cast<std::uint8_t>(Family::kIPv6)) return Code::kBadRequest;
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
    const bool same_user = request.identity == nullptr || request.identity->user == existing->identity.user;
    if (existing->allocate_id != message.transaction_id() || !same_user)
      return refuse(request, Code::kAllocationMismatch);
    return answer_allocated(request, *existing);
  }

  // RFC 8656, section 21.4: never serve clients behind 6to4 or Teredo.
  if (request.tuple.client.ip.is_teredo() || request.tuple.client.ip.is_6to4())
    return refuse(request, Code::kForbidden);

  AllocateWish wish;
  if (const auto error = parse_wish(request, wish)) {
    const std::array unknown{Attr::kDontFragment};
    return *error == Code::kUnknownAttribute ? refuse_unknown_attributes(request, unknown) : refuse(request, *error);
  }

  // Step 10: quotas, before ports are opened.
  const std::string anonymous;
  Quotas::Answer quota = quotas_.acquire(request.identity != nullptr ? request.identity->quota_name : anonymous);
  if (quota.refusal != Quotas::Refusal::kNone) return refuse(request, Code::kAllocationQuotaReached);

  Opened opened;
  if (const auto error = open_legs(request, wish, opened)) return refuse(request, *error);

  auto owned = std::make_unique<Allocation>();
  Allocation& allocation = *owned;
  allocation.tuple = request.tuple;
  allocation.path = &request.path;
  allocation.session_id = next_session_id_++;
  if (request.identity != nullptr) allocation.identity = *request.identity;
  allocation.allocate_id = message.transaction_id();
  allocation.reservation_token = opened.reservation_token;
  allocation.missing_half = opened.missing_half;
  allocation.quota = std::move(quota.ticket);
  if (const std::uint64_t rate = allocation.quota.bandwidth(); rate != 0) {
    const TokenBucket bucket(rate, request.now.mono);
    allocation.bandwidth = std::make_unique<Bandwidth>(Bandwidth{bucket, bucket});
  }
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
  deleted_.erase(request.tuple);
  emit(Event::Kind::kAllocationCreated, allocation, {}, 0, wish.lifetime);

  Request served = request;
  served.allocation = &allocation;
  return answer_allocated(served, allocation);
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
  if (allocation.missing_half) {
    const Family family = allocation.legs[0].relay == nullptr ? Family::kIPv4 : Family::kIPv6;
    const bool standard = request.message.has(Attr::kAdditionalAddressFamily);
    answer.address_error_code(family, *allocation.missing_half, stun::reason_phrase(*allocation.missing_half),
                              standard ? Attr::kAddressErrorCode : Attr::kDraftAddressErrorCode);
  }
  return finish(request, answer, std::nullopt);
}

}  // namespace turnkit::engine
