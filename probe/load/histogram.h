// Latency histogram of fixed size, after HdrHistogram: 64 buckets for each power of two, so a value is off by at
// most 1.6 %.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace turnkit::probe {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 6;
  static constexpr unsigned kMaxBits = 40;  // values from 2^40 ns (18 minutes) on count as the largest

  void record(std::uint64_t nanoseconds) {
    ++counts_[index_of(nanoseconds)];
    ++total_;
    max_ = std::max(max_, nanoseconds);
  }
  void clear() { *this = Histogram(); }

  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  // The smallest value that at least `fraction` of all values do not exceed, rounded up to its bucket's end; 0 when
  // empty.
  [[nodiscard]] std::uint64_t quantile(double fraction) const {
    if (total_ == 0) return 0;
    const double wanted = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(total_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) return std::min(end_of(i), max_);
    }
    return max_;
  }

 private:
  static constexpr std::size_t kSub = std::size_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = (kMaxBits - kSubBits + 1) * kSub;

  // Values below 64 have a bucket each; from 2^e on, e >= 6, a bucket is 2^(e-6) wide.
  static std::size_t index_of(std::uint64_t value) {
    value = std::min(value, (std::uint64_t{1} << kMaxBits) - 1);
    if (value < kSub) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return (std::size_t{shift} + 1) * kSub + static_cast<std::size_t>((value >> shift) - kSub);
  }
  // The largest value of a bucket.
  static std::uint64_t end_of(std::size_t index) {
    if (index < kSub) return index;
    const std::size_t shift = index / kSub - 1;
    return ((std::uint64_t{kSub + index % kSub} + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace turnkit::probe
