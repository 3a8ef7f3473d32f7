// epoll with tokens: see poller.h.
#include "probe/load/poller.h"

#include <cerrno>
#include <cstring>
#include <string>

namespace turnkit::probe {

Result<Poller> Poller::create() {
  net::UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return Error{"Cannot create an epoll descriptor: " + std::string(std::strerror(errno)) + "."};
  return Poller(std::move(fd));
}

Status Poller::add(int fd, std::uint64_t token) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = token;
  if (::epoll_ctl(fd_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return Error{"Cannot watch a socket: " + std::string(std::strerror(errno)) + "."};
}

std::span<const std::uint64_t> Poller::wait(Duration timeout) {
  const auto left = std::max(timeout, Duration::zero());
  int count = -1;
  if (has_pwait2_) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec span{seconds.count(), (left - seconds).count()};
    count = ::epoll_pwait2(fd_.get(), events_.data(), static_cast<int>(kMaxEvents), &span, nullptr);
    if (count < 0 && errno == ENOSYS) has_pwait2_ = false;  // before Linux 5.11
  }
  if (!has_pwait2_) {
    const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(left).count();
    count = ::epoll_wait(fd_.get(), events_.data(), static_cast<int>(kMaxEvents), static_cast<int>(milliseconds));
  }
  if (count <= 0) return {};
  const auto ready = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < ready; ++i) tokens_[i] = events_[i].data.u64;
  return std::span(tokens_).first(ready);
}

}  // namespace turnkit::probe
