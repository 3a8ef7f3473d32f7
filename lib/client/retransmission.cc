// Retransmission timing: see retransmission.h.
#include "client/retransmission.h"

#include <algorithm>

namespace turnkit::client {

namespace {
constexpr Duration kGranularity = std::chrono::milliseconds(1);
constexpr Duration kEstimateLifetime = std::chrono::minutes(10);
}  // namespace

Retransmission::Retransmission(const RetransmitConfig& config, TimePoint now)
    : config_(config),
      first_sent_(now),
      deadline_(now + (config.sends <= 1 ? config.rto * config.last_wait : config.rto)),
      interval_(config.rto) {}

Retransmission::Due Retransmission::on_time(TimePoint now) {
  if (now < deadline_) return Due::kNothing;
  if (sends_ >= config_.sends) return Due::kTimedOut;
  ++sends_;
  interval_ *= 2;
  deadline_ = now + (sends_ >= config_.sends ? config_.rto * config_.last_wait : interval_);
  return Due::kResend;
}

void RtoEstimator::sample(Duration round_trip, TimePoint now) {
  round_trip = std::max(round_trip, kGranularity);
  if (!estimate_ || now - estimate_->at > kEstimateLifetime) {
    estimate_ = Estimate{round_trip, round_trip / 2, now};
    return;
  }
  const Duration error =
      estimate_->smoothed > round_trip ? estimate_->smoothed - round_trip : round_trip - estimate_->smoothed;
  estimate_->variance = (3 * estimate_->variance + error) / 4;
  estimate_->smoothed = (7 * estimate_->smoothed + round_trip) / 8;
  estimate_->at = now;
}

Duration RtoEstimator::rto(TimePoint now) const {
  if (!estimate_ || now - estimate_->at > kEstimateLifetime) return initial_;
  return std::max(initial_, estimate_->smoothed + std::max(kGranularity, 4 * estimate_->variance));
}

}  // namespace turnkit::client
