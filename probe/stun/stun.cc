#include "probe/stun/stun.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <vector>

#include "base/clock.h"
#include "probe/exit_code.h"
#include "probe/report.h"
#include "probe/stun/measure.h"
#include "probe/stun/verdict.h"

namespace turnkit::probe {
namespace {

std::vector<Transport> transports_of(const StunOptions& options, const client::StunServerName& name) {
  if (!options.transports.empty()) return options.transports;
  return {name.secure ? Transport::kTls : Transport::kUdp};
}

int cannot_start(const std::string& why) {
  fmt::print(stderr, "turn-probe: {}\n", why);
  return kExitCannotStart;
}

// A family that this host does not have is no fault of the server, as long as the other one could be checked.
void skip_missing_family(const std::vector<StunEvidence>& evidence, std::vector<Check>& checks) {
  const auto is_missing = [&evidence](std::size_t i) {
    return !evidence[i].local_error.empty() && evidence[i].local_error.starts_with("There is no route");
  };
  bool any_other = false;
  for (std::size_t i = 0; i < checks.size(); ++i) any_other = any_other || !is_missing(i);
  for (std::size_t i = 0; i < checks.size() && any_other; ++i) {
    if (!is_missing(i) || checks[i].family != "IPv6") continue;
    checks[i].status = Verdict::kSkip;
    checks[i].reason = "no-route";
    checks[i].advice = {"This host has no IPv6 there; the checks over IPv4 decide."};
  }
}

}  // namespace

int run_stun(const StunOptions& options) {
  const auto name = client::parse_stun_server(options.server);
  if (!name) {
    fmt::print(stderr, "turn-probe: {}\nTry 'turn-probe stun --help'.\n", name.error().text);
    return kExitUsage;
  }
  TargetRequest wanted{*name, transports_of(options, *name), options.family, false};
  if (name->secure && !std::all_of(wanted.transports.begin(), wanted.transports.end(), is_secure)) {
    fmt::print(stderr, "turn-probe: stuns: is for tls and dtls; name the server as stun: for udp and tcp\n");
    return kExitUsage;
  }
  const bool any_secure = std::any_of(wanted.transports.begin(), wanted.transports.end(), is_secure);
  if (any_secure && options.verify && name->is_address) {
    fmt::print(stderr, "turn-probe: name the server by its host name, which its certificate has, or take --insecure\n");
    return kExitUsage;
  }
  const Result<StunTargets> found = find_targets(wanted);
  if (!found) return cannot_start(found.error().text);
  const bool show_progress = !options.json && ::isatty(STDERR_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  if (show_progress) fmt::print(stderr, "Asking {} ...\r", options.server);

  Report report;
  report.command = "stun";
  report.host = options.server;
  report.started = read_clock().wall;
  std::vector<StunTarget> targets;
  for (const StunTarget& target : found->targets) {
    if (!options.local || options.local->family() == target.address.family()) targets.push_back(target);
  }
  if (targets.empty()) return cannot_start("the server has no address of the family of --local");
  std::vector<std::future<StunEvidence>> running;
  for (const StunTarget& target : targets) {
    running.push_back(std::async(std::launch::async, measure_stun, target, options));
    if (options.local && options.local->port != 0) running.back().wait();  // the port is one at a time
  }
  std::vector<StunEvidence> evidence;
  for (auto& one : running) evidence.push_back(one.get());
  for (const StunEvidence& one : evidence) report.checks.push_back(judge_stun(one, options.attributes));
  weigh_alternatives(evidence, report.checks);
  skip_missing_family(evidence, report.checks);
  Check& first = report.checks.front();
  for (const std::string& remark : found->remarks) first.details.push_back(remark);
  if (!found->others.empty()) {
    first.details.push_back(
        fmt::format("The name has more addresses, which were not asked: {}.", fmt::join(found->others, ", ")));
    first.facts.push_back({"addresses_not_checked", found->others});
  }
  if (show_progress) fmt::print(stderr, "\033[K");
  std::fputs((options.json ? to_json(report) : to_text(report, wants_color(stdout))).c_str(), stdout);
  return exit_code_of(verdict_of(report));
}

}  // namespace turnkit::probe
