// The latency histogram: exact below 64 ns, within 1.6 % above.
#include <gtest/gtest.h>

#include "probe/load/histogram.h"

namespace turnkit::probe {
namespace {

TEST(Histogram, EmptyHasNoQuantiles) {
  const Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.total(), 0u);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (std::uint64_t v = 1; v <= 50; ++v) histogram.record(v);
  EXPECT_EQ(histogram.quantile(0.5), 25u);
  EXPECT_EQ(histogram.quantile(0.02), 1u);
  EXPECT_EQ(histogram.quantile(1), 50u);
}

TEST(Histogram, OneValueIsEveryQuantileWithinItsBucket) {
  for (std::uint64_t v : {std::uint64_t{0}, std::uint64_t{63}, std::uint64_t{64}, std::uint64_t{65}, std::uint64_t{127},
                          std::uint64_t{128}, std::uint64_t{1000}, std::uint64_t{123456}, std::uint64_t{1} << 30,
                          (std::uint64_t{1} << 40) - 1}) {
    Histogram histogram;
    histogram.record(v);
    EXPECT_EQ(histogram.quantile(0.5), v);  // never above the largest that was recorded
  }
}

TEST(Histogram, QuantilesAreWithinTwoPercentOfTheTruth) {
  Histogram histogram;
  for (std::uint64_t v = 1; v <= 100000; ++v) histogram.record(v * 37);
  for (const double q : {0.5, 0.9, 0.99, 0.999}) {
    const double truth = q * 100000 * 37;
    EXPECT_GE(static_cast<double>(histogram.quantile(q)), truth * 0.999);
    EXPECT_LE(static_cast<double>(histogram.quantile(q)), truth * 1.02);
  }
}

TEST(Histogram, HugeValuesAreKeptAsTheMaximum) {
  Histogram histogram;
  histogram.record(~std::uint64_t{0});
  EXPECT_EQ(histogram.max(), ~std::uint64_t{0});
  EXPECT_EQ(histogram.total(), 1u);
  EXPECT_GT(histogram.quantile(0.5), std::uint64_t{1} << 39);
}

TEST(Histogram, ClearForgets) {
  Histogram histogram;
  histogram.record(5);
  histogram.clear();
  EXPECT_EQ(histogram.total(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
}

}  // namespace
}  // namespace turnkit::probe
