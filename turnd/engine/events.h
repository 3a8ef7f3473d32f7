// The one stream of what changes in the engine. Logs, metrics, the status publisher and a kernel offload subscribe to
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/address.h"
#include "stun/types.h"

namespace turnkit::stun {
class MessageView;
}

namespace turnkit::engine {

struct Allocation;
struct FiveTuple;

struct Event {
  enum class Kind : std::uint8_t {
    kAllocationCreated,    // lifetime
    kAllocationRefreshed,  // lifetime
    kLegDeleted,           // one half of a dual allocation; peer.ip is its relayed address
    kAllocationDeleted,    // reason
    kPermissionAdded,      // peer.ip, lifetime; a refresh of one that is alive is not reported
    kPermissionRemoved,    // peer.ip
    kChannelBound,         // peer, channel, lifetime; likewise
    kChannelUnbound,       // peer, channel
    kPeerDenied,           // peer (port 0: any), reason: the policy's verdict
    kPeerConnected,        // peer, lifetime: until when a client must have bound it; reason: who connected (RFC 6062)
    kPeerDisconnected,     // peer, reason
    kAllocationMoved,      // peer: the client's new address (RFC 8016)
    kPathLost,             // a mobile client is away; reason
  };
  Kind kind;
  const Allocation& allocation;  // alive during the call
  Address peer;
  std::uint16_t channel = 0;
  std::chrono::seconds lifetime{0};
  std::string_view reason;
};

// An answered request. `allocation` is null when there is none.
struct RequestEvent {
  const FiveTuple& tuple;
  const Allocation* allocation;
  stun::Method method;
  std::optional<stun::Code> error;             // nullopt: success
  const stun::MessageView* message = nullptr;  // null: answered after it was handled (Connect)
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_event(const Event& event) = 0;
  virtual void on_request(const RequestEvent& event) = 0;
  // A connection has ended before its first message was complete.
  virtual void on_useless_connection(const FiveTuple& /*tuple*/, std::string_view /*reason*/) {}
};

}  // namespace turnkit::engine
