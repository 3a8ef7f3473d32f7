// The benchmark table of the Mattermost Calls deployment guide as traffic: what its SFU takes in and sends out when
// every user comes through the relay. The model is in profile.cc; figures are of IPv4 packets, headers included, as
// networks count them.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "probe/load/traffic.h"

namespace turnkit::probe {

struct ProfileRow {
  std::string_view name;  // "100x8-screen"
  unsigned calls;
  unsigned users;    // in a call
  unsigned unmuted;  // in a call
  bool screen;       // one user of each call shares the screen
  double in_mbps;    // the table's bandwidth: clients to SFU
  double out_mbps;   // SFU to clients
};

std::span<const ProfileRow> profile_rows();
// nullptr when there is none of this name.
const ProfileRow* find_profile(std::string_view name);

struct ProfilePlan {
  ProfileRow row;
  unsigned allocations = 0;  // one for each user
  std::vector<TrafficClass> classes;
  double in_mbps = 0;  // what the classes amount to
  double out_mbps = 0;
};
// `calls` instead of the row's; 0: the row's.
ProfilePlan plan_profile(const ProfileRow& row, unsigned calls = 0);

// Bandwidth of a class in Mbit/s.
double mbps_of(const TrafficClass& traffic);
double mbps_of(double packets_per_second, unsigned size);

// The text of `--profile list`.
std::string list_profiles();

}  // namespace turnkit::probe
