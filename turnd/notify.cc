#include "turnd/notify.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "net/fd.h"

namespace turnkit::turnd {

namespace {

std::optional<Duration> watchdog_of_process() {
  const char* micros = std::getenv("WATCHDOG_USEC");
  const char* pid = std::getenv("WATCHDOG_PID");
  if (micros == nullptr || (pid != nullptr && std::strtol(pid, nullptr, 10) != ::getpid())) return std::nullopt;
  const auto value = std::chrono::microseconds(std::strtoull(micros, nullptr, 10));
  return value.count() > 0 ? std::optional<Duration>(value) : std::nullopt;
}

}  // namespace

Notifier Notifier::of_process() {
  const char* socket = std::getenv("NOTIFY_SOCKET");
  return {socket == nullptr ? "" : socket, watchdog_of_process()};
}

void Notifier::ready(std::string_view status) const { send(fmt::format("READY=1\nSTATUS={}", status)); }

// The time tells the manager which reload this is (Type=notify-reload).
void Notifier::reloading() const {
  const auto now = std::chrono::duration_cast<std::chrono::microseconds>(read_clock().mono.time_since_epoch());
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.count()));
}

void Notifier::stopping(std::string_view status) const { send(fmt::format("STOPPING=1\nSTATUS={}", status)); }
void Notifier::status(std::string_view status) const { send(fmt::format("STATUS={}", status)); }
void Notifier::alive() const { send("WATCHDOG=1"); }

void Notifier::send(const std::string& text) const {
  sockaddr_un address{};
  if (socket_.empty() || socket_.size() >= sizeof(address.sun_path)) return;
  if (socket_.front() != '/' && socket_.front() != '@') return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';  // the abstract name space
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const net::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  (void)::sendto(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                 static_cast<const sockaddr*>(static_cast<const void*>(&address)), size);
}

}  // namespace turnkit::turnd
