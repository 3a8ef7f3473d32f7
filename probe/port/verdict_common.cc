#include "probe/port/verdict_common.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "probe/options.h"
#include "probe/port/icmp.h"
#include "probe/port/verdict.h"

namespace turnkit::probe {
namespace {

std::string direction_name(PathState direction) {
  if (direction == PathState::kUnknown) return "unknown";
  return direction == PathState::kWorks ? "works" : "fails";
}

std::string reporter_clause(const IcmpSeen& icmp, const Address& target, const Address& local) {
  if (icmp.reporter == target.ip) return "the host itself";
  if (icmp.reporter == local.ip) return "this host's own firewall or routing";
  return fmt::format("{}, a router or firewall on the way,", icmp.reporter.to_string());
}

}  // namespace

Check new_check(Protocol protocol, const Address& target) {
  Check check;
  check.protocol = protocol_name(protocol);
  check.family = target.ip.is_v4() ? "IPv4" : "IPv6";
  check.target = target.to_string();
  check.id = fmt::format("{}-{}-{}", protocol == Protocol::kUdp ? "udp" : "tcp", target.port,
                         target.ip.is_v4() ? "ipv4" : "ipv6");
  set_directions(check, PathState::kUnknown, PathState::kUnknown);
  return check;
}

std::string name_of(const Check& check) { return check.protocol + " " + check.target; }

void set(Check& check, Verdict status, Confidence confidence, std::string reason, std::string headline) {
  check.status = status;
  check.confidence = confidence;
  check.reason = std::move(reason);
  check.headline = std::move(headline);
}

void set_directions(Check& check, PathState client_to_server, PathState server_to_client) {
  std::erase_if(check.facts, [](const Fact& fact) { return fact.key.starts_with("directions."); });
  check.facts.push_back({"directions.client_to_server", direction_name(client_to_server)});
  check.facts.push_back({"directions.server_to_client", direction_name(server_to_client)});
}

std::string listen_command(std::uint16_t port) {
  return port == kDefaultPort ? "turn-probe listen" : fmt::format("turn-probe listen --udp={0} --tcp={0}", port);
}

std::string_view via_name(AccountVia via) {
  switch (via) {
    case AccountVia::kOverTcp:
      return "TCP";
    case AccountVia::kOverUdp:
      return "UDP";
    case AccountVia::kSamePort:
      return "the same port";
    case AccountVia::kNone:
      break;
  }
  return "none";
}

std::string_view foreign_name(Foreign kind) {
  switch (kind) {
    case Foreign::kEcho:
      return "an echo service";
    case Foreign::kStun:
      return "a STUN or TURN server";
    case Foreign::kDtls:
      return "a DTLS server";
    case Foreign::kTls:
      return "a TLS server";
    case Foreign::kHttp:
      return "an HTTP server";
    case Foreign::kSsh:
      return "an SSH server";
    case Foreign::kText:
      return "netcat or a person";
    case Foreign::kNone:
    case Foreign::kOther:
      break;
  }
  return "something that is not 'turn-probe listen'";
}

std::string foreign_reason(Foreign kind) {
  switch (kind) {
    case Foreign::kEcho:
      return "echo-service";
    case Foreign::kStun:
      return "stun-server";
    case Foreign::kDtls:
      return "dtls-server";
    case Foreign::kTls:
      return "tls-server";
    case Foreign::kHttp:
      return "http-server";
    case Foreign::kSsh:
      return "ssh-server";
    case Foreign::kText:
      return "text-answer";
    case Foreign::kNone:
    case Foreign::kOther:
      break;
  }
  return "other-answer";
}

Quantiles quantiles(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const auto rank = [&samples](double q) {
    const auto n = static_cast<std::size_t>(std::ceil(q * static_cast<double>(samples.size())));
    return samples[std::max<std::size_t>(n, 1) - 1];
  };
  return {samples.front(), rank(0.5), rank(0.95)};
}

void add_rtt(Check& check, const std::vector<double>& rtt_ms) {
  if (rtt_ms.empty()) return;
  const Quantiles q = quantiles(rtt_ms);
  // With fewer than 20 samples the 95% quantile is the worst one.
  check.details.push_back(fmt::format("Round trip: {:.2f} ms at best, {:.2f} median, {:.2f} {}.", q.min, q.median,
                                      q.p95, rtt_ms.size() < 20 ? "at worst" : "at 95%"));
}

void add_mapping(Check& check, const std::optional<Address>& mapped, const Address& local) {
  if (!mapped) return;
  if (*mapped == local) {
    check.details.push_back(fmt::format("The server sees this host as {}: no NAT in between.", mapped->to_string()));
  } else {
    check.details.push_back(fmt::format("The server sees this host as {}; here it is {}: a NAT is in between.",
                                        mapped->to_string(), local.to_string()));
  }
}

void add_common_facts(Check& check, const Address& local, const std::optional<Address>& mapped, const Nonce& nonce,
                      const std::vector<IcmpSeen>& icmp, const ForeignData& foreign,
                      const std::vector<double>& rtt_ms) {
  check.facts.push_back({"session", nonce.hex()});
  if (local.port != 0) check.facts.push_back({"local_address", local.to_string()});
  if (mapped) {
    check.facts.push_back({"observed_address", mapped->to_string()});
    check.facts.push_back({"nat", *mapped != local});
  }
  if (!icmp.empty()) {
    std::vector<std::string> lines;
    for (const IcmpSeen& seen : icmp) {
      lines.push_back(fmt::format("{} from {}, {} times", explain(seen).name, seen.reporter.to_string(), seen.count));
    }
    check.facts.push_back({"icmp", std::move(lines)});
  }
  if (foreign.kind != Foreign::kNone) {
    check.facts.push_back({"other_data.kind", foreign_reason(foreign.kind)});
    check.facts.push_back({"other_data.bytes", static_cast<std::int64_t>(foreign.bytes)});
    check.facts.push_back({"other_data.excerpt", foreign.excerpt});
  }
  if (!rtt_ms.empty()) {
    const Quantiles q = quantiles(rtt_ms);
    check.facts.push_back({"rtt_ms.min", q.min});
    check.facts.push_back({"rtt_ms.median", q.median});
    check.facts.push_back({"rtt_ms.p95", q.p95});
    check.facts.push_back({"rtt_ms.samples", static_cast<std::int64_t>(rtt_ms.size())});
  }
}

void add_account_facts(Check& check, const ServerAccount& account) {
  const auto integer = [](auto value) { return static_cast<std::int64_t>(value); };
  check.facts.push_back({"server.told_over", std::string(via_name(account.via))});
  check.facts.push_back({"server.listening", account.listening});
  check.facts.push_back({"server.received", integer(account.received)});
  check.facts.push_back({"server.sent", integer(account.sent)});
  check.facts.push_back({"server.send_errors", integer(account.send_errors)});
  if (check.protocol == "TCP") {
    check.facts.push_back({"server.half_open", integer(account.half_open)});
    check.facts.push_back({"server.accepted", integer(account.accepted)});
  }
}

void judge_icmp(const IcmpSeen& icmp, const Address& target, const Address& local, Check& check) {
  const IcmpText text = explain(icmp);
  const std::string who = reporter_clause(icmp, target, local);
  const bool by_target = icmp.reporter == target.ip;
  set_directions(check, PathState::kFails, PathState::kUnknown);
  check.details.push_back(fmt::format("{} says: {}.", by_target ? "The host" : icmp.reporter.to_string(), text.name));
  switch (text.meaning) {
    case IcmpMeaning::kPortClosed:
      set(check, Verdict::kFail, Confidence::kHigh, by_target ? "closed" : "rejected",
          by_target
              ? fmt::format("{}: closed; the host was reached, but nothing listens there (or a REJECT rule says so)",
                            name_of(check))
              : fmt::format("{}: rejected by {} not by the host", name_of(check), who));
      check.advice.push_back(by_target ? "Start the service there, or look for a REJECT rule in its firewall. ICMP "
                                         "does come back, so the path itself works."
                                       : "Ask the owner of that address to open the port.");
      return;
    case IcmpMeaning::kProhibited:
      set(check, Verdict::kFail, Confidence::kHigh, "prohibited",
          fmt::format("{}: administratively prohibited; {} refuses", name_of(check), who));
      check.advice.push_back(by_target ? "Open the port in the firewall of the host itself."
                                       : "Ask the owner of that address to open the port.");
      return;
    case IcmpMeaning::kHostUnreachable:
      set(check, Verdict::kFail, Confidence::kHigh, "host-unreachable",
          fmt::format("{}: {} says that the host cannot be reached", name_of(check), who));
      check.advice.push_back("Check the address, and that the host is up and on that network.");
      return;
    case IcmpMeaning::kNetUnreachable:
    case IcmpMeaning::kOther:
      break;
  }
  set(check, Verdict::kFail, Confidence::kHigh, "network-unreachable",
      fmt::format("{}: {} has no route there", name_of(check), who));
  check.advice.push_back("Check the address, the VPN, and the routes.");
}

void judge_own_system(int error, Check& check) {
  set_directions(check, PathState::kFails, PathState::kUnknown);
  const bool no_route = error == ENETUNREACH || error == EHOSTUNREACH || error == EADDRNOTAVAIL;
  if (no_route) {
    set(check, Verdict::kFail, Confidence::kHigh, "no-route",
        fmt::format("{}: this host has no route there ({})", name_of(check), std::strerror(error)));
    check.advice.push_back("Check the address, and this host's network, VPN and routes.");
    return;
  }
  set(check, Verdict::kFail, Confidence::kHigh, "own-system-refuses",
      fmt::format("{}: this host's own system refuses to send ({})", name_of(check), std::strerror(error)));
  check.advice.push_back("Look at this host's own firewall (output rules).");
}

void judge_other_version(Check& check) {
  set_directions(check, PathState::kWorks, PathState::kWorks);
  set(check, Verdict::kWarn, Confidence::kMedium, "other-version",
      fmt::format("{}: data flows both ways, but 'turn-probe listen' there is of another version", name_of(check)));
  check.advice.push_back("Use the same version at both ends for loss and round-trip times.");
}

void judge_foreign(const ForeignData& foreign, std::string_view advice, Check& check) {
  set_directions(check, PathState::kWorks, PathState::kWorks);
  const bool person = foreign.kind == Foreign::kText || foreign.kind == Foreign::kOther;
  set(check, person ? Verdict::kPass : Verdict::kWarn, Confidence::kHigh, foreign_reason(foreign.kind),
      fmt::format("{}: data flows both ways; {} answered", name_of(check), foreign_name(foreign.kind)));
  check.details.push_back(fmt::format("It sent {} bytes: \"{}\"", foreign.bytes, foreign.excerpt));
  if (!person) check.advice.emplace_back(advice);
}

}  // namespace turnkit::probe
