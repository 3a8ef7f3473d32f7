#include "turnd/engine/unknown_attributes.h"

#include <algorithm>

namespace turnkit::engine {

using stun::Attr;

namespace {

bool is_understood(Attr type, const Offers& offers) {
  switch (type) {
    case Attr::kMappedAddress:
    case Attr::kUsername:
    case Attr::kMessageIntegrity:
    case Attr::kErrorCode:
    case Attr::kUnknownAttributes:
    case Attr::kChannelNumber:
    case Attr::kLifetime:
    case Attr::kXorPeerAddress:
    case Attr::kData:
    case Attr::kRealm:
    case Attr::kNonce:
    case Attr::kXorRelayedAddress:
    case Attr::kRequestedAddressFamily:
    case Attr::kEvenPort:
    case Attr::kRequestedTransport:
    case Attr::kDontFragment:
    case Attr::kMessageIntegritySha256:
    case Attr::kPasswordAlgorithm:
    case Attr::kUserhash:
    case Attr::kXorMappedAddress:
    case Attr::kReservationToken:
    case Attr::kConnectionId:
    case Attr::kBandwidth:
    case Attr::kPriority:  // sent to STUN servers by ICE agents that reuse their connectivity check
      return true;
    case Attr::kAccessToken:
      return offers.tokens;
    case Attr::kChangeRequest:
    case Attr::kPadding:
    case Attr::kResponsePort:
      return offers.behaviour;
    default:
      return false;
  }
}

}  // namespace

UnknownList unknown_attributes(const stun::MessageView& message, const Offers& offers) {
  UnknownList list;
  for (const stun::Attribute& attribute : message) {
    if (!stun::is_comprehension_required(attribute.type) || is_understood(attribute.type, offers)) continue;
    const auto known = list.span();
    if (std::find(known.begin(), known.end(), attribute.type) != known.end()) continue;
    if (list.size == UnknownList::kMost) break;
    list.types[list.size++] = attribute.type;
  }
  return list;
}

}  // namespace turnkit::engine
