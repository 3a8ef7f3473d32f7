// Random bytes from getrandom(2), and a seeded sequence for tests.
#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace turnkit {

namespace {

// A process that cannot get randomness must not go on with predictable nonces and ports.
void fill_from_kernel(MutableBytes out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::perror("getrandom");
      std::abort();
    }
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::uint32_t Random::u32() {
  std::array<std::byte, 4> bytes;
  fill(bytes);
  return load_be32(bytes.data());
}

std::uint64_t Random::u64() {
  std::array<std::byte, 8> bytes;
  fill(bytes);
  return load_be64(bytes.data());
}

// Lemire, "Fast Random Integer Generation in an Interval" (2019): the high word of a 32x32-bit product, rejecting the
// few low words that would make some results more likely.
std::uint32_t Random::below(std::uint32_t bound) {
  std::uint64_t product = std::uint64_t{u32()} * bound;
  if (static_cast<std::uint32_t>(product) < bound) {
    const std::uint32_t threshold = (0 - bound) % bound;
    while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{u32()} * bound;
  }
  return static_cast<std::uint32_t>(product >> 32);
}

void SystemRandom::fill(MutableBytes out) {
  if (out.size() >= block_.size()) {
    fill_from_kernel(out);
    return;
  }
  while (!out.empty()) {
    if (used_ == block_.size()) {
      fill_from_kernel(block_);
      used_ = 0;
    }
    const std::size_t n = std::min(out.size(), block_.size() - used_);
    std::byte* from = block_.data() + used_;
    std::memcpy(out.data(), from, n);
    std::memset(from, 0, n);  // what was handed out is not kept
    used_ += n;
    out = out.subspan(n);
  }
}

void SeededRandom::fill(MutableBytes out) {
  while (!out.empty()) {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z ^= z >> 31;
    std::array<std::byte, 8> word;
    store_be64(word.data(), z);
    const std::size_t n = std::min(out.size(), word.size());
    std::memcpy(out.data(), word.data(), n);
    out = out.subspan(n);
  }
}

}  // namespace turnkit
