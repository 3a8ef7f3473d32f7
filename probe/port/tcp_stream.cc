#include "probe/port/tcp_stream.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "net/sockaddr.h"
#include "probe/port/icmp.h"
#include "probe/wire.h"

namespace turnkit::probe {
namespace {

constexpr std::size_t kMaxInput = 64 * 1024;  // of a talkative stranger

// True when the descriptor has one of `events`, or an error, before `until`.
bool wait_for(int fd, short events, TimePoint until) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - read_clock().mono).count();
    pollfd wait{fd, events, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::clamp<long>(left + 1, 0, 3600000)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

Connect kind_of(int error) {
  if (error == ECONNREFUSED) return Connect::kRefused;
  return error == ETIMEDOUT ? Connect::kTimeout : Connect::kError;
}

}  // namespace

TcpStream::Outcome TcpStream::connect(const Address& target, TimePoint until, std::vector<IcmpSeen>& icmp) {
  const bool v4 = target.ip.is_v4();
  fd_ = net::UniqueFd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return {Connect::kError, errno};
  const int on = 1;
  ::setsockopt(fd_.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  net::SockAddr name{};
  const socklen_t size = net::to_sockaddr(target, name);
  int error = ::connect(fd_.get(), &name.base, size) == 0 ? 0 : errno;
  local_ = net::local_address(fd_.get()).value_or(Address{});
  if (error == EINPROGRESS) {
    if (!wait_for(fd_.get(), POLLOUT, until)) return {Connect::kTimeout, 0};
    socklen_t length = sizeof(error);
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    collect_icmp(fd_.get(), target, icmp);
    // An ICMP error makes the socket ready at once and leaves no error behind if it was taken with the queue.
    if (error == 0 && !icmp.empty()) {
      net::SockAddr peer{};
      socklen_t peer_size = sizeof(peer);
      if (::getpeername(fd_.get(), &peer.base, &peer_size) != 0) error = EHOSTUNREACH;
    }
  }
  if (error == 0) return {Connect::kConnected, 0};
  return {kind_of(error), error};
}

bool TcpStream::send(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN && wait_for(fd_.get(), POLLOUT, read_clock().mono + std::chrono::seconds(1)))
      continue;
    if (size < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return true;
}

bool TcpStream::send_frame(Bytes message) {
  std::vector<std::byte> framed(kFrameHeaderSize);
  store_be16(framed.data(), static_cast<std::uint16_t>(message.size()));
  framed.insert(framed.end(), message.begin(), message.end());
  return send(framed);
}

TcpStream::Event TcpStream::wait(TimePoint until) {
  while (wait_for(fd_.get(), POLLIN, until)) {
    std::array<std::byte, 4096> chunk;
    const ssize_t size = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (size == 0) return Event::kClosed;
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size < 0) return Event::kReset;
    const std::size_t room = kMaxInput - std::min(kMaxInput, input_.size());
    input_.insert(
        input_.end(), chunk.begin(),
        chunk.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(room, static_cast<std::size_t>(size))));
    return Event::kData;
  }
  return Event::kTimeout;
}

Bytes TcpStream::frame() const {
  if (input_.size() < kFrameHeaderSize) return {};
  const std::size_t length = load_be16(input_.data());
  if (input_.size() < kFrameHeaderSize + length) return {};
  return Bytes(input_).subspan(kFrameHeaderSize, length);
}

void TcpStream::drop_frame() {
  const std::size_t size = std::min(input_.size(), kFrameHeaderSize + frame().size());
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(size));
}

bool TcpStream::is_acknowledged() const {
  int unacknowledged = 0;
  return ::ioctl(fd_.get(), SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0;
}

}  // namespace turnkit::probe
