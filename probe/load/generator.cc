// The sending and receiving loop: see generator.h.
#include "probe/load/generator.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/random.h"
#include "stun/channel_data.h"
#include "stun/classify.h"

namespace turnkit::probe {

namespace {

constexpr std::size_t kArenaPackets = 128;                 // of a class in one batch, unless a run is longer
constexpr std::size_t kRunsPerTurn = 32;                   // paced: packets must be received in between
constexpr Duration kSpin = std::chrono::microseconds(80);  // a sleep may end this late
constexpr Duration kLongestWait = std::chrono::milliseconds(1);
constexpr Duration kDrain = std::chrono::milliseconds(500);

TimePoint mono() { return read_clock().mono; }

Duration thread_cpu() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

std::optional<Duration> server_cpu(int pid) {
  if (pid == 0) return std::nullopt;
  const auto usage = read_server_usage(pid);
  if (!usage) return std::nullopt;
  return usage->cpu;
}

}  // namespace

// One class with its state.
struct Generator::Lane {
  const TrafficClass* traffic = nullptr;
  std::uint8_t index = 0;
  std::uint32_t next_flow = 0;
  std::vector<std::uint32_t> sent;     // sequence number of the flow's next packet
  std::vector<std::uint32_t> highest;  // of those that arrived, plus one
  std::optional<Pacer> pacer;
  Window window;
  // Packets in the making, side by side, so that a run is one piece of memory to the kernel: ChannelData header (up)
  // and payload.
  std::vector<std::byte> arena;
  std::size_t head = 0;  // bytes of header in front of each payload
  std::size_t stride = 0;
  std::size_t capacity = 0;  // packets
  std::size_t used = 0;

  [[nodiscard]] bool full() const { return used + traffic->run > capacity; }
};

Generator::Generator(Fleet& fleet, const std::vector<TrafficClass>& classes, GeneratorConfig config)
    : fleet_(fleet), config_(std::move(config)), recv_batch_(64, 65536) {
  SystemRandom random;
  magic_ = random.u32();
  SeededRandom filling(magic_);
  result_.classes.resize(classes.size());
  for (const TrafficClass& traffic : classes) {
    Lane& lane = lanes_.emplace_back();
    lane.traffic = &traffic;
    lane.index = static_cast<std::uint8_t>(lanes_.size() - 1);
    lane.sent.resize(traffic.flows.size());
    lane.highest.resize(traffic.flows.size());
    lane.head = traffic.direction == Direction::kDown ? 0 : stun::kChannelHeaderSize;
    lane.stride = lane.head + traffic.size;
    // No flow twice in a batch: its runs would become one.
    const std::size_t runs = std::clamp<std::size_t>(kArenaPackets / traffic.run, 1, traffic.flows.size());
    lane.capacity = runs * traffic.run;
    lane.arena.resize(lane.capacity * lane.stride);
    filling.fill(lane.arena);
  }
}

Generator::~Generator() = default;

Measurement Generator::run() {
  ::prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // the default adds up to 50 us to each sleep
  start_ = mono();
  next_second_ = start_ + std::chrono::seconds(1);
  for (Lane& lane : lanes_) {
    if (lane.traffic->packets_per_second > 0) {
      lane.pacer.emplace(lane.traffic->packets_per_second / lane.traffic->run, start_);
    }
  }
  const TimePoint from = start_ + config_.warm_up;
  const TimePoint end = from + config_.duration;
  TimePoint now = start_;
  while (now < end && !result_.stopped) {
    if (measure_from_ == TimePoint::max() && now >= from) begin_measuring(now);
    const bool sent = send_due(now);
    receive(sent ? Duration::zero() : time_to_wait(now));
    now = mono();
    if (now >= next_second_) every_second(now);
    if (config_.stop && config_.stop()) result_.stopped = true;
  }
  if (measure_from_ == TimePoint::max()) begin_measuring(now);
  end_measuring(now);

  const TimePoint drained = now + kDrain;
  const auto complete = [&] {
    return std::all_of(result_.classes.begin(), result_.classes.end(),
                       [](const ClassResult& c) { return c.delivered >= c.offered; });
  };
  while (now < drained && !complete()) {
    receive(kLongestWait);
    now = mono();
  }
  return std::move(result_);
}

bool Generator::send_due(TimePoint now) {
  bool sent = false;
  for (Lane& lane : lanes_) {
    if (lane.traffic->flows.empty()) continue;
    sent |= lane.pacer ? send_paced(lane, now) : send_flat_out(lane, now);
    flush();
  }
  return sent;
}

bool Generator::send_paced(Lane& lane, TimePoint now) {
  std::size_t runs = 0;
  while (runs < kRunsPerTurn && lane.pacer->take(now)) {
    if (now >= measure_from_) result_.lateness.record(static_cast<std::uint64_t>(lane.pacer->lateness().count()));
    if (lane.full()) flush();
    send_run(lane, now);
    ++runs;
  }
  return runs != 0;
}

bool Generator::send_flat_out(Lane& lane, TimePoint now) {
  const unsigned run = lane.traffic->run;
  lane.window.advance(now);
  bool sent = false;
  while (!lane.full()) {
    // A run larger than the window may go when nothing else is under way.
    const std::uint64_t under_way = lane.window.under_way();
    if (config_.window != 0 && under_way != 0 && under_way + run > config_.window) break;
    send_run(lane, now);
    sent = true;
  }
  return sent;
}

void Generator::send_run(Lane& lane, TimePoint now) {
  const TrafficClass& traffic = *lane.traffic;
  const std::uint32_t flow = lane.next_flow;
  if (++lane.next_flow == traffic.flows.size()) lane.next_flow = 0;
  Client& client = fleet_.clients()[traffic.flows[flow]];
  net::Outgoing datagram;
  if (traffic.direction == Direction::kDown) {
    datagram.socket = &fleet_.peers()[client.peer];
    datagram.to = client.relayed;
  } else {
    datagram.socket = &client.socket;
    datagram.to = fleet_.config().server;
  }
  for (unsigned i = 0; i < traffic.run; ++i) {
    std::byte* const at = lane.arena.data() + lane.used++ * lane.stride;
    if (lane.head != 0) stun::write_channel_header(at, client.channel, traffic.size);
    write_mark(at + lane.head, magic_, {lane.index, flow, lane.sent[flow]++, now});
    datagram.payload = Bytes(at, lane.stride);
    send_batch_.add(datagram);
  }
  if (!lane.pacer) lane.window.sent(now, traffic.run);
  sent_ += traffic.run;
  if (now >= measure_from_ && now < measure_to_) result_.classes[lane.index].offered += traffic.run;
}

void Generator::flush() {
  send_batch_.flush();
  for (Lane& lane : lanes_) lane.used = 0;
}

Duration Generator::time_to_wait(TimePoint now) const {
  Duration wait = kLongestWait;
  for (const Lane& lane : lanes_) {
    if (lane.pacer) wait = std::min(wait, lane.pacer->next() - now - kSpin);
  }
  return wait;
}

void Generator::receive(Duration timeout) {
  const std::size_t clients = fleet_.clients().size();
  for (const std::uint64_t token : fleet_.poller().wait(timeout)) {
    if (token < clients) {
      receive_client(static_cast<std::uint32_t>(token));
    } else if (token - clients < fleet_.peers().size()) {
      receive_peer(fleet_.peers()[token - clients]);
    }
  }
}

void Generator::receive_peer(net::UdpSocket& socket) {
  const auto received = recv_batch_.receive(socket, 64);
  const TimePoint now = mono();
  for (const net::Datagram& datagram : received.datagrams) {
    datagram.for_each_segment([&](Bytes segment) {
      if (!config_.echo) {
        account(segment, now);
      } else if (read_mark(segment, magic_)) {
        send_batch_.add({.socket = &socket, .to = datagram.source, .head = {}, .payload = segment});
      }
    });
  }
  if (config_.echo) send_batch_.flush();
  recv_batch_.clear();
}

void Generator::receive_client(std::uint32_t index) {
  Client& client = fleet_.clients()[index];
  const auto received = recv_batch_.receive(client.socket, 8);
  if (received.error != 0 && received.error != EAGAIN) {
    for (net::IcmpError icmp; net::next_icmp_error(client.socket.fd(), icmp);) {
    }
  }
  const TimePoint now = mono();
  for (const net::Datagram& datagram : received.datagrams) {
    if (datagram.source != fleet_.config().server) continue;
    datagram.for_each_segment([&](Bytes segment) {
      const auto message = stun::parse_channel_data(segment);
      if (message && message->number == client.channel) return account(message->data, now);
      fleet_.on_control(index, segment, now);
    });
  }
  recv_batch_.clear();
}

void Generator::account(Bytes payload, TimePoint now) {
  const auto mark = read_mark(payload, magic_);
  if (!mark || mark->traffic_class >= lanes_.size() || mark->flow >= lanes_[mark->traffic_class].sent.size() ||
      payload.size() != lanes_[mark->traffic_class].traffic->size) {
    ++result_.damaged;
    return;
  }
  Lane& lane = lanes_[mark->traffic_class];
  ++arrived_;
  if (!lane.pacer) lane.window.arrived(mark->sent_at);
  ClassResult& result = result_.classes[mark->traffic_class];
  std::uint32_t& highest = lane.highest[mark->flow];
  const bool in_order = mark->sequence >= highest;
  if (in_order) highest = mark->sequence + 1;
  if (mark->sent_at < measure_from_ || mark->sent_at >= measure_to_) return;
  if (!in_order) ++result.reordered;
  ++result.delivered;
  result.latency.record(static_cast<std::uint64_t>(std::max(Duration::zero(), now - mark->sent_at).count()));
}

void Generator::every_second(TimePoint now) {
  next_second_ = now + std::chrono::seconds(1);
  fleet_.keep_alive(now);
  if (!config_.progress) return;
  Progress progress;
  progress.since_start = now - start_;
  progress.interval = progress.since_start - last_.since_start;
  progress.offered = sent_ - last_.offered;
  progress.delivered = arrived_ - last_.delivered;
  progress.warming_up = measure_from_ == TimePoint::max();
  config_.progress(progress);
  last_.since_start = progress.since_start;
  last_.offered = sent_;
  last_.delivered = arrived_;
}

void Generator::begin_measuring(TimePoint now) {
  measure_from_ = now;
  arrived_at_start_ = arrived_;
  refused_at_start_ = send_batch_.stats().dropped_full + send_batch_.stats().dropped_error;
  server_cpu_at_start_ = server_cpu(config_.server_pid);
  generator_cpu_at_start_ = thread_cpu();
}

void Generator::end_measuring(TimePoint now) {
  measure_to_ = now;
  result_.took = now - measure_from_;
  result_.generator_cpu = thread_cpu() - generator_cpu_at_start_;
  const auto cpu = server_cpu(config_.server_pid);
  if (cpu && server_cpu_at_start_) result_.server_cpu = *cpu - *server_cpu_at_start_;
  result_.delivered_in_time = arrived_ - arrived_at_start_;
  result_.refused = send_batch_.stats().dropped_full + send_batch_.stats().dropped_error - refused_at_start_;
  for (const Lane& lane : lanes_) {
    if (lane.pacer) result_.classes[lane.index].skipped = lane.pacer->skipped();
  }
}

}  // namespace turnkit::probe
