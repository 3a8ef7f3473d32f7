// Model: what a TURN server must do, as plainly as it can be said.
#include "tests/sim/model.h"

#include <algorithm>

namespace turnkit::sim {

using stun::Method;
using namespace std::chrono_literals;

namespace {

int granted(const std::optional<std::uint32_t>& asked) {
  if (!asked || *asked < 600) return 600;
  return *asked > 3600 ? 3600 : static_cast<int>(*asked);
}

Verdict refused(int error) { return {.error = error, .lifetime = {}, .relayed = 0}; }

}  // namespace

void Model::expire(TimePoint now) {
  for (auto& [client, allocation] : allocations_) {
    for (const Family family : {Family::kIPv4, Family::kIPv6}) {
      const auto it = allocation.families.find(family);
      if (it != allocation.families.end() && it->second <= now) drop_family(allocation, family);
    }
    std::erase_if(allocation.permissions, [&](const auto& entry) { return entry.second <= now; });
    std::erase_if(allocation.channels, [&](const auto& entry) { return entry.second.expires <= now; });
  }
  std::erase_if(allocations_, [](const auto& entry) { return entry.second.families.empty(); });
  std::erase_if(deletions_, [&](const auto& entry) { return entry.second.forget <= now; });
  std::erase_if(reservations_, [&](const auto& entry) { return entry.second.expires <= now; });
}

void Model::drop_family(Allocation& allocation, Family family) {
  allocation.families.erase(family);
  allocation.relayed.erase(family);
  std::erase_if(allocation.permissions, [&](const auto& entry) { return entry.first.family() == family; });
  std::erase_if(allocation.channels, [&](const auto& entry) { return entry.second.peer.family() == family; });
}

Verdict Model::judge(const Address& client, const Ask& ask, const Now& now) {
  expire(now.mono);
  const auto it = allocations_.find(client);
  if (it == allocations_.end() && ask.method != Method::kAllocate) {
    const auto deletion = deletions_.find(client);
    const bool repeated = deletion != deletions_.end() && deletion->second.id == ask.id &&
                          ask.method == Method::kRefresh && ask.credentials == Ask::Credentials::kRight &&
                          deletion->second.user == ask.user;
    return repeated ? Verdict{.error = 0, .lifetime = 0, .relayed = 0} : refused(437);
  }
  if (ask.credentials != Ask::Credentials::kRight) return refused(401);
  if (config_.nonce_lifetime != 0s && now.wall - ask.nonce_issued > config_.nonce_lifetime) return refused(438);
  if (it != allocations_.end() && ask.method != Method::kAllocate && it->second.user != ask.user) return refused(441);
  if (ask.unknown_attribute) return refused(420);
  switch (ask.method) {
    case Method::kAllocate:
      return allocate(client, ask, now.mono);
    case Method::kRefresh:
      return refresh(client, ask, now.mono);
    case Method::kCreatePermission:
      return permit(it->second, ask, now.mono);
    default:
      return bind(it->second, ask, now.mono);
  }
}

Verdict Model::allocate(const Address& client, const Ask& ask, TimePoint now) {
  if (const auto it = allocations_.find(client); it != allocations_.end()) {
    const Allocation& existing = it->second;
    if (existing.made_by != ask.id || existing.user != ask.user) return refused(437);
    TimePoint last{};
    for (const auto& [family, expires] : existing.families) last = std::max(last, expires);
    const auto left = std::chrono::ceil<std::chrono::seconds>(last - now);
    return {0, static_cast<int>(left.count()), static_cast<int>(existing.relayed.size())};
  }
  if (!ask.transport) return refused(400);
  if (*ask.transport == 6) return refused(400);  // RFC 6062: not over UDP
  if (*ask.transport != 17) return refused(442);
  if (ask.token && (ask.even_port || ask.family || ask.additional_family)) return refused(400);
  if (ask.family && ask.additional_family) return refused(400);
  if (!ask.token && ask.family && *ask.family != 1 && *ask.family != 2) return refused(440);
  if (ask.even_port.value_or(false) && ask.additional_family) return refused(400);
  const auto reservation = ask.token ? reservations_.find(*ask.token) : reservations_.end();
  if (ask.token && reservation == reservations_.end()) return refused(508);

  const auto count = std::count_if(allocations_.begin(), allocations_.end(),
                                   [&](const auto& entry) { return entry.second.user == ask.user; });
  if (static_cast<std::uint32_t>(count) >= config_.user_quota) return refused(486);

  Allocation made;
  made.user = ask.user;
  made.made_by = ask.id;
  const TimePoint expires = now + std::chrono::seconds(granted(ask.lifetime));
  if (ask.token) {
    made.families[reservation->second.address.family()] = expires;
    reservations_.erase(reservation);
  } else {
    made.families[static_cast<Family>(ask.family.value_or(1))] = expires;
    if (ask.additional_family) made.families[Family::kIPv6] = expires;
  }
  const int relayed = static_cast<int>(made.families.size());
  allocations_.insert_or_assign(client, std::move(made));
  deletions_.erase(client);
  return {0, granted(ask.lifetime), relayed};
}

void Model::learn(const Address& client, const std::vector<Address>& relayed, std::optional<std::uint64_t> token,
                  const Now& now) {
  Allocation& allocation = allocations_.at(client);
  for (const Address& address : relayed) {
    if (allocation.relayed.emplace(address.family(), address).second) all_relayed_.push_back(address);
  }
  if (token && !allocation.token) {
    allocation.token = token;
    const Address even = relayed.front();
    reservations_[*token] = {{even.ip, static_cast<std::uint16_t>(even.port + 1)}, now.mono + 30s};
  }
}

Verdict Model::refresh(const Address& client, const Ask& ask, TimePoint now) {
  Allocation& allocation = allocations_.at(client);
  const bool deletes = ask.lifetime && *ask.lifetime == 0;
  const int lifetime = deletes ? 0 : granted(ask.lifetime);
  std::set<Family> meant;
  if (ask.family) {
    const auto family = static_cast<Family>(*ask.family);
    if (*ask.family != 1 && *ask.family != 2) return refused(443);
    if (!allocation.families.contains(family)) {
      return deletes && allocation.half_deleted_by == ask.id ? Verdict{0, 0, 0} : refused(443);
    }
    meant.insert(family);
  } else {
    for (const auto& [family, expires] : allocation.families) meant.insert(family);
  }
  if (!deletes) {
    for (const Family family : meant) allocation.families[family] = now + std::chrono::seconds(lifetime);
    return {0, lifetime, 0};
  }
  if (meant.size() < allocation.families.size()) {
    allocation.half_deleted_by = ask.id;
    for (const Family family : meant) drop_family(allocation, family);
  } else {
    deletions_[client] = {ask.id, ask.user, now + 40s};
    allocations_.erase(client);
  }
  return {0, 0, 0};
}

int Model::check_peer(const Allocation& allocation, const Address& peer) const {
  if (!allocation.families.contains(peer.family())) return 443;
  return config_.forbidden.contains(peer.ip) ? 403 : 0;
}

Verdict Model::permit(Allocation& allocation, const Ask& ask, TimePoint now) const {
  if (ask.peers.empty()) return refused(400);
  std::map<IpAddress, TimePoint> after = allocation.permissions;
  for (const Address& peer : ask.peers) {
    if (const int error = check_peer(allocation, peer)) return refused(error);
    after[peer.ip] = now + 300s;
  }
  if (after.size() > config_.max_permissions) return refused(508);
  allocation.permissions = std::move(after);
  return {};
}

Verdict Model::bind(Allocation& allocation, const Ask& ask, TimePoint now) const {
  if (ask.peers.empty() || ask.peers.front().port == 0) return refused(400);
  if (ask.channel < 0x4000 || ask.channel > 0x7FFE) return refused(400);
  const Address& peer = ask.peers.front();
  bool bound = false;
  for (const auto& [number, channel] : allocation.channels) {
    if ((number == ask.channel) != (channel.peer == peer)) return refused(400);
    bound = bound || number == ask.channel;
  }
  if (const int error = check_peer(allocation, peer)) return refused(error);
  if (!bound && allocation.channels.size() >= config_.max_channels) return refused(508);
  const bool permitted = allocation.permissions.contains(peer.ip);
  if (!permitted && allocation.permissions.size() >= config_.max_permissions) return refused(508);
  allocation.permissions[peer.ip] = now + 300s;
  allocation.channels[ask.channel] = {peer, now + 600s};
  return {};
}

const Model::Allocation* Model::find(const Address& client, TimePoint now) const {
  const auto it = allocations_.find(client);
  if (it == allocations_.end()) return nullptr;
  const bool alive = std::any_of(it->second.families.begin(), it->second.families.end(),
                                 [&](const auto& entry) { return entry.second > now; });
  return alive ? &it->second : nullptr;
}

std::optional<Model::Hop> Model::send(const Address& client, const Address& peer, TimePoint now) const {
  const Allocation* allocation = find(client, now);
  if (allocation == nullptr || peer.port == 0) return std::nullopt;
  const auto permission = allocation->permissions.find(peer.ip);
  if (permission == allocation->permissions.end() || permission->second <= now) return std::nullopt;
  const auto family = allocation->families.find(peer.family());
  if (family == allocation->families.end() || family->second <= now) return std::nullopt;
  return Hop{allocation->relayed.at(peer.family()), peer};
}

std::optional<Model::Hop> Model::channel_data(const Address& client, std::uint16_t channel, TimePoint now) const {
  const Allocation* allocation = find(client, now);
  if (allocation == nullptr) return std::nullopt;
  const auto it = allocation->channels.find(channel);
  if (it == allocation->channels.end() || it->second.expires <= now) return std::nullopt;
  return send(client, it->second.peer, now);
}

std::optional<Model::Heard> Model::peer_data(const Address& peer, const Address& relayed, TimePoint now) const {
  for (const auto& [client, allocation] : allocations_) {
    const auto own = allocation.relayed.find(relayed.family());
    if (own == allocation.relayed.end() || own->second != relayed || !send(client, peer, now)) continue;
    for (const auto& [number, channel] : allocation.channels) {
      if (channel.peer == peer && channel.expires > now) return Heard{client, number};
    }
    return Heard{client, 0};
  }
  return std::nullopt;
}

std::size_t Model::alive(TimePoint now) const {
  std::size_t count = 0;
  for (const auto& [client, allocation] : allocations_) count += find(client, now) != nullptr ? 1 : 0;
  return count;
}

std::vector<Address> Model::relayed_addresses() const { return all_relayed_; }

}  // namespace turnkit::sim
