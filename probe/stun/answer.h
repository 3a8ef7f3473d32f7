// What a server said to a Binding request (RFC 8489, RFC 5780, RFC 3489), as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "stun/types.h"

namespace turnkit::probe {

struct AttributeSeen {
  stun::Attr type{};
  std::size_t size = 0;
  std::string text;  // "XOR-MAPPED-ADDRESS 203.0.113.7:4500"; escaped for a terminal
};

struct StunAnswer {
  Address source;           // where it came from
  std::size_t bytes = 0;    // of the message
  std::size_t padding = 0;  // of these, in PADDING
  std::optional<Address> xor_mapped;
  std::optional<Address> mapped;
  std::optional<Address> origin;  // RESPONSE-ORIGIN, or RFC 3489's SOURCE-ADDRESS
  std::optional<Address> other;   // OTHER-ADDRESS, or RFC 3489's CHANGED-ADDRESS
  std::optional<Address> alternate;
  std::string software;  // escaped for a terminal
  bool fingerprint = false;
  int error_code = 0;  // 0: a success response
  std::string reason;  // escaped for a terminal
  std::vector<stun::Attr> unknown;
  std::vector<AttributeSeen> attributes;

  [[nodiscard]] bool is_success() const { return error_code == 0; }
  // What to believe: XOR-MAPPED-ADDRESS where there is one.
  [[nodiscard]] const std::optional<Address>& reflexive() const { return xor_mapped ? xor_mapped : mapped; }
};

// nullopt: the bytes are no answer to the Binding request with that id. `bad_fingerprint`: they would be one, but their
// FINGERPRINT is wrong.
std::optional<StunAnswer> decode_stun_answer(Bytes bytes, const stun::TransactionId& id, bool* bad_fingerprint);

}  // namespace turnkit::probe
