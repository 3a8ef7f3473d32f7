// The one list of the attributes of types.h: their names, and the slot that MessageView keeps for each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "stun/types.h"

namespace turnkit::stun {

struct AttributeInfo {
  Attr type;
  std::string_view name;
};

inline constexpr AttributeInfo kAttributes[] = {
    {Attr::kMappedAddress, "MAPPED-ADDRESS"},
    {Attr::kResponseAddress, "RESPONSE-ADDRESS"},
    {Attr::kChangeRequest, "CHANGE-REQUEST"},
    {Attr::kSourceAddress, "SOURCE-ADDRESS"},
    {Attr::kChangedAddress, "CHANGED-ADDRESS"},
    {Attr::kUsername, "USERNAME"},
    {Attr::kPassword, "PASSWORD"},
    {Attr::kMessageIntegrity, "MESSAGE-INTEGRITY"},
    {Attr::kErrorCode, "ERROR-CODE"},
    {Attr::kUnknownAttributes, "UNKNOWN-ATTRIBUTES"},
    {Attr::kReflectedFrom, "REFLECTED-FROM"},
    {Attr::kChannelNumber, "CHANNEL-NUMBER"},
    {Attr::kLifetime, "LIFETIME"},
    {Attr::kBandwidth, "BANDWIDTH"},
    {Attr::kXorPeerAddress, "XOR-PEER-ADDRESS"},
    {Attr::kData, "DATA"},
    {Attr::kRealm, "REALM"},
    {Attr::kNonce, "NONCE"},
    {Attr::kXorRelayedAddress, "XOR-RELAYED-ADDRESS"},
    {Attr::kRequestedAddressFamily, "REQUESTED-ADDRESS-FAMILY"},
    {Attr::kEvenPort, "EVEN-PORT"},
    {Attr::kRequestedTransport, "REQUESTED-TRANSPORT"},
    {Attr::kDontFragment, "DONT-FRAGMENT"},
    {Attr::kAccessToken, "ACCESS-TOKEN"},
    {Attr::kMessageIntegritySha256, "MESSAGE-INTEGRITY-SHA256"},
    {Attr::kPasswordAlgorithm, "PASSWORD-ALGORITHM"},
    {Attr::kUserhash, "USERHASH"},
    {Attr::kXorMappedAddress, "XOR-MAPPED-ADDRESS"},
    {Attr::kTimerVal, "TIMER-VAL"},
    {Attr::kReservationToken, "RESERVATION-TOKEN"},
    {Attr::kPriority, "PRIORITY"},
    {Attr::kUseCandidate, "USE-CANDIDATE"},
    {Attr::kPadding, "PADDING"},
    {Attr::kResponsePort, "RESPONSE-PORT"},
    {Attr::kConnectionId, "CONNECTION-ID"},
    {Attr::kAdditionalAddressFamily, "ADDITIONAL-ADDRESS-FAMILY"},
    {Attr::kAddressErrorCode, "ADDRESS-ERROR-CODE"},
    {Attr::kPasswordAlgorithms, "PASSWORD-ALGORITHMS"},
    {Attr::kAlternateDomain, "ALTERNATE-DOMAIN"},
    {Attr::kIcmp, "ICMP"},
    {Attr::kDraftBandwidth, "DRAFT-BANDWIDTH"},
    {Attr::kSoftware, "SOFTWARE"},
    {Attr::kAlternateServer, "ALTERNATE-SERVER"},
    {Attr::kTransactionTransmitCounter, "TRANSACTION-TRANSMIT-COUNTER"},
    {Attr::kCacheTimeout, "CACHE-TIMEOUT"},
    {Attr::kFingerprint, "FINGERPRINT"},
    {Attr::kIceControlled, "ICE-CONTROLLED"},
    {Attr::kIceControlling, "ICE-CONTROLLING"},
    {Attr::kResponseOrigin, "RESPONSE-ORIGIN"},
    {Attr::kOtherAddress, "OTHER-ADDRESS"},
    {Attr::kEcnCheck, "ECN-CHECK"},
    {Attr::kThirdPartyAuthorization, "THIRD-PARTY-AUTHORIZATION"},
    {Attr::kOrigin, "ORIGIN"},
    {Attr::kMobilityTicket, "MOBILITY-TICKET"},
    {Attr::kDraftAdditionalAddressFamily, "DRAFT-ADDITIONAL-ADDRESS-FAMILY"},
    {Attr::kDraftAddressErrorCode, "DRAFT-ADDRESS-ERROR-CODE"},
    {Attr::kGoogNetworkInfo, "GOOG-NETWORK-INFO"},
    {Attr::kGoogLastIceCheckReceived, "GOOG-LAST-ICE-CHECK-RECEIVED"},
    {Attr::kGoogMiscInfo, "GOOG-MISC-INFO"},
    {Attr::kGoogMessageIntegrity32, "GOOG-MESSAGE-INTEGRITY-32"},
};

// The known types lie in three short windows of the 16-bit space: window base and size, and where it starts in
// kSlotTable.
struct AttributeWindow {
  std::uint16_t first;
  std::uint16_t size;
  std::uint16_t start;
};
inline constexpr AttributeWindow kAttributeWindows[] = {{0x0000, 0x30, 0}, {0x8000, 0x38, 0x30}, {0xC050, 0x18, 0x68}};

constexpr std::size_t window_index(Attr type) {
  for (const AttributeWindow& w : kAttributeWindows) {
    const unsigned offset = static_cast<unsigned>(type) - w.first;
    if (offset < w.size) return w.start + offset + 1;
  }
  return 0;
}

inline constexpr auto kSlotTable = [] {
  std::array<std::uint8_t, 0x80 + 1> table{};
  std::uint8_t slot = 0;
  for (const AttributeInfo& info : kAttributes) table[window_index(info.type)] = ++slot;
  table[0] = 0;
  return table;
}();

// 1 to std::size(kAttributes), in the order of kAttributes; 0 for a type that is not in it.
constexpr std::size_t attribute_slot(Attr type) { return kSlotTable[window_index(type)]; }

}  // namespace turnkit::stun
