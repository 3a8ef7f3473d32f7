#include "probe/listen/source.h"

#include <algorithm>

namespace turnkit::probe {

std::string_view peer_name(PeerKind kind) {
  switch (kind) {
    case PeerKind::kSilent:
      return "a connection without data";
    case PeerKind::kTurnProbe:
      return "turn-probe";
    case PeerKind::kOtherVersion:
      return "a turn-probe of another version";
    case PeerKind::kText:
      return "netcat or a person";
    case PeerKind::kStun:
      return "a STUN or ICE client";
    case PeerKind::kOther:
      break;
  }
  return "unknown data";
}

bool SequenceCounter::add(std::uint32_t sequence) {
  if (distinct_ == 0 || sequence > highest_) {
    const std::uint32_t step = distinct_ == 0 ? 64 : sequence - highest_;
    window_ = step >= 64 ? 1 : (window_ << step) | 1;
    highest_ = sequence;
    ++distinct_;
    return true;
  }
  const std::uint32_t behind = highest_ - sequence;
  if (behind >= 64 || ((window_ >> behind) & 1) != 0) return false;
  window_ |= std::uint64_t{1} << behind;
  ++distinct_;
  return true;
}

Source& SourceTable::find_or_add(const SourceKey& key, TimePoint now, bool& is_new) {
  const auto found = sources_.find(key);
  is_new = found == sources_.end();
  if (!is_new) return found->second;
  if (sources_.size() >= capacity_) evict();
  Source& source = sources_[key];
  source.protocol = key.protocol;
  source.nonce = key.nonce;
  source.first_seen = source.last_seen = now;
  return source;
}

const Source* SourceTable::find(const SourceKey& key) const {
  const auto found = sources_.find(key);
  return found == sources_.end() ? nullptr : &found->second;
}

void SourceTable::evict() {
  const auto older = [](const auto& a, const auto& b) {
    const bool a_proven = a.second.confirmed > 0;
    const bool b_proven = b.second.confirmed > 0;
    return a_proven != b_proven ? b_proven : a.second.last_seen < b.second.last_seen;
  };
  sources_.erase(std::min_element(sources_.begin(), sources_.end(), older));
  ++forgotten_;
}

}  // namespace turnkit::probe
