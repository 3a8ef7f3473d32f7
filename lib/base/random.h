// Cryptographically secure random bytes behind an interface, so that tests can inject a seeded source.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace turnkit {

class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutableBytes out) = 0;

  std::uint32_t u32();
  std::uint64_t u64();
  // Uniform in [0, bound), without modulo bias. Requires: bound > 0.
  std::uint32_t below(std::uint32_t bound);
};

// getrandom(2), read ahead in blocks. One per thread.
class SystemRandom final : public Random {
 public:
  void fill(MutableBytes out) override;

 private:
  std::array<std::byte, 512> block_;
  std::size_t used_ = 512;
};

// A reproducible sequence (SplitMix64) for tests and load generators; never for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  void fill(MutableBytes out) override;

 private:
  std::uint64_t state_;
};

}  // namespace turnkit
