// Numbers of a load run for people and programs: see load_report.h.
#include "probe/load/load_report.h"

#include <fmt/core.h>

#include <cmath>

#include "probe/exit_code.h"

namespace turnkit::probe {

namespace {

constexpr double kProfileTolerance = 0.10;
constexpr double kBusy = 0.95;  // of one core

double seconds_of(Duration d) { return std::chrono::duration<double>(d).count(); }
double ms(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string_view name_of(Direction direction) {
  switch (direction) {
    case Direction::kUp:
      return "up";
    case Direction::kDown:
      return "down";
    case Direction::kBoth:
      return "both";
    case Direction::kEcho:
      return "echo";
  }
  return "up";
}

// "up", or the class's own name where there are several.
std::string label_of(const TrafficClass& traffic) {
  return traffic.name.empty() ? std::string(name_of(traffic.direction)) : traffic.name;
}

bool flat_out(const LoadOutcome& outcome) { return !outcome.profile && outcome.options.rate <= 0; }

std::string describe_flow_control(const LoadOutcome& outcome) {
  if (outcome.profile) return "profile " + std::string(outcome.profile->row.name);
  if (outcome.options.rate > 0) return grouped(outcome.options.rate) + " pkt/s";
  if (outcome.options.window == 0) return "flat out, open loop";
  return fmt::format("flat out, at most {} packets under way", outcome.options.window);
}

double loss_percent(std::uint64_t offered, std::uint64_t delivered) {
  if (offered == 0 || delivered >= offered) return 0;
  return 100.0 * static_cast<double>(offered - delivered) / static_cast<double>(offered);
}

std::string latency_line(const Histogram& latency) {
  return fmt::format("p50 {:.3f} ms  p99 {:.3f} ms  p99.9 {:.3f} ms  max {:.3f} ms", ms(latency.quantile(0.5)),
                     ms(latency.quantile(0.99)), ms(latency.quantile(0.999)), ms(latency.max()));
}

void append_class(std::string& text, const TrafficClass& traffic, const ClassResult& result, double seconds) {
  const double offered = static_cast<double>(result.offered) / seconds;
  const double delivered = static_cast<double>(result.delivered) / seconds;
  text += fmt::format("  {:<12}{} B, runs of {}, {} flows\n", label_of(traffic), traffic.size, traffic.run,
                      traffic.flows.size());
  text += fmt::format("    offered   {} pkt/s  {:.1f} Mbit/s\n", grouped(offered), mbps_of(offered, traffic.size));
  text += fmt::format("    delivered {} pkt/s  {:.1f} Mbit/s  loss {:.3f} %", grouped(delivered),
                      mbps_of(delivered, traffic.size), loss_percent(result.offered, result.delivered));
  if (result.reordered != 0) text += fmt::format("  reordered {}", result.reordered);
  text += fmt::format("\n    latency   {}{}\n", latency_line(result.latency),
                      traffic.direction == Direction::kEcho ? "  (round trip)" : "");
}

struct Bandwidth {
  double in = 0;
  double out = 0;
};
Bandwidth offered_bandwidth(const LoadOutcome& outcome, double seconds) {
  Bandwidth sum;
  for (std::size_t i = 0; i < outcome.classes.size(); ++i) {
    const TrafficClass& traffic = outcome.classes[i];
    const double rate = static_cast<double>(outcome.measured.classes[i].offered) / seconds;
    (traffic.direction == Direction::kUp ? sum.in : sum.out) += mbps_of(rate, traffic.size);
  }
  return sum;
}

void append_profile(std::string& text, const LoadOutcome& outcome, double seconds) {
  const ProfileRow& row = outcome.profile->row;
  const Bandwidth offered = offered_bandwidth(outcome, seconds);
  text += fmt::format("  table       in {:g} Mbit/s  out {:g} Mbit/s\n", row.in_mbps, row.out_mbps);
  text += fmt::format("  offered     in {:.1f} Mbit/s ({:+.1f} %)  out {:.1f} Mbit/s ({:+.1f} %)\n", offered.in,
                      100 * (offered.in / row.in_mbps - 1), offered.out, 100 * (offered.out / row.out_mbps - 1));
}

void add_profile_remark(std::vector<std::string>& remarks, const LoadOutcome& outcome, const LoadTotals& totals) {
  const ProfileRow& row = outcome.profile->row;
  const Bandwidth offered = offered_bandwidth(outcome, totals.seconds);
  const bool in_ok = std::abs(offered.in / row.in_mbps - 1) <= kProfileTolerance;
  const bool out_ok = std::abs(offered.out / row.out_mbps - 1) <= kProfileTolerance;
  if (in_ok && out_ok) return;
  std::string why;
  if (outcome.options.calls != 0 && outcome.options.calls != row.calls) {
    why = fmt::format("{} calls were asked for, where the table has {}", outcome.options.calls, row.calls);
  } else if (totals.generator_cores > kBusy) {
    why = "this generator's core was busy all the time; run it on a faster one";
  } else if (outcome.measured.refused != 0) {
    why = fmt::format("this host's kernel refused {} packets; raise net.core.wmem_max", outcome.measured.refused);
  } else {
    why = "the generator was not given enough time on a core; leave it one of its own";
  }
  remarks.push_back("The offered bandwidth differs by more than 10 % from the table's: " + why + ".");
}

}  // namespace

LoadTotals totals_of(const LoadOutcome& outcome) {
  LoadTotals totals;
  const Measurement& measured = outcome.measured;
  totals.seconds = std::max(1e-9, seconds_of(measured.took));
  for (const ClassResult& result : measured.classes) {
    totals.offered += result.offered;
    totals.delivered += result.delivered;
  }
  totals.loss_percent = loss_percent(totals.offered, totals.delivered);
  totals.generator_cores = seconds_of(measured.generator_cpu) / totals.seconds;
  if (measured.server_cpu) {
    totals.server_cores = seconds_of(*measured.server_cpu) / totals.seconds;
    if (measured.delivered_in_time != 0) {
      totals.cpu_us_per_packet =
          1e6 * seconds_of(*measured.server_cpu) / static_cast<double>(measured.delivered_in_time);
    }
  }
  const double made = outcome.set_up.made;
  if (made > 0) {
    totals.allocations_per_second = made / std::max(1e-9, seconds_of(outcome.set_up.took));
    if (outcome.set_up_cpu) totals.cpu_us_per_allocation = 1e6 * seconds_of(*outcome.set_up_cpu) / made;
    if (outcome.resident_before && outcome.resident_after) {
      totals.memory_per_allocation =
          (static_cast<double>(*outcome.resident_after) - static_cast<double>(*outcome.resident_before)) / made;
    }
  }
  return totals;
}

std::vector<std::string> load_remarks(const LoadOutcome& outcome, const LoadTotals& totals) {
  std::vector<std::string> remarks;
  const Measurement& measured = outcome.measured;
  if (outcome.profile) add_profile_remark(remarks, outcome, totals);
  std::uint64_t skipped = 0;
  for (const ClassResult& result : measured.classes) skipped += result.skipped;
  if (skipped != 0) {
    remarks.push_back(fmt::format("{} runs were due while the generator had no time; they were not sent.", skipped));
  }
  if (measured.refused != 0) {
    remarks.push_back(fmt::format("This host's kernel refused {} packets, which count as lost.", measured.refused));
  }
  if (measured.damaged != 0) {
    remarks.push_back(fmt::format("{} packets arrived with content that was not sent.", measured.damaged));
  }
  if (flat_out(outcome) && totals.server_cores && *totals.server_cores < 0.9 && totals.generator_cores > kBusy) {
    remarks.push_back(
        "The generator was the bottleneck, not the server; the CPU time per packet holds, the packets per second are "
        "a lower bound.");
  }
  if (measured.stopped) remarks.push_back("Ended early by the user.");
  return remarks;
}

std::string load_text(const LoadOutcome& outcome) {
  const LoadTotals totals = totals_of(outcome);
  std::string text = fmt::format("turn-probe load: {}, {} allocations, {} peer socket{} on {}, {}, {:.1f} s\n",
                                 outcome.server.to_string(), outcome.allocations, outcome.options.peers,
                                 outcome.options.peers == 1 ? "" : "s", outcome.first_peer.ip.to_string(),
                                 describe_flow_control(outcome), totals.seconds);
  text += fmt::format("  set-up      {} allocations with a channel each in {:.2f} s, {} /s", outcome.set_up.made,
                      seconds_of(outcome.set_up.took), grouped(totals.allocations_per_second));
  if (totals.cpu_us_per_allocation) text += fmt::format(", server CPU {:.0f} us each", *totals.cpu_us_per_allocation);
  text += '\n';
  for (std::size_t i = 0; i < outcome.classes.size(); ++i) {
    append_class(text, outcome.classes[i], outcome.measured.classes[i], totals.seconds);
  }
  if (outcome.profile) append_profile(text, outcome, totals.seconds);
  if (outcome.classes.size() > 1) text += fmt::format("  total loss  {:.3f} %\n", totals.loss_percent);
  if (totals.server_cores) {
    text += fmt::format("  server CPU  {:.1f} % of a core", 100 * *totals.server_cores);
    if (totals.cpu_us_per_packet) {
      text += fmt::format(", {:.2f} us per delivered packet, {} packets per CPU-second", *totals.cpu_us_per_packet,
                          grouped(1e6 / *totals.cpu_us_per_packet));
    }
    text += '\n';
  }
  if (totals.memory_per_allocation) {
    text += fmt::format("  server RAM  {:.1f} KiB per allocation\n", *totals.memory_per_allocation / 1024);
  }
  text += fmt::format("  generator   {:.1f} % of a core", 100 * totals.generator_cores);
  if (outcome.measured.lateness.total() != 0) {
    text += fmt::format(", runs late by p99 {:.3f} ms, max {:.3f} ms", ms(outcome.measured.lateness.quantile(0.99)),
                        ms(outcome.measured.lateness.max()));
  }
  text += '\n';
  for (const std::string& remark : load_remarks(outcome, totals)) text += "  note        " + remark + "\n";
  return text;
}

namespace {

void add_class_facts(std::vector<Fact>& facts, const std::string& prefix, const TrafficClass& traffic,
                     const ClassResult& result, double seconds) {
  const auto add = [&](const char* key, auto value) { facts.push_back({prefix + key, value}); };
  add("direction", std::string(name_of(traffic.direction)));
  add("size", std::int64_t{traffic.size});
  add("run", std::int64_t{traffic.run});
  add("flows", static_cast<std::int64_t>(traffic.flows.size()));
  add("offered", static_cast<std::int64_t>(result.offered));
  add("delivered", static_cast<std::int64_t>(result.delivered));
  add("offered_pps", static_cast<double>(result.offered) / seconds);
  add("delivered_pps", static_cast<double>(result.delivered) / seconds);
  add("offered_mbps", mbps_of(static_cast<double>(result.offered) / seconds, traffic.size));
  add("loss_percent", loss_percent(result.offered, result.delivered));
  add("reordered", static_cast<std::int64_t>(result.reordered));
  add("skipped_runs", static_cast<std::int64_t>(result.skipped));
  add("latency_ms.p50", ms(result.latency.quantile(0.5)));
  add("latency_ms.p99", ms(result.latency.quantile(0.99)));
  add("latency_ms.p999", ms(result.latency.quantile(0.999)));
  add("latency_ms.max", ms(result.latency.max()));
}

}  // namespace

int load_exit_code(const LoadOutcome& outcome, const LoadTotals& totals) {
  if (totals.delivered == 0) return kExitFail;
  const auto& limit = outcome.options.max_loss;
  return limit && totals.loss_percent > *limit ? kExitLoss : kExitPass;
}

Report load_report(const LoadOutcome& outcome, const LoadTotals& totals) {
  const int exit_code = load_exit_code(outcome, totals);
  Check check;
  check.id = "load";
  check.target = outcome.server.to_string();
  check.family = outcome.server.ip.is_v4() ? "IPv4" : "IPv6";
  check.protocol = "UDP";
  check.status = exit_code == kExitPass ? Verdict::kPass : Verdict::kFail;
  check.confidence = Confidence::kHigh;
  check.reason = exit_code == kExitPass ? "measured" : exit_code == kExitLoss ? "loss-too-high" : "nothing-delivered";
  check.headline = fmt::format("{} of {} packets were delivered, loss {:.3f} %.", totals.delivered, totals.offered,
                               totals.loss_percent);
  check.details = load_remarks(outcome, totals);
  const auto add = [&](const char* key, auto value) { check.facts.push_back({key, value}); };
  const auto add_optional = [&](const char* key, const std::optional<double>& value) {
    if (value) add(key, *value);
  };
  add("mode", describe_flow_control(outcome));
  add("seconds", totals.seconds);
  add("allocations", std::int64_t{outcome.set_up.made});
  add("offered_pps", static_cast<double>(totals.offered) / totals.seconds);
  add("delivered_pps", static_cast<double>(totals.delivered) / totals.seconds);
  add("loss_percent", totals.loss_percent);
  add("allocations_per_second", totals.allocations_per_second);
  add_optional("server.cpu_us_per_packet", totals.cpu_us_per_packet);
  add_optional("server.cpu_us_per_allocation", totals.cpu_us_per_allocation);
  add_optional("server.cores", totals.server_cores);
  add_optional("server.memory_bytes_per_allocation", totals.memory_per_allocation);
  add("generator.cores", totals.generator_cores);
  add("generator.late_ms_p99", ms(outcome.measured.lateness.quantile(0.99)));
  add("generator.refused", static_cast<std::int64_t>(outcome.measured.refused));
  if (outcome.profile) {
    const Bandwidth offered = offered_bandwidth(outcome, totals.seconds);
    add("profile.name", std::string(outcome.profile->row.name));
    add("profile.table_in_mbps", outcome.profile->row.in_mbps);
    add("profile.table_out_mbps", outcome.profile->row.out_mbps);
    add("profile.offered_in_mbps", offered.in);
    add("profile.offered_out_mbps", offered.out);
  }
  for (std::size_t i = 0; i < outcome.classes.size(); ++i) {
    add_class_facts(check.facts, "classes." + label_of(outcome.classes[i]) + ".", outcome.classes[i],
                    outcome.measured.classes[i], totals.seconds);
  }
  Report report;
  report.command = "load";
  report.host = outcome.options.server;
  report.started = outcome.started;
  report.exit_code = exit_code;
  report.checks.push_back(std::move(check));
  return report;
}

Report failed_load_report(const std::string& server, int exit_code, const std::string& reason, const std::string& what,
                          const std::string& hint) {
  Check check;
  check.id = "load";
  check.target = server;
  check.protocol = "UDP";
  check.status = Verdict::kFail;
  check.confidence = Confidence::kHigh;
  check.reason = reason;
  check.headline = what;
  if (!hint.empty()) check.advice.push_back(hint);
  Report report;
  report.command = "load";
  report.host = server;
  report.started = read_clock().wall;
  report.exit_code = exit_code;
  report.checks.push_back(std::move(check));
  return report;
}

std::string hint_for(const client::Failure& failure, const LoadOptions& options, const IpAddress& peer) {
  using Kind = client::Failure::Kind;
  if (failure.kind == Kind::kUnreachable) return "Check the server's address and port, and that it runs.";
  if (failure.kind == Kind::kTimeout) {
    return "Check the address and port; a firewall or a server that listens on TCP only look the same.";
  }
  if (failure.kind == Kind::kIntegrity)
    return "The server's answers carry no valid MAC: is the password the right one?";
  switch (failure.code) {
    case 401:
      if (options.user.empty() && options.secret.empty()) {
        return "Give credentials: --user and --password, or --secret where the server has static-auth-secret.";
      }
      return options.secret.empty()
                 ? "Check --user and --password; a server with static-auth-secret wants --secret instead."
                 : "Check --secret against the server's static-auth-secret, and that both clocks are right.";
    case 403:
      if (peer.is_loopback()) {
        return "The server forbids " + peer.to_string() +
               " as a peer: start it with allow-loopback-peers for a test on one host, or use --peer-address.";
      }
      return "The server forbids " + peer.to_string() +
             " as a peer: see its denied-peer-ip and allowed-peer-ip lines, or use --peer-address.";
    case 437:
      return "The server still knows an allocation of this port; try again.";
    case 486:
      return "The server's user-quota or total-quota is reached: raise it, or ask for fewer --allocations.";
    case 508:
      return "The server has no relay port left (min-port, max-port), or is at another limit of capacity.";
    case 300:
      return failure.alternate_server ? "Test the server that it names instead."
                                      : "The server redirects to another one.";
    default:
      return "See the server's log.";
  }
}

}  // namespace turnkit::probe
