#include "turnd/engine/source_limit.h"

#include "base/bytes.h"

namespace turnkit::engine {

std::uint64_t SourceLimit::hash(const IpAddress& source) const {
  const Bytes bytes = source.bytes();
  std::uint64_t x = seed_ ^ (source.is_v4() ? load_be32(bytes.data()) : load_be64(bytes.data()) ^ 0x9E3779B97F4A7C15);
  // SplitMix64's finaliser, twice with the seed between: enough against whoever does not know the seed.
  for (int round = 0; round < 2; ++round) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    x ^= (x >> 31) ^ (seed_ << 1);
  }
  return x == 0 ? 1 : x;
}

bool SourceLimit::allow(const IpAddress& source, std::uint32_t rate, TimePoint now) {
  if (sets_.empty()) sets_.resize(kSets);
  const std::uint64_t key = hash(source);
  auto& set = sets_[(key >> 32) % kSets];
  auto entry = std::find_if(set.begin(), set.end(), [&](const Entry& e) { return e.source == key; });
  if (entry == set.end()) {
    entry =
        std::min_element(set.begin(), set.end(), [](const Entry& a, const Entry& b) { return a.second < b.second; });
    *entry = {key, now, 0};
  }
  if (now - entry->second >= std::chrono::seconds(1)) *entry = {key, now, 0};
  if (entry->count >= rate) return false;
  ++entry->count;
  return true;
}

}  // namespace turnkit::engine
