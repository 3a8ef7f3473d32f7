// A blocking UDP socket connected to one server: see udp_client.h.
#include "client/udp_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "client/route.h"
#include "net/sockaddr.h"

namespace turnkit::client {

namespace {
constexpr std::size_t kBufferSize = 65536;

bool is_icmp_refusal(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN;
}
}  // namespace

UdpClient::UdpClient(net::UdpSocket socket, const Address& server)
    : socket_(std::move(socket)), server_(server), buffer_(std::make_unique<std::byte[]>(kBufferSize)) {}

Result<UdpClient> UdpClient::open(const Address& server, const std::optional<Address>& local) {
  Address from;
  if (local) {
    from = *local;
  } else {
    auto ip = source_address_for(server);
    if (!ip) return ip.error();
    from = Address{*ip, 0};
  }
  if (from.family() != server.family()) {
    return Error{"The local address " + from.to_string() + " and the server " + server.to_string() +
                 " are of different families; give a local address of the server's family."};
  }
  net::UdpOptions options;
  options.gro = false;
  auto socket = net::UdpSocket::bind(from, options);
  if (!socket) return socket.error();
  net::SockAddr name{};
  const socklen_t length = net::to_sockaddr(server, name);
  if (::connect(socket->fd(), &name.base, length) != 0) {
    return Error{"Cannot reach " + server.to_string() + " from " + from.to_string() + ": " + std::strerror(errno) +
                 "."};
  }
  return UdpClient(*std::move(socket), server);
}

Status UdpClient::send(Bytes datagram) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    if (::send(socket_.fd(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return {};
    const int error = errno;
    if (error == EAGAIN || error == ENOBUFS) {
      pollfd ready{socket_.fd(), POLLOUT, 0};
      (void)::poll(&ready, 1, 100);
    } else if (error != EINTR && !is_icmp_refusal(error)) {
      return Error{"Cannot send " + std::to_string(datagram.size()) + " bytes to " + server_.to_string() + ": " +
                   std::strerror(error) + "."};
    }
    // A pending ICMP error is reported by the next call of any kind; receive() must still see a lasting one, which
    // comes back.
  }
  return {};
}

Transport::Received UdpClient::receive(TimePoint until) {
  for (;;) {
    const ssize_t size = ::recv(socket_.fd(), buffer_.get(), kBufferSize, MSG_DONTWAIT);
    if (size >= 0) return {Bytes(buffer_.get(), static_cast<std::size_t>(size)), 0};
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return {{}, errno};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - read_clock().mono).count();
    if (left <= 0) return {{}, ETIMEDOUT};
    pollfd ready{socket_.fd(), POLLIN, 0};
    (void)::poll(&ready, 1, static_cast<int>(std::min<long long>(left, 60'000)));
  }
}

}  // namespace turnkit::client
