// Every reason for which a packet ends without being answered or relayed; each has a counter of its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "stun/message.h"

namespace turnkit::engine {

enum class Drop : std::uint8_t {
  kNone,
  // From a client.
  kEmpty,          // an empty datagram
  kNotTurn,        // the first byte is not STUN's or a channel's (RFC 7983)
  kTruncated,      // longer than a receive slot
  kMalformedStun,  // MessageView::parse refused it
  kBadCookie,      // RFC 3489, or something else
  kBadFingerprint,
  kUnknownMethod,     // or a class that the method does not have
  kResponse,          // a response: this is a server
  kIndication,        // an indication that a client has no business to send, or a Binding indication (keep-alive)
  kForgedSource,      // the source is port 0, or an address of our own listeners
  kDisabled,          // the method is switched off (no-stun, stun-only)
  kNoAllocation,      // data from a 5-tuple without an allocation
  kMalformedData,     // a Send indication or ChannelData message whose content is wrong
  kUnknownAttribute,  // an indication with an unknown comprehension-required attribute
  kUnboundChannel,
  kNoPermission,       // no permission for the peer's address, or it has expired
  kPeerFamily,         // no relayed address of the peer's family
  kPeerForbidden,      // the peer policy forbids this port
  kRateLimit,          // over the session's bandwidth
  kTcpAllocation,      // a Send indication on a TCP allocation (RFC 6062)
  kUnauthorizedLimit,  // its source gets too many 401s (unauthorized-ratelimit)
  kReflectionLimit,    // its source asks for too many answers that go elsewhere or are padded (RFC 5780)
  kNoListener,         // RFC 5780: no listener is at the address that the answer is to leave from
  // From a peer.
  kPeerNoPermission,
  kPeerTooLarge,        // does not fit into one message to the client
  kIcmpIgnored,         // an ICMP error that TURN does not pass on
  kClientAway,          // the client of a mobile allocation has no path at present (RFC 8016)
  kSlowReader,          // the queue of a client on a stream is full
  kTooManyHandshakes,   // a ClientHello of DTLS beyond what a turn may begin; it will come again
  kTooManyConnections,  // a peer's TCP connection over the allocation's limit, or a DTLS client over the server's
  kBusyWorker,          // the worker that has a moved client's allocation is behind with what others pass on
  kCount
};

inline constexpr std::size_t kDropCount = static_cast<std::size_t>(Drop::kCount);

// "unbound_channel": for logs and metrics.
std::string_view drop_name(Drop drop);

Drop drop_of(stun::ParseError error);

}  // namespace turnkit::engine
