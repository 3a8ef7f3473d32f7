// The schedule of RFC 8489, section 6.2.1, and the RTO estimate of RFC 6298.
#include "client/retransmission.h"

#include <gtest/gtest.h>

#include <vector>

namespace turnkit::client {
namespace {

using std::chrono::milliseconds;
const TimePoint kStart{std::chrono::hours(1)};

TEST(Retransmission, FollowsTheScheduleOfRfc8489) {
  Retransmission timer({}, kStart);
  std::vector<long long> sends{0};
  for (;;) {
    const TimePoint now = timer.deadline();
    const auto due = timer.on_time(now);
    if (due == Retransmission::Due::kTimedOut) {
      EXPECT_EQ(now - kStart, milliseconds(39500));
      break;
    }
    ASSERT_EQ(due, Retransmission::Due::kResend);
    sends.push_back((now - kStart) / milliseconds(1));
  }
  EXPECT_EQ(sends, (std::vector<long long>{0, 500, 1500, 3500, 7500, 15500, 31500}));
  EXPECT_EQ(timer.sends(), 7);
}

TEST(Retransmission, DoesNothingBeforeItsTime) {
  Retransmission timer({}, kStart);
  EXPECT_EQ(timer.on_time(kStart + milliseconds(499)), Retransmission::Due::kNothing);
  EXPECT_EQ(timer.on_time(kStart + milliseconds(500)), Retransmission::Due::kResend);
  EXPECT_EQ(timer.on_time(kStart + milliseconds(501)), Retransmission::Due::kNothing);
}

TEST(Retransmission, LateCallsLeadToNoBurst) {
  Retransmission timer({}, kStart);
  const TimePoint late = kStart + std::chrono::seconds(20);
  EXPECT_EQ(timer.on_time(late), Retransmission::Due::kResend);
  EXPECT_EQ(timer.on_time(late), Retransmission::Due::kNothing);
  EXPECT_EQ(timer.deadline(), late + milliseconds(1000));
}

TEST(Retransmission, IsConfigurable) {
  Retransmission timer({.rto = milliseconds(100), .sends = 1, .last_wait = 3}, kStart);
  EXPECT_EQ(timer.on_time(kStart + milliseconds(299)), Retransmission::Due::kNothing);
  EXPECT_EQ(timer.on_time(kStart + milliseconds(300)), Retransmission::Due::kTimedOut);
}

TEST(RtoEstimator, NeverGoesBelowTheInitialRto) {
  RtoEstimator estimator(milliseconds(500));
  EXPECT_EQ(estimator.rto(kStart), milliseconds(500));
  estimator.sample(milliseconds(20), kStart);
  EXPECT_EQ(estimator.rto(kStart), milliseconds(500));
}

TEST(RtoEstimator, FollowsSlowServersAsRfc6298Says) {
  RtoEstimator estimator(milliseconds(500));
  estimator.sample(milliseconds(800), kStart);
  EXPECT_EQ(estimator.rto(kStart), milliseconds(800 + 4 * 400));
  estimator.sample(milliseconds(800), kStart);
  EXPECT_EQ(estimator.rto(kStart), milliseconds(800 + 4 * 300));
}

TEST(RtoEstimator, ForgetsAfterTenMinutes) {
  RtoEstimator estimator(milliseconds(500));
  estimator.sample(milliseconds(2000), kStart);
  EXPECT_EQ(estimator.rto(kStart + std::chrono::minutes(11)), milliseconds(500));
}

}  // namespace
}  // namespace turnkit::client
