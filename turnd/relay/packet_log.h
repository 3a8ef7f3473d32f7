// PacketLog: what one worker tells about its datagrams where options ask for it: those that are no protocol of ours,
// and how many a system call moves. Belongs to the worker's thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "net/udp_batch.h"
#include "turnd/engine/drop.h"

namespace turnkit::relay {

struct PacketLogRules {
  bool invalid = false;  // drop-invalid-packets-log
  bool receive = false;  // udp-recvmmsg-log
  bool send = false;     // udp-sendmmsg-log
};

class PacketLog {
 public:
  explicit PacketLog(unsigned worker) : worker_(worker) {}

  void set_rules(const PacketLogRules& rules) { rules_ = rules; }

  // One receive call that brought these slots.
  void on_received(std::size_t slots) {
    ++calls_;
    datagrams_ += slots;
  }
  // A message of a client that was dropped. At most kLinesPerSecond lines; the others are counted in one.
  static constexpr unsigned kLinesPerSecond = 5;
  void on_dropped(const Address& client, Bytes message, engine::Drop reason, TimePoint now) {
    if (rules_.invalid && is_invalid(reason)) tell(client, message, reason, now);
  }
  // Call about once a second.
  void sweep(const net::SendStats& sent, TimePoint now);

 private:
  static constexpr std::chrono::seconds kStatsEvery{10};

  static bool is_invalid(engine::Drop reason) {
    return reason == engine::Drop::kNotTurn || reason == engine::Drop::kMalformedStun ||
           reason == engine::Drop::kBadCookie;
  }
  void tell(const Address& client, Bytes message, engine::Drop reason, TimePoint now);
  void tell_suppressed();
  void tell_stats(const net::SendStats& sent);

  const unsigned worker_;
  PacketLogRules rules_;

  TimePoint second_{};        // when the lines of this second began
  unsigned lines_ = 0;        // told in it
  std::uint64_t untold_ = 0;  // not told in it
  TimePoint stats_since_{};
  std::uint64_t calls_ = 0;  // since stats_since_
  std::uint64_t datagrams_ = 0;
  net::SendStats sent_before_;  // at stats_since_
};

}  // namespace turnkit::relay
