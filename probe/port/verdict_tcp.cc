// The verdict on TCP. A connection proves both directions up to whatever accepted it; silence after that leaves open
// who that is.
#include <fmt/core.h>

#include <cstring>

#include "probe/port/icmp.h"
#include "probe/port/verdict.h"
#include "probe/port/verdict_common.h"

namespace turnkit::probe {
namespace {

void judge_answered(const TcpEvidence& e, Check& check) {
  set_directions(check, PathState::kWorks, PathState::kWorks);
  set(check, Verdict::kPass, Confidence::kHigh, "both-directions",
      fmt::format("{}: both directions work", name_of(check)));
  check.details.push_back(
      fmt::format("Connected in {:.2f} ms; {} of {} messages answered.", e.connect_ms, e.answered, e.sent));
  add_rtt(check, e.rtt_ms);
  add_mapping(check, e.mapped, e.local);
}

void judge_connected_silence(const TcpEvidence& e, const std::string& host, Check& check) {
  check.details.push_back(fmt::format("Connected in {:.2f} ms.", e.connect_ms));
  if (e.closed_on_text) {
    // What pion's ICE-TCP mux does: a framed Binding request waits for its owner, a length above 512 closes the
    // connection.
    set_directions(check, PathState::kWorks, PathState::kWorks);
    set(check, Verdict::kPass, Confidence::kMedium, "reacts-like-ice-tcp",
        fmt::format("{}: both directions work; it reacts as rtcd's ICE-TCP does", name_of(check)));
    check.details.push_back("It kept a framed STUN request waiting, and closed the connection on a line of text.");
    return;
  }
  if (e.closed_on_frame) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow, "closed-at-once",
        fmt::format("{}: it accepts and {} the connection without a word", name_of(check),
                    e.reset ? "resets" : "closes"));
    check.advice.push_back(
        "A load balancer without a healthy backend does that, and so do services that expect another protocol. Run "
        "this there "
        "instead of the service, then this check again:");
    check.next.push_back(listen_command(e.target.port));
    return;
  }
  if (!e.acknowledged) {
    set_directions(check, PathState::kUnknown, PathState::kUnknown);
    set(check, Verdict::kFail, Confidence::kMedium, "data-not-acknowledged",
        fmt::format("{}: a connection opens, but data on it is never acknowledged", name_of(check)));
    check.advice.push_back(
        "A filter on the way lets the handshake pass and drops data. Look at deep packet inspection and asymmetric "
        "routes.");
    return;
  }
  set(check, Verdict::kUnconfirmed, Confidence::kMedium, "connected-silent",
      fmt::format("{}: it connects and acknowledges data, but says nothing", name_of(check)));
  check.details.push_back(
      "The path works both ways as far as whatever accepted the connection. That may be the service (rtcd is silent to "
      "strangers), netcat, or a proxy in front of nothing.");
  check.advice.push_back(
      fmt::format("If 'nc -l -p {}' runs there, the line of text shows in it: type an answer within the time that "
                  "--wait gives. Or run "
                  "this there, then this check again towards {}:",
                  e.target.port, host));
  check.next.push_back(listen_command(e.target.port));
}

void judge_refused(const TcpEvidence& e, Check& check) {
  set_directions(check, PathState::kWorks, PathState::kWorks);
  set(check, Verdict::kFail, Confidence::kHigh, "refused",
      fmt::format("{}: refused; the host was reached, but nothing listens there (or a REJECT rule resets)",
                  name_of(check)));
  check.details.push_back(fmt::format("A reset came back after {:.2f} ms, so packets pass both ways.", e.connect_ms));
  check.advice.push_back(
      "Start the service there, or look for a REJECT rule in a firewall. To check the path, run there:");
  check.next.push_back(listen_command(e.target.port));
}

void judge_timeout(const TcpEvidence& e, Check& check) {
  const ServerAccount& account = e.account;
  const std::string told = fmt::format("it says so over {} {}", via_name(account.via), account.via_port);
  if (account.via != AccountVia::kNone && account.half_open + account.accepted > 0) {
    set_directions(check, PathState::kWorks, PathState::kFails);
    set(check, Verdict::kFail, Confidence::kHigh, "server-to-client-dropped",
        fmt::format("{}: server->client is dropped", name_of(check)));
    check.details.push_back(
        fmt::format("The server received the connection request and answered it, but no answer came back; {}.", told));
    check.advice.push_back(
        "Look at outbound rules on the server, stateless filters (network ACLs) on the way back, return routes, and "
        "this host's own "
        "firewall.");
    return;
  }
  if (account.via != AccountVia::kNone && account.listening) {
    set_directions(check, PathState::kFails, PathState::kUnknown);
    set(check, Verdict::kFail, Confidence::kHigh, "client-to-server-dropped",
        fmt::format("{}: client->server is dropped", name_of(check)));
    check.details.push_back(fmt::format("The server received no connection request; {}.", told));
    check.advice.push_back(
        "Open TCP in the security group and the firewalls in front of the server, forward the port for TCP too, and "
        "check that this "
        "network lets it out.");
    return;
  }
  set(check, Verdict::kFail, Confidence::kHigh, "no-answer",
      fmt::format("{}: no connection, the request got no answer in {:.1f} s; which direction drops is not known",
                  name_of(check), e.connect_ms / 1000));
  check.details.push_back(
      "A host that is up always answers a connection request: a firewall drops it or its answer, or no host has this "
      "address.");
  check.advice.push_back("To learn which direction fails, run this there, then this check again for UDP and TCP:");
  check.next.push_back(listen_command(e.target.port));
}

void add_facts(const TcpEvidence& e, Check& check) {
  const auto integer = [](auto value) { return static_cast<std::int64_t>(value); };
  add_common_facts(check, e.local, e.mapped, e.nonce, e.icmp, e.foreign, e.rtt_ms);
  check.facts.push_back({"connected", e.connect == Connect::kConnected});
  check.facts.push_back({"connect_ms", e.connect_ms});
  if (e.connect_errno != 0) check.facts.push_back({"connect_error", std::string(std::strerror(e.connect_errno))});
  check.facts.push_back({"sent", integer(e.sent)});
  check.facts.push_back({"answered", integer(e.answered)});
  if (e.connect == Connect::kConnected) check.facts.push_back({"acknowledged", e.acknowledged});
  if (e.account.via != AccountVia::kNone) add_account_facts(check, e.account);
}

void judge_unconnected(const TcpEvidence& e, Check& check) {
  const IcmpSeen* icmp = deciding(e.icmp);
  if (icmp != nullptr) {
    judge_icmp(*icmp, e.target, e.local, check);
  } else if (e.connect == Connect::kRefused) {
    judge_refused(e, check);
  } else if (e.connect == Connect::kTimeout) {
    judge_timeout(e, check);
  } else {
    judge_own_system(e.connect_errno, check);
  }
}

}  // namespace

Check judge_tcp(const TcpEvidence& e, const std::string& host) {
  Check check = new_check(Protocol::kTcp, e.target);
  if (e.connect != Connect::kConnected) {
    judge_unconnected(e, check);
  } else if (e.answered != 0) {
    judge_answered(e, check);
  } else if (e.foreign.kind != Foreign::kNone) {
    judge_foreign(
        e.foreign,
        "It is not a media server such as rtcd: check what owns the port, and that no web proxy stands in between.",
        check);
  } else if (e.other_version) {
    judge_other_version(check);
  } else {
    judge_connected_silence(e, host, check);
  }
  add_facts(e, check);
  return check;
}

}  // namespace turnkit::probe
