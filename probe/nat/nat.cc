#include "probe/nat/nat.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "probe/exit_code.h"
#include "probe/nat/measure.h"
#include "probe/nat/verdict.h"
#include "probe/report.h"
#include "probe/stun/targets.h"

namespace turnkit::probe {
namespace {

struct Servers {
  Address first;                // asked for everything
  std::vector<Address> others;  // compared with it
};

struct Found {
  std::optional<Servers> v4, v6;
  std::vector<std::string> remarks;
};

void add(const StunTargets& targets, std::optional<Servers>& v4, std::optional<Servers>& v6) {
  bool taken_v4 = false;
  bool taken_v6 = false;
  for (const StunTarget& target : targets.targets) {
    bool& taken = target.address.ip.is_v4() ? taken_v4 : taken_v6;
    std::optional<Servers>& servers = target.address.ip.is_v4() ? v4 : v6;
    if (taken) continue;  // the first in SRV order speaks for a name
    taken = true;
    if (!servers) {
      servers = Servers{target.address, {}};
    } else if (servers->first != target.address) {
      servers->others.push_back(target.address);
    }
  }
}

// What is wrong is printed; nullopt with the exit code.
std::optional<Found> find_all(const NatOptions& options, int& exit_code) {
  Found out;
  for (const std::string& text : options.servers) {
    const auto name = client::parse_stun_server(text);
    if (!name || name->secure) {
      fmt::print(stderr, "turn-probe: {}\nTry 'turn-probe nat --help'.\n",
                 name ? "a NAT is tested over UDP: name the server as stun:" + name->host : name.error().text);
      exit_code = kExitUsage;
      return std::nullopt;
    }
    const Result<StunTargets> targets = find_targets({*name, {Transport::kUdp}, options.family, true});
    if (!targets) {
      fmt::print(stderr, "turn-probe: {}\n", targets.error().text);
      exit_code = kExitCannotStart;
      return std::nullopt;
    }
    add(*targets, out.v4, out.v6);
    out.remarks.insert(out.remarks.end(), targets->remarks.begin(), targets->remarks.end());
  }
  if (options.local) (options.local->is_v4() ? out.v6 : out.v4).reset();
  if (out.v4 || out.v6) return out;
  fmt::print(stderr, "turn-probe: no server has an address of the family of --local\n");
  exit_code = kExitCannotStart;
  return std::nullopt;
}

// A family that this host does not have is no fault of anybody, as long as the other one could be checked.
void skip_missing(const std::vector<NatEvidence>& evidence, std::vector<std::vector<Check>>& checks) {
  const auto is_missing = [](const NatEvidence& e) { return !e.local_error.empty() && !e.basic.answer; };
  if (evidence.size() < 2 || is_missing(evidence[0])) return;
  for (std::size_t i = 1; i < evidence.size(); ++i) {
    if (!is_missing(evidence[i])) continue;
    for (Check& check : checks[i]) {
      check.status = Verdict::kSkip;
      check.advice = {"This host has no IPv6 there; the checks over IPv4 decide."};
    }
  }
}

}  // namespace

int run_nat(const NatOptions& options) {
  int exit_code = kExitPass;
  const std::optional<Found> found = find_all(options, exit_code);
  if (!found) return exit_code;
  const bool on_terminal = ::isatty(STDERR_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  const bool show_progress = !options.json && !options.quiet && on_terminal;
  std::mutex printing;
  const auto progress_of = [&](const char* family) -> Progress {
    return [&printing, show_progress, family](const std::string& what) {
      if (!show_progress) return;
      const std::lock_guard lock(printing);
      fmt::print(stderr, "\r\033[K{}: {} ...", family, what);
    };
  };
  Report report;
  report.command = "nat";
  report.host = options.servers.front();
  report.started = read_clock().wall;
  std::vector<std::future<NatEvidence>> running;
  const auto begin = [&](const std::optional<Servers>& servers, const char* family) {
    if (!servers) return;
    running.push_back(std::async(std::launch::async, [&options, servers, progress = progress_of(family)] {
      return measure_nat(servers->first, servers->others, options, progress);
    }));
  };
  begin(found->v4, "IPv4");
  begin(found->v6, "IPv6");
  std::vector<NatEvidence> evidence;
  std::vector<std::vector<Check>> checks;
  for (auto& one : running) {
    evidence.push_back(one.get());
    evidence.back().host = options.servers.front();
    checks.push_back(judge_nat(evidence.back()));
  }
  skip_missing(evidence, checks);
  for (std::vector<Check>& family : checks) {
    report.checks.insert(report.checks.end(), std::make_move_iterator(family.begin()),
                         std::make_move_iterator(family.end()));
  }
  for (const std::string& remark : found->remarks) report.checks.front().details.push_back(remark);
  if (show_progress) fmt::print(stderr, "\r\033[K");
  std::fputs((options.json ? to_json(report) : to_text(report, wants_color(stdout))).c_str(), stdout);
  return exit_code_of(verdict_of(report));
}

}  // namespace turnkit::probe
