// Plain TCP: the stream, listening, accepting and connecting.
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/sockaddr.h"
#include "net/stream.h"

namespace turnkit::net {
namespace {

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

int open_socket(Family family) {
  return ::socket(family == Family::kIPv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

class TcpStream final : public Stream {
 public:
  explicit TcpStream(UniqueFd fd) : Stream(std::move(fd)) {}

  StreamIo read(MutableBytes out) override {
    if (out.empty()) return {};
    ssize_t n = 0;
    do {
      n = ::recv(fd(), out.data(), out.size(), 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) return {StreamIo::State::kDone, static_cast<std::size_t>(n)};
    if (n == 0) return {StreamIo::State::kEnd, 0};
    return blocked_or_failed(StreamIo::State::kWantRead);
  }

  StreamIo write(Bytes data) override {
    if (data.empty()) return {};
    ssize_t n = 0;
    do {
      n = ::send(fd(), data.data(), data.size(), MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) return {StreamIo::State::kDone, static_cast<std::size_t>(n)};
    return blocked_or_failed(StreamIo::State::kWantWrite);
  }

  void end_output() override { (void)::shutdown(fd(), SHUT_WR); }
  [[nodiscard]] std::string_view failure() const override { return failure_; }

 private:
  StreamIo blocked_or_failed(StreamIo::State blocked) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {blocked, 0};
    failure_ = std::strerror(errno);
    return {StreamIo::State::kFailed, 0};
  }

  std::string failure_;
};

Error socket_error(const char* what, const Address& address, const std::string& step, int error) {
  std::string text = std::string("cannot ") + what + " TCP " + address.to_string() + step + ": " + std::strerror(error);
  if (error == EADDRINUSE) text += "; another socket has this port";
  if (error == EADDRNOTAVAIL) text += "; no interface of this host has this address";
  if (error == EACCES) text += "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
  if (error == EMFILE) text += "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
  return Error{std::move(text)};
}

// Errors that belong to one connection that died while it waited (accept(2)): the next one may be well.
bool concerns_one_connection(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case EOPNOTSUPP:
    case EPERM:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::unique_ptr<Stream> make_tcp_stream(UniqueFd fd) { return std::make_unique<TcpStream>(std::move(fd)); }

Result<UniqueFd> tcp_listen(const Address& local, const TcpListenOptions& options) {
  UniqueFd fd(open_socket(local.family()));
  if (!fd) return socket_error("listen on", local, "", errno);
  if (!local.ip.is_v4() && !set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
    return socket_error("listen on", local, " (IPV6_V6ONLY)", errno);
  }
  // Connections of a server that ended a moment ago do not keep the port.
  (void)set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) {
    return socket_error("listen on", local, " (SO_REUSEPORT)", errno);
  }
  if (!options.device.empty() && ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, options.device.c_str(),
                                              static_cast<socklen_t>(options.device.size())) != 0) {
    return socket_error("listen on", local, " (SO_BINDTODEVICE " + options.device + ")", errno);
  }
  // Accepted sockets inherit these, and the window scale is settled in the handshake.
  if (options.send_buffer > 0) (void)set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, options.send_buffer);
  if (options.receive_buffer > 0) (void)set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, options.receive_buffer);
  SockAddr name;
  const socklen_t size = to_sockaddr(local, name);
  if (::bind(fd.get(), &name.base, size) != 0 || ::listen(fd.get(), options.backlog) != 0) {
    return socket_error("listen on", local, "", errno);
  }
  // Only now: before bind() it would let two programs have the port.
  if (options.share_port && !set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) {
    return socket_error("listen on", local, " (SO_REUSEPORT)", errno);
  }
  return fd;
}

Accepted tcp_accept(int listener) {
  Accepted out;
  for (int dead = 0; dead < 64; ++dead) {
    SockAddr name{};
    socklen_t size = sizeof(name);
    UniqueFd fd(::accept4(listener, &name.base, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (concerns_one_connection(errno)) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) out.error = errno;
      return out;
    }
    const auto peer = from_sockaddr(name);
    const auto local = local_address(fd.get());
    if (!peer || !local) continue;
    (void)set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    out.peer = *peer;
    out.local = *local;
    out.fd = std::move(fd);
    return out;
  }
  return out;
}

Result<UniqueFd> tcp_connect(const Address& peer, const Address& local, const std::string& device) {
  UniqueFd fd(open_socket(peer.family()));
  if (!fd) return socket_error("connect to", peer, "", errno);
  (void)set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (!device.empty() &&
      ::setsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, device.c_str(), static_cast<socklen_t>(device.size())) != 0) {
    return socket_error("connect to", peer, " (SO_BINDTODEVICE " + device + ")", errno);
  }
  SockAddr name;
  if (!local.ip.is_unspecified() || local.port != 0) {
    if (local.port != 0) {
      (void)set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
      (void)set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    } else {
      // The port is chosen for the 4-tuple when connecting, so connections to many peers do not use up the range.
      (void)set_option(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
    const socklen_t size = to_sockaddr(local, name);
    if (::bind(fd.get(), &name.base, size) != 0) {
      return socket_error("connect to", peer, " from " + local.to_string(), errno);
    }
  }
  const socklen_t size = to_sockaddr(peer, name);
  if (::connect(fd.get(), &name.base, size) != 0 && errno != EINPROGRESS) {
    return socket_error("connect to", peer, "", errno);
  }
  return fd;
}

int tcp_connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace turnkit::net
