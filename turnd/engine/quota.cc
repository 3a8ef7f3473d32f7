#include "turnd/engine/quota.h"

#include <algorithm>
#include <utility>

namespace turnkit::engine {

QuotaTicket::QuotaTicket(QuotaTicket&& other) noexcept
    : quotas_(std::exchange(other.quotas_, nullptr)),
      realm_(std::move(other.realm_)),
      user_(std::move(other.user_)),
      bandwidth_(other.bandwidth_),
      reserved_(other.reserved_) {}

QuotaTicket& QuotaTicket::operator=(QuotaTicket&& other) noexcept {
  if (this != &other) {
    release();
    quotas_ = std::exchange(other.quotas_, nullptr);
    realm_ = std::move(other.realm_);
    user_ = std::move(other.user_);
    bandwidth_ = other.bandwidth_;
    reserved_ = other.reserved_;
  }
  return *this;
}

void QuotaTicket::release() {
  if (quotas_ != nullptr) std::exchange(quotas_, nullptr)->release(*this);
}

std::string_view Quotas::text_of(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      break;
    case Refusal::kUser:
      return "The user has its most allocations";
    case Refusal::kTotal:
      return "The realm has its most allocations";
    case Refusal::kBandwidth:
      return "Allocation Bandwidth Quota Reached";
  }
  return {};
}

const RealmQuota* Quotas::quota_of(std::string_view realm) const {
  const auto it = limits_.realms.find(realm);
  return it == limits_.realms.end() ? nullptr : &it->second;
}

Quotas::Refusal Quotas::check(std::string_view realm, std::string_view user) const {
  const RealmQuota* own = quota_of(realm);
  const std::uint32_t most = own != nullptr ? own->total.value_or(limits_.total) : limits_.total;
  const std::uint32_t most_of_user = own != nullptr ? own->per_user.value_or(limits_.per_user) : limits_.per_user;
  const auto it = realms_.find(realm);
  if (it == realms_.end()) return Refusal::kNone;
  if (most != 0 && it->second.total >= most) return Refusal::kTotal;
  if (user.empty() || most_of_user == 0) return Refusal::kNone;
  const auto entry = it->second.users.find(user);
  return entry != it->second.users.end() && entry->second >= most_of_user ? Refusal::kUser : Refusal::kNone;
}

void Quotas::count(const std::string& realm, const std::string& user) {
  Realm& place = realms_[realm];
  ++place.total;
  if (!user.empty()) ++place.users[user];
}

void Quotas::uncount(const std::string& realm, const std::string& user) {
  const auto place = realms_.find(realm);
  if (!user.empty()) {
    const auto entry = place->second.users.find(user);
    if (--entry->second == 0) place->second.users.erase(entry);
  }
  if (--place->second.total == 0) realms_.erase(place);
}

Quotas::Answer Quotas::acquire(std::string_view realm, std::string_view user) {
  const std::lock_guard lock(mutex_);
  if (const Refusal refusal = check(realm, user); refusal != Refusal::kNone) return {refusal, {}};

  const RealmQuota* own = quota_of(realm);
  Answer answer;
  QuotaTicket& ticket = answer.ticket;
  ticket.bandwidth_ = own != nullptr ? own->max_bps.value_or(limits_.max_bps) : limits_.max_bps;
  if (limits_.bps_capacity != 0) {
    const std::uint64_t left = limits_.bps_capacity - std::min(limits_.bps_capacity, reserved_bps_);
    if (left == 0) return {Refusal::kBandwidth, {}};
    ticket.bandwidth_ = ticket.bandwidth_ == 0 ? left : std::min(ticket.bandwidth_, left);
    ticket.reserved_ = ticket.bandwidth_;
    reserved_bps_ += ticket.reserved_;
  }
  ticket.quotas_ = this;
  ticket.realm_ = realm;
  ticket.user_ = user;
  count(ticket.realm_, ticket.user_);
  ++total_;
  return answer;
}

Quotas::Refusal Quotas::move(QuotaTicket& ticket, std::string_view realm, std::string_view user) {
  if (ticket.quotas_ != this) return Refusal::kNone;
  const std::lock_guard lock(mutex_);
  uncount(ticket.realm_, ticket.user_);
  const Refusal refusal = check(realm, user);
  if (refusal == Refusal::kNone) {
    ticket.realm_ = realm;
    ticket.user_ = user;
  }
  count(ticket.realm_, ticket.user_);
  return refusal;
}

void Quotas::set_limits(QuotaLimits limits) {
  const std::lock_guard lock(mutex_);
  limits_ = std::move(limits);
}

void Quotas::release(const QuotaTicket& ticket) {
  const std::lock_guard lock(mutex_);
  --total_;
  reserved_bps_ -= ticket.reserved_;
  uncount(ticket.realm_, ticket.user_);
}

std::uint32_t Quotas::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::uint32_t Quotas::total(std::string_view realm) const {
  const std::lock_guard lock(mutex_);
  const auto it = realms_.find(realm);
  return it == realms_.end() ? 0 : it->second.total;
}

}  // namespace turnkit::engine
