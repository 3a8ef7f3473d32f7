#include "probe/nat/meaning.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "probe/stun/scope.h"

namespace turnkit::probe {
namespace {

bool maps_by_destination(const NatFindings& f) {
  return f.mapping.depends || f.mapping.behaviour == Behaviour::kAddressDependent ||
         f.mapping.behaviour == Behaviour::kAddressAndPortDependent;
}

std::string layers_clause(const NatFindings& f) {
  if (f.layers.layers == Layers::kCarrier) {
    return " A forward in the own router is not enough: the carrier has a NAT of its own. Ask it for a public address, "
           "or run the media server elsewhere.";
  }
  if (f.layers.layers == Layers::kPossible) {
    return " If there are two NATs in a row, both need the forward.";
  }
  return "";
}

}  // namespace

NatFindings findings_of(const NatEvidence& e) {
  NatFindings out;
  out.presence = presence_of(e);
  out.mapping = mapping_of(e);
  out.filtering = filtering_of(e, out.mapping);
  out.ports = ports_of(e);
  out.layers = layers_of(e);
  // Packets from elsewhere come in at the mapping: it belongs to the socket, not to a destination.
  const bool lets_others_in =
      out.filtering.confidence == Confidence::kHigh && (out.filtering.behaviour == Behaviour::kEndpointIndependent ||
                                                        out.filtering.behaviour == Behaviour::kAddressDependent);
  if (out.mapping.reason == "keeps-ports" && lets_others_in) {
    out.mapping.confidence = Confidence::kHigh;
    out.mapping.reason.clear();
  }
  out.one_to_one = is_one_to_one(e, out.mapping, out.filtering);
  return out;
}

std::string meaning_for_client(const NatFindings& f) {
  if (f.presence == Presence::kUnknown) return "Not known: nothing came back over UDP.";
  if (maps_by_destination(f)) {
    return "Works. The client sends first and the server has a public address, so a symmetric NAT is harmless here; "
           "what "
           "matters is that UDP gets out.";
  }
  return "Works: UDP gets out and answers come back.";
}

std::string meaning_for_media_server(const NatFindings& f, const Address& mapped) {
  if (f.presence == Presence::kUnknown) return "Not known: nothing came back over UDP.";
  if (f.presence == Presence::kNone) {
    if (f.filtering.behaviour == Behaviour::kEndpointIndependent) {
      return "Fine as it is: no NAT, and packets from strangers come in. Nothing to override.";
    }
    return "No NAT, so nothing to override; but open its ports (UDP and TCP 8443) in the firewall, since strangers' "
           "packets must come in.";
  }
  if (maps_by_destination(f)) {
    return "Not without help: the NAT gives each client another port, so no address that a STUN server tells is right. "
           "Forward UDP and TCP 8443 statically, and set ICE Host Override to the address outside." +
           layers_clause(f);
  }
  if (f.one_to_one) {
    return fmt::format("Fine behind this one-to-one NAT: set ICE Host Override to {}.", mapped.ip.to_string());
  }
  std::string out;
  if (f.filtering.behaviour == Behaviour::kEndpointIndependent) {
    out = fmt::format(
        "Possible while the mapping lasts, but fragile; forward UDP and TCP 8443 statically and set ICE "
        "Host Override to {}.",
        mapped.ip.to_string());
  } else {
    out = fmt::format(
        "Needs a static forward of UDP and TCP 8443, since strangers' packets {} come in; ICE Host "
        "Override is then {}, if the forward is on the NAT that has it.",
        f.filtering.behaviour == Behaviour::kUnknown ? "may not" : "do not", mapped.ip.to_string());
  }
  if (f.ports.tested != 0 && f.ports.kept < f.ports.tested) {
    out += " This NAT changes ports: let the forward keep 8443, or set ICE Host Port Override too.";
  }
  return out + layers_clause(f);
}

std::vector<PairRow> pair_matrix(Behaviour mapping, Behaviour filtering) {
  using B = Behaviour;
  const auto direct = [&](B other_mapping, B other_filtering) {
    return direct_possible(mapping, filtering, other_mapping, other_filtering);
  };
  return {{"open, one-to-one or full cone", direct(B::kEndpointIndependent, B::kEndpointIndependent)},
          {"restricted cone", direct(B::kEndpointIndependent, B::kAddressDependent)},
          {"port restricted cone", direct(B::kEndpointIndependent, B::kAddressAndPortDependent)},
          {"symmetric", direct(B::kAddressAndPortDependent, B::kAddressAndPortDependent)}};
}

std::string meaning_for_peers(const NatFindings& f) {
  Behaviour mapping = f.mapping.behaviour;
  if (mapping == Behaviour::kUnknown && f.mapping.depends) mapping = Behaviour::kAddressDependent;
  if (mapping == Behaviour::kUnknown) return "Not known: the mapping is not.";
  std::vector<std::string> parts;
  for (const PairRow& row : pair_matrix(mapping, f.filtering.behaviour)) {
    const char* word = !row.direct ? "not known" : *row.direct ? "direct" : "needs a relay (TURN)";
    parts.push_back(fmt::format("{}: {}", row.other, word));
  }
  return fmt::format("With a peer behind: {}.", fmt::join(parts, "; "));
}

}  // namespace turnkit::probe
