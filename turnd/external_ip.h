// ExternalIpWatcher: turns external-ip lines into the mapping that the engines use, and follows those that may change:
// `auto` (asked of a STUN server) and host names.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "turnd/config.h"
#include "turnd/engine/external_ips.h"

namespace turnkit::turnd {

class ExternalIpWatcher {
 public:
  using OnChange = std::function<void(const engine::ExternalIps&)>;

  ExternalIpWatcher(std::vector<ExternalIp> lines, std::vector<IpAddress> relay_ips);
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
  struct Line {
    ExternalIp spec;
    std::vector<engine::ExternalIps::Pair> pairs;  // what it meant last
    bool resolved = false;
  };

  void resolve(Line& line);
  [[nodiscard]] std::vector<IpAddress> mapped_relay_ips(const ExternalIp& spec, Family family) const;
  [[nodiscard]] engine::ExternalIps combined() const;
  void run(const OnChange& on_change);

  std::vector<Line> lines_;
  const std::vector<IpAddress> relay_ips_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace turnkit::turnd
