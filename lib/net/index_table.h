// IndexTable: finds the place of an object in a vector by its hash; for tables that are filled and emptied thousands of
// times a second.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace turnkit::net {

// Spreads a weak hash, such as a pointer, over all bits.
constexpr std::size_t mix(std::size_t hash) {
  hash *= 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 32);
}

// Hash table of indices, emptied in O(1) by a new generation. `capacity` entries fit at most.
class IndexTable {
 public:
  explicit IndexTable(std::size_t capacity) : entries_(std::bit_ceil(capacity * 2)), mask_(entries_.size() - 1) {}
  void clear() {
    if (++generation_ != 0) return;
    std::fill(entries_.begin(), entries_.end(), Entry{});
    generation_ = 1;
  }
  // The index for which `matches` is true, or `fresh`, which it then holds.
  template <typename Matches>
  std::uint32_t find_or_insert(std::size_t hash, std::uint32_t fresh, Matches&& matches) {
    for (std::size_t i = hash & mask_;; i = (i + 1) & mask_) {
      Entry& entry = entries_[i];
      if (entry.generation != generation_) {
        entry = {generation_, fresh};
        return fresh;
      }
      if (matches(entry.index)) return entry.index;
    }
  }

 private:
  struct Entry {
    std::uint32_t generation = 0;
    std::uint32_t index = 0;
  };
  std::vector<Entry> entries_;
  std::size_t mask_;
  std::uint32_t generation_ = 1;
};

}  // namespace turnkit::net
