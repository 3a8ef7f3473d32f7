// What tests send and what they get: messages written with stun::Builder, as right or as wrong as a test wants, and
// answers that own their bytes.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "stun/attributes.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::conformance {

using ByteVector = std::vector<std::byte>;
using Fill = std::function<void(stun::Builder&)>;

stun::TransactionId next_transaction_id();

// A message with what `fill` writes into it; no MAC unless `fill` adds one.
ByteVector make_message(stun::Class cls, stun::Method method, const Fill& fill = {},
                        const stun::TransactionId& id = next_transaction_id());
ByteVector make_channel_data(std::uint16_t number, std::string_view data);
// Sets the length field to the bytes behind the header.
void fix_length(ByteVector& message);
stun::TransactionId id_of(Bytes message);

// An answer, or none at all.
class Answer {
 public:
  Answer() = default;
  explicit Answer(ByteVector bytes) : bytes_(std::move(bytes)) {}

  [[nodiscard]] bool arrived() const { return !bytes_.empty(); }
  [[nodiscard]] const ByteVector& bytes() const { return bytes_; }
  // Requires: arrived(), and that the bytes are a STUN message.
  [[nodiscard]] stun::MessageView view() const { return *stun::MessageView::parse(bytes_); }

  [[nodiscard]] bool ok() const { return arrived() && view().cls() == stun::Class::kSuccess; }
  [[nodiscard]] int error() const;  // 0 when it is no error response
  [[nodiscard]] bool has(stun::Attr type) const { return arrived() && view().has(type); }
  // Requires: arrived(); the attribute may be missing.
  [[nodiscard]] std::optional<Bytes> value(stun::Attr type) const;
  [[nodiscard]] std::optional<std::uint32_t> u32(stun::Attr type) const;
  [[nodiscard]] std::optional<std::uint64_t> u64(stun::Attr type) const;
  [[nodiscard]] std::optional<Address> xor_address(stun::Attr type) const;
  [[nodiscard]] std::string text(stun::Attr type) const;
  [[nodiscard]] std::vector<Address> relayed_addresses() const;
  [[nodiscard]] Address relayed() const;  // the first; an unspecified one when there is none
  [[nodiscard]] int lifetime() const;     // -1: none
  [[nodiscard]] std::vector<stun::Attr> unknown_attributes() const;
  [[nodiscard]] std::vector<stun::Attr> attribute_types() const;

 private:
  ByteVector bytes_;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer);

// What a client received from the relay.
struct Data {
  Address peer;                          // of a Data indication
  std::optional<std::uint16_t> channel;  // of ChannelData
  std::string text;
  bool has_data = false;
  std::optional<stun::Icmp> icmp;
  std::uint8_t tos = 0;
  int ttl = 0;
};

}  // namespace turnkit::conformance
