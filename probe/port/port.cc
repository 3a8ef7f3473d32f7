#include "probe/port/port.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/resolver.h"
#include "probe/exit_code.h"
#include "probe/port/side_channel.h"
#include "probe/port/tcp_check.h"
#include "probe/port/udp_check.h"
#include "probe/port/verdict.h"
#include "probe/report.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr auto kAskPatience = milliseconds(2000);

struct HostAddresses {
  std::vector<IpAddress> checked;   // the first of each family that is wanted
  std::vector<std::string> others;  // a name's other addresses are other servers, to be checked by their own address
};

Result<HostAddresses> addresses_of(const PortOptions& options) {
  Result<std::vector<IpAddress>> all = net::resolve(options.host);
  if (!all) return all.error();
  HostAddresses out;
  for (const Family family : {Family::kIPv4, Family::kIPv6}) {
    if (options.family && *options.family != family) continue;
    bool is_first = true;
    for (const IpAddress& ip : *all) {
      if (ip.family() != family) continue;
      if (is_first) {
        out.checked.push_back(ip);
      } else {
        out.others.push_back(ip.to_string());
      }
      is_first = false;
    }
  }
  if (out.checked.empty()) {
    return Error{
        fmt::format("'{}' has no {} address", options.host, options.family == Family::kIPv4 ? "IPv4" : "IPv6")};
  }
  return out;
}

// Everything about one address of the host.
struct HostEvidence {
  IpAddress ip;
  std::vector<UdpEvidence> udp;
  std::vector<TcpEvidence> tcp;
};

// All ports of all addresses at once, each in a thread of its own: most of a check is waiting.
std::vector<HostEvidence> gather(const std::vector<IpAddress>& addresses, const PortOptions& options) {
  const CheckPace pace{options.count, options.interval, options.wait};
  std::vector<std::vector<std::future<UdpEvidence>>> udp(addresses.size());
  std::vector<std::vector<std::future<TcpEvidence>>> tcp(addresses.size());
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    for (const std::uint16_t port : options.ports.udp) {
      udp[i].push_back(std::async(std::launch::async, check_udp, Address{addresses[i], port}, pace));
    }
    for (const std::uint16_t port : options.ports.tcp) {
      tcp[i].push_back(std::async(std::launch::async, check_tcp, Address{addresses[i], port}, pace));
    }
  }
  std::vector<HostEvidence> out;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    HostEvidence host{addresses[i], {}, {}};
    for (auto& future : udp[i]) host.udp.push_back(future.get());
    for (auto& future : tcp[i]) host.tcp.push_back(future.get());
    out.push_back(std::move(host));
  }
  return out;
}

bool needs_account(const UdpEvidence& e) {
  return e.sent != 0 && e.answered == 0 && e.foreign.kind == Foreign::kNone && e.icmp.empty() && !e.other_version;
}

bool needs_account(const TcpEvidence& e) { return e.connect == Connect::kTimeout && e.icmp.empty(); }

// Over TCP, on a port where the listener has answered; otherwise on the UDP port's number, where a default listener is.
std::optional<ServerAccount> ask_about(const UdpEvidence& e, const HostEvidence& host) {
  const Question question{e.nonce, Protocol::kUdp, e.target.port};
  for (const TcpEvidence& tcp : host.tcp) {
    if (tcp.answered != 0) return ask_over_tcp(tcp.target, question, kAskPatience);
  }
  const bool was_tried = std::any_of(host.tcp.begin(), host.tcp.end(),
                                     [&e](const TcpEvidence& tcp) { return tcp.target.port == e.target.port; });
  if (!was_tried) {
    if (const auto account = ask_over_tcp(e.target, question, kAskPatience)) return account;
  }
  for (const UdpEvidence& udp : host.udp) {
    if (udp.answered != 0) return ask_over_udp(udp.target, question, kAskPatience);
  }
  return std::nullopt;
}

std::optional<ServerAccount> ask_about(const TcpEvidence& e, const HostEvidence& host) {
  const Question question{e.nonce, Protocol::kTcp, e.target.port};
  for (const UdpEvidence& udp : host.udp) {
    if (udp.answered != 0) return ask_over_udp(udp.target, question, kAskPatience);
  }
  const bool was_tried = std::any_of(host.udp.begin(), host.udp.end(),
                                     [&e](const UdpEvidence& udp) { return udp.target.port == e.target.port; });
  if (!was_tried) {
    if (const auto account = ask_over_udp(e.target, question, kAskPatience)) return account;
  }
  for (const TcpEvidence& tcp : host.tcp) {
    if (tcp.answered != 0) return ask_over_tcp(tcp.target, question, kAskPatience);
  }
  return std::nullopt;
}

// What is still open is asked of the listener over whatever works.
void complete(HostEvidence& host) {
  std::vector<std::future<std::optional<ServerAccount>>> udp;
  std::vector<std::future<std::optional<ServerAccount>>> tcp;
  for (const UdpEvidence& e : host.udp) {
    udp.push_back(
        std::async(std::launch::async, [&e, &host] { return needs_account(e) ? ask_about(e, host) : std::nullopt; }));
  }
  for (const TcpEvidence& e : host.tcp) {
    tcp.push_back(
        std::async(std::launch::async, [&e, &host] { return needs_account(e) ? ask_about(e, host) : std::nullopt; }));
  }
  std::vector<std::optional<ServerAccount>> udp_accounts;
  std::vector<std::optional<ServerAccount>> tcp_accounts;
  for (auto& future : udp) udp_accounts.push_back(future.get());
  for (auto& future : tcp) tcp_accounts.push_back(future.get());
  for (std::size_t i = 0; i < udp_accounts.size(); ++i) {
    if (udp_accounts[i]) host.udp[i].account = *udp_accounts[i];
  }
  for (std::size_t i = 0; i < tcp_accounts.size(); ++i) {
    if (tcp_accounts[i]) host.tcp[i].account = *tcp_accounts[i];
  }
}

// A family that this host does not have is no fault of the server, as long as the other family could be checked.
void skip_missing_family(std::vector<Check>& checks) {
  const auto is_no_route = [](const Check& check) { return check.reason == "no-route"; };
  if (std::all_of(checks.begin(), checks.end(), is_no_route)) return;
  for (Check& check : checks) {
    if (check.family == "IPv6" && is_no_route(check)) {
      check.status = Verdict::kSkip;
      check.advice = {"This host has no IPv6 there; the checks over IPv4 decide."};
    }
  }
}

void note_others(const std::vector<std::string>& others, Check& check) {
  check.details.push_back(
      fmt::format("The name has more addresses, which were not checked: {}.", fmt::join(others, ", ")));
  check.facts.push_back({"addresses_not_checked", others});
}

}  // namespace

int run_port(const PortOptions& options) {
  const Result<HostAddresses> addresses = addresses_of(options);
  if (!addresses) {
    std::fprintf(stderr, "turn-probe: %s\n", addresses.error().text.c_str());
    return kExitCannotStart;
  }
  const bool show_progress = !options.json && ::isatty(STDERR_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  if (show_progress) {
    const double seconds = std::chrono::duration<double>(options.wait).count();
    fmt::print(stderr, "Checking {}, waiting up to {:.0f} s for answers ...\r", options.host, seconds);
  }

  Report report;
  report.command = "port";
  report.host = options.host;
  report.started = read_clock().wall;
  std::vector<HostEvidence> hosts = gather(addresses->checked, options);
  for (HostEvidence& host : hosts) {
    complete(host);
    for (const UdpEvidence& e : host.udp) report.checks.push_back(judge_udp(e, options.host));
    for (const TcpEvidence& e : host.tcp) report.checks.push_back(judge_tcp(e, options.host));
  }
  skip_missing_family(report.checks);
  if (!addresses->others.empty() && !report.checks.empty()) note_others(addresses->others, report.checks.front());
  if (show_progress) fmt::print(stderr, "\033[K");
  std::fputs((options.json ? to_json(report) : to_text(report, wants_color(stdout))).c_str(), stdout);
  return exit_code_of(verdict_of(report));
}

}  // namespace turnkit::probe
