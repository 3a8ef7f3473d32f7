// Attribute values as plain value types. Each decoder takes the attribute's value and returns nullopt when the length or
// content is not what the RFC allows; reserved bits are ignored on receipt.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "stun/types.h"

namespace turnkit::stun {

inline constexpr std::size_t kMaxTextBytes = 763;  // USERNAME, REALM, NONCE, SOFTWARE, reason: what a receiver must take

// MAPPED-ADDRESS and its like: zero8, family8, port16, address (8 or 20 bytes; RFC 8489, section 14.1).
std::optional<Address> decode_address(Bytes value);
// XOR-MAPPED-ADDRESS and its like (RFC 8489, section 14.2).
std::optional<Address> decode_xor_address(Bytes value, const TransactionId& transaction_id);
std::optional<std::uint32_t> decode_u32(Bytes value);   // LIFETIME, PRIORITY, CONNECTION-ID, CHANGE-REQUEST
std::optional<std::uint64_t> decode_u64(Bytes value);   // ICE-CONTROLLED, ICE-CONTROLLING, RESERVATION-TOKEN
std::optional<std::uint16_t> decode_channel_number(Bytes value);      // number16, RFFU16 (RFC 8656, section 18.1)
std::optional<std::uint8_t> decode_requested_transport(Bytes value);  // protocol8, RFFU24 (RFC 8656, section 18.7)
std::optional<std::uint8_t> decode_address_family(Bytes value);       // family8, reserved24; the value is not checked
std::optional<bool> decode_even_port(Bytes value);                    // the R bit (RFC 8656, section 18.5)
std::optional<std::uint16_t> decode_response_port(Bytes value);       // 2 or 4 bytes (RFC 5780, section 7.5)
// Text of at most kMaxTextBytes; UTF-8 is not checked here (see auth).
std::optional<std::string_view> decode_text(Bytes value);

struct ErrorCode {
  std::uint16_t code = 0;  // 300-699
  std::string_view reason;
};
// reserved21, class3, number8, reason (RFC 8489, section 14.8). nullopt for a class outside 3-6 or a number over 99.
std::optional<ErrorCode> decode_error_code(Bytes value);

struct AddressErrorCode {
  std::uint8_t family = 0;
  ErrorCode error;
};
std::optional<AddressErrorCode> decode_address_error_code(Bytes value);  // RFC 8656, section 18.12

struct Icmp {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t error_data = 0;  // next-hop MTU for "too big", otherwise 0
};
std::optional<Icmp> decode_icmp(Bytes value);  // reserved16, type8, code8, data32 (RFC 8656, section 18.13)

// The types in UNKNOWN-ATTRIBUTES; an odd tail byte is ignored.
std::vector<Attr> decode_unknown_attributes(Bytes value);

// One PASSWORD-ALGORITHM entry: algorithm16, length16, parameters padded to 4 (RFC 8489, section 14.12).
struct PasswordAlgorithmEntry {
  std::uint16_t algorithm = 0;
  Bytes parameters;
};
std::optional<PasswordAlgorithmEntry> decode_password_algorithm(Bytes value);
// Reads the next entry of PASSWORD-ALGORITHMS from `reader`; nullopt at the end and on a malformed entry (then reader is not ok).
std::optional<PasswordAlgorithmEntry> next_password_algorithm(Reader& reader);
// True when the list is not empty, all of it is well formed, and it holds `algorithm`.
bool password_algorithms_contain(Bytes value, std::uint16_t algorithm);

}  // namespace turnkit::stun
