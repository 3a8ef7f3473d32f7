// Pacer and Window of the load generator, and the mark in its packets.
#include <gtest/gtest.h>

#include "probe/load/pacing.h"
#include "probe/load/traffic.h"

namespace turnkit::probe {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
const TimePoint kStart{std::chrono::hours(5)};

TEST(Pacer, SpreadsEvenly) {
  Pacer pacer(20000, kStart);
  EXPECT_TRUE(pacer.take(kStart));
  EXPECT_FALSE(pacer.take(kStart + microseconds(49)));
  EXPECT_EQ(pacer.next(), kStart + microseconds(50));
  EXPECT_TRUE(pacer.take(kStart + microseconds(50)));
  EXPECT_FALSE(pacer.take(kStart + microseconds(50)));
}

TEST(Pacer, KeepsTheRateOverTime) {
  Pacer pacer(7777.7, kStart);
  std::uint64_t taken = 0;
  for (TimePoint now = kStart; now < kStart + std::chrono::seconds(10); now += microseconds(13)) {
    while (pacer.take(now)) ++taken;
  }
  EXPECT_NEAR(static_cast<double>(taken), 77777, 2);
  EXPECT_EQ(pacer.skipped(), 0u);
}

TEST(Pacer, CatchesUpAfterAShortDelay) {
  Pacer pacer(1000, kStart);
  int taken = 0;
  while (pacer.take(kStart + milliseconds(10))) ++taken;
  EXPECT_EQ(taken, 11);
  EXPECT_EQ(pacer.skipped(), 0u);
}

TEST(Pacer, SkipsWhatALongDelayMissed) {
  Pacer pacer(1000, kStart);
  int taken = 0;
  while (pacer.take(kStart + std::chrono::seconds(1))) ++taken;
  EXPECT_LE(taken, 22);  // 20 ms of debt
  EXPECT_NEAR(static_cast<double>(pacer.skipped()) + taken, 1001, 1);
}

TEST(Pacer, ReportsLateness) {
  Pacer pacer(1000, kStart);
  ASSERT_TRUE(pacer.take(kStart + microseconds(300)));
  EXPECT_EQ(pacer.lateness(), microseconds(300));
}

TEST(Window, CountsWhatIsUnderWay) {
  Window window;
  window.sent(kStart, 10);
  EXPECT_EQ(window.under_way(), 10u);
  window.arrived(kStart, 4);
  EXPECT_EQ(window.under_way(), 6u);
  window.sent(kStart + milliseconds(3), 5);
  window.arrived(kStart + milliseconds(3), 5);
  window.arrived(kStart, 6);
  EXPECT_EQ(window.under_way(), 0u);
}

TEST(Window, GivesUpOnLosses) {
  Window window;
  window.sent(kStart, 10);
  window.advance(kStart + Window::kPatience / 2);
  EXPECT_EQ(window.under_way(), 10u);
  window.advance(kStart + 2 * Window::kPatience);
  EXPECT_EQ(window.under_way(), 0u);
  window.arrived(kStart, 10);  // after all: too late to count
  EXPECT_EQ(window.under_way(), 0u);
}

TEST(Window, DoubledPacketsDoNotOpenItFurther) {
  Window window;
  window.sent(kStart, 2);
  window.sent(kStart + milliseconds(5), 2);
  window.arrived(kStart, 1);
  window.arrived(kStart, 1);
  window.arrived(kStart, 1);
  EXPECT_EQ(window.under_way(), 2u);
}

TEST(Window, SurvivesAJumpOfTheClock) {
  Window window;
  window.sent(kStart, 3);
  window.sent(kStart + std::chrono::hours(1), 4);
  EXPECT_EQ(window.under_way(), 4u);
}

TEST(Mark, RoundTrips) {
  std::array<std::byte, 64> packet{};
  const Mark mark{3, 0xABCDEF, 77, TimePoint(Duration(123456789012345))};
  write_mark(packet.data(), 0xFEEDBEEF, mark);
  const auto read = read_mark(packet, 0xFEEDBEEF);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->traffic_class, 3);
  EXPECT_EQ(read->flow, 0xABCDEFu);
  EXPECT_EQ(read->sequence, 77u);
  EXPECT_EQ(read->sent_at, mark.sent_at);
  EXPECT_FALSE(read_mark(packet, 0xFEEDBEE0));
  EXPECT_FALSE(read_mark(Bytes(packet).first(Mark::kSize - 1), 0xFEEDBEEF));
}

}  // namespace
}  // namespace turnkit::probe
