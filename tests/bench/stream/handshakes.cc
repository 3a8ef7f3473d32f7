// TLS or DTLS handshakes, in several lanes one after another, each followed by a Binding request: its answer shows that
// the server is done, and TLS 1.3 tickets are there for the next one.
#include <fmt/format.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/random.h"
#include "client/binding.h"
#include "stream_bench.h"

namespace turnkit::bench {
namespace {

constexpr int kPatience = 100;  // tenths of a second that the first handshake may take on a busy machine

// One after another, resuming its own sessions.
class Lane {
 public:
  static Result<Lane> make(const Options& options) {
    net::TlsClientRules rules;
    rules.resume = options.resume;
    rules.maximum = options.newest_tls;
    auto context = net::TlsClientContext::make(rules);
    if (!context) return context.error();
    return Lane(options, *std::move(context));
  }

  // Until `stop`; counts in `done`.
  void run(const std::atomic<bool>& stop, std::atomic<std::uint64_t>& done) {
    SystemRandom random;
    while (!stop && problem.empty()) {
      if (Status one = once(random); !one) problem = one.error().text;
      ++done;
    }
  }

  std::string protection;  // of the last one
  std::string problem;     // ended it; empty: none

 private:
  Lane(const Options& options, std::shared_ptr<net::TlsClientContext> context) : server_(options.server) {
    how_.kind = options.transport;
    how_.tls = std::move(context);
  }

  Status once(Random& random) {
    const auto transport = client::open_transport(server_, how_);
    if (!transport) return transport.error();
    std::array<std::byte, 64> buffer;
    stun::TransactionId id;
    random.fill(id.bytes);
    const auto request = client::binding_request(buffer, id);
    if (Status sent = (*transport)->send(*request); !sent) return sent;
    const auto answer = (*transport)->receive(read_clock().mono + std::chrono::seconds(5));
    if (answer.error != 0) return Error{"The server does not answer a Binding request after the handshake."};
    protection = (*transport)->protection();
    return {};
  }

  Address server_;
  client::TransportOptions how_;
};

void print(double done, const Cost& cost, const std::string& protection) {
  fmt::print("{{\"delivered_pps\": {:.1f}, \"loss_percent\": 0.0, \"seconds\": {:.3f}, \"protection\": \"{}\"",
             done / cost.seconds, cost.seconds, protection);
  if (cost.server_cpu_us) {
    fmt::print(
        ", \"server\": {{\"cpu_us_per_handshake\": {:.2f}, \"handshakes_per_cpu_second\": {:.1f}, \"cores\": {:.4f}}}",
        *cost.server_cpu_us / done, 1e6 * done / *cost.server_cpu_us, *cost.server_cpu_us / 1e6 / cost.seconds);
  }
  fmt::print(", \"generator\": {{\"cores\": {:.4f}}}}}\n", cost.generator_cpu_us / 1e6 / cost.seconds);
}

}  // namespace

Status run_handshakes(const Options& options) {
  std::vector<Lane> lanes;
  for (std::size_t i = 0; i < options.lanes; ++i) {
    auto lane = Lane::make(options);
    if (!lane) return lane.error();
    lanes.push_back(*std::move(lane));
  }
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> done = 0;
  std::vector<std::thread> threads;
  for (Lane& lane : lanes) threads.emplace_back([&] { lane.run(stop, done); });
  std::this_thread::sleep_for(options.warm_up);
  const Meter meter(options.server_pid);
  const std::uint64_t before = done;
  std::this_thread::sleep_for(options.measured);
  for (int i = 0; i < kPatience && done == before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const std::uint64_t after = done;
  const Cost cost = meter.finish();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const Lane& lane : lanes) {
    if (!lane.problem.empty()) return Error{lane.problem};
  }
  if (after == before) return Error{"No handshake ended in time."};
  print(static_cast<double>(after - before), cost, lanes.front().protection);
  return {};
}

}  // namespace turnkit::bench
