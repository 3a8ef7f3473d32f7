// UdpPeer: a real UDP socket.
#include "tests/conformance/harness/udp_peer.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "net/sockaddr.h"

namespace turnkit::conformance {

namespace {

constexpr int kPatienceMs = 10'000;
constexpr int kIpv6FlowInfo = 11;  // IPV6_FLOWINFO of linux/in6.h, which does not go with netinet/in.h

void set_option(int fd, int level, int name, int value) {
  EXPECT_EQ(::setsockopt(fd, level, name, &value, sizeof value), 0) << std::strerror(errno);
}

int int_of(const cmsghdr* header) {
  int value = 0;
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

void read_control(msghdr& message, Datagram& datagram) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
      datagram.tos = *CMSG_DATA(header);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
      datagram.tos = static_cast<std::uint8_t>(int_of(header));
    } else if ((header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TTL) ||
               (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_HOPLIMIT)) {
      datagram.ttl = int_of(header);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == kIpv6FlowInfo) {
      datagram.flow = ntohl(static_cast<std::uint32_t>(int_of(header))) & 0xFFFFF;
    }
  }
}

}  // namespace

UdpPeer::UdpPeer(const Address& local) {
  const bool v4 = local.ip.is_v4();
  fd_ = net::UniqueFd(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  net::SockAddr address;
  const socklen_t size = net::to_sockaddr(local, address);
  if (::bind(fd(), &address.base, size) != 0) {
    ADD_FAILURE() << "cannot bind " << local.to_string() << ": " << std::strerror(errno);
    return;
  }
  local_ = *net::local_address(fd());
  set_option(fd(), SOL_SOCKET, SO_RCVBUF, 1 << 20);
  if (v4) {
    set_option(fd(), IPPROTO_IP, IP_RECVTOS, 1);
    set_option(fd(), IPPROTO_IP, IP_RECVTTL, 1);
  } else {
    set_option(fd(), IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set_option(fd(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_option(fd(), IPPROTO_IPV6, kIpv6FlowInfo, 1);
  }
}

void UdpPeer::send(const Address& to, Bytes data, const SendAs& as) {
  const bool v4 = to.ip.is_v4();
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  set_option(fd(), level, v4 ? IP_TOS : IPV6_TCLASS, as.tos);
  set_option(fd(), level, v4 ? IP_TTL : IPV6_UNICAST_HOPS, as.ttl != 0 ? as.ttl : -1);
  net::SockAddr address;
  const socklen_t size = net::to_sockaddr(to, address);
  // A refusal may be left over from an earlier datagram to a closed port; the send after it works.
  for (int tries = 0; tries < 3; ++tries) {
    const ssize_t sent = ::sendto(fd(), data.data(), data.size(), 0, &address.base, size);
    if (sent == static_cast<ssize_t>(data.size())) return;
    if (errno != ECONNREFUSED) break;
  }
  ADD_FAILURE() << "cannot send to " << to.to_string() << ": " << std::strerror(errno);
}

std::optional<Datagram> UdpPeer::receive() {
  pollfd watched{fd(), POLLIN, 0};
  ::poll(&watched, 1, kPatienceMs);
  return poll();
}

std::optional<Datagram> UdpPeer::poll() {
  Datagram datagram;
  datagram.data.resize(65536);
  net::SockAddr from{};
  alignas(cmsghdr) std::array<char, 256> control{};
  iovec part{datagram.data.data(), datagram.data.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(fd(), &message, MSG_DONTWAIT);
  if (size < 0) return std::nullopt;
  datagram.data.resize(static_cast<std::size_t>(size));
  datagram.from = net::from_sockaddr(from).value_or(Address{});
  read_control(message, datagram);
  return datagram;
}

}  // namespace turnkit::conformance
