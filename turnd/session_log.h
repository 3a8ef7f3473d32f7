// SessionLog: the engine's events as log lines, in coturn's words, so that scripts and fail2ban rules that read its log
// go on working; or as JSON objects with stable keys.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "auth/authenticator.h"
#include "turnd/config.h"
#include "turnd/engine/events.h"
#include "turnd/engine/token_bucket.h"
#include "turnd/peer_policy.h"

namespace turnkit::turnd {

class SessionLog final : public engine::Observer {
 public:
  // What a reload replaces.
  struct Rules {
    // 0: only what needs attention; 1: a line per session event; 2: strangers' requests too.
    int verbosity = 0;
    // The coturn ones leave out what coturn does not write, and add what its readers wait for; kJson adds fields.
    LogFormat format = LogFormat::kNative;
    bool binding = false;                                      // a line per Binding request, whatever the verbosity
    std::shared_ptr<const PeerPolicy> policy;                  // never null: explains denials
    std::shared_ptr<const auth::Authenticator> authenticator;  // never null: knows realms and nonces
  };
  explicit SessionLog(Rules rules);

  // Thread-safe, as are the others: every worker reports here.
  void set_rules(Rules rules);
  void on_event(const engine::Event& event) override;
  void on_request(const engine::RequestEvent& event) override;
  void on_useless_connection(const engine::FiveTuple& tuple, std::string_view reason) override;

 private:
  [[nodiscard]] std::shared_ptr<const Rules> rules() const;
  void on_session_request(const engine::RequestEvent& event, const Rules& rules);
  void on_stranger_request(const engine::RequestEvent& event, const Rules& rules);
  void on_denied(const engine::Event& event, const Rules& rules);
  // Whether one more line about strangers may be written; what was left out is summed up later.
  bool admit_stranger_line();
  std::uint64_t next_stranger_session();

  std::atomic<int> verbosity_;
  std::atomic<bool> binding_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Rules> rules_;  // guarded by mutex_, as is what follows
  std::set<IpAddress> explained_;       // peers whose denial was explained; bounded
  engine::TokenBucket stranger_lines_;
  std::uint64_t left_out_ = 0;
  std::uint64_t next_stranger_ = 1;
};

}  // namespace turnkit::turnd
