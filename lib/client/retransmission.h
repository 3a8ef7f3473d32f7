// When a STUN request over UDP is sent again and when it is given up (RFC 8489, section 6.2.1). Sans I/O: time is
// handed in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace turnkit::client {

// Sends at 0, rto, 3 rto, 7 rto ... `sends` times, then waits `last_wait` * rto: 39.5 s in all with these defaults.
struct RetransmitConfig {
  Duration rto = std::chrono::milliseconds(500);
  int sends = 7;       // Rc; at least 1
  int last_wait = 16;  // Rm

  // Over a reliable transport: sent once, and awaited as long (RFC 8489, section 6.2.2).
  [[nodiscard]] RetransmitConfig once() const {
    return {.rto = rto, .sends = 1, .last_wait = (1 << (sends - 1)) - 1 + last_wait};
  }
};

class Retransmission {
 public:
  // The first packet leaves at `now`.
  Retransmission(const RetransmitConfig& config, TimePoint now);

  enum class Due : std::uint8_t { kNothing, kResend, kTimedOut };
  // kResend counts as sent. Late calls do not lead to a burst: the next wait starts at `now`.
  Due on_time(TimePoint now);

  [[nodiscard]] TimePoint deadline() const { return deadline_; }
  [[nodiscard]] int sends() const { return sends_; }
  [[nodiscard]] TimePoint first_sent() const { return first_sent_; }

 private:
  RetransmitConfig config_;
  TimePoint first_sent_;
  TimePoint deadline_;
  Duration interval_;
  int sends_ = 1;
};

// The RTO of one server (RFC 6298, with RFC 8489's floor of the configured RTO and 1 ms precision). Feed it only the
// round trips of requests that were sent once (Karn's rule). An estimate older than 10 minutes is forgotten.
class RtoEstimator {
 public:
  explicit RtoEstimator(Duration initial) : initial_(initial) {}
  void sample(Duration round_trip, TimePoint now);
  [[nodiscard]] Duration rto(TimePoint now) const;

 private:
  struct Estimate {
    Duration smoothed;
    Duration variance;
    TimePoint at;
  };
  Duration initial_;
  std::optional<Estimate> estimate_;
};

}  // namespace turnkit::client
