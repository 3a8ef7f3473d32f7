// Measures what lies between this host and STUN servers, over one family. Filtering comes first and every test has
// sockets of its own, so that none opens what another one is to find closed (RFC 5780, section 4.4).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "probe/nat/evidence.h"
#include "probe/nat/options.h"

namespace turnkit::probe {

using Progress = std::function<void(const std::string& what)>;

// `others`: further servers to compare with; of the same family. Blocks for 4 to 10 s, and options.lifetime.
NatEvidence measure_nat(const Address& server, const std::vector<Address>& others, const NatOptions& options,
                        const Progress& progress);

// The lifetime test alone (lifetime.cc). `local`: address to send from. All idle times run at once, each on a mapping
// of its own, so it takes as long as the longest.
LifetimeEvidence measure_lifetime(const Address& server, const IpAddress& local, std::chrono::seconds limit,
                                  const Progress& progress);
// The idle times of a test up to `limit`, ascending.
std::vector<std::chrono::seconds> idle_times(std::chrono::seconds limit);

// For tests where silence is an answer: 2.5 s, and 1.2 s.
inline constexpr client::RetransmitConfig kSilenceSchedule{std::chrono::milliseconds(500), 3, 2};
inline constexpr client::RetransmitConfig kShortSchedule{std::chrono::milliseconds(400), 2, 2};

}  // namespace turnkit::probe
