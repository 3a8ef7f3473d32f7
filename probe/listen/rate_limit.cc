#include "probe/listen/rate_limit.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace turnkit::probe {
namespace {

IpAddress bucket_key(const IpAddress& source) {
  if (source.is_v4()) return source;
  std::array<std::byte, 16> prefix{};
  std::copy_n(source.bytes().begin(), 8, prefix.begin());
  return IpAddress::from_bytes(prefix);
}

}  // namespace

RateLimiter::RateLimiter(double rate, double burst, std::size_t max_sources)
    : rate_(rate), burst_(burst), max_sources_(max_sources), shared_{burst, {}} {}

bool RateLimiter::take(Bucket& bucket, TimePoint now) const {
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(burst_, bucket.tokens + std::max(0.0, seconds) * rate_);
  bucket.filled = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void RateLimiter::forget_full(TimePoint now) {
  std::erase_if(buckets_, [this, now](const auto& entry) {
    const double seconds = std::chrono::duration<double>(now - entry.second.filled).count();
    return entry.second.tokens + seconds * rate_ >= burst_;
  });
}

bool RateLimiter::allow(const IpAddress& source, TimePoint now) {
  const IpAddress key = bucket_key(source);
  const auto found = buckets_.find(key);
  if (found != buckets_.end()) return take(found->second, now);
  if (buckets_.size() >= max_sources_) {
    // A full bucket carries no memory. The scan is paid by the shared bucket, so a flood cannot make it happen often.
    if (!take(shared_, now)) return false;
    forget_full(now);
    if (buckets_.size() >= max_sources_) return true;
  }
  return take(buckets_.emplace(key, Bucket{burst_, now}).first->second, now);
}

}  // namespace turnkit::probe
