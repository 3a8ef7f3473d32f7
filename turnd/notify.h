// What a service manager wants to hear (sd_notify(3)): readiness, reloads, a line of status, the watchdog. Says nothing
// where nobody asked ($NOTIFY_SOCKET).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace turnkit::turnd {

class Notifier {
 public:
  // Takes $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID.
  static Notifier of_process();
  Notifier(std::string socket, std::optional<Duration> watchdog) : socket_(std::move(socket)), watchdog_(watchdog) {}

  void ready(std::string_view status) const;
  void reloading() const;
  void stopping(std::string_view status) const;
  void status(std::string_view status) const;
  void alive() const;

  // How often alive() must be called at the least; nullopt: nobody watches.
  [[nodiscard]] std::optional<Duration> watchdog() const { return watchdog_; }

 private:
  void send(const std::string& text) const;

  std::string socket_;  // empty: nobody listens
  std::optional<Duration> watchdog_;
};

}  // namespace turnkit::turnd
