#include "probe/nat/findings.h"

#include <algorithm>
#include <set>

#include "probe/stun/scope.h"

namespace turnkit::probe {
namespace {

const MappingTest* towards(const NatEvidence& e, const IpAddress& ip, std::uint16_t port) {
  for (const MappingTest& test : e.mapping) {
    if (test.to.ip == ip && test.to.port == port && test.outcome.mapped()) return &test;
  }
  return nullptr;
}

// The same destination twice, from one socket: a mapping that changed says nothing about destinations.
bool is_stable(const NatEvidence& e) {
  std::set<std::string> seen;
  for (const MappingTest& test : e.mapping) {
    if (test.to == e.server && test.outcome.mapped()) seen.insert(test.outcome.mapped()->to_string());
  }
  return seen.size() <= 1;
}

bool keeps_ports(const NatEvidence& e) {
  const PortFinding ports = ports_of(e);
  return ports.tested != 0 && ports.kept == ports.tested;
}

// On the socket of the first filtering test, the request to the other address came after packets from there had been
// turned away: a NAT that maps by destination and keeps ports while it can then had to take another one.
bool collides(const NatEvidence& e) {
  const auto first = e.both ? e.both->first.mapped() : std::nullopt;
  const auto opened = e.opened ? e.opened->mapped() : std::nullopt;
  return first && opened && *first != *opened;
}

// Other servers, each on one address, compared with the first.
Known compare_servers(const NatEvidence& e, const Address& first, std::string reason) {
  std::size_t same = 0;
  std::size_t different = 0;
  std::set<IpAddress> addresses;
  for (const MappingTest& test : e.compared) {
    if (!test.outcome.mapped() || test.to.ip == e.server.ip || !addresses.insert(test.to.ip).second) continue;
    ++(*test.outcome.mapped() == first ? same : different);
  }
  if (different != 0) return {Behaviour::kUnknown, Confidence::kHigh, "depends-on-destination", true};
  if (same == 0) return {Behaviour::kUnknown, Confidence::kLow, std::move(reason), false};
  // Port preserving NATs without independence look the same until two hosts want one port.
  return {Behaviour::kEndpointIndependent, keeps_ports(e) ? Confidence::kLow : Confidence::kMedium, "compared-servers",
          false};
}

}  // namespace

std::string_view behaviour_name(Behaviour behaviour) {
  switch (behaviour) {
    case Behaviour::kEndpointIndependent:
      return "endpoint-independent";
    case Behaviour::kAddressDependent:
      return "address-dependent";
    case Behaviour::kAddressAndPortDependent:
      return "address-and-port-dependent";
    case Behaviour::kUnknown:
      break;
  }
  return "unknown";
}

Presence presence_of(const NatEvidence& e) {
  if (!e.basic.mapped()) return Presence::kUnknown;
  return *e.basic.mapped() == e.basic.local ? Presence::kNone : Presence::kNat;
}

PortFinding ports_of(const NatEvidence& e) {
  PortFinding out;
  out.contiguous = e.ports.size() > 1;
  for (std::size_t i = 0; i < e.ports.size(); ++i) {
    const PortPair& pair = e.ports[i];
    ++out.tested;
    if (pair.local == pair.mapped.port) ++out.kept;
    if (pair.local % 2 == pair.mapped.port % 2) ++out.same_parity;
    if (pair.mapped.ip != e.ports.front().mapped.ip) out.several_addresses = true;
    if (i != 0 && pair.mapped.port - e.ports[i - 1].mapped.port != pair.local - e.ports[i - 1].local) {
      out.contiguous = false;
    }
  }
  return out;
}

Known mapping_of(const NatEvidence& e) {
  const MappingTest* one = towards(e, e.server.ip, e.server.port);
  if (one == nullptr) return {Behaviour::kUnknown, Confidence::kLow, "no-answer", false};
  const Address first = *one->outcome.mapped();
  if (presence_of(e) == Presence::kNone && first == one->outcome.local) {
    return {Behaviour::kEndpointIndependent, Confidence::kHigh, "no-nat", false};
  }
  if (!is_stable(e)) return {Behaviour::kUnknown, Confidence::kLow, "mapping-changes", false};
  const auto other = e.other();
  const MappingTest* two = other ? towards(e, other->ip, e.server.port) : nullptr;
  const MappingTest* three = other ? towards(e, other->ip, other->port) : nullptr;
  const MappingTest* same_address = other ? towards(e, e.server.ip, other->port) : nullptr;
  const bool varies_by_port = same_address != nullptr && *same_address->outcome.mapped() != first;
  if (two != nullptr && three != nullptr) {
    const Address second = *two->outcome.mapped();
    const Address third = *three->outcome.mapped();
    if (second != third || varies_by_port) {
      return {Behaviour::kAddressAndPortDependent, Confidence::kHigh, "", true};
    }
    if (second != first) return {Behaviour::kAddressDependent, Confidence::kHigh, "", true};
    if (collides(e))
      return {Behaviour::kAddressAndPortDependent, Confidence::kMedium, "keeps-ports-while-it-can", true};
    // A NAT that keeps ports as long as it can looks like this, too, although it maps by destination: Linux does.
    return {Behaviour::kEndpointIndependent, keeps_ports(e) ? Confidence::kMedium : Confidence::kHigh,
            keeps_ports(e) ? "keeps-ports" : "", false};
  }
  if (varies_by_port) return {Behaviour::kAddressAndPortDependent, Confidence::kMedium, "other-address-silent", true};
  return compare_servers(e, first, other ? "other-address-silent" : "no-other-address");
}

Known filtering_of(const NatEvidence& e, const Known& mapping) {
  const auto unknown = [](std::string reason) {
    return Known{Behaviour::kUnknown, Confidence::kLow, std::move(reason), false};
  };
  if (!e.other() || !e.both) return unknown(e.basic.ok() ? "no-other-address" : "no-answer");
  for (const auto* test : {&e.both, &e.ip_only, &e.port_only}) {
    if (!*test) continue;
    const BindingOutcome& changed = (*test)->changed;
    if (!(*test)->first.ok()) return unknown("no-answer");
    if (changed.answer && !changed.ok()) return unknown("change-request-refused");
    if (changed.ok() && changed.answer->source == (*test)->first.to) return unknown("change-request-ignored");
    if (changed.ok() && !(*test)->passed()) return unknown("answered-from-elsewhere");
  }
  const bool by_ip = e.ip_only && e.ip_only->passed();
  const bool by_port = e.port_only && e.port_only->passed();
  if (e.both->passed()) return {Behaviour::kEndpointIndependent, Confidence::kHigh, "", false};
  if (by_ip) return unknown(by_port ? "contradictory" : "port-dependent");
  const Behaviour found = by_port ? Behaviour::kAddressDependent : Behaviour::kAddressAndPortDependent;
  // Silence counts as filtering once the server is known to send from its other address.
  const bool other_sends = e.control && e.control->ok() && e.control->answer->source == e.both->expected;
  if (other_sends) return {found, Confidence::kHigh, "", false};
  const bool other_answers = e.opened && e.opened->ok();
  if (!other_answers) return unknown("other-address-silent");
  // With a mapping for each destination the control cannot succeed: what it opens is another mapping.
  if (mapping.depends) return {found, Confidence::kMedium, "no-control", false};
  return unknown("change-request-silent");
}

std::string_view classical_name(Behaviour mapping, Behaviour filtering) {
  if (mapping == Behaviour::kAddressAndPortDependent || mapping == Behaviour::kAddressDependent) return "symmetric";
  if (mapping != Behaviour::kEndpointIndependent) return "";
  switch (filtering) {
    case Behaviour::kEndpointIndependent:
      return "full cone";
    case Behaviour::kAddressDependent:
      return "restricted cone";
    case Behaviour::kAddressAndPortDependent:
      return "port restricted cone";
    case Behaviour::kUnknown:
      break;
  }
  return "";
}

bool is_one_to_one(const NatEvidence& e, const Known& mapping, const Known& filtering) {
  const PortFinding ports = ports_of(e);
  return presence_of(e) == Presence::kNat && mapping.behaviour == Behaviour::kEndpointIndependent &&
         filtering.behaviour == Behaviour::kEndpointIndependent && ports.tested >= 3 && ports.kept == ports.tested &&
         !ports.several_addresses;
}

LayerFinding layers_of(const NatEvidence& e) {
  if (presence_of(e) == Presence::kUnknown) return {};
  if (presence_of(e) == Presence::kNone) return {Layers::kNothingSeen, std::nullopt};
  if (scope_of(e.local) == Scope::kShared) return {Layers::kCarrier, e.local};
  if (const Scope seen = scope_of(e.basic.mapped()->ip); seen == Scope::kShared) {
    return {Layers::kCarrier, e.basic.mapped()->ip};
  }
  bool any = false;
  std::optional<IpAddress> second;
  bool left = false;  // beyond the first public router nothing is ours
  for (const Hop& hop : e.path) {
    if (!hop.ip || *hop.ip == e.server.ip) continue;
    any = true;
    const Scope scope = scope_of(*hop.ip);
    if (scope == Scope::kPublic) left = true;
    if (left) continue;
    if (scope == Scope::kShared) return {Layers::kCarrier, *hop.ip};
    if (scope == Scope::kPrivate && hop.ttl > 1 && !second) second = *hop.ip;
  }
  if (second) return {Layers::kPossible, second};
  return {any ? Layers::kNothingSeen : Layers::kUnknown, std::nullopt};
}

std::optional<bool> direct_possible(Behaviour mapping_a, Behaviour filtering_a, Behaviour mapping_b,
                                    Behaviour filtering_b) {
  if (mapping_a == Behaviour::kUnknown || mapping_b == Behaviour::kUnknown) return std::nullopt;
  const bool a_depends = mapping_a != Behaviour::kEndpointIndependent;
  const bool b_depends = mapping_b != Behaviour::kEndpointIndependent;
  if (!a_depends && !b_depends) return true;
  if (a_depends && b_depends) return false;
  // The one whose address is known must let in a port that nobody has announced.
  const Behaviour filter = a_depends ? filtering_b : filtering_a;
  if (filter == Behaviour::kUnknown) return std::nullopt;
  return filter != Behaviour::kAddressAndPortDependent;
}

LifetimeFinding lifetime_of(const LifetimeEvidence& evidence) {
  LifetimeFinding out;
  for (const LifetimeTest& test : evidence.tests) {
    if (test.alive) {
      if (out.expired) out.contradictory = true;
      out.alive = std::max(out.alive.value_or(test.idle), test.idle);
    } else if (!out.expired) {
      out.expired = test.idle;
    }
  }
  return out;
}

}  // namespace turnkit::probe
