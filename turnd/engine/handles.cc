#include "turnd/engine/handles.h"

#include <algorithm>

#include "base/encoding.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace turnkit::engine {

using stun::Attr;
using stun::Class;
using stun::Method;

namespace {

constexpr std::size_t kTicketBytes = 24;  // 32 characters of base64, without padding
static_assert(kTicketBytes * 4 / 3 == kTicketSize);

}  // namespace

ConnectionId make_connection_id(Random& random, unsigned worker) {
  ConnectionId id = 0;
  while ((id & 0xFFFFFF) == 0) id = random.u32();
  return (id & 0xFFFFFF) | (worker << 24);
}

Ticket make_ticket(Random& random, unsigned worker) {
  std::array<std::byte, kTicketBytes> bytes;
  random.fill(bytes);
  bytes[0] = static_cast<std::byte>(worker);
  const std::string text = to_base64(bytes);
  Ticket ticket;
  std::copy_n(text.begin(), ticket.size(), ticket.begin());
  return ticket;
}

std::optional<Ticket> ticket_from(Bytes attribute_value) {
  if (attribute_value.size() != kTicketSize) return std::nullopt;
  const std::string_view text = as_text(attribute_value);
  Ticket ticket;
  std::copy(text.begin(), text.end(), ticket.begin());
  return ticket;
}

std::optional<unsigned> named_worker(Bytes bytes) {
  if (bytes.size() < stun::kHeaderSize) return std::nullopt;
  const std::uint16_t type = load_be16(bytes.data());
  const bool binds = type == stun::encode_type(Class::kRequest, Method::kConnectionBind);
  if (!binds && type != stun::encode_type(Class::kRequest, Method::kRefresh)) return std::nullopt;
  const auto message = stun::MessageView::parse(bytes);
  if (!message) return std::nullopt;
  const auto attribute = message->find(binds ? Attr::kConnectionId : Attr::kMobilityTicket);
  if (!attribute) return std::nullopt;
  if (binds) {
    const auto id = stun::decode_u32(attribute->value);
    return id ? std::optional(worker_of(*id)) : std::nullopt;
  }
  if (attribute->value.size() != kTicketSize) return std::nullopt;
  const auto ticket = from_base64(as_text(attribute->value));
  return ticket && ticket->size() == kTicketBytes ? std::optional(static_cast<unsigned>(ticket->front()))
                                                  : std::nullopt;
}

}  // namespace turnkit::engine
