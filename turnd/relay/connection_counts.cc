#include "turnd/relay/connection_counts.h"

#include <algorithm>
#include <array>

namespace turnkit::relay {
namespace {

IpAddress source_of(const IpAddress& ip) {
  if (ip.is_v4()) return ip;
  std::array<std::byte, 16> prefix{};
  std::copy_n(ip.bytes().begin(), 8, prefix.begin());
  return IpAddress::from_bytes(prefix);
}

}  // namespace

ConnectionTicket::~ConnectionTicket() {
  if (counts_) counts_->give_back(source_);
}

ConnectionTicket ConnectionCounts::admit(const IpAddress& ip, std::size_t max_total, std::size_t max_per_source) {
  const IpAddress source = source_of(ip);
  const std::lock_guard lock(mutex_);
  if (max_total != 0 && total_ >= max_total) return {};
  std::size_t& of_this = of_source_[source];
  if (max_per_source != 0 && of_this >= max_per_source) return {};
  ++of_this;
  ++total_;
  return {shared_from_this(), source};
}

std::size_t ConnectionCounts::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

void ConnectionCounts::give_back(const IpAddress& source) {
  const std::lock_guard lock(mutex_);
  --total_;
  const auto it = of_source_.find(source);
  if (it != of_source_.end() && --it->second == 0) of_source_.erase(it);
}

}  // namespace turnkit::relay
