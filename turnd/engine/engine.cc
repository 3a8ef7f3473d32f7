#include "turnd/engine/engine.h"

#include <algorithm>

#include "stun/attributes.h"
#include "stun/integrity.h"
#include "turnd/engine/unknown_attributes.h"

namespace turnkit::engine {

namespace {

using stun::Attr;
using stun::Class;
using stun::Code;
using stun::Method;

constexpr std::size_t kMaxAmplification = 3;  // bytes of an unauthenticated answer per byte of its request

Outcome dropped(Drop reason) {
  Outcome outcome;
  outcome.drop = reason;
  return outcome;
}

}  // namespace

bool Engine::has_unknown_attributes(const stun::MessageView& message) const {
  return unknown_attributes(message, {.tokens = rules_->authenticator.takes_tokens()}).size != 0;
}

Engine::Engine(const Surroundings& surroundings, unsigned worker)
    : worker_(worker),
      rules_(surroundings.rules),
      ports_(surroundings.ports),
      quotas_(surroundings.quotas),
      observer_(surroundings.observer),
      next_session_id_(std::uint64_t{worker} * 1'000'000'000'000'000 + 1),
      redirector_(worker),
      unauthorized_(random_.u64()),
      reflected_(random_.u64()) {}

Engine::~Engine() = default;

Outcome Engine::on_message(Bytes bytes, const FiveTuple& tuple, ClientPath& path, const Now& now) {
  stun::ParseError why{};
  const std::optional<stun::MessageView> message = stun::MessageView::parse(bytes, &why);
  // Over DTLS RFC 3489 is refused in so many words (RFC 8489, section 11).
  const bool classic = config().serve_rfc3489 || tuple.transport == Transport::kDtls;
  if (!message && why == stun::ParseError::kBadCookie && classic) {
    return on_classic(bytes, tuple, path, now);
  }
  if (!message) return dropped(drop_of(why));
  switch (message->cls()) {
    case Class::kRequest:
      return on_request(*message, tuple, path, now);
    case Class::kIndication:
      return message->method() == Method::kSend ? on_send(*message, tuple, now) : dropped(Drop::kIndication);
    case Class::kSuccess:
    case Class::kError:
      break;
  }
  return dropped(Drop::kResponse);
}

Outcome Engine::on_request(const stun::MessageView& message, const FiveTuple& tuple, ClientPath& path, const Now& now) {
  Request request{message, tuple, path, now, nullptr, nullptr};
  if (message.method() == Method::kBinding)
    return config().serve_binding ? on_binding(request) : dropped(Drop::kDisabled);

  const bool known = message.method() == Method::kAllocate || message.method() == Method::kRefresh ||
                     message.method() == Method::kCreatePermission || message.method() == Method::kChannelBind ||
                     message.method() == Method::kConnect || message.method() == Method::kConnectionBind;
  if (!known) return dropped(Drop::kUnknownMethod);
  if (!config().serve_turn) return dropped(Drop::kDisabled);

  // RFC 8656, section 5: only Allocate may come from a 5-tuple without an allocation. No state, no key look-up for
  // strangers.
  request.allocation = find(tuple, now);
  // Whose owner must have sent it: a CONNECTION-ID or a ticket stands for an allocation of another 5-tuple.
  Allocation* subject = request.allocation;
  const bool binds = message.method() == Method::kConnectionBind;
  // RFC 6062, section 5.4. At once: a challenge would be larger than such a request, and its source is not proven.
  if (binds && !is_stream(tuple.transport)) {
    return refuse(request, {Code::kBadRequest, "ConnectionBind works over TCP and TLS only"});
  }
  if (subject == nullptr && binds) subject = find_connection(message, now);
  if (subject == nullptr && message.method() == Method::kRefresh && message.has(Attr::kMobilityTicket)) {
    if (!config().mobility) return refuse(request, Code::kMobilityForbidden);
    subject = find_ticket(message, now);
  }
  const bool allocates = message.method() == Method::kAllocate;
  if (subject == nullptr && !binds && !allocates) return repeat_deletion(request);
  if (subject == nullptr && allocates && stun::deciding_mac(message) == stun::MacKind::kNone) {
    if (auto elsewhere = redirect(request)) return *std::move(elsewhere);
  }

  // RFC 8489, section 9.2.4.
  auth::AuthResult auth;
  if (config().authenticate) {
    const auth::Identity* established = subject != nullptr ? &subject->identity : nullptr;
    auth = rules_->authenticator.check(message, tuple.client, now.wall, established);
    // A data connection may use the nonce of its control connection, which comes from another port of the same host.
    const bool is_data = binds && subject != nullptr && subject->tuple.client.ip == tuple.client.ip;
    if (is_data && auth.error == Code::kStaleNonce) {
      auth = rules_->authenticator.check(message, subject->tuple.client, now.wall, established);
    }
    if (auth.error) return refuse_unauthentic(request, auth);
    request.identity = &auth.identity;
    if (subject != nullptr && !allocates) {
      // Tokens do not tell persons apart: from another 5-tuple it must be the very same.
      const bool same_token = subject == request.allocation || !auth.identity.third_party ||
                              equal(auth.identity.key.bytes(), subject->identity.key.bytes());
      if (!auth.identity.same_owner(subject->identity) || !same_token) {
        return refuse(request, {Code::kWrongCredentials, "The allocation belongs to another user"});
      }
    }
  }
  if (request.allocation != nullptr && config().check_origin &&
      !auth::has_origin(message, request.allocation->identity.origin)) {
    return refuse(request, {Code::kWrongCredentials, "ORIGIN is not the one that the session began with"});
  }

  // RFC 8489, section 6.3.1: after authentication.
  const UnknownList unknown = unknown_attributes(message, {.tokens = rules_->authenticator.takes_tokens()});
  if (unknown.size != 0) return refuse_unknown_attributes(request, unknown.span());

  if (request.identity != nullptr && subject != nullptr && !allocates) {
    if (const auto why = adopt_token(*subject, auth.identity)) return refuse(request, *why);
  }

  // Any other request than a Refresh with a ticket comes after the answer to that one.
  if (request.allocation != nullptr && request.allocation->mobility && !message.has(Attr::kMobilityTicket)) {
    on_arrival(*request.allocation, tuple);
  }

  switch (message.method()) {
    case Method::kAllocate:
      return on_allocate(request);
    case Method::kRefresh:
      return on_refresh(request);
    case Method::kCreatePermission:
      return on_create_permission(request);
    case Method::kConnect:
      return on_connect(request);
    case Method::kConnectionBind:
      return on_connection_bind(request);
    default:
      return on_channel_bind(request);
  }
}

Allocation* Engine::find(const FiveTuple& tuple, const Now& now) {
  Allocation* allocation = clients_.find(tuple);
  if (allocation == nullptr && !aliases_.empty()) allocation = find_alias(tuple);
  if (allocation == nullptr || allocation->expires() > now.mono) return allocation;
  remove(*allocation, "allocation timeout");
  return nullptr;
}

PeerRoute Engine::route_to_peer(Allocation& allocation, std::uint16_t number, TimePoint now) const {
  PeerRoute route;
  const Channel* channel = allocation.channels.find(number);
  if (channel == nullptr || channel->expires <= now) {
    route.drop = Drop::kUnboundChannel;
  } else if (!allocation.permits(channel->peer.ip, now)) {
    route.drop = Drop::kNoPermission;
  } else if (!allocation.has_leg(channel->peer.family(), now)) {
    route.drop = Drop::kPeerFamily;
  } else {
    route.relay = allocation.leg(channel->peer.family()).relay.get();
    route.peer = channel->peer;
  }
  return route;
}

ClientRoute Engine::route_to_client(const Allocation& allocation, const Address& peer, TimePoint now) const {
  if (allocation.path == nullptr) return {0, Drop::kClientAway};
  if (!allocation.has_leg(peer.family(), now)) return {0, Drop::kNoAllocation};
  if (!allocation.permits(peer.ip, now) && !config().server_relay) return {0, Drop::kPeerNoPermission};
  // The port of a peer with a channel was checked when the channel was bound.
  const std::uint16_t* number = allocation.channel_of.find(peer);
  if (number == nullptr) return {0, allows_port(allocation, peer) ? Drop::kNone : Drop::kPeerForbidden};
  const Channel* channel = allocation.channels.find(*number);
  return {channel->expires > now ? *number : std::uint16_t{0}, Drop::kNone};
}

Bytes Engine::data_indication_head(const Address& peer, std::size_t data_size,
                                   std::array<std::byte, kMaxDataHead>& out) {
  stun::TransactionId id;
  random_.fill(id.bytes);
  stun::Builder builder(out, Class::kIndication, Method::kData, id);
  builder.xor_address(Attr::kXorPeerAddress, external_.to_external(peer));
  const std::optional<Bytes> front = builder.finish();
  const std::size_t padded = (data_size + 3) & ~std::size_t{3};
  const std::size_t length = front->size() - stun::kHeaderSize + stun::kAttributeHeaderSize + padded;
  if (data_size > 0xFFFF || length > 0xFFFF) return {};
  std::byte* attribute = out.data() + front->size();
  store_be16(attribute, static_cast<std::uint16_t>(Attr::kData));
  store_be16(attribute + 2, static_cast<std::uint16_t>(data_size));
  store_be16(out.data() + 2, static_cast<std::uint16_t>(length));
  return Bytes(out).first(front->size() + stun::kAttributeHeaderSize);
}

// RFC 8656, section 11.5.
Outcome Engine::on_icmp(const Allocation& allocation, const Address& peer, const stun::Icmp& icmp, TimePoint now) {
  const bool relevant = peer.ip.is_v4() ? icmp.type == 3 || icmp.type == 11 : icmp.type >= 1 && icmp.type <= 3;
  if (!relevant) return dropped(Drop::kIcmpIgnored);
  if (allocation.path == nullptr) return dropped(Drop::kClientAway);
  if (!allocation.has_leg(peer.family(), now)) return dropped(Drop::kNoAllocation);
  if (!allocation.permits(peer.ip, now)) return dropped(Drop::kPeerNoPermission);
  const bool too_big = peer.ip.is_v4() ? icmp.type == 3 && icmp.code == 4 : icmp.type == 2;
  stun::TransactionId id;
  random_.fill(id.bytes);
  stun::Builder builder(answer_, Class::kIndication, Method::kData, id);
  builder.xor_address(Attr::kXorPeerAddress, external_.to_external(peer));
  builder.icmp({icmp.type, icmp.code, too_big ? icmp.error_data : 0});
  Outcome outcome;
  outcome.answer = *builder.finish();
  return outcome;
}

void Engine::sweep(const Now& now) {
  constexpr std::size_t kParts = std::chrono::seconds(1) / kSweepInterval;
  const std::size_t visits = allocations_.size() / kParts + 1;
  for (std::size_t i = 0; i < visits && !allocations_.empty(); ++i) {
    if (sweep_position_ >= allocations_.size()) sweep_position_ = 0;
    Allocation& allocation = *allocations_[sweep_position_];
    if (allocation.expires() <= now.mono) {
      remove(allocation, "allocation timeout");  // another takes its place in the vector
    } else {
      expire_parts(allocation, now.mono);
      ++sweep_position_;
    }
  }
  std::erase_if(deleted_, [&](const auto& entry) { return entry.second.forget <= now.mono; });
}

void Engine::expire_parts(Allocation& allocation, TimePoint now) {
  for (const Family family : {Family::kIPv4, Family::kIPv6}) {
    if (allocation.leg(family).relay != nullptr && allocation.leg(family).expires <= now)
      remove_leg(allocation, family);
  }
  allocation.channels.erase_if([&](std::uint16_t number, const Channel& channel) {
    if (channel.expires > now) return false;
    allocation.channel_of.erase(channel.peer);
    emit(Event::Kind::kChannelUnbound, allocation, channel.peer, number);
    return true;
  });
  allocation.permissions.erase_if([&](const IpAddress& peer, const Permission& permission) {
    if (permission.expires > now) return false;
    emit(Event::Kind::kPermissionRemoved, allocation, {peer, 0});
    return true;
  });
  if (allocation.tcp) expire_connections(allocation, now);
  if (allocation.mobility) expire_move(allocation, now);
}

void Engine::on_path_closed(const FiveTuple& tuple, std::string_view reason) {
  Allocation* allocation = clients_.find(tuple);
  if (allocation == nullptr) allocation = find_alias(tuple);
  if (allocation == nullptr) return;
  if (allocation->mobility) return lose_path(*allocation, tuple, reason);
  remove(*allocation, reason);
}

void Engine::set_rules(std::shared_ptr<const Rules> rules) {
  rules_ = std::move(rules);
  for (const auto& allocation : allocations_) apply_policy(*allocation);
}

void Engine::clear(std::string_view reason) {
  while (!allocations_.empty()) remove(*allocations_.back(), reason);
}

void Engine::remove(Allocation& allocation, std::string_view reason) {
  if (allocation.tcp) close_all_connections(allocation);
  if (allocation.mobility) end_mobility(allocation);
  emit(Event::Kind::kAllocationDeleted, allocation, {}, 0, std::chrono::seconds{0}, reason);
  clients_.erase(allocation);
  const std::size_t position = allocation.position;
  std::swap(allocations_[position], allocations_.back());
  allocations_[position]->position = position;
  allocations_.pop_back();
}

// Deletes one half of a dual allocation, with the permissions and channels of its family (RFC 8656, section 8.2).
void Engine::remove_leg(Allocation& allocation, Family family) {
  if (allocation.tcp) close_connections_of(allocation, family);
  emit(Event::Kind::kLegDeleted, allocation, allocation.leg(family).relay->local());
  allocation.leg(family) = {};
  allocation.channels.erase_if([&](std::uint16_t number, const Channel& channel) {
    if (channel.peer.family() != family) return false;
    allocation.channel_of.erase(channel.peer);
    emit(Event::Kind::kChannelUnbound, allocation, channel.peer, number);
    return true;
  });
  allocation.permissions.erase_if([&](const IpAddress& peer, const Permission&) {
    if (peer.family() != family) return false;
    emit(Event::Kind::kPermissionRemoved, allocation, {peer, 0});
    return true;
  });
}

stun::Builder Engine::begin(const Request& request, Class cls) {
  return {answer_, cls, request.message.method(), request.message.transaction_id()};
}

// Adds what every answer ends with, and reports it.
Outcome Engine::finish(const Request& request, stun::Builder& answer, std::optional<Code> error) {
  seal(answer, request.identity, request.message.has(Attr::kFingerprint));
  Outcome outcome;
  outcome.answer = answer.finish().value_or(Bytes{});
  observer_.on_request({request.tuple, request.allocation, request.message.method(), error, &request.message});
  return outcome;
}

void Engine::seal(stun::Builder& answer, const auth::Identity* identity, bool fingerprint) const {
  const bool to_stranger = identity == nullptr && config().authenticate;
  // SOFTWARE is left out of answers to strangers where it would make them an amplifier (conformance.md section 1.10).
  if (!config().software.empty() && !to_stranger) answer.text(Attr::kSoftware, config().software);
  if (identity != nullptr) {
    if (identity->reply_mac == stun::MacKind::kSha256) {
      answer.integrity_sha256(identity->key.bytes());
    } else {
      answer.integrity_sha1(identity->key.bytes());
    }
  }
  if (config().fingerprint || fingerprint) answer.fingerprint();
}

Outcome Engine::succeed(const Request& request) {
  stun::Builder answer = begin(request, Class::kSuccess);
  return finish(request, answer, std::nullopt);
}

// A stranger's answer stays below about three times the request: the phrase goes first (conformance.md section 1.10).
std::string_view Engine::phrase_for(const Request& request, const Refusal& why, std::size_t rest) const {
  const std::string_view phrase =
      config().detailed_reasons && !why.detail.empty() ? why.detail : stun::reason_phrase(why.code);
  const std::size_t size =
      stun::kHeaderSize + stun::kAttributeHeaderSize + 4 + ((phrase.size() + 3) & ~std::size_t{3}) + rest;
  const bool affordable = request.identity != nullptr || size <= kMaxAmplification * request.message.bytes().size();
  return affordable ? phrase : std::string_view{};
}

Outcome Engine::refuse(const Request& request, const Refusal& why) {
  stun::Builder answer = begin(request, Class::kError);
  answer.error_code(why.code, phrase_for(request, why, 0));
  return finish(request, answer, why.code);
}

// RFC 8489, section 9.2.4: all but 400 come with a challenge.
Outcome Engine::refuse_unauthentic(const Request& request, const auth::AuthResult& result) {
  const Code code = *result.error;
  if (code == Code::kBadRequest) return refuse(request, {code, "The credentials are incomplete"});
  if (code == Code::kUnauthenticated && config().unauthorized_rps != 0 && request.tuple.transport == Transport::kUdp &&
      !unauthorized_.allow(request.tuple.client.ip, config().unauthorized_rps, request.now.mono)) {
    return dropped(Drop::kUnauthorizedLimit);
  }
  stun::Builder answer = begin(request, Class::kError);
  answer.error_code(code, phrase_for(request, code, rules_->authenticator.challenge_size(result.realm)));
  rules_->authenticator.add_challenge(answer, request.tuple.client, request.now.wall, result.realm);
  return finish(request, answer, code);
}

Outcome Engine::refuse_unknown_attributes(const Request& request, std::span<const Attr> unknown) {
  stun::Builder answer = begin(request, Class::kError);
  const std::size_t list_size = stun::kAttributeHeaderSize + ((2 * unknown.size() + 3) & ~std::size_t{3});
  answer.error_code(Code::kUnknownAttribute, phrase_for(request, Code::kUnknownAttribute, list_size));
  answer.unknown_attributes(unknown);
  return finish(request, answer, Code::kUnknownAttribute);
}

void Engine::emit(Event::Kind kind, const Allocation& allocation, const Address& peer, std::uint16_t channel,
                  std::chrono::seconds lifetime, std::string_view reason) {
  observer_.on_event({kind, allocation, peer, channel, lifetime, reason});
}

}  // namespace turnkit::engine
