// Reading a process's CPU time and memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "probe/load/server_usage.h"

namespace turnkit::probe {
namespace {

TEST(ParseSchedstat, TakesTheRunTime) {
  EXPECT_EQ(parse_schedstat("123456789 4567 89\n"), 123456789u);
  EXPECT_EQ(parse_schedstat("0 0 0\n"), 0u);
  EXPECT_EQ(parse_schedstat("18446744073709551615 0 0"), ~std::uint64_t{0});
}

TEST(ParseSchedstat, RefusesOtherText) {
  EXPECT_EQ(parse_schedstat(""), std::nullopt);
  EXPECT_EQ(parse_schedstat("run 12"), std::nullopt);
  EXPECT_EQ(parse_schedstat("99999999999999999999999 0 0"), std::nullopt);
}

TEST(ParseRssAnon, FindsItsLine) {
  EXPECT_EQ(parse_rss_anon("Name:\tturnd\nVmRSS:\t  9999 kB\nRssAnon:\t    1234 kB\nRssFile:\t 1 kB\n"), 1234u * 1024);
  EXPECT_EQ(parse_rss_anon("VmRSS:\t 9 kB\n"), std::nullopt);
  EXPECT_EQ(parse_rss_anon("RssAnon:\n"), std::nullopt);
  EXPECT_EQ(parse_rss_anon(""), std::nullopt);
}

TEST(ReadServerUsage, SeesThisProcess) {
  const auto before = read_server_usage(::getpid());
  ASSERT_TRUE(before) << before.error().text;
  EXPECT_GT(before->resident, 0u);
  volatile std::uint64_t sink = 0;
  std::chrono::nanoseconds cpu{0};
  for (int tries = 0; tries < 10000 && cpu <= before->cpu; ++tries) {  // until the kernel has accounted for some work
    for (int i = 0; i < 100000; ++i) sink = sink + 1;
    cpu = read_server_usage(::getpid())->cpu;
  }
  EXPECT_GT(cpu, before->cpu);
}

TEST(ReadServerUsage, NamesAProcessThatIsNotThere) {
  const auto usage = read_server_usage(999999999);
  ASSERT_FALSE(usage);
  EXPECT_THAT(usage.error().text, testing::HasSubstr("/proc/999999999"));
}

}  // namespace
}  // namespace turnkit::probe
