// Checks of mapping and filtering: see judge.h.
#include <fmt/core.h>

#include <string>

#include "probe/nat/judge.h"
#include "probe/port/verdict_common.h"

namespace turnkit::probe {

void advise_server(const NatEvidence& e, Check& check) {
  check.advice.emplace_back(
      "Name a server with two addresses ('stund', or coturn with two listening addresses), or a second STUN server:");
  check.next.push_back(fmt::format("turn-probe nat {} OTHER-SERVER", e.host.empty() ? e.server.to_string() : e.host));
}

Check Judge::judge_mapping() const {
  Check check = begin("mapping");
  const Known& mapping = f_.mapping;
  check.facts.push_back({"behaviour", std::string(behaviour_name(mapping.behaviour))});
  std::vector<std::string> seen;
  for (const auto* tests : {&e_.mapping, &e_.compared}) {
    for (const MappingTest& test : *tests) {
      const auto mapped = test.outcome.mapped();
      seen.push_back(test.to.to_string() + " saw " + (mapped ? mapped->to_string() : std::string("nothing")));
    }
  }
  check.facts.push_back({"seen", seen});
  const std::string reason = mapping.reason.empty() ? std::string(behaviour_name(mapping.behaviour)) : mapping.reason;
  switch (mapping.behaviour) {
    case Behaviour::kEndpointIndependent:
      set(check, Verdict::kPass, mapping.confidence, std::string(behaviour_name(mapping.behaviour)),
          "Mapping: endpoint-independent; one public address for all destinations");
      if (mapping.reason == "keeps-ports" ||
          (mapping.reason == "compared-servers" && f_.ports.kept == f_.ports.tested)) {
        check.details.emplace_back(
            "The NAT keeps port numbers, and one that maps by destination but keeps ports where it can (Linux does) "
            "looks "
            "the same until two hosts inside want one port.");
      }
      if (mapping.reason == "compared-servers") {
        check.details.emplace_back("Found by comparing servers of one address each; their ports were not compared.");
      }
      break;
    case Behaviour::kAddressDependent:
    case Behaviour::kAddressAndPortDependent:
      set(check, Verdict::kWarn, mapping.confidence, std::string(behaviour_name(mapping.behaviour)),
          fmt::format("Mapping: {}; {}", behaviour_name(mapping.behaviour),
                      mapping.behaviour == Behaviour::kAddressDependent
                          ? "another public port for each destination address"
                          : "another public port for each destination, even on the same host"));
      if (mapping.reason == "keeps-ports-while-it-can") {
        check.reason = mapping.reason;
        check.details.emplace_back(
            "Ports are kept, so it looks independent at first; but once a stranger's packet has come to a port, the "
            "NAT "
            "takes another one for that stranger, as Linux does. Dropping unasked packets on the router avoids that.");
      }
      break;
    case Behaviour::kUnknown:
      if (mapping.depends) {
        set(check, Verdict::kWarn, Confidence::kHigh, reason,
            "Mapping: depends on the destination; whether on its port, too, is not known");
      } else {
        set(check, Verdict::kUnconfirmed, Confidence::kLow, reason, "Mapping: not known");
        check.details.emplace_back(mapping.reason == "mapping-changes"
                                       ? "The public address for one and the same server changed while this ran."
                                   : mapping.reason == "no-answer" ? "Requests of this test were not answered."
                                   : mapping.reason == "other-address-silent"
                                       ? "The server says that it has another address, but does not answer there."
                                       : "The server has only one address for this test.");
        if (mapping.reason == "mapping-changes") {
          check.advice.emplace_back("Run it again; if it stays so, the NAT gives out ports at random.");
        } else {
          advise_server(e_, check);
        }
      }
      break;
  }
  if (f_.ports.several_addresses) {
    check.status = Verdict::kWarn;
    check.details.emplace_back(
        "Sockets of this host get different public addresses (RFC 4787: pooling \"arbitrary\").");
  }
  return check;
}

Check Judge::judge_filtering() const {
  Check check = begin("filtering");
  const Known& filtering = f_.filtering;
  const bool nat = f_.presence == Presence::kNat;
  check.facts.push_back({"behaviour", std::string(behaviour_name(filtering.behaviour))});
  const auto fact = [&check](const char* key, const std::optional<FilterTest>& test) {
    if (test) check.facts.push_back({key, test->passed()});
  };
  fact("passed.change_both", e_.both);
  fact("passed.change_address", e_.ip_only);
  fact("passed.change_port", e_.port_only);
  if (e_.control) check.facts.push_back({"passed.control", e_.control->ok()});
  switch (filtering.behaviour) {
    case Behaviour::kEndpointIndependent:
      set(check, Verdict::kPass, filtering.confidence, "endpoint-independent",
          nat ? "Filtering: endpoint-independent; once a port is in use, anybody can send to it"
              : "Filtering: none seen; packets of strangers come in");
      return check;
    case Behaviour::kAddressDependent:
      set(check, Verdict::kPass, filtering.confidence, "address-dependent",
          "Filtering: address-dependent; only addresses that were sent to can send back, from any port");
      break;
    case Behaviour::kAddressAndPortDependent:
      set(check, Verdict::kPass, filtering.confidence, "address-and-port-dependent",
          "Filtering: address-and-port-dependent; only what was sent to can send back");
      break;
    case Behaviour::kUnknown: {
      set(check, Verdict::kUnconfirmed, Confidence::kLow, filtering.reason, "Filtering: not known");
      const std::string& why = filtering.reason;
      check.details.emplace_back(
          why == "no-other-address"         ? "The server has only one address for this test."
          : why == "change-request-refused" ? "The server refuses CHANGE-REQUEST, although it names another address."
          : why == "change-request-ignored" ? "The server ignores CHANGE-REQUEST: it answers from the address asked."
          : why == "answered-from-elsewhere"
              ? "Answers came, but not from the address that they were to come from; the server may be behind a NAT."
          : why == "other-address-silent"  ? "The server says that it has another address, but does not answer there."
          : why == "change-request-silent" ? "Nothing came from the server's other address, not even where this host "
                                             "had just sent to it: the server "
                                             "does not do what it says."
          : why == "port-dependent"        ? "It goes by port and not by address, which no RFC has a name for."
                                           : "The tests contradict each other; some answers may have been lost.");
      advise_server(e_, check);
      return check;
    }
  }
  if (filtering.reason == "no-control") {
    check.details.emplace_back(
        "With a mapping for each destination, silence cannot be told from a server that does not "
        "do what it says.");
  }
  return check;
}

}  // namespace turnkit::probe
