// Builder: writes a STUN message into a caller's buffer. Overflow is sticky: finish() then returns nullopt.
//
//   Builder b(buffer, Class::kSuccess, Method::kAllocate, id);
//   b.xor_address(Attr::kXorRelayedAddress, relayed).u32(Attr::kLifetime, 600).integrity_sha1(key).fingerprint();
//   std::optional<Bytes> message = b.finish();
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "stun/attributes.h"
#include "stun/types.h"

namespace turnkit::stun {

class Builder {
 public:
  // `buffer` must outlive the builder. `cookie` differs from kMagicCookie only in answers to RFC 3489 clients.
  Builder(MutableBytes buffer, Class cls, Method method, const TransactionId& id, std::uint32_t cookie = kMagicCookie);

  // Any attribute, with zero padding. Values of more than 65535 bytes overflow.
  Builder& raw(Attr type, Bytes value);
  Builder& text(Attr type, std::string_view value) { return raw(type, as_bytes(value)); }
  Builder& flag(Attr type) { return raw(type, {}); }  // DONT-FRAGMENT, USE-CANDIDATE, an empty MOBILITY-TICKET
  Builder& u32(Attr type, std::uint32_t value);
  Builder& u64(Attr type, std::uint64_t value);
  Builder& address(Attr type, const Address& address);
  Builder& xor_address(Attr type, const Address& address);
  Builder& channel_number(std::uint16_t number);
  Builder& requested_transport(std::uint8_t protocol);
  Builder& address_family(Attr type, Family family);
  Builder& even_port(bool reserve_next);
  Builder& response_port(std::uint16_t port);
  Builder& error_code(Code code, std::string_view reason);
  Builder& address_error_code(Family family, Code code, std::string_view reason, Attr type = Attr::kAddressErrorCode);
  Builder& icmp(const Icmp& icmp);
  Builder& unknown_attributes(std::span<const Attr> types);
  Builder& password_algorithm(PasswordAlgorithm algorithm);
  Builder& password_algorithms(std::span<const PasswordAlgorithm> algorithms);

  // MACs over all that was written so far (RFC 8489, sections 14.5 and 14.6); at most one fingerprint(), last.
  Builder& integrity_sha1(Bytes key);
  // `size` bytes of the MAC: 32, or 16 to 28 in steps of 4 where a usage allows truncation.
  Builder& integrity_sha256(Bytes key, std::size_t size = 32);
  Builder& fingerprint();

  // The room left, in bytes.
  [[nodiscard]] std::size_t remaining() const { return buffer_.size() - writer_.size(); }
  // The message, or nullopt when something did not fit.
  [[nodiscard]] std::optional<Bytes> finish();

 private:
  // Sets the header's length as if `extra` more bytes followed what is written.
  void set_length(std::size_t extra);
  void value_header(Attr type, std::size_t length);
  void pad(std::size_t length);

  MutableBytes buffer_;
  Writer writer_;
  TransactionId id_;
};

}  // namespace turnkit::stun
