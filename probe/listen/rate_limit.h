// Token buckets per source address, so that a listener cannot be made to send much to anyone who did not ask.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "base/address.h"
#include "base/clock.h"

namespace turnkit::probe {

class RateLimiter {
 public:
  // `rate` a second with bursts of `burst`, for at most `max_sources` sources at a time. Further sources share one
  // bucket.
  RateLimiter(double rate, double burst, std::size_t max_sources = 4096);

  // Takes one token of the source's bucket; false when it is empty. IPv6 sources count by their /64.
  bool allow(const IpAddress& source, TimePoint now);

 private:
  struct Bucket {
    double tokens = 0;
    TimePoint filled{};
  };
  bool take(Bucket& bucket, TimePoint now) const;
  void forget_full(TimePoint now);

  double rate_;
  double burst_;
  std::size_t max_sources_;
  std::unordered_map<IpAddress, Bucket> buckets_;
  Bucket shared_;
};

}  // namespace turnkit::probe
