// Decoders of attribute values.
#include "stun/attributes.h"

#include <cstring>

namespace turnkit::stun {

namespace {

constexpr std::size_t kAddressHeader = 4;  // zero8, family8, port16

constexpr std::size_t padded(std::size_t length) { return (length + 3) & ~std::size_t{3}; }

}  // namespace

std::optional<Address> decode_address(Bytes value) {
  if (value.size() < kAddressHeader) return std::nullopt;
  const auto family = std::to_integer<std::uint8_t>(value[1]);
  const Bytes ip = value.subspan(kAddressHeader);
  const bool is_v4 = family == static_cast<std::uint8_t>(Family::kIPv4) && ip.size() == 4;
  const bool is_v6 = family == static_cast<std::uint8_t>(Family::kIPv6) && ip.size() == 16;
  if (!is_v4 && !is_v6) return std::nullopt;
  return Address{IpAddress::from_bytes(ip), load_be16(value.data() + 2)};
}

std::optional<Address> decode_xor_address(Bytes value, const TransactionId& transaction_id) {
  std::array<std::byte, kAddressHeader + 16> plain;
  if (value.size() > plain.size() || value.size() < kAddressHeader) return std::nullopt;
  std::array<std::byte, 16> mask;
  store_be32(mask.data(), kMagicCookie);
  std::memcpy(mask.data() + 4, transaction_id.bytes.data(), transaction_id.bytes.size());
  std::memcpy(plain.data(), value.data(), value.size());
  plain[2] ^= mask[0];
  plain[3] ^= mask[1];
  for (std::size_t i = kAddressHeader; i < value.size(); ++i) plain[i] ^= mask[i - kAddressHeader];
  return decode_address(Bytes(plain).first(value.size()));
}

std::optional<std::uint32_t> decode_u32(Bytes value) {
  if (value.size() != 4) return std::nullopt;
  return load_be32(value.data());
}

std::optional<std::uint64_t> decode_u64(Bytes value) {
  if (value.size() != 8) return std::nullopt;
  return load_be64(value.data());
}

std::optional<std::uint16_t> decode_channel_number(Bytes value) {
  if (value.size() != 4) return std::nullopt;
  return load_be16(value.data());
}

std::optional<std::uint8_t> decode_requested_transport(Bytes value) {
  if (value.size() != 4) return std::nullopt;
  return std::to_integer<std::uint8_t>(value[0]);
}

std::optional<std::uint8_t> decode_address_family(Bytes value) {
  if (value.size() != 4) return std::nullopt;
  return std::to_integer<std::uint8_t>(value[0]);
}

std::optional<bool> decode_even_port(Bytes value) {
  if (value.size() != 1) return std::nullopt;
  return (value[0] & std::byte{0x80}) != std::byte{};
}

std::optional<std::uint16_t> decode_response_port(Bytes value) {
  if (value.size() != 2 && value.size() != 4) return std::nullopt;
  return load_be16(value.data());
}

std::optional<std::string_view> decode_text(Bytes value) {
  if (value.size() > kMaxTextBytes) return std::nullopt;
  return as_text(value);
}

std::optional<ErrorCode> decode_error_code(Bytes value) {
  if (value.size() < 4) return std::nullopt;
  const auto hundreds = std::to_integer<unsigned>(value[2]) & 7;
  const auto number = std::to_integer<unsigned>(value[3]);
  const auto reason = decode_text(value.subspan(4));
  if (hundreds < 3 || hundreds > 6 || number > 99 || !reason) return std::nullopt;
  return ErrorCode{static_cast<std::uint16_t>(hundreds * 100 + number), *reason};
}

std::optional<AddressErrorCode> decode_address_error_code(Bytes value) {
  const auto error = decode_error_code(value);
  if (!error) return std::nullopt;
  return AddressErrorCode{std::to_integer<std::uint8_t>(value[0]), *error};
}

std::optional<Icmp> decode_icmp(Bytes value) {
  if (value.size() != 8) return std::nullopt;
  return Icmp{std::to_integer<std::uint8_t>(value[2]), std::to_integer<std::uint8_t>(value[3]),
              load_be32(value.data() + 4)};
}

std::vector<Attr> decode_unknown_attributes(Bytes value) {
  std::vector<Attr> types;
  types.reserve(value.size() / 2);
  for (Reader reader(value); reader.remaining() >= 2;) types.push_back(Attr{reader.u16()});
  return types;
}

std::optional<PasswordAlgorithmEntry> decode_password_algorithm(Bytes value) {
  Reader reader(value);
  const auto entry = next_password_algorithm(reader);
  if (!entry || reader.remaining() != 0) return std::nullopt;
  return entry;
}

std::optional<PasswordAlgorithmEntry> next_password_algorithm(Reader& reader) {
  if (reader.remaining() == 0) return std::nullopt;
  PasswordAlgorithmEntry entry;
  entry.algorithm = reader.u16();
  const std::size_t length = reader.u16();
  entry.parameters = reader.take(length);
  // The last entry's padding may also be that of the attribute itself.
  if (reader.remaining() != 0) reader.skip(padded(length) - length);
  if (!reader.ok()) return std::nullopt;
  return entry;
}

bool password_algorithms_contain(Bytes value, std::uint16_t algorithm) {
  Reader reader(value);
  bool found = false;
  while (const auto entry = next_password_algorithm(reader)) found = found || entry->algorithm == algorithm;
  return found && reader.ok();
}

}  // namespace turnkit::stun
