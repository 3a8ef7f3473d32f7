// The CPU quota, on control groups made of files.
#include "turnd/options/cpu_quota.h"

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

class CpuQuota : public ::testing::Test {
 protected:
  std::optional<unsigned> quota(const std::string& membership) {
    return cpu_quota(directory_.path() + "/cgroup", directory_.write("membership", membership));
  }
  void v2(const std::string& group, const std::string& max) {
    directory_.write("cgroup" + group + "/cpu.max", max + "\n");
  }
  void v1(const std::string& group, const std::string& quota, const std::string& period = "100000") {
    directory_.write("cgroup/cpu,cpuacct" + group + "/cpu.cfs_quota_us", quota + "\n");
    directory_.write("cgroup/cpu,cpuacct" + group + "/cpu.cfs_period_us", period + "\n");
  }

  TempDir directory_;
};

TEST_F(CpuQuota, Version2RoundsUp) {
  const std::pair<const char*, std::optional<unsigned>> cases[] = {
      {"max 100000", std::nullopt}, {"200000 100000", 2U},      {"150000 100000", 2U}, {"1000 100000", 1U},
      {"800000 50000", 16U},        {"0 100000", std::nullopt}, {"", std::nullopt},    {"100000", std::nullopt},
      {"-1 100000", std::nullopt},  {"junk junk", std::nullopt}};
  for (const auto& [text, cpus] : cases) {
    v2("", text);
    EXPECT_EQ(quota("0::/\n"), cpus) << text;
  }
}

TEST_F(CpuQuota, TheSmallestOfTheGroupsAboveCounts) {
  v2("/system.slice", "300000 100000");
  v2("/system.slice/turnd.service", "max 100000");
  EXPECT_EQ(quota("0::/system.slice/turnd.service\n"), 3U);
  v2("/system.slice/turnd.service", "100000 100000");
  EXPECT_EQ(quota("0::/system.slice/turnd.service\n"), 1U);
  EXPECT_EQ(quota("0::/other.slice\n"), std::nullopt);
}

TEST_F(CpuQuota, Version1) {
  v1("", "-1");
  v1("/docker/abc", "250000");
  EXPECT_EQ(quota("12:pids:/docker/abc\n4:cpu,cpuacct:/docker/abc\n"), 3U);
  EXPECT_EQ(quota("4:cpu,cpuacct:/\n"), std::nullopt);
  EXPECT_EQ(quota("4:cpuset:/docker/abc\n"), std::nullopt);
}

// In a container of version 1 the path is the host's, and the container's own group is the mount itself.
TEST_F(CpuQuota, Version1InAContainer) {
  v1("", "400000");
  EXPECT_EQ(quota("4:cpu,cpuacct:/docker/not-visible-here\n"), 4U);
}

TEST_F(CpuQuota, SurvivesWhatIsNotThere) {
  EXPECT_EQ(cpu_quota(directory_.path() + "/none", directory_.path() + "/none"), std::nullopt);
  EXPECT_EQ(quota("nonsense\n:\n::\n0:\n"), std::nullopt);
}

}  // namespace
}  // namespace turnkit::turnd
