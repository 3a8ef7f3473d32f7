#include "probe/stun/verdict.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "probe/port/icmp.h"
#include "probe/port/verdict_common.h"
#include "probe/stun/scope.h"

namespace turnkit::probe {
namespace {

std::int64_t integer(std::size_t value) { return static_cast<std::int64_t>(value); }

const BindingOutcome* first_success(const StunEvidence& e) {
  for (const BindingOutcome& request : e.requests) {
    if (request.ok()) return &request;
  }
  return nullptr;
}

const BindingOutcome* first_error(const StunEvidence& e) {
  for (const BindingOutcome& request : e.requests) {
    if (request.answer && !request.ok()) return &request;
  }
  return nullptr;
}

struct Counts {
  std::size_t answered = 0;
  std::size_t at_once = 0;  // by the first request
  int most_sends = 0;
  std::vector<double> rtt_ms;  // of those
};

Counts count(const StunEvidence& e) {
  Counts out;
  for (const BindingOutcome& request : e.requests) {
    if (!request.answer) continue;
    ++out.answered;
    out.most_sends = std::max(out.most_sends, request.sends_before_answer);
    if (request.sends_before_answer != 1) continue;  // which request was answered is not known (Karn)
    ++out.at_once;
    out.rtt_ms.push_back(request.rtt_ms);
  }
  return out;
}

Check begin(const StunEvidence& e) {
  Check check;
  check.protocol = transport_name(e.target.transport);
  check.family = e.target.address.ip.is_v4() ? "IPv4" : "IPv6";
  check.target = e.target.address.to_string();
  std::string transport = check.protocol;
  std::transform(transport.begin(), transport.end(), transport.begin(),
                 [](char c) { return static_cast<char>(c - 'A' + 'a'); });
  check.id = fmt::format("stun-{}-{}", transport, e.target.address.ip.is_v4() ? "ipv4" : "ipv6");
  if (!e.target.srv.empty()) {
    check.facts.push_back({"srv", e.target.srv});
    check.details.push_back(fmt::format("Found through the SRV record {}.", e.target.srv));
  }
  return check;
}

void tell_mapping(const StunEvidence& e, const StunAnswer& answer, Check& check) {
  const Address& mapped = *answer.reflexive();
  if (mapped == e.local) {
    check.details.emplace_back("That is the address of this host: no NAT in between.");
  } else {
    check.details.push_back(fmt::format("This host sent from {}: there is a NAT in between{}.", e.local.to_string(),
                                        mapped.port == e.local.port ? ", which kept the port" : ""));
  }
  if (mapped != e.local && scope_of(mapped.ip) != Scope::kPublic) {
    check.details.push_back(
        fmt::format("{} is a {} address: the server is not on the public Internet, or there is "
                    "another NAT behind it.",
                    mapped.ip.to_string(), scope_name(scope_of(mapped.ip))));
  }
  std::set<std::string> all;
  for (const BindingOutcome& request : e.requests) {
    if (const auto address = request.mapped()) all.insert(address->to_string());
  }
  if (all.size() > 1) {
    check.details.push_back(
        fmt::format("The mapped address changed while this ran: {}. The NAT gives up mappings at once, or there are "
                    "several.",
                    fmt::join(all, ", ")));
  }
  check.facts.push_back({"nat", mapped != e.local});
  check.facts.push_back({"mapped_addresses", std::vector<std::string>(all.begin(), all.end())});
}

void warn(Check& check, std::string reason, std::string detail, std::string advice) {
  if (check.status != Verdict::kWarn) check.reason = std::move(reason);  // the first one matters most
  check.status = Verdict::kWarn;
  check.details.push_back(std::move(detail));
  if (!advice.empty()) check.advice.push_back(std::move(advice));
}

void judge_success(const StunEvidence& e, const BindingOutcome& request, const Counts& counts, Check& check) {
  const StunAnswer& answer = *request.answer;
  if (!answer.reflexive()) {
    set(check, Verdict::kFail, Confidence::kHigh, "no-mapped-address",
        fmt::format("{}: answers, but says no mapped address", name_of(check)));
    check.advice.emplace_back("Use another STUN server; this one is of no use.");
    return;
  }
  set(check, Verdict::kPass, Confidence::kHigh, "answered",
      fmt::format("{}: sees this host as {}", name_of(check), answer.reflexive()->to_string()));
  tell_mapping(e, answer, check);
  if (answer.mapped && answer.xor_mapped && *answer.mapped != *answer.xor_mapped && e.protection.empty()) {
    warn(check, "address-rewritten",
         fmt::format("MAPPED-ADDRESS says {}, XOR-MAPPED-ADDRESS {}: a device on the way rewrites addresses inside "
                     "packets (an ALG).",
                     answer.mapped->to_string(), answer.xor_mapped->to_string()),
         "Turn off SIP or STUN helpers (ALG) in the router; they break calls.");
  }
  if (answer.source != e.target.address) {
    warn(check, "answered-by-another-address",
         fmt::format("The answer came from {} instead of {}: most NATs and firewalls drop such answers.",
                     answer.source.to_string(), e.target.address.to_string()),
         "Make the server answer from the address that it was asked at: look at its NAT and its policy routes.");
  }
  if (!answer.xor_mapped) {
    warn(check, "mapped-address-only",
         "The answer has MAPPED-ADDRESS alone, as before RFC 5389. rtcd and browsers read XOR-MAPPED-ADDRESS only.",
         "Use a STUN server of RFC 5389 or later.");
  }
  if (counts.at_once < e.requests.size() && e.target.transport == Transport::kUdp) {
    const std::size_t unanswered = e.requests.size() - counts.answered;
    warn(check, "retransmissions-needed",
         fmt::format("{} of {} requests were not answered at once; {}.", e.requests.size() - counts.at_once,
                     e.requests.size(),
                     unanswered != 0 ? fmt::format("{} of them not at all", unanswered)
                                     : fmt::format("the most that it took was {} sends", counts.most_sends)),
         "rtcd and Mattermost Calls send one request only when they look for their public address: a lost one leaves "
         "them with the private address. Set ICE Host Override instead of relying on it.");
  }
  add_rtt(check, counts.rtt_ms);
}

void judge_error(const StunEvidence& e, const BindingOutcome& request, Check& check) {
  const StunAnswer& answer = *request.answer;
  const std::string code =
      answer.error_code > 0 ? fmt::format("{} ({})", answer.error_code, answer.reason) : "an error without a code";
  set(check, Verdict::kFail, Confidence::kHigh,
      answer.error_code > 0 ? fmt::format("error-{}", answer.error_code) : "error",
      fmt::format("{}: refuses with error {}", name_of(check), code));
  if (answer.error_code == 401 || answer.error_code == 400) {
    check.advice.emplace_back(
        "It may want a user name even for Binding; ask without one elsewhere, or let its owner "
        "allow Binding to everybody.");
  } else if (answer.error_code == 420) {
    std::vector<std::string> names;
    for (const stun::Attr type : answer.unknown) {
      const std::string_view name = stun::attribute_name(type);
      names.push_back(name.empty() ? fmt::format("0x{:04x}", static_cast<unsigned>(type)) : std::string(name));
    }
    check.details.push_back(names.empty()
                                ? "It does not say which attribute it does not know; the request had FINGERPRINT only."
                                : fmt::format("It says that it does not know: {}.", fmt::join(names, ", ")));
    check.advice.emplace_back("That server is broken, or a device on the way adds to requests; use another one.");
  } else if (answer.error_code == 300 && answer.alternate) {
    check.advice.push_back(fmt::format("It sends its clients to {}; ask that one:", answer.alternate->to_string()));
    check.next.push_back("turn-probe stun " + answer.alternate->to_string());
  }
  if (answer.source != e.target.address) {
    check.details.push_back(fmt::format("The answer came from {}.", answer.source.to_string()));
  }
}

bool judge_connection(const StunEvidence& e, Check& check) {
  const auto fail = [&check](std::string reason, const std::string& what, std::string advice) {
    set(check, Verdict::kFail, Confidence::kHigh, std::move(reason), name_of(check) + ": " + what);
    check.advice.push_back(std::move(advice));
    return true;
  };
  if (e.connect == Connect::kRefused) {
    return fail("refused", "refuses connections", "Nothing listens there over TCP, or a firewall says so.");
  }
  if (e.connect == Connect::kTimeout) {
    return fail("no-connection", "no TCP connection",
                "The server is down, does not serve TCP there, or a firewall drops it; compare with another network.");
  }
  if (e.connect == Connect::kError) {
    return fail("no-connection", fmt::format("no TCP connection ({})", std::strerror(e.connect_errno)),
                "Check the address, and this host's network, VPN and routes.");
  }
  if (!e.handshake_failure.empty()) {
    return fail("handshake-failed", fmt::format("no {} ({})", transport_name(e.target.transport), e.handshake_failure),
                "Compare the certificate's names and end date with the name asked for; --insecure goes on without the "
                "check. An unknown issuer may be an inspecting proxy on the way.");
  }
  return false;
}

void judge_nothing(const StunEvidence& e, Check& check) {
  for (const BindingOutcome& request : e.requests) {
    if (const IcmpSeen* icmp = deciding(request.icmp)) {
      judge_icmp(*icmp, e.target.address, e.local, check);
      std::erase_if(check.facts, [](const Fact& fact) { return fact.key.starts_with("directions."); });
      return;
    }
  }
  for (const BindingOutcome& request : e.requests) {
    if (request.bad_fingerprint) {
      set(check, Verdict::kFail, Confidence::kHigh, "bad-fingerprint",
          fmt::format("{}: its answers have a wrong FINGERPRINT", name_of(check)));
      check.advice.emplace_back("A device on the way changes packets (an ALG), or the server is broken.");
      return;
    }
    if (request.foreign.kind != Foreign::kNone) {
      set(check, Verdict::kFail, Confidence::kHigh, "not-a-stun-server",
          fmt::format("{}: what answers is no STUN server, but {}", name_of(check),
                      request.foreign.kind == Foreign::kStun || request.foreign.kind == Foreign::kOther
                          ? "something that sends other data"
                          : foreign_name(request.foreign.kind)));
      check.details.push_back(fmt::format("It sent {} bytes: \"{}\"", request.foreign.bytes, request.foreign.excerpt));
      check.advice.emplace_back("Check the port: STUN is on 3478, over TLS on 5349.");
      return;
    }
  }
  const auto unsent = std::find_if(e.requests.begin(), e.requests.end(),
                                   [](const BindingOutcome& r) { return r.sends == 0 && r.send_errno != 0; });
  if (unsent != e.requests.end()) {
    judge_own_system(unsent->send_errno, check);
    std::erase_if(check.facts, [](const Fact& fact) { return fact.key.starts_with("directions."); });
    return;
  }
  int sends = 0;
  for (const BindingOutcome& request : e.requests) sends += request.sends;
  if (e.closed) {
    set(check, Verdict::kFail, Confidence::kHigh, "closed-unanswered",
        fmt::format("{}: takes connections, and closes them without an answer", name_of(check)));
    check.advice.emplace_back(
        "What listens there does not speak STUN over this transport, or is a load balancer "
        "without a server behind it.");
    return;
  }
  set(check, Verdict::kFail, Confidence::kMedium, "no-answer",
      fmt::format("{}: no answer to {} requests", name_of(check), sends));
  if (e.target.transport == Transport::kUdp || e.target.transport == Transport::kDtls) {
    check.details.emplace_back("Whether the server is down or a firewall drops UDP cannot be told from silence.");
    check.advice.emplace_back("Try its TCP side, and another server; both silent mean that UDP is blocked here:");
    check.next.push_back("turn-probe stun --transport udp,tcp " + e.target.address.to_string());
  } else {
    check.advice.emplace_back("What listens there does not speak STUN over this transport.");
  }
}

void add_facts(const StunEvidence& e, const Counts& counts, bool show_attributes, Check& check) {
  if (e.local.port != 0) check.facts.push_back({"local_address", e.local.to_string()});
  check.facts.push_back({"requests.sent", integer(e.requests.size())});
  check.facts.push_back({"requests.answered", integer(counts.answered)});
  check.facts.push_back({"requests.answered_at_once", integer(counts.at_once)});
  check.facts.push_back({"requests.most_sends", std::int64_t{counts.most_sends}});
  if (!counts.rtt_ms.empty()) {
    const auto [least, most] = std::minmax_element(counts.rtt_ms.begin(), counts.rtt_ms.end());
    std::vector<double> sorted = counts.rtt_ms;
    std::sort(sorted.begin(), sorted.end());
    check.facts.push_back({"rtt_ms.min", *least});
    check.facts.push_back({"rtt_ms.median", sorted[sorted.size() / 2]});
    check.facts.push_back({"rtt_ms.max", *most});
  }
  if (e.target.transport == Transport::kTcp || e.target.transport == Transport::kTls) {
    check.facts.push_back({"connect_ms", e.connect_ms});
  }
  if (!e.protection.empty()) {
    check.facts.push_back({"protection", e.protection});
    check.facts.push_back({"handshake_ms", e.handshake_ms});
  }
  const BindingOutcome* request = first_success(e);
  if (request == nullptr) request = first_error(e);
  if (request == nullptr) return;
  const StunAnswer& answer = *request->answer;
  const auto add = [&check](const char* key, const std::optional<Address>& address) {
    if (address) check.facts.push_back({key, address->to_string()});
  };
  check.facts.push_back({"answered_by", answer.source.to_string()});
  add("xor_mapped_address", answer.xor_mapped);
  add("mapped_address", answer.mapped);
  add("response_origin", answer.origin);
  add("other_address", answer.other);
  add("alternate_server", answer.alternate);
  if (!answer.software.empty()) check.facts.push_back({"software", answer.software});
  check.facts.push_back({"fingerprint", answer.fingerprint});
  if (answer.error_code != 0) check.facts.push_back({"error.code", std::int64_t{answer.error_code}});
  if (!answer.reason.empty()) check.facts.push_back({"error.reason", answer.reason});
  if (!show_attributes) return;
  std::vector<std::string> attributes;
  for (const AttributeSeen& attribute : answer.attributes) attributes.push_back(attribute.text);
  for (const std::string& attribute : attributes) check.details.push_back("  " + attribute);
  check.facts.push_back({"attributes", std::move(attributes)});
}

void tell_server(const StunEvidence& e, Check& check) {
  const BindingOutcome* request = first_success(e);
  if (request == nullptr) request = first_error(e);
  if (request == nullptr) return;
  const StunAnswer& answer = *request->answer;
  std::string text;
  if (!answer.software.empty()) text = fmt::format("The server calls itself \"{}\"", answer.software);
  if (answer.other) {
    text += fmt::format("{} its other address for NAT tests is {}", text.empty() ? "The server says that" : ";",
                        answer.other->to_string());
  }
  if (!text.empty()) check.details.push_back(text + ".");
  if (!e.protection.empty()) check.details.push_back(fmt::format("Over {}.", e.protection));
}

}  // namespace

client::RetransmitConfig schedule_of(Patience patience) {
  client::RetransmitConfig out;  // 39.5 s
  if (patience == Patience::kNormal) out.sends = 4, out.last_wait = 4;
  if (patience == Patience::kFast) out.sends = 3, out.last_wait = 2;
  return out;
}

Check judge_stun(const StunEvidence& e, bool show_attributes) {
  Check check = begin(e);
  const Counts counts = count(e);
  if (!e.local_error.empty()) {
    set(check, Verdict::kFail, Confidence::kHigh, "own-system-refuses", name_of(check) + ": " + e.local_error);
    check.advice.emplace_back("Check this host's addresses, network, VPN and routes.");
  } else if (judge_connection(e, check)) {
    // said
  } else if (const BindingOutcome* request = first_success(e)) {
    judge_success(e, *request, counts, check);
  } else if (const BindingOutcome* refused = first_error(e)) {
    judge_error(e, *refused, check);
  } else {
    judge_nothing(e, check);
  }
  tell_server(e, check);
  add_facts(e, counts, show_attributes, check);
  return check;
}

void weigh_alternatives(const std::vector<StunEvidence>& evidence, std::vector<Check>& checks) {
  for (std::size_t i = 0; i < checks.size(); ++i) {
    if (checks[i].status != Verdict::kFail || evidence[i].target.srv.empty()) continue;
    for (std::size_t j = 0; j < checks.size(); ++j) {
      const bool same = evidence[j].target.srv == evidence[i].target.srv && checks[j].family == checks[i].family;
      if (!same || (checks[j].status != Verdict::kPass && checks[j].status != Verdict::kWarn)) continue;
      checks[i].status = Verdict::kWarn;
      checks[i].details.push_back(
          fmt::format("{} of the same SRV record answers, so clients find a server, but late.", checks[j].target));
      break;
    }
  }
}

}  // namespace turnkit::probe
