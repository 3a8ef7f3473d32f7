#include "turnd/relay/packet_log.h"

#include "base/log.h"

namespace turnkit::relay {
namespace {

double per_call(std::uint64_t datagrams, std::uint64_t calls) {
  return calls == 0 ? 0.0 : static_cast<double>(datagrams) / static_cast<double>(calls);
}

}  // namespace

void PacketLog::tell(const Address& client, Bytes message, engine::Drop reason, TimePoint now) {
  if (now - second_ >= std::chrono::seconds(1)) {
    tell_suppressed();
    second_ = now;
    lines_ = 0;
  }
  if (lines_ == kLinesPerSecond) {
    ++untold_;
    return;
  }
  ++lines_;
  log::info(
      "relay thread {}: dropped an invalid packet of {} bytes from {}: neither TURN, STUN nor DTLS ({}, first byte "
      "0x{:02x})",
      worker_, message.size(), log::shown(client), engine::drop_name(reason),
      message.empty() ? 0U : std::to_integer<unsigned>(message.front()));
}

void PacketLog::tell_suppressed() {
  if (untold_ != 0) log::info("relay thread {}: dropped {} more invalid packets", worker_, untold_);
  untold_ = 0;
}

void PacketLog::sweep(const net::SendStats& sent, TimePoint now) {
  if (untold_ != 0 && now - second_ >= std::chrono::seconds(1)) tell_suppressed();
  if (now - stats_since_ < kStatsEvery) return;
  if (stats_since_ != TimePoint{}) tell_stats(sent);
  stats_since_ = now;
  calls_ = 0;
  datagrams_ = 0;
  sent_before_ = sent;
}

void PacketLog::tell_stats(const net::SendStats& sent) {
  if (rules_.receive && calls_ != 0) {
    log::info("relay thread {}: receive calls: {}, datagrams or runs of them: {}, {:.2f} a call", worker_, calls_,
              datagrams_, per_call(datagrams_, calls_));
  }
  const std::uint64_t calls = sent.calls - sent_before_.calls;
  const std::uint64_t datagrams = sent.datagrams - sent_before_.datagrams;
  if (rules_.send && calls != 0) {
    log::info("relay thread {}: send calls: {}, datagrams: {} ({} of them segmented), {:.2f} a call", worker_, calls,
              datagrams, sent.segmented - sent_before_.segmented, per_call(datagrams, calls));
  }
}

}  // namespace turnkit::relay
