// From the name of a STUN server to the addresses to ask, by SRV where the name is a URI without a port (RFC 8489,
// section 8).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "client/stun_uri.h"

namespace turnkit::probe {

enum class Transport : std::uint8_t { kUdp, kTcp, kTls, kDtls };
std::string_view transport_name(Transport transport);  // "UDP"
constexpr bool is_secure(Transport transport) { return transport == Transport::kTls || transport == Transport::kDtls; }

struct StunTarget {
  Transport transport = Transport::kUdp;
  Address address;
  std::string host;  // whose certificate it must be; the name that was asked for, not the SRV target's
  std::string srv;   // "_stun._udp.example.com" where a record led here; empty: none did
};

struct StunTargets {
  std::vector<StunTarget> targets;   // in the order in which a client would try them
  std::vector<std::string> others;   // a name's further addresses, which nobody asks
  std::vector<std::string> remarks;  // sentences: what DNS did not do
};

struct TargetRequest {
  client::StunServerName name;
  std::vector<Transport> transports;
  std::optional<Family> family;  // only this one
  bool behaviour = false;        // _stun-behavior first (RFC 5780, section 3)
};
// Blocks for DNS. The error names what cannot be resolved. Never empty.
Result<StunTargets> find_targets(const TargetRequest& request);

}  // namespace turnkit::probe
