// The other half of TurnSession: data that arrives, timers, and what keeps an allocation alive (RFC 8656, sections 8,
// 9, 11 and 12).
#include <algorithm>

#include "client/turn_session.h"
#include "stun/channel_data.h"

namespace turnkit::client {

using stun::Attr;

namespace {
constexpr std::size_t kPeersPerRefresh = 32;
constexpr Duration kRetryUpkeep = std::chrono::seconds(45);  // after a request has certainly ended
}  // namespace

void TurnSession::on_channel_data(Bytes datagram) {
  const auto message = stun::parse_channel_data(datagram);
  const auto channel = std::find_if(channels_.begin(), channels_.end(),
                                    [&](const Channel& c) { return message && c.number == message->number; });
  if (channel == channels_.end()) {
    ++ignored_;
    return;
  }
  events_.emplace_back(DataReceived{channel->peer, channel->number, message->data});
}

// RFC 8656, section 11.4.
void TurnSession::on_indication(const stun::MessageView& message) {
  const auto peer_attribute = message.find(Attr::kXorPeerAddress);
  const auto peer =
      peer_attribute ? stun::decode_xor_address(peer_attribute->value, message.transaction_id()) : std::nullopt;
  if (message.method() != stun::Method::kData || !peer || !expects_data_from(peer->ip)) {
    ++ignored_;
    return;
  }
  if (const auto data = message.find(Attr::kData)) {
    events_.emplace_back(DataReceived{*peer, std::nullopt, data->value});
    return;
  }
  const auto attribute = message.find(Attr::kIcmp);
  const auto icmp = attribute ? stun::decode_icmp(attribute->value) : std::nullopt;
  if (!icmp) {
    ++ignored_;
    return;
  }
  events_.emplace_back(IcmpReceived{*peer, *icmp});
}

bool TurnSession::expects_data_from(const IpAddress& ip) const {
  const auto is_ip = [&](const Address& peer) { return peer.ip == ip; };
  return std::any_of(permissions_.begin(), permissions_.end(), [&](const Permission& p) { return p.ip == ip; }) ||
         std::any_of(channels_.begin(), channels_.end(), [&](const Channel& c) { return c.peer.ip == ip; }) ||
         // The peer's first packet may overtake the answer to the request that permits it.
         std::any_of(transactions_.begin(), transactions_.end(),
                     [&](const Transaction& t) { return std::any_of(t.peers.begin(), t.peers.end(), is_ip); });
}

void TurnSession::permit(const IpAddress& ip, TimePoint refresh_at) {
  for (Permission& permission : permissions_) {
    if (permission.ip == ip) {
      permission.refresh_at = refresh_at;
      return;
    }
  }
  permissions_.push_back({ip, refresh_at});
}

// RFC 8656, section 8: about a minute before the expiry that the server granted.
void TurnSession::set_lifetime(std::chrono::seconds lifetime, TimePoint now) {
  constexpr std::chrono::seconds kLead{60};
  // A lifetime of centuries must not overflow the clock.
  const std::chrono::seconds bounded = std::min<std::chrono::seconds>(lifetime, std::chrono::hours(24 * 365));
  if (allocation_) allocation_->lifetime = lifetime;
  expires_at_ = now + bounded;
  refresh_at_.reset();
  if (options_.keep_alive)
    refresh_at_ = now + (bounded > 2 * kLead ? Duration(bounded - kLead) : Duration(bounded) / 2);
}

void TurnSession::forget_allocation() {
  allocation_.reset();
  refresh_at_.reset();
  expires_at_.reset();
  permissions_.clear();
  channels_.clear();
}

void TurnSession::on_time(TimePoint now) {
  for (std::size_t i = 0; i < transactions_.size();) {
    Transaction& transaction = transactions_[i];
    const Retransmission::Due due = transaction.timer.on_time(now);
    if (due == Retransmission::Due::kResend) output_.push_back(transaction.bytes);
    if (due != Retransmission::Due::kTimedOut) {
      ++i;
      continue;
    }
    const Transaction ended = take(i, now);
    Failure failure;
    failure.kind = ended.discarded_code ? Failure::Kind::kIntegrity : Failure::Kind::kTimeout;
    failure.code = ended.discarded_code.value_or(0);
    fail(ended, std::move(failure));
  }
  if (expires_at_ && now >= *expires_at_) {
    forget_allocation();
    events_.emplace_back(Deleted{});
  }
  if (options_.keep_alive && allocation_) keep_alive(now);
}

void TurnSession::keep_alive(TimePoint now) {
  if (refresh_at_ && now >= *refresh_at_) {
    refresh_at_ = now + kRetryUpkeep;
    refresh(options_.lifetime, now);
  }
  keep_permissions(now);
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    if (now < channels_[i].refresh_at) continue;
    channels_[i].refresh_at = now + kRetryUpkeep;
    bind_channel(channels_[i].number, channels_[i].peer, now);  // extends the peer's permission, too
  }
}

void TurnSession::keep_permissions(TimePoint now) {
  for (std::size_t i = 0; i < permissions_.size();) {
    std::vector<Address> due;
    for (; i < permissions_.size() && due.size() < kPeersPerRefresh; ++i) {
      Permission& permission = permissions_[i];
      if (now < permission.refresh_at) continue;
      permission.refresh_at = now + kRetryUpkeep;
      due.push_back(Address{permission.ip, 0});
    }
    if (!due.empty()) create_permission(due, now);
  }
}

std::optional<TimePoint> TurnSession::deadline() const {
  std::optional<TimePoint> earliest;
  const auto consider = [&](TimePoint t) { earliest = earliest ? std::min(*earliest, t) : t; };
  for (const Transaction& transaction : transactions_) consider(transaction.timer.deadline());
  if (expires_at_) consider(*expires_at_);
  if (!options_.keep_alive || !allocation_) return earliest;
  if (refresh_at_) consider(*refresh_at_);
  for (const Permission& permission : permissions_) consider(permission.refresh_at);
  for (const Channel& channel : channels_) consider(channel.refresh_at);
  return earliest;
}

}  // namespace turnkit::client
