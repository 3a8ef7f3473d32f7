// Who sends to a listener and what became of it: the evidence behind the listener's screen, its verdicts and its
// reports.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/address.h"
#include "base/clock.h"
#include "probe/wire.h"

namespace turnkit::probe {

enum class PeerKind : std::uint8_t {
  kSilent,  // a TCP connection that has sent nothing yet
  kTurnProbe,
  kOtherVersion,  // a turn-probe whose protocol version this one does not speak
  kText,          // netcat or a person
  kStun,          // ICE agents, STUN clients
  kOther,
};
std::string_view peer_name(PeerKind kind);  // "turn-probe", "netcat or a person"

// Counts the different sequence numbers of a session; what is more than 64 behind the highest counts as seen before.
class SequenceCounter {
 public:
  // True when `sequence` is new.
  bool add(std::uint32_t sequence);
  [[nodiscard]] std::uint32_t distinct() const { return distinct_; }

 private:
  std::uint64_t window_ = 0;  // bit i: highest_ - i was seen
  std::uint32_t highest_ = 0;
  std::uint32_t distinct_ = 0;
};

// One UDP session of a turn-probe, one UDP sender that is none, or one TCP connection.
struct Source {
  Protocol protocol = Protocol::kUdp;
  Address remote;
  Address local;
  PeerKind kind = PeerKind::kSilent;
  std::uint64_t packets = 0;  // datagrams, frames or lines
  std::uint64_t bytes = 0;
  std::uint64_t answers = 0;  // handed to the system
  std::uint64_t limited = 0;  // not answered because of the rate limit
  std::uint32_t send_errors = 0;
  int send_errno = 0;
  TimePoint first_seen{};
  TimePoint last_seen{};
  TimePoint first_answer{};

  // Of a turn-probe.
  Nonce nonce;
  std::uint32_t token = 0;
  SequenceCounter sequences;
  std::uint32_t peer_sent = 0;  // as it says
  std::uint32_t confirmed = 0;  // answers that it says it has, believed only with the right token
  bool finished = false;        // it has asked for the report
  // The other protocol's port that it asked about while nothing of it had arrived there; 0: none.
  std::uint16_t missing_port = 0;

  std::string text;  // the last line of a person, escaped for a terminal
};

// A TCP connection and a sender that is no turn-probe go by their addresses; a UDP session of a turn-probe goes by its
// nonce.
struct SourceKey {
  Protocol protocol = Protocol::kUdp;
  Nonce nonce;
  Address remote;
  std::uint16_t local_port = 0;
  friend auto operator<=>(const SourceKey&, const SourceKey&) = default;
};

// At most `capacity` sources. A new one pushes out the source that has been quiet longest, one that has proven nothing
// first.
class SourceTable {
 public:
  explicit SourceTable(std::size_t capacity = 1024) : capacity_(capacity) {}

  // `is_new` is set when it was not there. References stay valid until the next call.
  Source& find_or_add(const SourceKey& key, TimePoint now, bool& is_new);
  [[nodiscard]] const Source* find(const SourceKey& key) const;
  [[nodiscard]] const std::map<SourceKey, Source>& all() const { return sources_; }
  [[nodiscard]] std::uint64_t forgotten() const { return forgotten_; }

 private:
  void evict();

  std::size_t capacity_;
  std::map<SourceKey, Source> sources_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace turnkit::probe
