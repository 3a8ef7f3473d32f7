#include "probe/listen/verdict.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstring>

namespace turnkit::probe {
namespace {

using std::chrono::seconds;

constexpr std::uint64_t kEnoughAnswers = 3;
constexpr auto kLongEnough = seconds(1);  // for an answer to arrive and be confirmed by a later packet
constexpr double kNotableLoss = 5;        // per cent

double loss_percent(std::uint64_t sent, std::uint64_t received) {
  return sent == 0 || received >= sent ? 0 : 100.0 * static_cast<double>(sent - received) / static_cast<double>(sent);
}

std::string answered_clause(const Source& s) {
  std::string out = fmt::format("{} of {} packets arrived, it confirms {} of {} answers", s.sequences.distinct(),
                                std::max(s.peer_sent, s.sequences.distinct()), s.confirmed, s.answers);
  if (s.limited != 0) out += fmt::format(" ({} not answered because of the rate limit)", s.limited);
  return out;
}

std::string counted(std::uint64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

SourceVerdict judge_udp_probe(const Source& s, TimePoint now) {
  if (s.confirmed != 0) {
    const double to_here = loss_percent(s.peer_sent, s.sequences.distinct());
    const double back = s.finished ? loss_percent(s.answers, s.confirmed) : 0;
    if (std::max(to_here, back) >= kNotableLoss) {
      return {Verdict::kWarn, Confidence::kHigh, "loss", "both directions work, with loss: " + answered_clause(s), ""};
    }
    return {Verdict::kPass, Confidence::kHigh, "both-directions", "both directions work: " + answered_clause(s), ""};
  }
  if (s.sequences.distinct() == 0) {
    return {Verdict::kNotApplicable, Confidence::kHigh, "question",
            "asked about a connection over TCP and was answered", ""};
  }
  if (s.answers == 0 && s.send_errors != 0) {
    return {Verdict::kFail, Confidence::kHigh, "send-refused",
            fmt::format("packets arrive, but this host refuses to send the answers: {}", std::strerror(s.send_errno)),
            "Look at this host's own firewall (output rules) and routes."};
  }
  const bool had_time = s.finished || now - s.first_answer >= kLongEnough;
  const bool keeps_sending = s.finished || s.last_seen - s.first_answer >= kLongEnough;
  if (s.answers >= kEnoughAnswers && had_time && keeps_sending) {
    return {Verdict::kFail, Confidence::kHigh, "server-to-client-dropped",
            fmt::format("{} arrived, but it confirms none of the {} answers: server->client is dropped",
                        counted(s.sequences.distinct(), "packet"), s.answers),
            "Look at outbound firewall rules here and on the way, at return routes, and at the client's own firewall."};
  }
  return {
      Verdict::kUnconfirmed, Confidence::kLow, "in-progress",
      fmt::format("{} arrived, {} answered, none confirmed yet", counted(s.sequences.distinct(), "packet"), s.answers),
      ""};
}

SourceVerdict judge_other_udp(const Source& s) {
  const std::string who(peer_name(s.kind));
  if (s.kind == PeerKind::kOtherVersion) {
    return {Verdict::kUnconfirmed, Confidence::kMedium, "other-version",
            fmt::format("{} from {} arrived: client->server works", counted(s.packets, "packet"), who),
            "Use the same version at both ends."};
  }
  if (s.kind == PeerKind::kText && s.answers != 0) {
    return {Verdict::kUnconfirmed, Confidence::kMedium, "text-echoed",
            fmt::format("{} ({}) from {} arrived: client->server works; {} sent back", counted(s.packets, "packet"),
                        counted(s.bytes, "byte"), who, counted(s.answers, "line")),
            "If the line shows a second time at the other end, server->client works too."};
  }
  return {Verdict::kUnconfirmed, Confidence::kMedium, "data-arrived",
          fmt::format("{} ({}) from {} arrived: client->server works; nothing sent back", counted(s.packets, "packet"),
                      counted(s.bytes, "byte"), who),
          s.kind == PeerKind::kText ? "Let the other end type a line and press Enter: it comes back." : ""};
}

SourceVerdict judge_tcp(const Source& s) {
  if (s.kind == PeerKind::kTurnProbe) {
    return {Verdict::kPass, Confidence::kHigh, "both-directions",
            fmt::format("both directions work: {} arrived", counted(s.packets, "message")), ""};
  }
  if (s.kind == PeerKind::kSilent) {
    return {Verdict::kPass, Confidence::kMedium, "connected", "connected: both directions work; no data yet", ""};
  }
  return {Verdict::kPass, Confidence::kHigh, "data-arrived",
          fmt::format("connected, {} from {}: both directions work", counted(s.bytes, "byte"), peer_name(s.kind)), ""};
}

// A turn-probe that came this way to ask why it gets nothing the other way.
SourceVerdict judge_missing(const Source& s) {
  const bool over_tcp = s.protocol == Protocol::kTcp;
  return {Verdict::kFail, Confidence::kHigh, over_tcp ? "udp-client-to-server-dropped" : "tcp-client-to-server-dropped",
          fmt::format("{} works, but none of its {} to {} port {} arrived: {} client->server is dropped",
                      protocol_name(s.protocol), over_tcp ? "packets" : "connection requests", over_tcp ? "UDP" : "TCP",
                      s.missing_port, over_tcp ? "UDP" : "TCP"),
          "Look at security groups, port forwarding and firewalls in front of this host."};
}

}  // namespace

SourceVerdict judge(const Source& source, TimePoint now) {
  if (source.missing_port != 0) return judge_missing(source);
  if (source.protocol == Protocol::kTcp) return judge_tcp(source);
  return source.kind == PeerKind::kTurnProbe ? judge_udp_probe(source, now) : judge_other_udp(source);
}

SourceVerdict judge_half_open() {
  return {Verdict::kFail, Confidence::kHigh, "server-to-client-dropped",
          "connection requests arrive, but the answers to them are not confirmed: server->client is dropped",
          "Look at outbound firewall rules here and on the way, at return routes, and at the client's own firewall."};
}

}  // namespace turnkit::probe
