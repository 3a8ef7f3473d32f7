#include "turnd/engine/quota.h"

#include <algorithm>
#include <utility>

namespace turnkit::engine {

QuotaTicket::QuotaTicket(QuotaTicket&& other) noexcept
    : quotas_(std::exchange(other.quotas_, nullptr)), user_(other.user_), bandwidth_(other.bandwidth_) {}

QuotaTicket& QuotaTicket::operator=(QuotaTicket&& other) noexcept {
  if (this != &other) {
    release();
    quotas_ = std::exchange(other.quotas_, nullptr);
    user_ = other.user_;
    bandwidth_ = other.bandwidth_;
  }
  return *this;
}

void QuotaTicket::release() {
  if (quotas_ != nullptr) std::exchange(quotas_, nullptr)->release(user_, bandwidth_);
}

Quotas::Answer Quotas::acquire(const std::string& user) {
  const std::lock_guard lock(mutex_);
  if (limits_.total != 0 && total_ >= limits_.total) return {Refusal::kTotal, {}};

  std::uint64_t bandwidth = limits_.max_bps;
  if (limits_.bps_capacity != 0) {
    const std::uint64_t left = limits_.bps_capacity - std::min(limits_.bps_capacity, reserved_bps_);
    if (left == 0) return {Refusal::kBandwidth, {}};
    bandwidth = std::min(bandwidth, left);
  }

  const std::string* key = nullptr;
  if (!user.empty()) {
    const auto it = users_.find(user);
    if (it != users_.end() && limits_.per_user != 0 && it->second >= limits_.per_user) return {Refusal::kUser, {}};
    const auto entry = it != users_.end() ? it : users_.emplace(user, 0).first;
    ++entry->second;
    key = &entry->first;
  }
  ++total_;
  if (limits_.bps_capacity != 0) reserved_bps_ += bandwidth;
  return {Refusal::kNone, QuotaTicket(this, key, bandwidth)};
}

void Quotas::release(const std::string* user, std::uint64_t bandwidth) {
  const std::lock_guard lock(mutex_);
  --total_;
  if (limits_.bps_capacity != 0) reserved_bps_ -= bandwidth;
  if (user == nullptr) return;
  const auto it = users_.find(*user);
  if (--it->second == 0) users_.erase(it);
}

std::uint32_t Quotas::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace turnkit::engine
