// SourceLimit: how often a second something is done for one source, in memory of fixed size. An IPv6 source is its /64.
// A table that is full forgets whom it has not seen longest, so a flood from many addresses makes the limit looser,
// never tighter.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "base/clock.h"

namespace turnkit::engine {

class SourceLimit {
 public:
  // `seed`: secret, so that nobody can choose addresses that push another's out.
  explicit SourceLimit(std::uint64_t seed) : seed_(seed) {}

  // Counts one for `source`; false when it has had `rate` within this second already. The table is made when it is
  // first needed.
  bool allow(const IpAddress& source, std::uint32_t rate, TimePoint now);

 private:
  static constexpr std::size_t kWays = 4;
  static constexpr std::size_t kSets = 2048;
  struct Entry {
    std::uint64_t source = 0;  // keyed hash; 0: free
    TimePoint second{};        // when its second began
    std::uint32_t count = 0;
  };
  [[nodiscard]] std::uint64_t hash(const IpAddress& source) const;

  std::uint64_t seed_;
  std::vector<std::array<Entry, kWays>> sets_;
};

}  // namespace turnkit::engine
