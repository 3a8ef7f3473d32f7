#include "turnd/session_log.h"

#include <string_view>

#include "base/encoding.h"
#include "base/log.h"
#include "turnd/engine/allocation.h"

namespace turnkit::turnd {

namespace {

using engine::Allocation;
using engine::Event;
using engine::Usage;

constexpr std::size_t kMaxExplained = 64;

std::string session_name(const Allocation& allocation) { return fmt::format("session {:018}", allocation.session_id); }

// coturn's name of a request in its log.
std::string_view packet_name(stun::Method method) {
  switch (method) {
    case stun::Method::kAllocate:
      return "ALLOCATE";
    case stun::Method::kRefresh:
      return "REFRESH";
    case stun::Method::kCreatePermission:
      return "CREATE_PERMISSION";
    case stun::Method::kChannelBind:
      return "CHANNEL_BIND";
    case stun::Method::kBinding:
      return "BINDING";
    default:
      return stun::method_name(method);
  }
}

std::string usage_text(const Usage& usage) {
  return fmt::format("rp={}, rb={}, sp={}, sb={}", usage.received_packets, usage.received_bytes, usage.sent_packets,
                     usage.sent_bytes);
}

}  // namespace

SessionLog::SessionLog(std::string realm, int verbosity, const PeerPolicy& policy)
    : realm_(std::move(realm)), verbosity_(verbosity), policy_(policy) {}

void SessionLog::on_event(const Event& event) {
  if (verbosity_ == 0 && event.kind != Event::Kind::kPeerDenied) return;
  const Allocation& allocation = event.allocation;
  const std::string session = session_name(allocation);
  const std::string user = escaped(allocation.identity.user);
  switch (event.kind) {
    case Event::Kind::kAllocationCreated:
      return log::info("{}: new, realm=<{}>, username=<{}>, lifetime={}", session, realm_, user,
                       event.lifetime.count());
    case Event::Kind::kAllocationRefreshed:
      return log::info("{}: refreshed, realm=<{}>, username=<{}>, lifetime={}", session, realm_, user,
                       event.lifetime.count());
    case Event::Kind::kLegDeleted:
      return log::info("{}: relayed address {} deleted", session, event.peer.to_string());
    case Event::Kind::kAllocationDeleted:
      log::info("{}: usage: realm=<{}>, username=<{}>, {}", session, realm_, user, usage_text(allocation.client_usage));
      log::info("{}: peer usage: realm=<{}>, username=<{}>, {}", session, realm_, user,
                usage_text(allocation.peer_usage));
      return log::info("{}: closed (2nd stage), user <{}> realm <{}> origin <>, local {}, remote {}, reason: {}",
                       session, user, realm_, allocation.tuple.server.to_string(), allocation.tuple.client.to_string(),
                       event.reason);
    case Event::Kind::kPermissionAdded:
      return log::info("{}: peer {} lifetime updated: {}", session, event.peer.ip.to_string(), event.lifetime.count());
    case Event::Kind::kPermissionRemoved:
      return log::info("{}: peer {} deleted", session, event.peer.ip.to_string());
    case Event::Kind::kChannelBound:
      return log::info("{}: peer {} channel {:#06x} lifetime updated: {}", session, event.peer.to_string(),
                       event.channel, event.lifetime.count());
    case Event::Kind::kChannelUnbound:
      return log::info("{}: peer {} channel {:#06x} deleted", session, event.peer.to_string(), event.channel);
    case Event::Kind::kPeerConnected:
      return log::info("{}: TCP peer {}: {}", session, event.peer.to_string(), event.reason);
    case Event::Kind::kPeerDisconnected:
      return log::info("{}: TCP peer {} closed, reason: {}", session, event.peer.to_string(), event.reason);
    case Event::Kind::kAllocationMoved:
      return log::info("{}: client moved to {}", session, event.peer.to_string());
    case Event::Kind::kPathLost:
      return log::info("{}: client {} is away, reason: {}", session, allocation.tuple.client.to_string(),
                       event.reason);
    case Event::Kind::kPeerDenied:
      return explain_denial(event, session);
  }
}

void SessionLog::on_request(const engine::RequestEvent& event) {
  if (verbosity_ == 0 || (event.allocation == nullptr && verbosity_ < 2)) return;
  const std::string outcome =
      event.error ? fmt::format("error {}: {}", static_cast<unsigned>(*event.error), stun::reason_phrase(*event.error))
                  : "success";
  if (event.allocation == nullptr) {
    return log::debug("client {}: incoming packet {} processed, {}", event.tuple.client.to_string(),
                      packet_name(event.method), outcome);
  }
  log::info("{}: realm <{}> user <{}>: incoming packet {} processed, {}", session_name(*event.allocation), realm_,
            escaped(event.allocation->identity.user), packet_name(event.method), outcome);
}

// Once for each peer, with the line that would allow it; in between it would only fill the disk.
void SessionLog::explain_denial(const Event& event, const std::string& session) {
  {
    const std::lock_guard lock(mutex_);
    const bool first = explained_.size() < kMaxExplained && explained_.insert(event.peer.ip).second;
    if (!first && verbosity_ == 0) return;
  }
  log::warning("{}: {}", session, policy_.explain(event.peer));
}

}  // namespace turnkit::turnd
