#include "probe/nat/verdict.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "probe/nat/judge.h"
#include "probe/port/icmp.h"
#include "probe/port/verdict_common.h"
#include "probe/stun/scope.h"

namespace turnkit::probe {

Check Judge::begin(const char* what) const {
  Check check;
  check.protocol = "UDP";
  check.family = e_.server.ip.is_v4() ? "IPv4" : "IPv6";
  check.target = e_.server.to_string();
  check.id = fmt::format("nat-{}-{}", what, e_.server.ip.is_v4() ? "ipv4" : "ipv6");
  return check;
}

void Judge::judge_silence(Check& check) const {
  const std::string name = e_.server.to_string();
  check.facts.push_back({"requests", std::int64_t{e_.basic.sends}});
  switch (e_.tcp) {
    case TcpReach::kAnswers:
      set(check, Verdict::kFail, Confidence::kMedium, "udp-blocked",
          fmt::format("UDP to {} gets no answer, TCP to the same port does: UDP is blocked", name));
      check.details.emplace_back("Most likely by this network; if other networks see the same, at the server's end.");
      check.advice.emplace_back(
          "Calls need UDP 8443 outbound. Until then: ICE over TCP 8443, or TURN over TLS on 443.");
      return;
    case TcpReach::kConnects:
    case TcpReach::kFails:
    case TcpReach::kNotTried:
      break;
  }
  set(check, Verdict::kUnconfirmed, Confidence::kLow, "no-answer",
      fmt::format("No answer from {} over UDP{}", name, e_.tcp == TcpReach::kFails ? ", nor over TCP" : ""));
  check.details.emplace_back("The server may be down, or a firewall may drop UDP: silence does not tell which.");
  check.advice.emplace_back("Name another server. When that one is silent, too, UDP is blocked here.");
}

Check Judge::judge_udp() const {
  Check check = begin("udp");
  if (!e_.local_error.empty() && e_.basic.sends == 0) {
    set(check, Verdict::kFail, Confidence::kHigh, "own-system-refuses", e_.local_error);
    check.advice.emplace_back("Check the address, and this host's network, VPN and routes.");
    return check;
  }
  if (e_.basic.ok()) {
    set(check, Verdict::kPass, Confidence::kHigh, "answered",
        fmt::format("UDP to {} works; round trip {:.1f} ms", e_.server.to_string(), e_.basic.rtt_ms));
    if (!e_.basic.answer->software.empty()) check.facts.push_back({"software", e_.basic.answer->software});
    if (const auto other = e_.basic.answer->other) check.facts.push_back({"other_address", other->to_string()});
    check.facts.push_back({"rtt_ms", e_.basic.rtt_ms});
    return check;
  }
  if (e_.basic.answer) {
    set(check, Verdict::kFail, Confidence::kHigh, fmt::format("error-{}", std::max(0, e_.basic.answer->error_code)),
        fmt::format("{} refuses with error {} ({})", e_.server.to_string(), e_.basic.answer->error_code,
                    e_.basic.answer->reason));
    check.advice.emplace_back("Name another server.");
  } else if (const IcmpSeen* icmp = deciding(e_.basic.icmp)) {
    judge_icmp(*icmp, e_.server, e_.basic.local, check);
    std::erase_if(check.facts, [](const Fact& fact) { return fact.key.starts_with("directions."); });
  } else if (e_.basic.foreign.kind != Foreign::kNone || e_.basic.bad_fingerprint) {
    set(check, Verdict::kFail, Confidence::kHigh, "not-a-stun-server",
        fmt::format("What answers on {} is no STUN server", e_.server.to_string()));
    check.details.push_back(fmt::format("It sent {} bytes: \"{}\"", e_.basic.foreign.bytes, e_.basic.foreign.excerpt));
    check.advice.emplace_back("Check the port: STUN is on 3478.");
  } else if (e_.basic.sends == 0) {
    judge_own_system(e_.basic.send_errno, check);
    std::erase_if(check.facts, [](const Fact& fact) { return fact.key.starts_with("directions."); });
  } else {
    judge_silence(check);
  }
  return check;
}

Check Judge::judge_presence() const {
  Check check = begin("presence");
  const Address mapped = *e_.basic.mapped();
  check.facts.push_back({"local_address", e_.basic.local.to_string()});
  check.facts.push_back({"mapped_address", mapped.to_string()});
  check.facts.push_back({"scope", std::string(scope_name(scope_of(mapped.ip)))});
  if (f_.presence == Presence::kNone) {
    set(check, Verdict::kPass, Confidence::kHigh, "no-nat",
        fmt::format("No NAT: {} is seen as it is", mapped.to_string()));
  } else if (f_.one_to_one) {
    set(check, Verdict::kPass, Confidence::kMedium, "one-to-one-nat",
        fmt::format("One-to-one NAT: {} is {} outside, on the same ports, open to all", e_.basic.local.ip.to_string(),
                    mapped.ip.to_string()));
  } else {
    set(check, Verdict::kPass, Confidence::kHigh, "nat",
        fmt::format("NAT: {} is seen as {}", e_.basic.local.to_string(), mapped.to_string()));
  }
  if (e_.basic.answer->mapped && e_.basic.answer->xor_mapped &&
      *e_.basic.answer->mapped != *e_.basic.answer->xor_mapped) {
    check.status = Verdict::kWarn;
    check.reason = "address-rewritten";
    check.details.push_back(
        fmt::format("MAPPED-ADDRESS says {}, XOR-MAPPED-ADDRESS {}: a device on the way rewrites "
                    "addresses inside packets (an ALG).",
                    e_.basic.answer->mapped->to_string(), e_.basic.answer->xor_mapped->to_string()));
  }
  if (f_.presence == Presence::kNat && scope_of(mapped.ip) != Scope::kPublic) {
    check.details.push_back(
        fmt::format("{} is a {} address: the server is not on the public Internet, so this is not what "
                    "the Internet sees.",
                    mapped.ip.to_string(), scope_name(scope_of(mapped.ip))));
  }
  return check;
}

Check Judge::judge_layers() const {
  Check check = begin("layers");
  std::vector<std::string> hops;
  for (const Hop& hop : e_.path) hops.push_back(hop.ip ? hop.ip->to_string() : "*");
  check.facts.push_back({"path", hops});
  const std::string sign = f_.layers.sign ? f_.layers.sign->to_string() : "";
  switch (f_.layers.layers) {
    case Layers::kCarrier:
      set(check, Verdict::kWarn, Confidence::kMedium, "carrier-grade-nat",
          fmt::format("Carrier-grade NAT: {} is of the range 100.64.0.0/10 that carriers use behind one", sign));
      check.advice.emplace_back("A forward in the own router cannot work; ask the carrier for a public address.");
      break;
    case Layers::kPossible:
      set(check, Verdict::kWarn, Confidence::kLow, "double-nat-possible",
          fmt::format("Perhaps two NATs: the path goes on through another private network ({})", sign));
      check.details.emplace_back(
          "It may as well be routed there, with one NAT at its edge; from here both look the same.");
      check.advice.emplace_back(
          "Compare the address outside of the own router with the one seen: different means two NATs.");
      break;
    case Layers::kNothingSeen:
      set(check, Verdict::kPass, Confidence::kLow, "one-nat-seen", "No sign of a second NAT");
      break;
    case Layers::kUnknown:
      set(check, Verdict::kSkip, Confidence::kLow, "path-not-seen",
          "Whether there is more than one NAT is not known: no router on the way says its address");
      break;
  }
  if (!hops.empty()) check.details.push_back(fmt::format("Path: {}.", fmt::join(hops, ", ")));
  return check;
}

Check Judge::judge_meaning() const {
  Check check = begin("meaning");
  const bool known = f_.mapping.behaviour != Behaviour::kUnknown && f_.filtering.behaviour != Behaviour::kUnknown;
  std::string name(f_.presence == Presence::kNat ? classical_name(f_.mapping.behaviour, f_.filtering.behaviour) : "");
  if (f_.mapping.depends && name.empty()) name = "symmetric";
  if (f_.one_to_one) name = "one-to-one NAT (full cone)";
  if (f_.presence == Presence::kNone) {
    name = !known                                                      ? "no NAT"
           : f_.filtering.behaviour == Behaviour::kEndpointIndependent ? "open Internet"
                                                                       : "firewall without NAT";
  }
  const Confidence confidence = std::min(f_.mapping.confidence, f_.filtering.confidence);
  set(check, known || f_.mapping.depends || f_.presence == Presence::kNone ? Verdict::kPass : Verdict::kUnconfirmed,
      known ? confidence : Confidence::kLow, known ? "known" : "partly-known",
      name.empty() ? std::string("In short: a NAT of which not enough is known") : "In short: " + name);
  check.facts.push_back({"classical", name});
  const std::string client = meaning_for_client(f_);
  const std::string server = meaning_for_media_server(f_, *e_.basic.mapped());
  const std::string peers = meaning_for_peers(f_);
  check.details.push_back("Client of calls: " + client);
  check.details.push_back("Media server here: " + server);
  check.details.push_back("Peer to peer: " + peers);
  check.facts.push_back({"client", client});
  check.facts.push_back({"media_server", server});
  Behaviour mapping = f_.mapping.behaviour;
  if (mapping == Behaviour::kUnknown && f_.mapping.depends) mapping = Behaviour::kAddressDependent;
  for (const PairRow& row : pair_matrix(mapping, f_.filtering.behaviour)) {
    std::string key = std::string("peer_to_peer.") + row.other;
    std::replace(key.begin(), key.end(), ' ', '_');
    std::erase(key, ',');
    check.facts.push_back({key, std::string(!row.direct ? "unknown" : *row.direct ? "direct" : "relay")});
  }
  return check;
}

std::vector<Check> Judge::run() {
  std::vector<Check> out = {judge_udp()};
  if (!e_.basic.mapped()) {
    if (e_.basic.ok()) {
      set(out.front(), Verdict::kFail, Confidence::kHigh, "no-mapped-address",
          fmt::format("{} answers, but says no mapped address", e_.server.to_string()));
    }
    return out;
  }
  out.push_back(judge_presence());
  if (f_.presence == Presence::kNat) out.push_back(judge_layers());
  if (f_.presence == Presence::kNat) out.push_back(judge_mapping());
  out.push_back(judge_filtering());
  if (f_.presence == Presence::kNat) out.push_back(judge_ports());
  if (!e_.sizes.empty()) out.push_back(judge_sizes());
  if (e_.hairpin_tried) out.push_back(judge_hairpin());
  if (e_.lifetime) out.push_back(judge_lifetime());
  out.push_back(judge_meaning());
  return out;
}

std::vector<Check> judge_nat(const NatEvidence& evidence) { return Judge(evidence).run(); }

}  // namespace turnkit::probe
