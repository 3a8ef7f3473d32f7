// STUN Binding (RFC 8489, section 2): build the request, read the answer, and a blocking discovery of the public
// address.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "client/retransmission.h"
#include "stun/message.h"

namespace turnkit::client {

// A Binding request with FINGERPRINT; nullopt when `buffer` is too small (28 bytes do).
std::optional<Bytes> binding_request(MutableBytes buffer, const stun::TransactionId& id);

// The mapped address in a Binding success response: XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS of servers that know no other
// (RFC 3489). The error says what is wrong with the answer.
Result<Address> read_binding_answer(const stun::MessageView& answer);

struct DiscoverOptions {
  std::optional<Address> local;  // to send from; unset: any address, any port
  RetransmitConfig retransmit{.rto = std::chrono::milliseconds(500), .sends = 4, .last_wait = 2};  // 5.5 s in all
};
// Asks `server` (STUN over UDP) for the address that it sees. Blocks; call it before the event loop starts.
// The error says what came back instead, if anything did.
Result<Address> discover_public_address(const Address& server, const DiscoverOptions& options = {});

}  // namespace turnkit::client
