// A token bucket in bytes: a rate with a burst, so that media over its limit degrades smoothly instead of second by
// second.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace turnkit::engine {

class TokenBucket {
 public:
  // `rate` in bytes per second. `burst`: for how long one may send at once what came in before; never less than one
  // full datagram.
  TokenBucket(std::uint64_t rate, std::chrono::milliseconds burst, TimePoint now)
      : rate_(static_cast<std::int64_t>(std::min(rate, kMaxRate))),
        burst_(std::max<std::int64_t>(rate_ / 1000 * std::min<std::int64_t>(burst.count(), kMaxBurstMs), 65536)),
        tokens_(burst_),
        refilled_(now) {}

  [[nodiscard]] std::uint64_t rate() const { return static_cast<std::uint64_t>(rate_); }

  // What take() would give now.
  [[nodiscard]] std::size_t available(TimePoint now) {
    refill(now);
    return static_cast<std::size_t>(tokens_);
  }
  // Takes `bytes`, or leaves the bucket alone and returns false.
  bool take(std::size_t bytes, TimePoint now) {
    refill(now);
    const auto wanted = static_cast<std::int64_t>(bytes);
    if (wanted > tokens_) return false;
    tokens_ -= wanted;
    return true;
  }

 private:
  static constexpr std::uint64_t kMaxRate = 100'000'000'000;  // products with times stay in 64 bits
  static constexpr std::int64_t kMaxBurstMs = 60'000;

  void refill(TimePoint now) {
    const std::int64_t elapsed_us = std::chrono::duration_cast<std::chrono::microseconds>(now - refilled_).count();
    if (elapsed_us < 1000) return;  // whole milliseconds, so that slow rates do not lose their fractions
    const std::int64_t capped_us = std::min<std::int64_t>(elapsed_us, kMaxBurstMs * 1000);
    tokens_ = std::min(burst_, tokens_ + rate_ * capped_us / 1'000'000);
    refilled_ = now;
  }

  std::int64_t rate_;
  std::int64_t burst_;
  std::int64_t tokens_;
  TimePoint refilled_;
};

}  // namespace turnkit::engine
