// The traffic model behind the guide's table. It follows from the table itself:
//
// Voice. Out / (calls * unmuted * (users - 1)) is 88 to 90 kbit/s in all rows without screen: 50 packets of 195 bytes a
// second. Feedback. What the in column has beyond voice grows with the users, 5 to 7 kbit/s each: RTCP of every
// receiver, here 8 packets of
//   84 bytes a second. Receivers of a screen send more (reports for each frame); the row says how much.
// Screen. The rest of the out column is 2.0 to 3.0 Mbit/s for each receiver: 30 frames a second of 1100-byte packets, a
// frame being
//   a run. What comes in is the same stream once a call, as far as the in column has room for it.
#include "probe/load/profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace turnkit::probe {

namespace {

constexpr double kVoicePacketsPerSecond = 50;
constexpr unsigned kVoiceSize = 195;
constexpr double kFeedbackPacketsPerSecond = 8;
constexpr unsigned kFeedbackSize = 84;
constexpr double kFramesPerSecond = 30;
constexpr unsigned kScreenSize = 1100;

constexpr std::array kRows{
    ProfileRow{"100x8", 100, 8, 2, false, 22, 125},  ProfileRow{"100x8-screen", 100, 8, 2, true, 280, 2200},
    ProfileRow{"10x50", 10, 50, 2, false, 5.25, 86}, ProfileRow{"10x50-screen", 10, 50, 2, true, 32, 1330},
    ProfileRow{"5x200", 5, 200, 2, false, 8.2, 180}, ProfileRow{"5x200-screen", 5, 200, 2, true, 31, 2200},
};

// The packets a second that make `mbps` of packets of `size`.
double packets_for(double mbps, unsigned size) { return mbps * 1e6 / (8.0 * (size + kIpUdpHeaders)); }

// Rates of one stream of each kind, from the row as the table has it.
struct Rates {
  double feedback = kFeedbackPacketsPerSecond;  // packets/s of each user
  double screen_in = 0;                         // packets/s of each sharer
  double screen_out = 0;                        // packets/s to each receiver
};

Rates rates_of(const ProfileRow& row) {
  Rates rates;
  if (!row.screen) return rates;
  const double receivers = double(row.calls) * (row.users - 1);
  const double everybody = double(row.calls) * row.users;
  const double voice_in = mbps_of(kVoicePacketsPerSecond * row.calls * row.unmuted, kVoiceSize);
  const double voice_out = mbps_of(kVoicePacketsPerSecond * receivers * row.unmuted, kVoiceSize);
  const double least_feedback = mbps_of(kFeedbackPacketsPerSecond * everybody, kFeedbackSize);
  const double to_each = (row.out_mbps - voice_out) / receivers;
  const double from_each = std::min(to_each, (row.in_mbps - voice_in - least_feedback) / row.calls);
  rates.screen_out = packets_for(to_each, kScreenSize);
  rates.screen_in = packets_for(from_each, kScreenSize);
  const double feedback = row.in_mbps - voice_in - from_each * row.calls;
  rates.feedback = std::max(kFeedbackPacketsPerSecond, packets_for(feedback, kFeedbackSize) / everybody);
  return rates;
}

unsigned frame_of(double packets_per_second) {
  return std::max(1U, static_cast<unsigned>(std::lround(packets_per_second / kFramesPerSecond)));
}

// In each call users 0 to unmuted-1 speak, and the last user shares the screen.
struct Users {
  unsigned calls;
  unsigned users;

  // One flow for each user of each call for which `wants(user)`; neighbours in the list are of different calls.
  template <typename F>
  void add_flows(std::vector<std::uint32_t>& flows, F&& wants) const {
    for (unsigned user = 0; user < users; ++user) {
      if (!wants(user)) continue;
      for (unsigned call = 0; call < calls; ++call) flows.push_back(call * users + user);
    }
  }
};

TrafficClass make_class(const char* name, Direction direction, unsigned size, unsigned run) {
  TrafficClass traffic;
  traffic.name = name;
  traffic.direction = direction;
  traffic.size = size;
  traffic.run = run;
  return traffic;
}

}  // namespace

std::span<const ProfileRow> profile_rows() { return kRows; }

const ProfileRow* find_profile(std::string_view name) {
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const ProfileRow& r) { return r.name == name; });
  return row == kRows.end() ? nullptr : &*row;
}

double mbps_of(double packets_per_second, unsigned size) {
  return packets_per_second * 8.0 * (size + kIpUdpHeaders) / 1e6;
}
double mbps_of(const TrafficClass& traffic) { return mbps_of(traffic.packets_per_second, traffic.size); }

ProfilePlan plan_profile(const ProfileRow& row, unsigned calls) {
  ProfilePlan plan;
  plan.row = row;
  const Users users{calls == 0 ? row.calls : calls, row.users};
  plan.allocations = users.calls * users.users;
  const Rates rates = rates_of(row);
  const unsigned sharer = row.users - 1;

  const auto add = [&](TrafficClass traffic, double per_flow) {
    traffic.packets_per_second = per_flow * static_cast<double>(traffic.flows.size());
    (traffic.direction == Direction::kUp ? plan.in_mbps : plan.out_mbps) += mbps_of(traffic);
    plan.classes.push_back(std::move(traffic));
  };
  TrafficClass voice_in = make_class("voice in", Direction::kUp, kVoiceSize, 1);
  TrafficClass voice_out = make_class("voice out", Direction::kDown, kVoiceSize, 1);
  TrafficClass feedback = make_class("feedback in", Direction::kUp, kFeedbackSize, 1);
  users.add_flows(voice_in.flows, [&](unsigned user) { return user < row.unmuted; });
  for (unsigned speaker = 0; speaker < row.unmuted; ++speaker) {
    users.add_flows(voice_out.flows, [&](unsigned user) { return user != speaker; });
  }
  users.add_flows(feedback.flows, [](unsigned) { return true; });
  add(std::move(voice_in), kVoicePacketsPerSecond);
  add(std::move(voice_out), kVoicePacketsPerSecond);
  add(std::move(feedback), rates.feedback);
  if (row.screen) {
    TrafficClass in = make_class("screen in", Direction::kUp, kScreenSize, frame_of(rates.screen_in));
    TrafficClass out = make_class("screen out", Direction::kDown, kScreenSize, frame_of(rates.screen_out));
    users.add_flows(in.flows, [&](unsigned user) { return user == sharer; });
    users.add_flows(out.flows, [&](unsigned user) { return user != sharer; });
    add(std::move(in), rates.screen_in);
    add(std::move(out), rates.screen_out);
  }
  return plan;
}

std::string list_profiles() {
  std::string text =
      "Rows of the deployment guide's benchmark table. Bandwidth in Mbit/s: the table's, and what is offered.\n\n"
      "  name           calls  users  unmuted  screen   table in/out    offered in/out   packets/s in/out\n";
  for (const ProfileRow& row : kRows) {
    const ProfilePlan plan = plan_profile(row);
    double in = 0;
    double out = 0;
    for (const TrafficClass& traffic : plan.classes) {
      (traffic.direction == Direction::kUp ? in : out) += traffic.packets_per_second;
    }
    text += fmt::format("  {:<14}{:>6}{:>7}{:>9}  {:<6}{:>8g} /{:>5g}{:>11.1f} /{:>7.1f}{:>10.0f} /{:>7.0f}\n",
                        row.name, row.calls, row.users, row.unmuted, row.screen ? "yes" : "no", row.in_mbps,
                        row.out_mbps, plan.in_mbps, plan.out_mbps, in, out);
  }
  return text;
}

}  // namespace turnkit::probe
