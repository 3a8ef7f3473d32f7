// How long a mapping lasts (RFC 5780, section 4.6): many mappings are left alone for different times at once, and each
// is tried once, by an answer that another socket asks the server to send there.
#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <thread>

#include "probe/nat/measure.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Sleeper {
  std::size_t socket = 0;
  seconds idle{0};
  std::uint16_t mapped_port = 0;
  TimePoint since{};  // last packet in or out
};

enum class Reached : std::uint8_t { kYes, kNo, kRefused };

// Asks, from `asker`, for an answer to the sleeper's mapping.
Reached try_mapping(UdpExchange& exchange, std::size_t asker, const Address& server, const Sleeper& sleeper,
                    int& error_code) {
  const BindingOutcome outcome = exchange.run_one(
      {.socket = asker, .to = server, .response_port = sleeper.mapped_port, .retransmit = {milliseconds(400), 3, 2}});
  if (outcome.answer && !outcome.ok()) {
    error_code = outcome.answer->error_code;
    return Reached::kRefused;
  }
  return outcome.answer && outcome.arrived_on == sleeper.socket ? Reached::kYes : Reached::kNo;
}

}  // namespace

std::vector<seconds> idle_times(seconds limit) {
  std::vector<seconds> out;
  if (limit <= seconds(20)) {
    for (seconds t{2}; t <= limit; t += seconds(2)) out.push_back(t);
  } else {
    for (const int t : {5,   10,  15,  20,  25,  30,  35,  45,  60,   75,   90,   105, 120,
                        125, 150, 180, 240, 300, 420, 600, 900, 1200, 1800, 2700, 3600}) {
      if (seconds(t) <= limit) out.emplace_back(t);
    }
  }
  if (out.empty() || out.back() != limit) out.push_back(limit);
  return out;
}

LifetimeEvidence measure_lifetime(const Address& server, const IpAddress& local, seconds limit,
                                  const Progress& progress) {
  LifetimeEvidence out;
  out.limit = limit;
  UdpExchange exchange;
  std::vector<Sleeper> sleepers;
  std::vector<BindingPlan> plans;
  std::vector<seconds> idle = idle_times(limit);
  idle.insert(idle.begin(), seconds(0));  // tried at once: shows whether the server can do it
  for (const seconds t : idle) {
    const auto socket = exchange.open({local, 0});
    if (!socket) return out;
    sleepers.push_back({*socket, t, 0, {}});
    plans.push_back({.socket = *socket, .to = server});
  }
  const auto asker = exchange.open({local, 0});
  if (!asker) return out;
  const TimePoint begun = read_clock().mono;
  const std::vector<BindingOutcome> primed = exchange.run(plans);
  for (std::size_t i = 0; i < sleepers.size(); ++i) {
    // Where it took more than one request, the time of the last packet is not known.
    const auto mapped = primed[i].sends == 1 ? primed[i].mapped() : std::nullopt;
    sleepers[i].mapped_port = mapped ? mapped->port : 0;
    const auto took = milliseconds(static_cast<std::int64_t>(primed[i].rtt_ms));
    sleepers[i].since = begun + static_cast<int>(i) * kTransactionPace + took;
  }
  out.opened = sleepers.front().mapped_port != 0;
  std::erase_if(sleepers, [](const Sleeper& sleeper) { return sleeper.mapped_port == 0; });
  if (!out.opened) return out;
  unsigned expired_in_a_row = 0;
  for (const Sleeper& sleeper : sleepers) {
    const TimePoint due = sleeper.since + sleeper.idle;
    std::this_thread::sleep_until(due);
    const auto waited = std::chrono::duration_cast<milliseconds>(read_clock().mono - sleeper.since);
    const Reached reached = try_mapping(exchange, *asker, server, sleeper, out.error_code);
    if (sleeper.idle == seconds(0)) {
      out.supported = reached == Reached::kYes;
      if (!out.supported) return out;
      continue;
    }
    out.tests.push_back({waited, reached == Reached::kYes});
    progress(fmt::format("Lifetime: after {} s idle the mapping is {} (up to {} s)", sleeper.idle.count(),
                         reached == Reached::kYes ? "alive" : "gone", limit.count()));
    expired_in_a_row = reached == Reached::kYes ? 0 : expired_in_a_row + 1;
    if (expired_in_a_row == 2) {
      out.interrupted = true;
      break;
    }
  }
  return out;
}

}  // namespace turnkit::probe
