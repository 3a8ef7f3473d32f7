// Permissions, channels and Send indications (RFC 8656, sections 10 to 12).
#include <algorithm>

#include "stun/attributes.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

using stun::Attr;
using stun::Code;

// A peer's address as the relay uses it: canonical, and private where the client named our public form.
std::optional<Address> Engine::decode_peer(Bytes value, const stun::MessageView& message) const {
  const auto address = stun::decode_xor_address(value, message.transaction_id());
  if (!address) return std::nullopt;
  return external_.to_internal(*address);
}

// Whether the client may name this peer at all. `any_port`: the port is not looked at, as in CreatePermission.
std::optional<Refusal> Engine::check_peer(const Allocation& allocation, const Address& peer, bool any_port) {
  if (allocation.legs[peer.family() == Family::kIPv6 ? 1 : 0].relay == nullptr) {
    return Refusal{Code::kPeerAddressFamilyMismatch, "The allocation has no relayed address of the peer's family"};
  }
  const turnd::PeerVerdict verdict = any_port ? rules_->policy.check_ip(peer.ip).verdict : rules_->policy.check(peer);
  if (verdict == turnd::PeerVerdict::kAllowed) return std::nullopt;
  emit(Event::Kind::kPeerDenied, allocation, {peer.ip, any_port ? std::uint16_t{0} : peer.port}, 0,
       std::chrono::seconds{0}, turnd::to_string(verdict));
  return Refusal{Code::kForbidden, "The server's rules forbid this peer"};
}

void Engine::install_permission(Allocation& allocation, const IpAddress& peer, TimePoint now) {
  Permission& permission = allocation.permissions.insert(peer, Permission{});
  if (permission.expires <= now) {
    emit(Event::Kind::kPermissionAdded, allocation, {peer, 0}, 0, config().permission_lifetime);
  }
  permission.expires = now + config().permission_lifetime;
  permission.ports_differ = rules_->policy.check_ip(peer).ports_differ;
}

// After a change of the policy.
void Engine::apply_policy(Allocation& allocation) {
  allocation.channels.erase_if([&](std::uint16_t number, const Channel& channel) {
    if (rules_->policy.check(channel.peer) == turnd::PeerVerdict::kAllowed) return false;
    allocation.channel_of.erase(channel.peer);
    emit(Event::Kind::kChannelUnbound, allocation, channel.peer, number);
    return true;
  });
  allocation.permissions.erase_if([&](const IpAddress& peer, Permission& permission) {
    const turnd::PeerPolicy::IpDecision verdict = rules_->policy.check_ip(peer);
    permission.ports_differ = verdict.ports_differ;
    if (verdict.verdict == turnd::PeerVerdict::kAllowed) return false;
    emit(Event::Kind::kPermissionRemoved, allocation, {peer, 0});
    return true;
  });
  if (allocation.tcp) close_denied_connections(allocation);
}

bool Engine::allows_port(const Allocation& allocation, const Address& peer) const {
  const Permission* permission = allocation.permissions.find(peer.ip);
  if (permission != nullptr && !permission->ports_differ) return true;
  return rules_->policy.check(peer) == turnd::PeerVerdict::kAllowed;
}

// How many permissions a CreatePermission request would add. Requires: its peers are well formed.
std::size_t Engine::count_new_peers(const Request& request) const {
  std::vector<IpAddress> added;
  for (const stun::Attribute& attribute : request.message) {
    if (attribute.type != Attr::kXorPeerAddress) continue;
    const IpAddress ip = decode_peer(attribute.value, request.message)->ip;
    if (request.allocation->permissions.find(ip) == nullptr) added.push_back(ip);
  }
  std::sort(added.begin(), added.end());
  return static_cast<std::size_t>(std::unique(added.begin(), added.end()) - added.begin());
}

// RFC 8656, section 10.2: all peers are checked before any is installed.
Outcome Engine::on_create_permission(const Request& request) {
  Allocation& allocation = *request.allocation;
  std::size_t peers = 0;
  std::size_t added = 0;
  for (const stun::Attribute& attribute : request.message) {
    if (attribute.type != Attr::kXorPeerAddress) continue;
    const auto peer = decode_peer(attribute.value, request.message);
    if (!peer) return refuse(request, {Code::kBadRequest, "XOR-PEER-ADDRESS is malformed"});
    if (const auto error = check_peer(allocation, *peer, true)) return refuse(request, *error);
    ++peers;
    if (allocation.permissions.find(peer->ip) == nullptr) ++added;
  }
  if (peers == 0) return refuse(request, {Code::kBadRequest, "XOR-PEER-ADDRESS is missing"});
  if (allocation.permissions.size() + added > config().max_permissions) {
    // Looks closer: what has expired takes no place, and a peer named twice takes one.
    expire_parts(allocation, request.now.mono);
    if (allocation.permissions.size() + count_new_peers(request) > config().max_permissions) {
      return refuse(request, {Code::kInsufficientCapacity, "The allocation has its most permissions"});
    }
  }
  for (const stun::Attribute& attribute : request.message) {
    if (attribute.type != Attr::kXorPeerAddress) continue;
    install_permission(allocation, decode_peer(attribute.value, request.message)->ip, request.now.mono);
  }
  return succeed(request);
}

// RFC 8656, section 12.2.
Outcome Engine::on_channel_bind(const Request& request) {
  Allocation& allocation = *request.allocation;
  const TimePoint now = request.now.mono;
  const auto number_attribute = request.message.find(Attr::kChannelNumber);
  const auto peer_attribute = request.message.find(Attr::kXorPeerAddress);
  if (!number_attribute || !peer_attribute) {
    return refuse(request, {Code::kBadRequest, "CHANNEL-NUMBER and XOR-PEER-ADDRESS are needed"});
  }
  const auto number = stun::decode_channel_number(number_attribute->value);
  const auto peer = decode_peer(peer_attribute->value, request.message);
  if (!number || !peer || !config().channels.contains(*number) || peer->port == 0) {
    return refuse(request, {Code::kBadRequest, "The channel number or the peer is out of range"});
  }
  if (allocation.tcp != nullptr) return refuse(request, Code::kBadRequest);  // RFC 6062 has no channels

  // A number belongs to one peer, a peer has one number; what has expired is free again.
  Channel* by_number = allocation.channels.find(*number);
  if (by_number != nullptr && by_number->expires > now && by_number->peer != *peer) {
    return refuse(request, {Code::kBadRequest, "The channel is bound to another peer"});
  }
  const std::uint16_t* by_peer = allocation.channel_of.find(*peer);
  if (by_peer != nullptr && *by_peer != *number && allocation.channels.find(*by_peer)->expires > now) {
    return refuse(request, {Code::kBadRequest, "The peer has another channel"});
  }
  if (const auto error = check_peer(allocation, *peer, false)) return refuse(request, *error);

  const bool refresh = by_number != nullptr && by_number->expires > now;
  expire_parts(allocation, now);
  if (!refresh && allocation.channels.size() >= config().max_channels) {
    return refuse(request, {Code::kInsufficientCapacity, "The allocation has its most channels"});
  }
  if (allocation.permissions.find(peer->ip) == nullptr && allocation.permissions.size() >= config().max_permissions) {
    return refuse(request, {Code::kInsufficientCapacity, "The allocation has its most permissions"});
  }

  install_permission(allocation, peer->ip, now);
  allocation.channels.insert(*number, Channel{*peer, {}}).expires = now + config().channel_lifetime;
  allocation.channel_of.insert(*peer, *number);
  if (!refresh) emit(Event::Kind::kChannelBound, allocation, *peer, *number, config().channel_lifetime);
  return succeed(request);
}

// RFC 8656, section 11.2. Indications have no answer: whatever is wrong, the datagram is dropped.
Outcome Engine::on_send(const stun::MessageView& message, const FiveTuple& tuple, const Now& now) {
  Outcome outcome;
  Allocation* allocation = config().serve_turn ? find_for_data(tuple, now) : nullptr;
  if (allocation == nullptr) {
    outcome.drop = Drop::kNoAllocation;
    return outcome;
  }
  if (allocation->tcp != nullptr) {
    outcome.drop = Drop::kTcpAllocation;
    return outcome;
  }
  const auto peer_attribute = message.find(Attr::kXorPeerAddress);
  const auto data = message.find(Attr::kData);
  const auto peer = peer_attribute ? decode_peer(peer_attribute->value, message) : std::nullopt;
  if (!peer || !data || peer->port == 0) {
    outcome.drop = Drop::kMalformedData;
  } else if (has_unknown_attributes(message)) {
    outcome.drop = Drop::kUnknownAttribute;
  } else if (!allocation->permits(peer->ip, now.mono)) {
    outcome.drop = Drop::kNoPermission;
  } else if (!allocation->has_leg(peer->family(), now.mono)) {
    outcome.drop = Drop::kPeerFamily;
  } else if (!allows_port(*allocation, *peer)) {
    outcome.drop = Drop::kPeerForbidden;
  } else {
    outcome.allocation = allocation;
    outcome.relay = allocation->leg(peer->family()).relay.get();
    outcome.peer = *peer;
    outcome.data = data->value;
    // Between families the attribute is ignored (RFC 8656, section 13).
    outcome.dont_fragment = message.has(Attr::kDontFragment) && peer->family() == tuple.client.family();
    if (outcome.dont_fragment && !ports_.can_set_dont_fragment(peer->family())) {
      outcome.relay = nullptr;
      outcome.drop = Drop::kUnknownAttribute;
    }
  }
  return outcome;
}

}  // namespace turnkit::engine
