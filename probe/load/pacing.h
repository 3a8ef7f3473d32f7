// When the load generator may send: Pacer for a given rate, Window for as fast as the relay goes. Sans I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace turnkit::probe {

// Spreads events evenly at `per_second`. A late caller catches up, but owes at most kMaxDebt of time: what is beyond is
// skipped, and counted, because a burst of it would measure the burst.
class Pacer {
 public:
  static constexpr Duration kMaxDebt = std::chrono::milliseconds(20);

  // Requires: per_second > 0. The first event is due at `start`.
  Pacer(double per_second, TimePoint start) : start_(start), interval_ns_(1e9 / per_second) {}

  // When the next event is due.
  [[nodiscard]] TimePoint next() const { return start_ + offset(index_); }
  // True when an event is due at `now`; it then counts as done.
  bool take(TimePoint now) {
    TimePoint due = next();
    if (due > now) return false;
    if (now - due > kMaxDebt) {
      const auto behind =
          static_cast<std::uint64_t>(static_cast<double>((now - due - kMaxDebt).count()) / interval_ns_);
      index_ += behind;
      skipped_ += behind;
      due = next();
    }
    lateness_ = now - due;
    ++index_;
    return true;
  }
  // How late the last event taken was.
  [[nodiscard]] Duration lateness() const { return lateness_; }
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  // From the start each time, so that rounding does not add up.
  [[nodiscard]] Duration offset(std::uint64_t index) const {
    return Duration(static_cast<Duration::rep>(static_cast<double>(index) * interval_ns_));
  }

  TimePoint start_;
  double interval_ns_;
  std::uint64_t index_ = 0;
  std::uint64_t skipped_ = 0;
  Duration lateness_{0};
};

// Counts the packets that are under way. What has not arrived after kPatience is given up, so losses do not close the
// window. Time is cut into slices; each remembers how many of its packets are still out.
class Window {
 public:
  static constexpr unsigned kSliceBits = 20;  // about 1 ms
  static constexpr std::size_t kSlices = 256;
  static constexpr Duration kPatience = Duration(std::int64_t{kSlices - 1} << kSliceBits);

  void sent(TimePoint at, std::uint64_t packets) {
    advance(at);
    slots_[slot(at)] += packets;
    under_way_ += packets;
  }
  // `sent_at`: when the packet that arrived was sent. Late and doubled ones change nothing.
  void arrived(TimePoint sent_at, std::uint64_t packets = 1) {
    const std::int64_t slice = slice_of(sent_at);
    if (slice > newest_ || slice <= newest_ - static_cast<std::int64_t>(kSlices)) return;
    std::uint64_t& out = slots_[slot(sent_at)];
    const std::uint64_t counted = out < packets ? out : packets;
    out -= counted;
    under_way_ -= counted;
  }
  void advance(TimePoint now) {
    const std::int64_t slice = slice_of(now);
    if (newest_ < slice - static_cast<std::int64_t>(kSlices)) newest_ = slice - static_cast<std::int64_t>(kSlices);
    while (newest_ < slice) {
      std::uint64_t& out = slots_[static_cast<std::size_t>(++newest_) % kSlices];
      under_way_ -= out;
      out = 0;
    }
  }
  [[nodiscard]] std::uint64_t under_way() const { return under_way_; }

 private:
  static std::int64_t slice_of(TimePoint t) { return t.time_since_epoch().count() >> kSliceBits; }
  static std::size_t slot(TimePoint t) { return static_cast<std::size_t>(slice_of(t)) % kSlices; }

  std::array<std::uint64_t, kSlices> slots_{};
  std::int64_t newest_ = 0;
  std::uint64_t under_way_ = 0;
};

}  // namespace turnkit::probe
