// Asking the listener over another protocol or port what it knows of a session: the only way to learn which direction
// fails when nothing comes back.
#pragma once

#include <chrono>
#include <optional>

#include "base/address.h"
#include "probe/port/evidence.h"
#include "probe/wire.h"

namespace turnkit::probe {

struct Question {
  Nonce nonce;  // of the session asked about
  Protocol protocol = Protocol::kUdp;
  std::uint16_t port = 0;
};

// Block up to `patience`; nullopt: no listener of ours answered. Thread-safe.
std::optional<ServerAccount> ask_over_tcp(const Address& listener, const Question& question,
                                          std::chrono::milliseconds patience);
std::optional<ServerAccount> ask_over_udp(const Address& listener, const Question& question,
                                          std::chrono::milliseconds patience);

}  // namespace turnkit::probe
