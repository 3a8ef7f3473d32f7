// What the load generator sends: classes of equal packets, and the mark in front of each packet's payload.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |                 magic, random for each run                    |
//   |     class     |                    flow                       |
//   |                        sequence number                        |
//   |          when it was sent, nanoseconds of the clock           |
//   |                                                               |
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "probe/load/load.h"

namespace turnkit::probe {

struct Mark {
  static constexpr std::size_t kSize = 20;
  std::uint8_t traffic_class = 0;
  std::uint32_t flow = 0;  // 24 bits: position in TrafficClass::flows
  std::uint32_t sequence = 0;
  TimePoint sent_at;
};

// Requires: kSize bytes at `out`.
inline void write_mark(std::byte* out, std::uint32_t magic, const Mark& mark) {
  store_be32(out, magic);
  store_be32(out + 4, (std::uint32_t{mark.traffic_class} << 24) | (mark.flow & 0xFFFFFF));
  store_be32(out + 8, mark.sequence);
  store_be64(out + 12, static_cast<std::uint64_t>(mark.sent_at.time_since_epoch().count()));
}
// nullopt when the payload is not one of this run.
inline std::optional<Mark> read_mark(Bytes payload, std::uint32_t magic) {
  if (payload.size() < Mark::kSize || load_be32(payload.data()) != magic) return std::nullopt;
  const std::uint32_t which = load_be32(payload.data() + 4);
  return Mark{static_cast<std::uint8_t>(which >> 24), which & 0xFFFFFF, load_be32(payload.data() + 8),
              TimePoint(Duration(static_cast<Duration::rep>(load_be64(payload.data() + 12))))};
}

// Packets of one size and direction, spread evenly over flows. A flow belongs to an allocation; an allocation may have
// several.
struct TrafficClass {
  std::string name;                      // "voice"; empty where there is but one
  Direction direction = Direction::kUp;  // not kBoth: that is two classes
  unsigned size = 172;                   // payload bytes, the mark included
  unsigned run = 1;                      // packets in a row of one flow
  double packets_per_second = 0;         // over all flows; 0: flat out
  std::vector<std::uint32_t> flows;      // the allocation of each flow, in sending order
};

// IPv4 and UDP headers, which bandwidth figures of networks include.
inline constexpr unsigned kIpUdpHeaders = 28;

}  // namespace turnkit::probe
