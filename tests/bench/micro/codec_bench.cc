// What one packet costs in the codec, in nanoseconds: no sockets, one core, everything in cache. Relay rates are
// another matter.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "base/random.h"
#include "stun/builder.h"
#include "stun/classify.h"
#include "stun/crc32.h"
#include "stun/framer.h"
#include "stun/integrity.h"

namespace turnkit::stun {
namespace {

constexpr std::array<std::byte, 16> kKey{std::byte{1}};
constexpr std::string_view kNonce = "obMatJos2gAAA0123456789abcdef0123456789abcdef";
const Address kClient{IpAddress::v4(192, 0, 2, 1), 40000};
const Address kRelayed{IpAddress::v4(198, 51, 100, 1), 50000};

using Buffer = std::vector<std::byte>;

// An authenticated Allocate request as browsers send it.
Buffer allocate_request(bool sha256) {
  Buffer buffer(600);
  SeededRandom random(1);
  TransactionId id;
  random.fill(id.bytes);
  Builder b(buffer, Class::kRequest, Method::kAllocate, id);
  b.requested_transport(17)
      .text(Attr::kUsername, "1800000000:alice")
      .text(Attr::kRealm, "calls.example.org")
      .text(Attr::kNonce, kNonce);
  if (sha256) {
    b.integrity_sha256(kKey);
  } else {
    b.integrity_sha1(kKey);
  }
  b.fingerprint();
  const auto message = b.finish();
  return {message->begin(), message->end()};
}

void parse_allocate(benchmark::State& state) {
  const Buffer message = allocate_request(false);
  for (auto _ : state) {
    const auto view = MessageView::parse(message);
    benchmark::DoNotOptimize(view->find(Attr::kUsername));
  }
  state.counters["bytes"] = static_cast<double>(message.size());
}
BENCHMARK(parse_allocate);

void parse_send_indication(benchmark::State& state) {
  Buffer buffer(2000);
  Builder b(buffer, Class::kIndication, Method::kSend, {});
  b.xor_address(Attr::kXorPeerAddress, kRelayed).raw(Attr::kData, Buffer(static_cast<std::size_t>(state.range(0))));
  const auto message = b.finish();
  for (auto _ : state) {
    const auto view = MessageView::parse(*message);
    benchmark::DoNotOptimize(decode_xor_address(view->find(Attr::kXorPeerAddress)->value, view->transaction_id()));
    benchmark::DoNotOptimize(view->find(Attr::kData));
  }
}
BENCHMARK(parse_send_indication)->Arg(172)->Arg(1100);

void verify(benchmark::State& state, bool sha256) {
  const Buffer message = allocate_request(sha256);
  const auto view = MessageView::parse(message);
  for (auto _ : state) {
    const bool right = verify_integrity(*view, kKey);
    if (!right) state.SkipWithError("the MAC is wrong");
    benchmark::DoNotOptimize(right);
  }
}
BENCHMARK_CAPTURE(verify, sha1, false);
BENCHMARK_CAPTURE(verify, sha256, true);

void build_allocate_success(benchmark::State& state, bool mac) {
  std::array<std::byte, 600> buffer;
  const TransactionId id;
  for (auto _ : state) {
    Builder b(buffer, Class::kSuccess, Method::kAllocate, id);
    b.xor_address(Attr::kXorRelayedAddress, kRelayed)
        .xor_address(Attr::kXorMappedAddress, kClient)
        .u32(Attr::kLifetime, 600);
    b.text(Attr::kSoftware, "Turnkit");
    if (mac) b.integrity_sha1(kKey);
    benchmark::DoNotOptimize(b.finish());
  }
}
BENCHMARK_CAPTURE(build_allocate_success, without_mac, false);
BENCHMARK_CAPTURE(build_allocate_success, sha1, true);

void channel_data(benchmark::State& state) {
  Buffer packet(4 + 1100);
  write_channel_header(packet.data(), 0x4001, 1100);
  for (auto _ : state) {
    benchmark::DoNotOptimize(packet.data());
    if (classify(packet) != PacketKind::kChannelData) state.SkipWithError("not ChannelData");
    benchmark::DoNotOptimize(parse_channel_data(packet));
  }
}
BENCHMARK(channel_data);

void frame_channel_data(benchmark::State& state) {
  Buffer packet(4 + 1100);
  write_channel_header(packet.data(), 0x4001, 1100);
  for (auto _ : state) {
    benchmark::DoNotOptimize(packet.data());
    benchmark::DoNotOptimize(next_frame(packet, kRfc8656Channels));
  }
}
BENCHMARK(frame_channel_data);

void fingerprint(benchmark::State& state) {
  const Buffer bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(crc32(bytes));
}
BENCHMARK(fingerprint)->Arg(150)->Arg(1100);

void address_hash(benchmark::State& state) {
  const Address address = *Address::parse("[2001:db8::1]:3478");
  for (auto _ : state) benchmark::DoNotOptimize(hash_value(address));
}
BENCHMARK(address_hash);

void random_port(benchmark::State& state) {
  SystemRandom random;
  for (auto _ : state) benchmark::DoNotOptimize(random.below(16384));
}
BENCHMARK(random_port);

}  // namespace
}  // namespace turnkit::stun
