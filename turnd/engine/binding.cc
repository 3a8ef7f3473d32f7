// Binding: the basic STUN server (RFC 8489, section 12), behaviour discovery (RFC 5780) and RFC 3489's form of it.
// Stateless.
#include <algorithm>

#include "stun/attributes.h"
#include "stun/integrity.h"
#include "turnd/engine/engine.h"
#include "turnd/engine/unknown_attributes.h"

namespace turnkit::engine {

using stun::Attr;
using stun::Class;
using stun::Code;
using stun::Method;

namespace {

constexpr std::uint32_t kChangeIp = 4;  // RFC 5780, section 7.2
constexpr std::uint32_t kChangePort = 2;
constexpr std::size_t kMaxPadding = 1500;          // an Ethernet MTU, a multiple of 4
constexpr std::uint32_t kReflectedPerSecond = 10;  // RFC 5780, section 4.2: a client's own pace

bool asks_for_behaviour(const stun::MessageView& message) {
  return message.has(Attr::kChangeRequest) || message.has(Attr::kResponsePort) || message.has(Attr::kPadding);
}

Outcome dropped(Drop reason) {
  Outcome outcome;
  outcome.drop = reason;
  return outcome;
}

}  // namespace

// What RFC 5780 adds to a Binding request, and the addresses of its answer.
struct Engine::Behaviour {
  Address from;                     // the answer's source
  std::optional<Address> other;     // OTHER-ADDRESS
  std::uint16_t response_port = 0;  // 0: the request's source port
  std::size_t padding = 0;
};

// Requires: `behaviour.other` is set.
std::optional<Refusal> Engine::parse_behaviour(const Request& request, Behaviour& behaviour) const {
  const stun::MessageView& message = request.message;
  const auto change = message.find(Attr::kChangeRequest);
  const auto port = message.find(Attr::kResponsePort);
  const auto padding = message.find(Attr::kPadding);
  if (port && padding) return Refusal{Code::kBadRequest, "PADDING and RESPONSE-PORT exclude each other"};
  if ((change || port) && request.tuple.transport != Transport::kUdp) {
    return Refusal{Code::kBadRequest, "CHANGE-REQUEST and RESPONSE-PORT work over UDP only"};
  }
  if (change) {
    const auto flags = stun::decode_u32(change->value);
    if (!flags) return Refusal{Code::kBadRequest, "CHANGE-REQUEST is malformed"};
    if ((*flags & kChangeIp) != 0) behaviour.from.ip = behaviour.other->ip;
    if ((*flags & kChangePort) != 0) behaviour.from.port = behaviour.other->port;
  }
  if (port) {
    const auto number = stun::decode_response_port(port->value);
    if (!number || *number == 0) return Refusal{Code::kBadRequest, "RESPONSE-PORT is malformed"};
    behaviour.response_port = *number;
  }
  // Never more than came: the answer to a padded request is as long as an MTU only where the request was (section 7.6).
  if (padding) behaviour.padding = std::min(padding->value.size() & ~std::size_t{3}, kMaxPadding);
  return std::nullopt;
}

Outcome Engine::on_binding(const Request& asked) {
  Request request = asked;
  auth::AuthResult auth;
  if (config().secure_stun && config().authenticate) {
    auth = rules_->authenticator.check(request.message, request.tuple.client, request.now.wall);
    if (auth.error) return refuse_unauthentic(request, auth);
    request.identity = &auth.identity;
  }
  Behaviour behaviour{.from = request.tuple.server, .other = config().discovery.other(request.tuple.server)};
  const UnknownList unknown = unknown_attributes(
      request.message, {.tokens = rules_->authenticator.takes_tokens(), .behaviour = behaviour.other.has_value()});
  if (unknown.size != 0) return refuse_unknown_attributes(request, unknown.span());
  if (behaviour.other && asks_for_behaviour(request.message)) {
    if (const auto why = parse_behaviour(request, behaviour)) return refuse(request, *why);
    const bool reflects = behaviour.response_port != 0 || behaviour.padding != 0;
    if (reflects && !reflected_.allow(request.tuple.client.ip, kReflectedPerSecond, request.now.mono)) {
      return dropped(Drop::kReflectionLimit);
    }
  }

  stun::Builder answer = begin(request, Class::kSuccess);
  answer.xor_address(Attr::kXorMappedAddress, request.tuple.client);
  if (config().mapped_address || behaviour.other) answer.address(Attr::kMappedAddress, request.tuple.client);
  if (behaviour.other) {
    answer.address(Attr::kResponseOrigin, external_.to_external(behaviour.from));
    answer.address(Attr::kOtherAddress, external_.to_external(*behaviour.other));
  }
  static constexpr std::array<std::byte, kMaxPadding> kPadding{};
  if (behaviour.padding != 0) answer.raw(Attr::kPadding, Bytes(kPadding).first(behaviour.padding));
  Outcome outcome = finish(request, answer, std::nullopt);
  if (behaviour.from != request.tuple.server) outcome.answer_from = behaviour.from;
  if (behaviour.response_port != 0) outcome.answer_to = Address{request.tuple.client.ip, behaviour.response_port};
  return outcome;
}

// RFC 3489's Binding request (RFC 8489, section 11): no magic cookie, and an answer in the old form. The transaction ID
// is 16 bytes then, of which the first four stand where the cookie does.
Outcome Engine::on_classic(Bytes bytes, const FiveTuple& tuple, ClientPath& path, const Now& now) {
  const auto message = stun::MessageView::parse(bytes, nullptr, stun::Cookie::kAny);
  const bool serves = config().serve_binding && !(config().secure_stun && config().authenticate);
  if (!message || !message->is(Class::kRequest, Method::kBinding)) return dropped(Drop::kBadCookie);
  if (!serves) return dropped(Drop::kDisabled);
  if (tuple.transport == Transport::kTcp || tuple.transport == Transport::kTls) return dropped(Drop::kBadCookie);

  const Request request{*message, tuple, path, now, nullptr, nullptr};
  const std::uint32_t cookie = load_be32(bytes.data() + 4);
  const auto reply = [&](Class cls) {
    return stun::Builder(answer_, cls, Method::kBinding, message->transaction_id(), cookie);
  };
  const auto done = [&](stun::Builder& answer, std::optional<Code> error) {
    Outcome outcome;
    outcome.answer = answer.finish().value_or(Bytes{});  // no FINGERPRINT: the old form has none
    observer_.on_request({tuple, nullptr, Method::kBinding, error});
    return outcome;
  };
  const auto refused = [&](const Refusal& why) {
    stun::Builder answer = reply(Class::kError);
    answer.error_code(why.code, phrase_for(request, why, 0));
    return done(answer, why.code);
  };
  if (tuple.transport == Transport::kDtls) return refused({Code::kServerError, "RFC 3489 has no DTLS"});

  Behaviour behaviour{.from = tuple.server, .other = config().discovery.other(tuple.server)};
  const UnknownList unknown = unknown_attributes(*message, {.behaviour = behaviour.other.has_value()});
  if (unknown.size != 0) {
    // Values are multiples of 4 bytes long: an odd count repeats the last type (RFC 3489, section 11.2.10).
    std::vector<Attr> types(unknown.span().begin(), unknown.span().end());
    if (types.size() % 2 != 0) types.push_back(types.back());
    stun::Builder answer = reply(Class::kError);
    answer.error_code(Code::kUnknownAttribute, phrase_for(request, Code::kUnknownAttribute, 4 + 2 * types.size()));
    answer.unknown_attributes(types);
    return done(answer, Code::kUnknownAttribute);
  }
  if (behaviour.other) {
    if (const auto why = parse_behaviour(request, behaviour)) return refused(*why);
    if (behaviour.response_port != 0 || behaviour.padding != 0) return refused(Code::kBadRequest);
  }
  stun::Builder answer = reply(Class::kSuccess);
  answer.address(Attr::kMappedAddress, tuple.client);
  answer.address(Attr::kSourceAddress, external_.to_external(behaviour.from));
  if (behaviour.other) answer.address(Attr::kChangedAddress, external_.to_external(*behaviour.other));
  Outcome outcome = done(answer, std::nullopt);
  if (behaviour.from != tuple.server) outcome.answer_from = behaviour.from;
  return outcome;
}

}  // namespace turnkit::engine
