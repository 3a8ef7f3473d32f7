// What the data path looks up for each datagram from a client: 5-tuple to allocation, channel to peer; and back, peer
// to channel.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "turnd/engine/allocation.h"
#include "turnd/engine/client_table.h"

namespace turnkit::engine {
namespace {

FiveTuple tuple_of(std::uint32_t n) {
  const auto byte = [n](unsigned shift) { return static_cast<std::uint8_t>(n >> shift); };
  return {{IpAddress::v4(10, byte(16), byte(8), byte(0)), static_cast<std::uint16_t>(1024 + n % 60000)},
          {IpAddress::v4(192, 0, 2, 1), 3478},
          Transport::kUdp};
}

// `range(0)` clients, asked for in a scattered order.
void find_allocation(benchmark::State& state) {
  const auto clients = static_cast<std::uint32_t>(state.range(0));
  std::vector<std::unique_ptr<Allocation>> allocations;
  ClientTable table;
  for (std::uint32_t i = 0; i < clients; ++i) {
    allocations.push_back(std::make_unique<Allocation>());
    allocations.back()->tuple = tuple_of(i);
    table.insert(*allocations.back());
  }
  std::uint32_t n = 0;
  for (auto _ : state) {
    n = (n + 7919) % clients;
    benchmark::DoNotOptimize(table.find(tuple_of(n)));
  }
}
BENCHMARK(find_allocation)->Arg(100)->Arg(10000);

// One allocation with `range(0)` channels.
void channel_both_ways(benchmark::State& state) {
  const auto channels = static_cast<std::uint16_t>(state.range(0));
  Allocation allocation;
  const auto peer_of = [](std::uint16_t i) {
    return Address{IpAddress::v4(198, 51, 100, 7), static_cast<std::uint16_t>(8443 + i)};
  };
  for (std::uint16_t i = 0; i < channels; ++i) {
    const auto number = static_cast<std::uint16_t>(0x4000 + i);
    allocation.channels.insert(number, Channel{peer_of(i), {}});
    allocation.channel_of.insert(peer_of(i), number);
  }
  std::uint16_t n = 0;
  for (auto _ : state) {
    n = static_cast<std::uint16_t>((n + 7) % channels);
    benchmark::DoNotOptimize(allocation.channels.find(static_cast<std::uint16_t>(0x4000 + n)));
    benchmark::DoNotOptimize(allocation.channel_of.find(peer_of(n)));
  }
}
BENCHMARK(channel_both_ways)->Arg(1)->Arg(8)->Arg(1024);

}  // namespace
}  // namespace turnkit::engine
