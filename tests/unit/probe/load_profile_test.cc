// The guide's benchmark table as traffic: every row in both directions within 10 % of its bandwidth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "probe/load/profile.h"

namespace turnkit::probe {
namespace {

class ProfileTest : public testing::TestWithParam<ProfileRow> {};

TEST_P(ProfileTest, OffersTheTablesBandwidthWithinTenPercent) {
  const ProfilePlan plan = plan_profile(GetParam());
  EXPECT_NEAR(plan.in_mbps / GetParam().in_mbps, 1, 0.10);
  EXPECT_NEAR(plan.out_mbps / GetParam().out_mbps, 1, 0.10);
}

TEST_P(ProfileTest, HasOneAllocationForEachUserAndUsesThemAll) {
  const ProfilePlan plan = plan_profile(GetParam());
  EXPECT_EQ(plan.allocations, GetParam().calls * GetParam().users);
  std::set<std::uint32_t> used;
  for (const TrafficClass& traffic : plan.classes) {
    for (const std::uint32_t allocation : traffic.flows) {
      ASSERT_LT(allocation, plan.allocations);
      used.insert(allocation);
    }
  }
  EXPECT_EQ(used.size(), plan.allocations);
}

TEST_P(ProfileTest, NobodyHearsHimself) {
  const ProfilePlan plan = plan_profile(GetParam());
  const auto out = std::find_if(plan.classes.begin(), plan.classes.end(),
                                [](const TrafficClass& traffic) { return traffic.name == "voice out"; });
  ASSERT_NE(out, plan.classes.end());
  const auto count = [&](std::uint32_t allocation) {
    return std::count(out->flows.begin(), out->flows.end(), allocation);
  };
  EXPECT_EQ(count(0), GetParam().unmuted - 1);                 // speaks
  EXPECT_EQ(count(GetParam().users - 1), GetParam().unmuted);  // listens
}

TEST_P(ProfileTest, RatesArePositiveAndRunsFitOneSend) {
  for (const TrafficClass& traffic : plan_profile(GetParam()).classes) {
    EXPECT_GT(traffic.packets_per_second, 0) << traffic.name;
    EXPECT_GE(traffic.size, Mark::kSize);
    EXPECT_GE(traffic.run, 1u);
    EXPECT_LE(traffic.run * (traffic.size + 4), 65507u);
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, ProfileTest, testing::ValuesIn(profile_rows().begin(), profile_rows().end()),
                         [](const auto& tested) {
                           std::string name(tested.param.name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Profile, FewerCallsScaleTheBandwidth) {
  const ProfileRow* row = find_profile("100x8-screen");
  ASSERT_NE(row, nullptr);
  const ProfilePlan whole = plan_profile(*row);
  const ProfilePlan tenth = plan_profile(*row, 10);
  EXPECT_NEAR(tenth.in_mbps * 10, whole.in_mbps, whole.in_mbps * 1e-6);
  EXPECT_NEAR(tenth.out_mbps * 10, whole.out_mbps, whole.out_mbps * 1e-6);
}

TEST(Profile, ScreensAreSentAsRunsOfAFrame) {
  const ProfilePlan plan = plan_profile(*find_profile("5x200-screen"));
  EXPECT_EQ(std::count_if(plan.classes.begin(), plan.classes.end(),
                          [](const TrafficClass& traffic) { return traffic.run > 4; }),
            2);
}

TEST(Profile, UnknownNamesAreUnknown) {
  EXPECT_EQ(find_profile("7x7"), nullptr);
  EXPECT_THAT(list_profiles(), testing::HasSubstr("10x50-screen"));
}

}  // namespace
}  // namespace turnkit::probe
