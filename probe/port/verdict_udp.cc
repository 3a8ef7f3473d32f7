// The verdict on UDP: rules in order of what proves most. See verdict_common.h for what both protocols share.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "probe/port/icmp.h"
#include "probe/port/verdict.h"
#include "probe/port/verdict_common.h"

namespace turnkit::probe {
namespace {

constexpr double kNotableLoss = 5;  // per cent

double loss_percent(std::uint64_t sent, std::uint64_t received) {
  return sent == 0 || received >= sent ? 0 : 100.0 * static_cast<double>(sent - received) / static_cast<double>(sent);
}

// The listener may have counted more than we sent successfully when a send failed late; never show more than 100%.
std::uint32_t received_there(const UdpEvidence& e) { return std::min<std::uint32_t>(e.account.received, e.sent); }

bool has_account(const UdpEvidence& e) { return e.account.via != AccountVia::kNone; }

void judge_answered(const UdpEvidence& e, Check& check) {
  const std::uint32_t there = received_there(e);
  const double to_server = loss_percent(e.sent, there);
  const double to_client = loss_percent(e.account.sent, e.answered);
  const bool lossy = std::max(to_server, to_client) >= kNotableLoss;
  set_directions(check, PathState::kWorks, PathState::kWorks);
  set(check, lossy ? Verdict::kWarn : Verdict::kPass, Confidence::kHigh, lossy ? "loss" : "both-directions",
      fmt::format("{}: both directions work{}", name_of(check), lossy ? ", with loss" : ""));
  check.details.push_back(
      fmt::format("client->server: {} of {} arrived ({:.1f}% lost); server->client: {} of {} arrived ({:.1f}% lost).",
                  there, e.sent, to_server, e.answered, e.account.sent, to_client));
  if (to_server >= kNotableLoss || to_client >= kNotableLoss) {
    const bool first_is_worse = to_server >= to_client;
    check.advice.push_back(
        fmt::format("Look for loss {}: {}.", first_is_worse ? "from here to the server" : "from the server to here",
                    "a full link, Wi-Fi, or a rate limit in a firewall; run it again with --count 400"));
  }
  add_rtt(check, e.rtt_ms);
  add_mapping(check, e.mapped, e.local);
  if (e.answered_by) {
    check.status = Verdict::kWarn;
    check.reason = "answered-by-another-address";
    check.details.push_back(fmt::format("Answers come from {} instead of {}: most NATs and firewalls will drop them.",
                                        e.answered_by->to_string(), e.target.to_string()));
    check.advice.push_back(
        "Make the server answer from the address that it was asked at: look at its NAT and its policy routes.");
  }
}

// Nothing came back, but the listener has told over another way what it saw.
void judge_by_account(const UdpEvidence& e, const std::string& host, Check& check) {
  const ServerAccount& account = e.account;
  if (account.received > 0) {
    const std::string arrived = fmt::format("{} of {}", received_there(e), e.sent);
    set_directions(check, PathState::kWorks, PathState::kFails);
    if (account.sent == 0 && account.send_errors > 0) {
      set(check, Verdict::kFail, Confidence::kHigh, "server-refuses-to-send",
          fmt::format("{}: the server's own system refuses to send the answers ({})", name_of(check),
                      std::strerror(account.send_errno)));
      check.details.push_back(fmt::format("The server received {} packets and could send none.", arrived));
      check.advice.push_back("Look at the server's own firewall (output rules) and routes.");
      return;
    }
    set(check, Verdict::kFail, Confidence::kHigh, "server-to-client-dropped",
        fmt::format("{}: server->client is dropped", name_of(check)));
    check.details.push_back(
        fmt::format("The server received {} packets and answered {}; none came back.", arrived, account.sent));
    check.advice.push_back(
        "Packets get in but not out. Look at outbound rules on the server, stateless filters (network ACLs) on the way "
        "back, return routes, and this host's own firewall.");
    return;
  }
  if (!account.listening) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow, "listener-on-other-port",
        fmt::format("{}: the listener on {} does not have UDP {} open", name_of(check), host, e.target.port));
    check.advice.push_back("Run there:");
    check.next.push_back(listen_command(e.target.port));
    return;
  }
  set_directions(check, PathState::kFails, PathState::kUnknown);
  set(check, Verdict::kFail, Confidence::kHigh, "client-to-server-dropped",
      fmt::format("{}: client->server is dropped", name_of(check)));
  check.details.push_back(fmt::format("The server received 0 of {} packets; it says so over {} {}.", e.sent,
                                      via_name(account.via), account.via_port));
  check.advice.push_back(
      "Packets do not get in. Open UDP in the security group and the firewalls in front of the server, forward the "
      "port for UDP too, and check that this network lets UDP out.");
}

void judge_silence(const UdpEvidence& e, const std::string& host, Check& check) {
  set(check, Verdict::kUnconfirmed, Confidence::kLow, "silence", fmt::format("{}: nothing came back", name_of(check)));
  check.details.push_back(fmt::format(
      "{} packets left, no answer and no ICMP error within {:.1f} s. A service that ignores strangers (a running "
      "rtcd does) and a firewall that drops look the same from here.",
      e.sent, static_cast<double>(e.waited.count()) / 1000));
  check.advice.push_back(fmt::format(
      "With netcat there ('nc -l -u -p {}'), run this check with --wait 60 and type a line there.", e.target.port));
  check.advice.push_back(fmt::format(
      "To learn which direction works, stop the service on {}, run this there, then this check again:", host));
  check.next.push_back(listen_command(e.target.port));
}

void add_facts(const UdpEvidence& e, Check& check) {
  const auto integer = [](auto value) { return static_cast<std::int64_t>(value); };
  add_common_facts(check, e.local, e.mapped, e.nonce, e.icmp, e.foreign, e.rtt_ms);
  check.facts.push_back({"sent", integer(e.sent)});
  check.facts.push_back({"answered", integer(e.answered)});
  check.facts.push_back({"duplicates", integer(e.duplicates)});
  check.facts.push_back({"send_errors", integer(e.send_errors)});
  if (e.send_errno != 0) check.facts.push_back({"send_error", std::string(std::strerror(e.send_errno))});
  if (e.answered_by) check.facts.push_back({"answered_by", e.answered_by->to_string()});
  check.facts.push_back({"waited_ms", integer(e.waited.count())});
  if (!has_account(e)) return;
  add_account_facts(check, e.account);
  check.facts.push_back({"loss_percent.client_to_server", loss_percent(e.sent, received_there(e))});
  if (e.account.sent != 0)
    check.facts.push_back({"loss_percent.server_to_client", loss_percent(e.account.sent, e.answered)});
}

}  // namespace

Check judge_udp(const UdpEvidence& e, const std::string& host) {
  Check check = new_check(Protocol::kUdp, e.target);
  const IcmpSeen* icmp = deciding(e.icmp);
  if (e.answered != 0) {
    judge_answered(e, check);
  } else if (e.foreign.kind != Foreign::kNone) {
    judge_foreign(
        e.foreign,
        "It is not a media server such as rtcd, which never answers strangers: check what owns the port there.", check);
  } else if (e.other_version) {
    judge_other_version(check);
  } else if (e.sent == 0) {
    judge_own_system(e.send_errno, check);
  } else if (icmp != nullptr) {
    judge_icmp(*icmp, e.target, e.local, check);
  } else if (has_account(e)) {
    judge_by_account(e, host, check);
  } else {
    judge_silence(e, host, check);
  }
  add_facts(e, check);
  return check;
}

}  // namespace turnkit::probe
