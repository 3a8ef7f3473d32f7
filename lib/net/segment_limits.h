// SegmentLimits: the segment sizes that UDP_SEGMENT must stay below on the way to some destinations, because a larger
// one was refused (the path's MTU). Bounded: the oldest entry makes room.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <unordered_map>

#include "base/address.h"

namespace turnkit::net {

class SegmentLimits {
 public:
  static constexpr std::size_t kCapacity = 256;
  static constexpr std::size_t kNoLimit = std::numeric_limits<std::uint16_t>::max();

  [[nodiscard]] std::size_t of(const Address& to) const {
    if (limits_.empty()) return kNoLimit;
    const auto it = limits_.find(to);
    return it == limits_.end() ? kNoLimit : it->second;
  }

  // From now on of(to) is at most `limit`.
  void lower(const Address& to, std::size_t limit) {
    const auto [it, fresh] = limits_.try_emplace(to, limit);
    if (!fresh) {
      it->second = std::min(it->second, limit);
      return;
    }
    if (limits_.size() > kCapacity) limits_.erase(order_[next_]);
    order_[next_] = to;
    next_ = (next_ + 1) % kCapacity;
  }

 private:
  std::unordered_map<Address, std::size_t> limits_;
  std::array<Address, kCapacity> order_{};  // a ring; next_ is the oldest once it is full
  std::size_t next_ = 0;
};

}  // namespace turnkit::net
