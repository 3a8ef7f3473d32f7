// What the evidence says about a NAT, in the words of RFC 4787, and what two NATs mean for each other. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "probe/nat/evidence.h"
#include "probe/report.h"

namespace turnkit::probe {

// Of mapping (RFC 4787, section 4.1) and of filtering (section 5).
enum class Behaviour : std::uint8_t {
  kUnknown,
  kEndpointIndependent,
  kAddressDependent,
  kAddressAndPortDependent,
};
std::string_view behaviour_name(Behaviour behaviour);  // "address-and-port-dependent"

// A finding with how sure it is, and why it is not known or not sure.
struct Known {
  Behaviour behaviour = Behaviour::kUnknown;
  Confidence confidence = Confidence::kLow;
  std::string reason;    // a stable word: "no-other-address"; empty where all is well
  bool depends = false;  // mapping only: differs by destination, by address or by port is not known
};
Known mapping_of(const NatEvidence& evidence);
Known filtering_of(const NatEvidence& evidence, const Known& mapping);

enum class Presence : std::uint8_t { kUnknown, kNone, kNat };
Presence presence_of(const NatEvidence& evidence);

// How many of the ports were kept.
struct PortFinding {
  std::size_t tested = 0;
  std::size_t kept = 0;
  std::size_t same_parity = 0;
  bool contiguous = false;         // ports in a row stay in a row
  bool several_addresses = false;  // the sockets did not all get one address (RFC 4787: pooling "arbitrary")
};
PortFinding ports_of(const NatEvidence& evidence);

// "full cone", "restricted cone", "port restricted cone", "symmetric" (RFC 3489); empty when not known.
std::string_view classical_name(Behaviour mapping, Behaviour filtering);

// Every packet from anywhere reaches this host at its own ports: nothing but a one-to-one NAT does that.
bool is_one_to_one(const NatEvidence& evidence, const Known& mapping, const Known& filtering);

// More than one NAT between here and the server.
enum class Layers : std::uint8_t {
  kUnknown,      // the path was not seen
  kNothingSeen,  // no sign of a second one
  kCarrier,      // 100.64.0.0/10 behind this network, or as the own address: the carrier has another NAT
  kPossible,     // another private network on the path: a second NAT, or mere routing
};
struct LayerFinding {
  Layers layers = Layers::kUnknown;
  std::optional<IpAddress> sign;  // the address that shows it
};
LayerFinding layers_of(const NatEvidence& evidence);

// Whether ICE gets two hosts with these behaviours connected without a relay; nullopt: not known. A mapping that
// depends on the destination gives the other side an address that is not the one that packets then come from.
std::optional<bool> direct_possible(Behaviour mapping_a, Behaviour filtering_a, Behaviour mapping_b,
                                    Behaviour filtering_b);

// The longest idle time that a mapping survived, and the shortest that it did not.
struct LifetimeFinding {
  std::optional<std::chrono::milliseconds> alive, expired;
  bool contradictory = false;
};
LifetimeFinding lifetime_of(const LifetimeEvidence& evidence);

}  // namespace turnkit::probe
