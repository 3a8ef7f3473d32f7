// Writing of messages.
#include "stun/builder.h"

#include <algorithm>
#include <cstring>

#include "base/digest.h"
#include "stun/integrity.h"

namespace turnkit::stun {

namespace {

constexpr std::size_t kMaxLength = 65532;  // of what follows the header: 16 bits, a multiple of 4

// The 4 bytes of ERROR-CODE before the reason (RFC 8489, section 14.8).
std::uint32_t error_word(std::uint8_t first, Code code) {
  const auto number = static_cast<std::uint32_t>(code);
  return (std::uint32_t{first} << 24) | ((number / 100) << 8) | (number % 100);
}

}  // namespace

Builder::Builder(MutableBytes buffer, Class cls, Method method, const TransactionId& id, std::uint32_t cookie)
    : buffer_(buffer), writer_(buffer), id_(id) {
  writer_.u16(encode_type(cls, method));
  writer_.u16(0);
  writer_.u32(cookie);
  writer_.bytes(id_.bytes);
}

void Builder::value_header(Attr type, std::size_t length) {
  if (length > kMaxLength) {
    writer_.zeros(buffer_.size() + 1);  // cannot fit: makes the overflow stick
    return;
  }
  writer_.u16(static_cast<std::uint16_t>(type));
  writer_.u16(static_cast<std::uint16_t>(length));
}

void Builder::pad(std::size_t length) { writer_.zeros((4 - length % 4) % 4); }

void Builder::set_length(std::size_t extra) {
  if (!writer_.ok()) return;
  const std::size_t length = writer_.size() - kHeaderSize + extra;
  if (length > kMaxLength) {
    writer_.zeros(buffer_.size() + 1);
    return;
  }
  writer_.patch_u16(2, static_cast<std::uint16_t>(length));
}

Builder& Builder::raw(Attr type, Bytes value) {
  value_header(type, value.size());
  writer_.bytes(value);
  pad(value.size());
  return *this;
}

Builder& Builder::u32(Attr type, std::uint32_t value) {
  value_header(type, 4);
  writer_.u32(value);
  return *this;
}

Builder& Builder::u64(Attr type, std::uint64_t value) {
  value_header(type, 8);
  writer_.u64(value);
  return *this;
}

Builder& Builder::address(Attr type, const Address& address) {
  const Bytes ip = address.ip.bytes();
  value_header(type, 4 + ip.size());
  writer_.u16(static_cast<std::uint16_t>(address.family()));
  writer_.u16(address.port);
  writer_.bytes(ip);
  return *this;
}

Builder& Builder::xor_address(Attr type, const Address& address) {
  const Bytes ip = address.ip.bytes();
  std::array<std::byte, 16> masked;
  store_be32(masked.data(), kMagicCookie);
  std::memcpy(masked.data() + 4, id_.bytes.data(), id_.bytes.size());
  for (std::size_t i = 0; i < ip.size(); ++i) masked[i] ^= ip[i];
  value_header(type, 4 + ip.size());
  writer_.u16(static_cast<std::uint16_t>(address.family()));
  writer_.u16(static_cast<std::uint16_t>(address.port ^ (kMagicCookie >> 16)));
  writer_.bytes(Bytes(masked).first(ip.size()));
  return *this;
}

Builder& Builder::channel_number(std::uint16_t number) {
  return u32(Attr::kChannelNumber, std::uint32_t{number} << 16);
}

Builder& Builder::requested_transport(std::uint8_t protocol) {
  return u32(Attr::kRequestedTransport, std::uint32_t{protocol} << 24);
}

Builder& Builder::address_family(Attr type, Family family) {
  return u32(type, static_cast<std::uint32_t>(family) << 24);
}

Builder& Builder::even_port(bool reserve_next) {
  const std::byte value{static_cast<std::uint8_t>(reserve_next ? 0x80 : 0)};
  return raw(Attr::kEvenPort, Bytes(&value, 1));
}

Builder& Builder::response_port(std::uint16_t port) {
  value_header(Attr::kResponsePort, 2);
  writer_.u16(port);
  pad(2);
  return *this;
}

Builder& Builder::error_code(Code code, std::string_view reason) {
  value_header(Attr::kErrorCode, 4 + reason.size());
  writer_.u32(error_word(0, code));
  writer_.bytes(as_bytes(reason));
  pad(reason.size());
  return *this;
}

Builder& Builder::address_error_code(Family family, Code code, std::string_view reason, Attr type) {
  value_header(type, 4 + reason.size());
  writer_.u32(error_word(static_cast<std::uint8_t>(family), code));
  writer_.bytes(as_bytes(reason));
  pad(reason.size());
  return *this;
}

Builder& Builder::icmp(const Icmp& icmp) {
  value_header(Attr::kIcmp, 8);
  writer_.u16(0);
  writer_.u8(icmp.type);
  writer_.u8(icmp.code);
  writer_.u32(icmp.error_data);
  return *this;
}

Builder& Builder::unknown_attributes(std::span<const Attr> types) {
  value_header(Attr::kUnknownAttributes, types.size() * 2);
  for (const Attr type : types) writer_.u16(static_cast<std::uint16_t>(type));
  pad(types.size() * 2);
  return *this;
}

Builder& Builder::password_algorithm(PasswordAlgorithm algorithm) {
  return u32(Attr::kPasswordAlgorithm, static_cast<std::uint32_t>(algorithm) << 16);
}

Builder& Builder::password_algorithms(std::span<const PasswordAlgorithm> algorithms) {
  value_header(Attr::kPasswordAlgorithms, algorithms.size() * 4);
  for (const PasswordAlgorithm algorithm : algorithms) writer_.u32(static_cast<std::uint32_t>(algorithm) << 16);
  return *this;
}

Builder& Builder::integrity_sha1(Bytes key) {
  set_length(kAttributeHeaderSize + 20);
  if (!writer_.ok()) return *this;
  return raw(Attr::kMessageIntegrity, hmac_sha1(key, {writer_.written()}));
}

Builder& Builder::integrity_sha256(Bytes key, std::size_t size) {
  size = std::clamp<std::size_t>(size, 16, 32);
  set_length(kAttributeHeaderSize + size);
  if (!writer_.ok()) return *this;
  return raw(Attr::kMessageIntegritySha256, Bytes(hmac_sha256(key, {writer_.written()})).first(size));
}

Builder& Builder::fingerprint() {
  set_length(kAttributeHeaderSize + 4);
  if (!writer_.ok()) return *this;
  return u32(Attr::kFingerprint, fingerprint_of(writer_.written()));
}

std::optional<Bytes> Builder::finish() {
  set_length(0);
  if (!writer_.ok()) return std::nullopt;
  return writer_.written();
}

}  // namespace turnkit::stun
