// The measured part of the load generator: one thread that sends and receives, so that it fits beside a relay on
// another core. No allocation, no lock and no clock reading per packet; runs cross the kernel once in each direction.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "net/udp_batch.h"
#include "probe/load/fleet.h"
#include "probe/load/histogram.h"
#include "probe/load/pacing.h"
#include "probe/load/server_usage.h"
#include "probe/load/traffic.h"

namespace turnkit::probe {

// What became of one class's packets that were sent in the measured time.
struct ClassResult {
  std::uint64_t offered = 0;
  std::uint64_t delivered = 0;
  std::uint64_t reordered = 0;  // arrived after one of its flow that was sent later
  std::uint64_t skipped = 0;    // runs that were due but too late to send: the generator did not keep up
  Histogram latency;            // nanoseconds
};

struct Measurement {
  Duration took{0};                     // the measured time, warm-up excluded
  std::vector<ClassResult> classes;     // as the classes that were given
  Histogram lateness;                   // of paced runs, nanoseconds behind their time
  Duration generator_cpu{0};            // of this thread, in the measured time
  std::optional<Duration> server_cpu;   // of all the server's threads, in the measured time
  std::uint64_t delivered_in_time = 0;  // packets that arrived within the measured time; what server_cpu was spent on
  std::uint64_t refused = 0;            // packets that this host's kernel did not take
  std::uint64_t damaged = 0;            // arrived with another size or content
  bool stopped = false;                 // by the user, before its time
};

// One second of progress.
struct Progress {
  Duration since_start{0};
  Duration interval{0};
  std::uint64_t offered = 0;
  std::uint64_t delivered = 0;
  bool warming_up = false;
};

struct GeneratorConfig {
  bool echo = false;      // peers send back what they get
  unsigned window = 256;  // flat out: packets of a class under way at most; 0: no limit
  Duration warm_up = std::chrono::seconds(1);
  Duration duration = std::chrono::seconds(10);
  int server_pid = 0;
  std::function<void(const Progress&)> progress;
  std::function<bool()> stop;  // asked about every millisecond
};

class Generator {
 public:
  // Requires: fleet is set up, and outlives this; every size is at least Mark::kSize.
  Generator(Fleet& fleet, const std::vector<TrafficClass>& classes, GeneratorConfig config);
  ~Generator();

  Measurement run();

 private:
  struct Lane;

  bool send_due(TimePoint now);
  bool send_paced(Lane& lane, TimePoint now);
  bool send_flat_out(Lane& lane, TimePoint now);
  void send_run(Lane& lane, TimePoint now);
  void flush();
  [[nodiscard]] Duration time_to_wait(TimePoint now) const;
  void receive(Duration timeout);
  void receive_peer(net::UdpSocket& socket);
  void receive_client(std::uint32_t index);
  void account(Bytes payload, TimePoint now);
  void every_second(TimePoint now);
  void begin_measuring(TimePoint now);
  void end_measuring(TimePoint now);

  Fleet& fleet_;
  GeneratorConfig config_;
  std::vector<Lane> lanes_;
  std::uint32_t magic_;
  net::SendBatch send_batch_;
  net::RecvBatch recv_batch_;
  Measurement result_;
  TimePoint start_;
  TimePoint measure_from_ = TimePoint::max();
  TimePoint measure_to_ = TimePoint::max();
  TimePoint next_second_;
  Progress last_;  // totals at the last progress line
  std::uint64_t sent_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint64_t arrived_at_start_ = 0;
  std::uint64_t refused_at_start_ = 0;
  Duration generator_cpu_at_start_{0};
  std::optional<Duration> server_cpu_at_start_;
};

}  // namespace turnkit::probe
