// ExternalIpWatcher: turns external-ip lines into the mapping that the engines use, and follows those that may change:
// `auto` (asked of a STUN server) and host names.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "turnd/config.h"
#include "turnd/engine/external_ips.h"

namespace turnkit::turnd {

class ExternalIpWatcher {
 public:
  using OnChange = std::function<void(const engine::ExternalIps&)>;

  ExternalIpWatcher(std::vector<ExternalIp> lines, std::vector<IpAddress> relay_ips);
  // No callback runs once this returns. It does not wait for a DNS or STUN server that keeps the thread waiting.
  ~ExternalIpWatcher();
  ExternalIpWatcher(const ExternalIpWatcher&) = delete;
  ExternalIpWatcher& operator=(const ExternalIpWatcher&) = delete;

  // Asks for everything once. Blocks for some seconds at most; what cannot be had is logged and left unmapped until it
  // can.
  engine::ExternalIps resolve_all();
  // Asks again every minute (every 5 s while something is missing), in a thread of its own; only where a line may
  // change.
  void follow(OnChange on_change);

 private:
  class Follower;
  std::shared_ptr<Follower> follower_;  // shared with the thread, which may outlive this
};

}  // namespace turnkit::turnd
