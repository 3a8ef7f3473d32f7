// Refresh (RFC 8656, section 8.2; RFC 8016, section 3.2.2), and what is remembered of deletions.
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

namespace {

using stun::Attr;
using stun::Class;
using stun::Code;
using stun::Method;

constexpr std::size_t kMaxDeletedRemembered = 4096;
constexpr std::chrono::seconds kTransactionMemory{40};  // RFC 8489, section 6.3.1

}  // namespace

// A request other than Allocate without an allocation: 437, unless it is the retransmission of the Refresh that deleted
// it.
Outcome Engine::repeat_deletion(const Request& request) {
  const auto it = deleted_.find(request.tuple);
  if (it == deleted_.end() || it->second.id != request.message.transaction_id() ||
      request.message.method() != Method::kRefresh) {
    return refuse(request, Code::kAllocationMismatch);
  }
  Request authenticated = request;
  if (config().authenticate) {
    if (!stun::verify_integrity(request.message, it->second.identity.key.bytes())) {
      return refuse(request, Code::kAllocationMismatch);
    }
    authenticated.identity = &it->second.identity;
  }
  stun::Builder answer = begin(authenticated, Class::kSuccess);
  answer.u32(Attr::kLifetime, 0);
  return finish(authenticated, answer, std::nullopt);
}

// RFC 8656, section 8.2.
Outcome Engine::on_refresh(const Request& request) {
  if (!request.message.has(Attr::kMobilityTicket)) return refresh(request, false);
  Allocation* named = find_ticket(request.message, request.now);
  if (const auto error = check_move(request, named)) return refuse(request, *error);
  Request moved = request;
  moved.allocation = named;
  return refresh(moved, true);
}

// `moves`: it had a ticket, which is good.
Outcome Engine::refresh(const Request& request, bool moves) {
  Allocation& allocation = *request.allocation;
  std::optional<Family> only;
  if (const auto attribute = request.message.find(Attr::kRequestedAddressFamily)) {
    const auto value = stun::decode_address_family(attribute->value);
    if (!value) return refuse(request, {Code::kBadRequest, "REQUESTED-ADDRESS-FAMILY is malformed"});
    if (*value != 1 && *value != 2)
      return refuse(request, {Code::kPeerAddressFamilyMismatch, "There is no such family"});
    only = static_cast<Family>(*value);
  }
  std::chrono::seconds lifetime{0};
  const auto asked = request.message.find(Attr::kLifetime);
  if (asked && !stun::decode_u32(asked->value)) {
    return refuse(request, {Code::kBadRequest, "LIFETIME is malformed"});
  }
  const bool deletes = asked && *stun::decode_u32(asked->value) == 0;
  if (only && !allocation.has_leg(*only, request.now.mono)) {
    const bool repeated = deletes && allocation.half_deletion_id == request.message.transaction_id();
    if (!repeated) {
      return refuse(request,
                    {Code::kPeerAddressFamilyMismatch, "The allocation has no relayed address of this family"});
    }
  }
  if (!deletes) lifetime = *granted_lifetime(request);

  stun::Builder answer = begin(request, Class::kSuccess);
  answer.u32(Attr::kLifetime, static_cast<std::uint32_t>(lifetime.count()));
  if (moves && !deletes) {
    begin_move(allocation, request);
    answer.raw(Attr::kMobilityTicket, std::as_bytes(std::span(allocation.mobility->ticket)));
  }
  const Outcome outcome = finish(request, answer, std::nullopt);

  const auto applies = [&](Family family) {
    return allocation.leg(family).relay != nullptr && (!only || *only == family);
  };
  if (!deletes) {
    for (const Family family : {Family::kIPv4, Family::kIPv6}) {
      if (applies(family)) allocation.leg(family).expires = request.now.mono + lifetime;
    }
    emit(Event::Kind::kAllocationRefreshed, allocation, {}, 0, lifetime);
    return outcome;
  }
  const bool both = allocation.legs[0].relay != nullptr && allocation.legs[1].relay != nullptr;
  if (only && both) {
    allocation.half_deletion_id = request.message.transaction_id();
    remove_leg(allocation, *only);
    return outcome;
  }
  if (only && allocation.leg(*only).relay == nullptr) return outcome;  // the retransmission of that
  if (deleted_.size() < kMaxDeletedRemembered) {
    deleted_.insert_or_assign(request.tuple, Deleted{request.message.transaction_id(),
                                                     request.identity != nullptr ? *request.identity : auth::Identity{},
                                                     request.now.mono + kTransactionMemory});
  }
  remove(allocation, "deleted by the client");
  return outcome;
}

}  // namespace turnkit::engine
