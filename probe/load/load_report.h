// The outcome of a load run as text and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "probe/load/fleet.h"
#include "probe/load/generator.h"
#include "probe/load/load.h"
#include "probe/load/profile.h"
#include "probe/report.h"

namespace turnkit::probe {

inline constexpr int kExitLoss = 3;  // loss above --max-loss

struct LoadOutcome {
  LoadOptions options;
  Address server;
  Address first_peer;
  WallTime started{};
  unsigned allocations = 0;
  std::vector<TrafficClass> classes;
  std::optional<ProfilePlan> profile;
  SetUp set_up;
  std::optional<Duration> set_up_cpu;            // the server's, for all allocations and channels
  std::optional<std::uint64_t> resident_before;  // the server's, bytes
  std::optional<std::uint64_t> resident_after;   // with all allocations
  Measurement measured;
};

// Totals over all classes.
struct LoadTotals {
  double seconds = 0;
  std::uint64_t offered = 0;
  std::uint64_t delivered = 0;
  double loss_percent = 0;
  std::optional<double> cpu_us_per_packet;  // of the server, for each delivered packet
  std::optional<double> server_cores;       // CPU time over wall time
  double generator_cores = 0;
  std::optional<double> memory_per_allocation;  // bytes
  std::optional<double> cpu_us_per_allocation;  // for Allocate and ChannelBind
  double allocations_per_second = 0;
};
LoadTotals totals_of(const LoadOutcome& outcome);

std::string load_text(const LoadOutcome& outcome);
// kExitPass, kExitLoss, or kExitFail when not one packet was delivered.
int load_exit_code(const LoadOutcome& outcome, const LoadTotals& totals);
Report load_report(const LoadOutcome& outcome, const LoadTotals& totals);

// A run that came to no measurement: `what` went wrong, `hint` says what to try (may be empty).
Report failed_load_report(const std::string& server, int exit_code, const std::string& reason, const std::string& what,
                          const std::string& hint);

// What the load did not reach of what was asked for, as sentences; empty when all is well.
std::vector<std::string> load_remarks(const LoadOutcome& outcome, const LoadTotals& totals);

// What a failed request of the set-up means for the user: one sentence with what to try.
std::string hint_for(const client::Failure& failure, const LoadOptions& options, const IpAddress& peer);

}  // namespace turnkit::probe
