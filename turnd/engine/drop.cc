#include "turnd/engine/drop.h"

#include <array>

namespace turnkit::engine {

std::string_view drop_name(Drop drop) {
  static constexpr std::array<std::string_view, kDropCount> kNames = {"none",
                                                                      "empty",
                                                                      "not_turn",
                                                                      "truncated",
                                                                      "malformed_stun",
                                                                      "bad_cookie",
                                                                      "bad_fingerprint",
                                                                      "unknown_method",
                                                                      "response",
                                                                      "indication",
                                                                      "forged_source",
                                                                      "disabled",
                                                                      "no_allocation",
                                                                      "malformed_data",
                                                                      "unknown_attribute",
                                                                      "unbound_channel",
                                                                      "no_permission",
                                                                      "peer_family",
                                                                      "peer_forbidden",
                                                                      "rate_limit",
                                                                      "tcp_allocation",
                                                                      "unauthorized_limit",
                                                                      "reflection_limit",
                                                                      "no_listener",
                                                                      "peer_no_permission",
                                                                      "peer_too_large",
                                                                      "icmp_ignored",
                                                                      "client_away",
                                                                      "slow_reader",
                                                                      "too_many_handshakes",
                                                                      "too_many_connections",
                                                                      "busy_worker"};
  const auto index = static_cast<std::size_t>(drop);
  return index < kNames.size() ? kNames[index] : "unknown";
}

Drop drop_of(stun::ParseError error) {
  switch (error) {
    case stun::ParseError::kNone:
      return Drop::kNone;
    case stun::ParseError::kBadCookie:
      return Drop::kBadCookie;
    case stun::ParseError::kBadMethod:
      return Drop::kUnknownMethod;
    case stun::ParseError::kBadFingerprint:
      return Drop::kBadFingerprint;
    case stun::ParseError::kTooShort:
    case stun::ParseError::kNotStun:
    case stun::ParseError::kBadLength:
    case stun::ParseError::kBadAttribute:
      return Drop::kMalformedStun;
  }
  return Drop::kMalformedStun;
}

}  // namespace turnkit::engine
