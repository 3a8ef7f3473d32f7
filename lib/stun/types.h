// The numbers of STUN and TURN: classes, methods, attributes, error codes (RFC 8489, 8656, 6062, 8016, 7635, 5780, 8445).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"

namespace turnkit::stun {

inline constexpr std::uint32_t kMagicCookie = 0x2112A442;
inline constexpr std::size_t kHeaderSize = 20;
inline constexpr std::size_t kAttributeHeaderSize = 4;
inline constexpr std::uint32_t kFingerprintXor = 0x5354554E;

enum class Class : std::uint8_t { kRequest = 0, kIndication = 1, kSuccess = 2, kError = 3 };

enum class Method : std::uint16_t {
  kBinding = 0x001,
  kAllocate = 0x003,
  kRefresh = 0x004,
  kSend = 0x006,
  kData = 0x007,
  kCreatePermission = 0x008,
  kChannelBind = 0x009,
  kConnect = 0x00A,
  kConnectionBind = 0x00B,
  kConnectionAttempt = 0x00C,
  kGoogPing = 0x080,
};

// The 16-bit message type: class and method interleaved (RFC 8489, section 5). Requires: method <= 0xFFF.
constexpr std::uint16_t encode_type(Class cls, Method method) {
  const auto m = static_cast<unsigned>(method);
  const auto c = static_cast<unsigned>(cls);
  return static_cast<std::uint16_t>(((m & 0xF80) << 2) | ((m & 0x070) << 1) | (m & 0x00F) | ((c & 2) << 7) |
                                    ((c & 1) << 4));
}
constexpr Class class_of(std::uint16_t type) {
  return static_cast<Class>(((type & 0x0100) >> 7) | ((type & 0x0010) >> 4));
}
constexpr Method method_of(std::uint16_t type) {
  return static_cast<Method>(((type & 0x3E00) >> 2) | ((type & 0x00E0) >> 1) | (type & 0x000F));
}

enum class Attr : std::uint16_t {
  kMappedAddress = 0x0001,
  kResponseAddress = 0x0002,  // RFC 3489
  kChangeRequest = 0x0003,
  kSourceAddress = 0x0004,   // RFC 3489
  kChangedAddress = 0x0005,  // RFC 3489
  kUsername = 0x0006,
  kPassword = 0x0007,  // RFC 3489
  kMessageIntegrity = 0x0008,
  kErrorCode = 0x0009,
  kUnknownAttributes = 0x000A,
  kReflectedFrom = 0x000B,  // RFC 3489
  kChannelNumber = 0x000C,
  kLifetime = 0x000D,
  kBandwidth = 0x0010,
  kXorPeerAddress = 0x0012,
  kData = 0x0013,
  kRealm = 0x0014,
  kNonce = 0x0015,
  kXorRelayedAddress = 0x0016,
  kRequestedAddressFamily = 0x0017,
  kEvenPort = 0x0018,
  kRequestedTransport = 0x0019,
  kDontFragment = 0x001A,
  kAccessToken = 0x001B,
  kMessageIntegritySha256 = 0x001C,
  kPasswordAlgorithm = 0x001D,
  kUserhash = 0x001E,
  kXorMappedAddress = 0x0020,
  kTimerVal = 0x0021,
  kReservationToken = 0x0022,
  kPriority = 0x0024,
  kUseCandidate = 0x0025,
  kPadding = 0x0026,
  kResponsePort = 0x0027,
  kConnectionId = 0x002A,
  kAdditionalAddressFamily = 0x8000,
  kAddressErrorCode = 0x8001,
  kPasswordAlgorithms = 0x8002,
  kAlternateDomain = 0x8003,
  kIcmp = 0x8004,
  kDraftBandwidth = 0x8010,  // coturn's, in units of 1024 bits per second
  kSoftware = 0x8022,
  kAlternateServer = 0x8023,
  kTransactionTransmitCounter = 0x8025,
  kCacheTimeout = 0x8027,
  kFingerprint = 0x8028,
  kIceControlled = 0x8029,
  kIceControlling = 0x802A,
  kResponseOrigin = 0x802B,
  kOtherAddress = 0x802C,
  kEcnCheck = 0x802D,
  kThirdPartyAuthorization = 0x802E,
  kOrigin = 0x802F,
  kMobilityTicket = 0x8030,
  kDraftAdditionalAddressFamily = 0x8032,  // draft-martinsen-tram-ssoda: coturn's clients still send it
  kDraftAddressErrorCode = 0x8033,
  kGoogNetworkInfo = 0xC057,
  kGoogLastIceCheckReceived = 0xC058,
  kGoogMiscInfo = 0xC059,
  kGoogMessageIntegrity32 = 0xC060,
};

constexpr bool is_comprehension_required(Attr type) { return static_cast<std::uint16_t>(type) < 0x8000; }

// Error codes of the ERROR-CODE attribute (conformance.md section 1.9).
enum class Code : std::uint16_t {
  kTryAlternate = 300,
  kBadRequest = 400,
  kUnauthenticated = 401,
  kForbidden = 403,
  kMobilityForbidden = 405,
  kUnknownAttribute = 420,
  kAllocationMismatch = 437,
  kStaleNonce = 438,
  kAddressFamilyNotSupported = 440,
  kWrongCredentials = 441,
  kUnsupportedTransportProtocol = 442,
  kPeerAddressFamilyMismatch = 443,
  kConnectionAlreadyExists = 446,
  kConnectionTimeoutOrFailure = 447,
  kAllocationQuotaReached = 486,
  kRoleConflict = 487,
  kServerError = 500,
  kInsufficientCapacity = 508,
};

// The RFC's phrase, such as "Stale Nonce"; "Unknown Error" for a number that has none.
std::string_view reason_phrase(Code code);
// "Allocate", "ChannelBind"; "method 0x0ff" is not made here: nullptr-free, an unknown method is "Unknown".
std::string_view method_name(Method method);
// "XOR-PEER-ADDRESS"; empty for a type that is not in the table.
std::string_view attribute_name(Attr type);

// 96 bits, in wire order.
struct TransactionId {
  std::array<std::byte, 12> bytes{};
  friend auto operator<=>(const TransactionId&, const TransactionId&) = default;
};

// IANA "STUN Password Algorithms" (RFC 8489, section 18.5).
enum class PasswordAlgorithm : std::uint16_t { kMd5 = 0x0001, kSha256 = 0x0002 };

}  // namespace turnkit::stun
