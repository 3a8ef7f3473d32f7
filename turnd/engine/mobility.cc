// Mobility (RFC 8016): a client that has moved keeps its allocation by the ticket it was given. Make before break: data
// goes the old way until the client has shown itself on the new one.
#include "stun/attributes.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

using stun::Attr;
using stun::Code;

namespace {

// How long the old path stays without data on the new one, and how long a ticket that was used once stays good for a
// client that did not get the answer.
constexpr std::chrono::seconds kHandOver{30};

}  // namespace

void Engine::make_mobile(Allocation& allocation) {
  allocation.mobility = std::make_unique<Mobility>();
  allocation.mobility->ticket = make_ticket(random_, worker_);
  tickets_.emplace(allocation.mobility->ticket, &allocation);
}

// The allocation that a request's MOBILITY-TICKET stands for; null: none.
Allocation* Engine::find_ticket(const stun::MessageView& message, const Now& now) {
  const auto attribute = message.find(Attr::kMobilityTicket);
  const auto ticket = attribute ? ticket_from(attribute->value) : std::nullopt;
  const auto it = ticket ? tickets_.find(*ticket) : tickets_.end();
  if (it == tickets_.end()) return nullptr;
  Allocation& allocation = *it->second;
  if (allocation.expires() <= now.mono) return nullptr;  // the sweep will see to it
  Mobility& mobility = *allocation.mobility;
  if (mobility.previous == ticket && mobility.previous_until <= now.mono) return nullptr;
  return &allocation;
}

// What speaks against a Refresh with a ticket, once its sender is known to be the user of `named`.
std::optional<Code> Engine::check_move(const Request& request, const Allocation* named) const {
  if (!config().mobility) return Code::kMobilityForbidden;
  if (named == nullptr) return Code::kAllocationMismatch;
  if (request.allocation != nullptr && request.allocation != named) return Code::kAllocationMismatch;
  // RFC 8656, section 21.4.
  if (request.tuple.client.ip.is_teredo() || request.tuple.client.ip.is_6to4()) return Code::kForbidden;
  // RFC 6062, section 5.1: what goes for the Allocate request goes for its heir.
  if (named->tcp != nullptr && !is_stream(request.tuple.transport)) return Code::kBadRequest;
  return std::nullopt;
}

// RFC 8016, section 3.2.2. Where the 5-tuple is the one in use already, the request is an ordinary Refresh: the client
// may not know that its address stayed the same.
void Engine::begin_move(Allocation& allocation, const Request& request) {
  Mobility& mobility = *allocation.mobility;
  const Ticket used = *ticket_from(request.message.find(Attr::kMobilityTicket)->value);
  const bool is_home = allocation.path != nullptr && request.tuple == allocation.tuple;
  const bool is_known = mobility.next && mobility.next->tuple == request.tuple;
  // With the ticket that the new path got, a client has come back; with the previous one it may be an old datagram.
  if (is_home && used == mobility.ticket) cancel_move(allocation);
  if (is_home || is_known) return;

  // The previous ticket comes again when its answer was lost: the client does not have the new one yet.
  if (used == mobility.ticket) {
    if (mobility.previous) tickets_.erase(*mobility.previous);
    mobility.previous = mobility.ticket;
    mobility.ticket = make_ticket(random_, worker_);
    tickets_.emplace(mobility.ticket, &allocation);
  }
  mobility.previous_until = request.now.mono + kHandOver;
  cancel_move(allocation);
  mobility.next = Mobility::NextPath{request.tuple, &request.path, request.now.mono + kHandOver};
  aliases_.emplace(request.tuple, &allocation);
  if (allocation.path == nullptr) finish_move(allocation);
}

void Engine::cancel_move(Allocation& allocation) {
  Mobility& mobility = *allocation.mobility;
  if (!mobility.next) return;
  aliases_.erase(mobility.next->tuple);
  mobility.next.reset();
}

// The client has arrived: the old path is forgotten.
void Engine::finish_move(Allocation& allocation) {
  const Mobility::NextPath next = *allocation.mobility->next;
  cancel_move(allocation);
  clients_.erase(allocation);
  allocation.tuple = next.tuple;
  allocation.path = next.path;
  clients_.insert(allocation);
  emit(Event::Kind::kAllocationMoved, allocation, next.tuple.client);
}

void Engine::forget_previous_ticket(Mobility& mobility) {
  if (mobility.previous) tickets_.erase(*mobility.previous);
  mobility.previous.reset();
}

// Data or an authenticated request on the new path ends the hand-over: it shows that the answer with the new ticket has
// arrived. A client that only listens would else hear nothing, because its old path may be gone.
void Engine::on_arrival(Allocation& allocation, const FiveTuple& tuple) {
  Mobility& mobility = *allocation.mobility;
  if (!mobility.next || mobility.next->tuple != tuple) return;
  finish_move(allocation);
  forget_previous_ticket(mobility);
}

void Engine::expire_move(Allocation& allocation, TimePoint now) {
  Mobility& mobility = *allocation.mobility;
  if (mobility.next && mobility.next->until <= now) finish_move(allocation);
  if (mobility.previous && mobility.previous_until <= now) forget_previous_ticket(mobility);
}

// The allocation of a client that is being handed over, by its new 5-tuple.
Allocation* Engine::find_alias(const FiveTuple& tuple) const {
  const auto it = aliases_.find(tuple);
  return it != aliases_.end() ? it->second : nullptr;
}

// A path of a mobile allocation is gone: the other one serves, or the client is away until it comes back or its
// allocation expires.
void Engine::lose_path(Allocation& allocation, const FiveTuple& tuple, std::string_view reason) {
  Mobility& mobility = *allocation.mobility;
  if (mobility.next && mobility.next->tuple == tuple) return cancel_move(allocation);
  if (mobility.next) return finish_move(allocation);
  clients_.erase(allocation);
  allocation.path = nullptr;
  emit(Event::Kind::kPathLost, allocation, {}, 0, std::chrono::seconds{0}, reason);
}

void Engine::end_mobility(Allocation& allocation) {
  cancel_move(allocation);
  forget_previous_ticket(*allocation.mobility);
  tickets_.erase(allocation.mobility->ticket);
}

}  // namespace turnkit::engine
