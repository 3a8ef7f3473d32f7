// What clients get to bring back: CONNECTION-IDs (RFC 6062) and MOBILITY-TICKETs (RFC 8016). Each is random, and names
// the worker that owns what it stands for, so that whichever worker gets one knows where it belongs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"

namespace turnkit::engine {

inline constexpr unsigned kMaxWorkers = 256;  // one byte in either handle

// The worker's index and 24 random bits: whoever uses an id must prove to be its owner besides (RFC 6062, section 4.4).
using ConnectionId = std::uint32_t;  // 0: none
ConnectionId make_connection_id(Random& random, unsigned worker);
constexpr unsigned worker_of(ConnectionId id) { return id >> 24; }

// The worker's index and 184 random bits as base64. Text without NUL of at most 32 bytes, because coturn's clients keep
// tickets as C strings of that size.
inline constexpr std::size_t kTicketSize = 32;
using Ticket = std::array<char, kTicketSize>;
Ticket make_ticket(Random& random, unsigned worker);
std::optional<Ticket> ticket_from(Bytes attribute_value);

struct TicketHash {
  std::size_t operator()(const Ticket& ticket) const noexcept {
    return std::hash<std::string_view>{}({ticket.data(), ticket.size()});
  }
};

// The worker that a ConnectionBind request or a Refresh request with a ticket names; nullopt for any other message. The
// number is whatever the sender wrote: it may be no worker's.
std::optional<unsigned> named_worker(Bytes message);

}  // namespace turnkit::engine
