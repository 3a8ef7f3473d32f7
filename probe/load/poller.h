// epoll for the load generator: tokens instead of callbacks, and timeouts in nanoseconds where the kernel has them,
// because packets are paced to the microsecond.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/result.h"
#include "net/fd.h"

namespace turnkit::probe {

class Poller {
 public:
  static Result<Poller> create();

  // Level-triggered readability. The descriptor leaves when it is closed.
  Status add(int fd, std::uint64_t token);
  // The tokens that are readable; none after `timeout`. A timeout of 0 or less only looks.
  std::span<const std::uint64_t> wait(Duration timeout);

 private:
  explicit Poller(net::UniqueFd fd) : fd_(std::move(fd)) {}

  static constexpr std::size_t kMaxEvents = 256;
  net::UniqueFd fd_;
  std::array<epoll_event, kMaxEvents> events_{};
  std::array<std::uint64_t, kMaxEvents> tokens_{};
  bool has_pwait2_ = true;
};

}  // namespace turnkit::probe
