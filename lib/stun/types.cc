// Names of methods, attributes and error codes.
#include "stun/types.h"

#include "stun/attribute_table.h"

namespace turnkit::stun {

std::string_view reason_phrase(Code code) {
  switch (code) {
    case Code::kTryAlternate:
      return "Try Alternate";
    case Code::kBadRequest:
      return "Bad Request";
    case Code::kUnauthenticated:
      return "Unauthenticated";
    case Code::kForbidden:
      return "Forbidden";
    case Code::kMobilityForbidden:
      return "Mobility Forbidden";
    case Code::kUnknownAttribute:
      return "Unknown Attribute";
    case Code::kAllocationMismatch:
      return "Allocation Mismatch";
    case Code::kStaleNonce:
      return "Stale Nonce";
    case Code::kAddressFamilyNotSupported:
      return "Address Family not Supported";
    case Code::kWrongCredentials:
      return "Wrong Credentials";
    case Code::kUnsupportedTransportProtocol:
      return "Unsupported Transport Protocol";
    case Code::kPeerAddressFamilyMismatch:
      return "Peer Address Family Mismatch";
    case Code::kConnectionAlreadyExists:
      return "Connection Already Exists";
    case Code::kConnectionTimeoutOrFailure:
      return "Connection Timeout or Failure";
    case Code::kAllocationQuotaReached:
      return "Allocation Quota Reached";
    case Code::kRoleConflict:
      return "Role Conflict";
    case Code::kServerError:
      return "Server Error";
    case Code::kInsufficientCapacity:
      return "Insufficient Capacity";
  }
  return "Unknown Error";
}

std::string_view method_name(Method method) {
  switch (method) {
    case Method::kBinding:
      return "Binding";
    case Method::kAllocate:
      return "Allocate";
    case Method::kRefresh:
      return "Refresh";
    case Method::kSend:
      return "Send";
    case Method::kData:
      return "Data";
    case Method::kCreatePermission:
      return "CreatePermission";
    case Method::kChannelBind:
      return "ChannelBind";
    case Method::kConnect:
      return "Connect";
    case Method::kConnectionBind:
      return "ConnectionBind";
    case Method::kConnectionAttempt:
      return "ConnectionAttempt";
    case Method::kGoogPing:
      return "GOOG-PING";
  }
  return "Unknown";
}

std::string_view attribute_name(Attr type) {
  const std::size_t slot = attribute_slot(type);
  return slot == 0 ? std::string_view() : kAttributes[slot - 1].name;
}

}  // namespace turnkit::stun
