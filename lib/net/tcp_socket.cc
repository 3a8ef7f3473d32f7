#include "net/tcp_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace turnkit::net {

Peeked tcp_peek(int fd, MutableBytes out) {
  ssize_t n = 0;
  do {
    n = ::recv(fd, out.data(), out.size(), MSG_PEEK | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n > 0) return {Peeked::State::kBytes, static_cast<std::size_t>(n)};
  if (n == 0) return {Peeked::State::kEnd, 0};
  return {errno == EAGAIN || errno == EWOULDBLOCK ? Peeked::State::kNothing : Peeked::State::kFailed, 0};
}

bool tcp_skip(int fd, std::size_t bytes) {
  std::array<std::byte, 4096> sink;
  while (bytes != 0) {
    const ssize_t n = ::recv(fd, sink.data(), std::min(bytes, sink.size()), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

void tcp_wait_for(int fd, std::size_t bytes) {
  const int value = static_cast<int>(bytes);
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &value, sizeof(value));
}

void tcp_limit_unsent(int fd, std::size_t bytes) {
  const int value = static_cast<int>(bytes);
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof(value));
}

void tcp_give_up_after(int fd, Duration time) {
  const auto value = static_cast<unsigned>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value));
}

}  // namespace turnkit::net
