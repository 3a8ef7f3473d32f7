// Packets through the relay: clients on streams, one UDP peer. Keeps a window of packets under way, so that what is
// measured is a server that always has work, not one whose queues overflow.
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>

#include <algorithm>

#include "net/udp_batch.h"
#include "probe/load/poller.h"
#include "stream_client.h"
#include "stun/channel_data.h"

namespace turnkit::bench {
namespace {

constexpr Duration kGivenUp = std::chrono::milliseconds(256);  // without an arrival: what is under way is lost
constexpr Duration kDrain = std::chrono::milliseconds(500);
constexpr std::uint64_t kPeerToken = ~std::uint64_t{0};
constexpr int kSocketBuffer = 8 << 20;
constexpr int kSettleMs = 300;  // before the memory of idle clients is read

class RelayLoad {
 public:
  explicit RelayLoad(const Options& options) : options_(options) {}

  Status set_up();
  // Sends and receives for so long; without `sending` only receives, until nothing is under way.
  Status run(Duration span, bool sending);

  std::uint64_t sent = 0;
  std::uint64_t received = 0;

 private:
  void send_up();
  void send_down();
  void receive(Duration timeout);
  void receive_at_peer();

  const Options& options_;
  SystemRandom random_;
  std::optional<net::UdpSocket> peer_;
  std::optional<probe::Poller> poller_;
  std::vector<std::unique_ptr<StreamClient>> clients_;
  std::vector<std::byte> packets_;  // `run` frames (up) or payloads (down), side by side
  net::RecvBatch batch_;
  net::SendBatch outgoing_;
  std::size_t next_ = 0;
  std::uint64_t under_way_ = 0;
};

Status RelayLoad::set_up() {
  const rlimit files{1 << 16, 1 << 16};
  (void)::setrlimit(RLIMIT_NOFILE, &files);
  net::UdpOptions udp;
  udp.receive_buffer = kSocketBuffer;
  udp.send_buffer = kSocketBuffer;
  auto peer = net::UdpSocket::bind({options_.server.ip, 0}, udp);
  if (!peer) return peer.error();
  peer_ = *std::move(peer);
  auto poller = probe::Poller::create();
  if (!poller) return poller.error();
  poller_ = *std::move(poller);
  if (Status added = poller_->add(peer_->fd(), kPeerToken); !added) return added;
  net::TlsClientRules rules;
  rules.resume = false;
  rules.maximum = options_.newest_tls;
  auto context = net::TlsClientContext::make(rules);
  if (!context) return context.error();
  for (std::size_t i = 0; i < options_.clients; ++i) {
    auto client = StreamClient::open(options_, *context, peer_->local(), random_);
    if (!client) return client.error();
    if (Status added = poller_->add((*client)->fd(), i); !added) return added;
    clients_.push_back(*std::move(client));
  }
  const std::size_t head = options_.up ? stun::kChannelHeaderSize : 0;
  const std::size_t stride = options_.up ? (head + options_.size + 3) / 4 * 4 : options_.size;
  packets_.resize(options_.run * stride);
  random_.fill(packets_);
  for (std::size_t i = 0; options_.up && i < options_.run; ++i) {
    stun::write_channel_header(packets_.data() + i * stride, StreamClient::kChannel, options_.size);
  }
  return {};
}

void RelayLoad::send_up() {
  std::size_t blocked = 0;
  while (under_way_ + options_.run <= options_.window && blocked < clients_.size()) {
    StreamClient& client = *clients_[next_];
    next_ = (next_ + 1) % clients_.size();
    if (client.has_rest() && !client.write_rest()) {
      ++blocked;
      continue;
    }
    client.write(packets_);
    sent += options_.run;
    under_way_ += options_.run;
  }
}

void RelayLoad::send_down() {
  while (under_way_ + options_.run <= options_.window) {
    const Address& to = clients_[next_]->relayed();
    next_ = (next_ + 1) % clients_.size();
    for (std::size_t i = 0; i < options_.run; ++i) {
      outgoing_.add({.socket = &*peer_,
                     .to = to,
                     .head = {},
                     .payload = Bytes(packets_).subspan(i * options_.size, options_.size),
                     .from = nullptr});
    }
    sent += options_.run;
    under_way_ += options_.run;
  }
  outgoing_.flush();
}

void RelayLoad::receive_at_peer() {
  for (;;) {
    const auto got = batch_.receive(*peer_);
    std::uint64_t count = 0;
    for (const net::Datagram& run : got.datagrams) {
      run.for_each_segment([&](Bytes packet) { count += packet.size() == options_.size ? 1 : 0; });
    }
    batch_.clear();
    received += count;
    under_way_ -= std::min(under_way_, count);
    if (got.datagrams.empty() || got.drained) return;
  }
}

void RelayLoad::receive(Duration timeout) {
  for (const std::uint64_t token : poller_->wait(timeout)) {
    if (token == kPeerToken) {
      receive_at_peer();
    } else {
      const std::uint64_t count = clients_[token]->read(options_.size);
      received += count;
      under_way_ -= std::min(under_way_, count);
    }
  }
}

Status RelayLoad::run(Duration span, bool sending) {
  const TimePoint until = read_clock().mono + span;
  std::uint64_t last = received;
  TimePoint arrived = read_clock().mono;
  for (TimePoint now = arrived; now < until && (sending || under_way_ != 0); now = read_clock().mono) {
    if (sending) options_.up ? send_up() : send_down();
    receive(std::chrono::milliseconds(1));
    if (received != last) {
      last = received;
      arrived = now;
    } else if (sending && now - arrived > kGivenUp) {
      under_way_ = 0;
      arrived = now;
    }
    for (const auto& client : clients_) {
      if (client->is_dead()) return Error{"The server closed a connection."};
    }
  }
  return {};
}

}  // namespace

Status run_relay(const Options& options) {
  RelayLoad load(options);
  const Meter before(options.server_pid);
  const double resident_before = before.finish().server_resident.value_or(0);
  if (Status done = load.set_up(); !done) return done;
  ::poll(nullptr, 0, kSettleMs);
  const Cost set_up = before.finish();
  if (Status done = load.run(options.warm_up, true); !done) return done;
  const std::uint64_t sent_before = load.sent;
  const std::uint64_t received_before = load.received;
  const Meter meter(options.server_pid);
  if (Status done = load.run(options.measured, true); !done) return done;
  const Cost cost = meter.finish();
  const auto delivered = static_cast<double>(load.received - received_before);
  const auto offered = static_cast<double>(load.sent - sent_before);
  if (Status done = load.run(kDrain, false); !done) return done;
  const auto all_sent = static_cast<double>(load.sent);
  const double lost = all_sent - static_cast<double>(load.received);
  fmt::print("{{\"offered_pps\": {:.1f}, \"delivered_pps\": {:.1f}, \"loss_percent\": {:.4f}, \"seconds\": {:.3f}",
             offered / cost.seconds, delivered / cost.seconds, all_sent > 0 ? 100 * lost / all_sent : 0, cost.seconds);
  if (cost.server_cpu_us) {
    const auto clients = static_cast<double>(options.clients);
    fmt::print(
        ", \"server\": {{\"cpu_us_per_packet\": {:.4f}, \"packets_per_cpu_second\": {:.0f}, \"cores\": {:.4f}, "
        "\"resident_bytes\": {:.0f}, \"memory_bytes_per_allocation\": {:.0f}, \"cpu_us_per_allocation\": {:.1f}}}",
        delivered > 0 ? *cost.server_cpu_us / delivered : 0, 1e6 * delivered / *cost.server_cpu_us,
        *cost.server_cpu_us / 1e6 / cost.seconds, *cost.server_resident,
        (set_up.server_resident.value_or(0) - resident_before) / clients, set_up.server_cpu_us.value_or(0) / clients);
  }
  fmt::print(", \"generator\": {{\"cores\": {:.4f}}}}}\n", cost.generator_cpu_us / 1e6 / cost.seconds);
  return {};
}

}  // namespace turnkit::bench
