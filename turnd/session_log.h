// SessionLog: the engine's events as log lines, in coturn's words, so that scripts and fail2ban rules that read its log
// go on working.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "turnd/engine/events.h"
#include "turnd/peer_policy.h"

namespace turnkit::turnd {

class SessionLog final : public engine::Observer {
 public:
  // `verbosity`: 0 only what needs attention, 1 a line per session event, 2 strangers' requests too. `policy` outlives
  // this.
  SessionLog(std::string realm, int verbosity, const PeerPolicy& policy);

  // Thread-safe: every worker reports here.
  void on_event(const engine::Event& event) override;
  void on_request(const engine::RequestEvent& event) override;

 private:
  void explain_denial(const engine::Event& event, const std::string& session);

  const std::string realm_;
  const int verbosity_;
  const PeerPolicy& policy_;
  std::mutex mutex_;
  std::set<IpAddress> explained_;  // peers whose denial was explained; bounded
};

}  // namespace turnkit::turnd
