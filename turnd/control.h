// Control: what the main thread does while the workers serve: signals, reloads, the drain, and what the service manager
// is told.
//
// SIGTERM, SIGINT: end at once. SIGHUP: reload everything. SIGUSR2: reload the certificate. SIGUSR1: drain, then end.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "net/event_loop.h"
#include "turnd/notify.h"
#include "turnd/reload.h"
#include "turnd/server.h"

namespace turnkit::turnd {

class Control {
 public:
  // Requires: `server` is open and outlives this.
  Control(Server& server, Reloader reloader, Notifier notifier);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // Starts the workers, serves until a signal or the end of a drain, and ends the workers.
  void run();

 private:
  void watch_signals();
  void end(std::string_view why);
  void reload();
  void reload_certificate();
  void on_drain_signal();
  void look_at_drain();
  void look_at_workers();
  void look_at_certificate();
  [[nodiscard]] std::string drain_state() const;

  Server& server_;
  const Reloader reloader_;
  const Notifier notifier_;
  net::EventLoop loop_;
  std::vector<std::unique_ptr<net::SignalWatch>> signals_;
  net::Timer drain_timer_;
  net::Timer watchdog_timer_;
  net::Timer expiry_timer_;

  struct Drain {
    TimePoint began;
    std::uint32_t reported = 0;  // allocations at the last line
    TimePoint reported_at;
  };
  std::optional<Drain> drain_;
  struct Heartbeat;
  std::shared_ptr<Heartbeat> heartbeat_;  // shared with tasks in the workers' loops
};

}  // namespace turnkit::turnd
