// The CPU quota of the control group that the process is in, as containers and systemd set it.
#pragma once

#include <optional>
#include <string>

namespace turnkit::turnd {

// How many CPUs' worth of time the process may use, rounded up to whole ones, at least 1; nullopt: there is no quota.
// Reads cpu.max (control groups v2) or cpu.cfs_quota_us and cpu.cfs_period_us (v1) of the group and those above it;
// the smallest counts. `root` is where control groups are mounted, `membership` says which the process is in.
std::optional<unsigned> cpu_quota(const std::string& root = "/sys/fs/cgroup",
                                  const std::string& membership = "/proc/self/cgroup");

}  // namespace turnkit::turnd
