// ClientTable: 5-tuple to allocation, the first look-up of every packet from a client. Open addressing with linear
// probing; a probe that hits reads one entry here and the allocation's own tuple.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "turnd/engine/allocation.h"

namespace turnkit::engine {

class ClientTable {
 public:
  ClientTable() : entries_(kMinimum) {}

  [[nodiscard]] Allocation* find(const FiveTuple& tuple) const {
    const std::size_t hash = hash_value(tuple);
    for (std::size_t i = hash & mask();; i = (i + 1) & mask()) {
      const Entry& entry = entries_[i];
      if (entry.allocation == nullptr) return nullptr;
      if (entry.hash == hash && entry.allocation->tuple == tuple) return entry.allocation;
    }
  }

  // Requires: the tuple is not in the table.
  void insert(Allocation& allocation) {
    if ((size_ + 1) * 2 > entries_.size()) grow();
    place({hash_value(allocation.tuple), &allocation});
    ++size_;
  }

  void erase(const Allocation& allocation) {
    std::size_t i = hash_value(allocation.tuple) & mask();
    while (entries_[i].allocation != &allocation) {
      if (entries_[i].allocation == nullptr) return;
      i = (i + 1) & mask();
    }
    // Close the gap: what was displaced past it moves back, so no tombstones are needed.
    for (std::size_t j = (i + 1) & mask(); entries_[j].allocation != nullptr; j = (j + 1) & mask()) {
      const std::size_t home = entries_[j].hash & mask();
      if (((j - home) & mask()) >= ((j - i) & mask())) {
        entries_[i] = entries_[j];
        i = j;
      }
    }
    entries_[i] = {};
    --size_;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t kMinimum = 64;
  struct Entry {
    std::size_t hash = 0;
    Allocation* allocation = nullptr;
  };

  [[nodiscard]] std::size_t mask() const { return entries_.size() - 1; }

  void place(const Entry& entry) {
    std::size_t i = entry.hash & mask();
    while (entries_[i].allocation != nullptr) i = (i + 1) & mask();
    entries_[i] = entry;
  }

  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.allocation != nullptr) place(entry);
    }
  }

  std::vector<Entry> entries_;
  std::size_t size_ = 0;
};

}  // namespace turnkit::engine
