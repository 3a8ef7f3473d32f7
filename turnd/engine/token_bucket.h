// A token bucket in bytes: a rate with a burst, so that media over its limit degrades smoothly instead of second by
// second.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace turnkit::engine {

class TokenBucket {
 public:
  // `rate` in bytes per second. The burst is a fifth of a second's worth, and never less than one full datagram.
  TokenBucket(std::uint64_t rate, TimePoint now)
      : rate_(static_cast<std::int64_t>(rate)),
        burst_(std::max<std::int64_t>(static_cast<std::int64_t>(rate) / 5, 65536)),
        tokens_(burst_),
        refilled_(now) {}

  // Takes `bytes`, or leaves the bucket alone and returns false.
  bool take(std::size_t bytes, TimePoint now) {
    refill(now);
    const auto wanted = static_cast<std::int64_t>(bytes);
    if (wanted > tokens_) return false;
    tokens_ -= wanted;
    return true;
  }

 private:
  void refill(TimePoint now) {
    const std::int64_t elapsed_us = std::chrono::duration_cast<std::chrono::microseconds>(now - refilled_).count();
    if (elapsed_us < 1000) return;  // whole milliseconds, so that slow rates do not lose their fractions
    const std::int64_t capped_us = std::min<std::int64_t>(elapsed_us, 1'000'000);
    tokens_ = std::min(burst_, tokens_ + rate_ * capped_us / 1'000'000);
    refilled_ = now;
  }

  std::int64_t rate_;
  std::int64_t burst_;
  std::int64_t tokens_;
  TimePoint refilled_;
};

}  // namespace turnkit::engine
