// ClientLink: how a worker reaches a client: a UDP listener, a stream, a DTLS session. Everything that the relay knows
// about client transports goes through it.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "turnd/engine/allocation.h"

namespace turnkit::relay {

class ClientLink : public engine::ClientPath {
 public:
  // Queues one message for the client of `tuple`: `head` (a ChannelData header, or empty; copied unless it lies
  // directly in front of `payload`) and `payload`, which must stay until Worker::flush_sends(). Media that does not fit
  // is dropped and counted. `tos`: DSCP and ECN, where the transport can carry them.
  virtual void send(const engine::FiveTuple& tuple, Bytes head, Bytes payload, std::uint8_t tos) = 0;

 protected:
  ~ClientLink() = default;
};

}  // namespace turnkit::relay
