#include "probe/listen/screen.h"

#include <fmt/chrono.h>
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "probe/listen/verdict.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr auto kPause = milliseconds(700);
constexpr auto kRefresh = milliseconds(2000);
constexpr int kLinesPerTick =
    20;  // a flood of strangers must not take the screen away; the rest waits for the next tick

std::string name_of(const Source& source) {
  return fmt::format("{} {} from {}", protocol_name(source.protocol), source.local.port, source.remote.to_string());
}

std::string ports_option(const PortSelection& ports) {
  const bool standard = ports.udp == std::vector{kDefaultPort} && ports.tcp == std::vector{kDefaultPort};
  if (standard) return {};
  std::string out;
  if (!ports.udp.empty()) out += fmt::format(" --udp={}", fmt::join(ports.udp, ","));
  if (!ports.tcp.empty()) out += fmt::format(" --tcp={}", fmt::join(ports.tcp, ","));
  return out;
}

Check check_of(const Source& source, TimePoint now) {
  const SourceVerdict verdict = judge(source, now);
  Check check;
  check.protocol = protocol_name(source.protocol);
  check.family = source.remote.ip.is_v4() ? "IPv4" : "IPv6";
  check.id = fmt::format("{}-{}-{}", source.protocol == Protocol::kUdp ? "udp" : "tcp", source.local.port,
                         source.remote.to_string());
  check.target = source.local.to_string();
  check.status = verdict.status;
  check.confidence = verdict.confidence;
  check.reason = verdict.reason;
  check.headline = name_of(source) + ": " + verdict.sentence;
  if (!source.text.empty()) check.details.push_back("The last line: \"" + source.text + "\"");
  if (!verdict.advice.empty()) check.advice.push_back(verdict.advice);
  const auto ago_ms = std::chrono::duration_cast<milliseconds>(now - source.last_seen).count();
  check.facts = {{"source", source.remote.to_string()},
                 {"peer", std::string(peer_name(source.kind))},
                 {"packets", static_cast<std::int64_t>(source.packets)},
                 {"bytes", static_cast<std::int64_t>(source.bytes)},
                 {"answered", static_cast<std::int64_t>(source.answers)},
                 {"rate_limited", static_cast<std::int64_t>(source.limited)},
                 {"send_errors", static_cast<std::int64_t>(source.send_errors)},
                 {"last_seen_ms_ago", static_cast<std::int64_t>(ago_ms)}};
  if (source.kind == PeerKind::kTurnProbe) {
    check.facts.push_back({"session", source.nonce.hex()});
    check.facts.push_back({"peer_sent", static_cast<std::int64_t>(source.peer_sent)});
    check.facts.push_back({"received", static_cast<std::int64_t>(source.sequences.distinct())});
    check.facts.push_back({"confirmed", static_cast<std::int64_t>(source.confirmed)});
  }
  if (!source.text.empty()) check.facts.push_back({"last_line", source.text});
  return check;
}

Check check_of(const HalfOpenClient& client) {
  const SourceVerdict verdict = judge_half_open();
  Check check;
  check.id = fmt::format("tcp-{}-{}-half-open", client.second, client.first.to_string());
  check.target = fmt::format("TCP {}", client.second);
  check.family = client.first.is_v4() ? "IPv4" : "IPv6";
  check.protocol = "TCP";
  check.status = verdict.status;
  check.confidence = verdict.confidence;
  check.reason = verdict.reason;
  check.headline = fmt::format("TCP {} from {}: {}", client.second, client.first.to_string(), verdict.sentence);
  check.advice = {verdict.advice};
  check.facts = {{"source", client.first.to_string()}};
  return check;
}

Check nothing_arrived(const PortSelection& ports, const std::vector<std::string>& commands) {
  Check check;
  check.id = "nothing-arrived";
  check.target = describe(ports);
  check.status = Verdict::kUnconfirmed;
  check.reason = "nothing-arrived";
  check.headline = "Nothing arrived on " + describe(ports) + ".";
  check.advice = {
      "If a client did try meanwhile, its packets stop before this host: a cloud security group, a firewall in front, "
      "a missing port "
      "forward, or the wrong address. Otherwise run this on a client while this command runs:"};
  check.next = commands;
  return check;
}

}  // namespace

std::string describe(const PortSelection& ports) {
  std::string out;
  if (!ports.udp.empty()) out = fmt::format("UDP {}", fmt::join(ports.udp, ", "));
  if (!ports.udp.empty() && !ports.tcp.empty()) out += " and ";
  if (!ports.tcp.empty()) out += fmt::format("TCP {}", fmt::join(ports.tcp, ", "));
  return out;
}

std::vector<std::string> client_commands(const PortSelection& ports,
                                         const std::vector<net::InterfaceAddress>& addresses) {
  std::vector<std::string> out;
  for (const net::InterfaceAddress& address : addresses) {
    if (address.ip.is_loopback() || address.ip.is_link_local()) continue;
    out.push_back(fmt::format("turn-probe port {}{}", address.ip.to_string(), ports_option(ports)));
  }
  if (out.empty()) out.push_back("turn-probe port HOST" + ports_option(ports));
  return out;
}

void Screen::print(std::string_view line) {
  if (quiet_) return;
  const auto clock = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  fmt::print(out_, "{:%H:%M:%S} {}\n", fmt::localtime(std::chrono::system_clock::to_time_t(clock)), line);
  std::fflush(out_);
}

void Screen::welcome(const PortSelection& ports, const std::vector<std::string>& commands) {
  if (quiet_) {
    fmt::print(stderr, "Listening on {}. Ctrl-C ends with the report.\n", describe(ports));
    return;
  }
  fmt::print(out_,
             "Listening on {}. Ctrl-C ends with a summary.\nRun on the client, with the address that clients use:\n",
             describe(ports));
  for (const std::string& command : commands) fmt::print(out_, "  {}\n", command);
  if (!ports.udp.empty())
    fmt::print(out_, "or: nc -v -u HOST {}, then type a line: it comes back.\n", ports.udp.front());
  fmt::print(out_, "\n");
  std::fflush(out_);
}

void Screen::line_arrived(const Source& source) { print(fmt::format("{} says \"{}\"", name_of(source), source.text)); }

bool Screen::show(const Source& source, Shown& shown, TimePoint now) {
  const SourceVerdict verdict = judge(source, now);
  // A turn-probe's session is worth a line when it is complete or pauses, everybody else's at once.
  const bool is_new = shown.at == TimePoint{};
  const bool under_way = source.kind == PeerKind::kTurnProbe && source.protocol == Protocol::kUdp && !source.finished;
  const bool has_paused = now - source.last_seen >= kPause;
  const TimePoint since = is_new ? source.first_seen : shown.at;
  // Strangers, such as netcat with its test bytes, when they have doubled their packets.
  const bool has_grown =
      source.kind == PeerKind::kTurnProbe ? source.packets != shown.packets : source.packets >= 2 * shown.packets;
  const bool is_due = has_grown && (has_paused || now - since >= kRefresh);
  const bool has_turned = verdict.reason != shown.reason && has_paused;
  if (is_new && under_way && !is_due) return false;
  if (!is_new && !is_due && !has_turned) return false;
  const bool differs = verdict.sentence != shown.sentence;
  if (differs) print(fmt::format("{} {}: {}", colored(verdict.status, color_), name_of(source), verdict.sentence));
  shown = {source.packets, now, verdict.sentence, verdict.reason};
  return differs;
}

void Screen::tick(const SourceTable& sources, const std::set<HalfOpenClient>& half_open, TimePoint now) {
  std::erase_if(shown_, [&sources](const auto& entry) { return sources.find(entry.first) == nullptr; });
  int budget = kLinesPerTick;
  for (const auto& [key, source] : sources.all()) {
    if (budget > 0 && show(source, shown_[key], now)) --budget;
  }
  for (const HalfOpenClient& client : half_open) {
    if (!shown_half_open_.insert(client).second) continue;
    const Check check = check_of(client);
    print(colored(check.status, color_) + " " + check.headline);
  }
}

void Screen::summary(const Report& report) {
  if (quiet_) return;
  fmt::print(out_, "\n{}", to_text(report, color_));
  std::fflush(out_);
}

Report listener_report(const SourceTable& sources, const std::set<HalfOpenClient>& half_open,
                       const PortSelection& ports, const std::vector<std::string>& commands, TimePoint now) {
  Report report;
  report.command = "listen";
  for (const auto& entry : sources.all()) report.checks.push_back(check_of(entry.second, now));
  for (const HalfOpenClient& client : half_open) report.checks.push_back(check_of(client));
  // A scanner's stray packet beside a client that got through leaves the verdict with the client.
  const bool got_through = std::any_of(report.checks.begin(), report.checks.end(), [](const Check& check) {
    return check.status == Verdict::kPass || check.status == Verdict::kWarn;
  });
  if (overall(report.checks) == Verdict::kUnconfirmed && got_through) report.verdict = Verdict::kPass;
  if (report.checks.empty()) report.checks.push_back(nothing_arrived(ports, commands));
  return report;
}

}  // namespace turnkit::probe
