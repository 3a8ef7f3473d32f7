#include "net/send_one.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/sockaddr.h"

namespace turnkit::net {
namespace {

template <typename T>
void put_control(msghdr& message, int level, int type, const T& value) {
  cmsghdr* control = CMSG_FIRSTHDR(&message);
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(CMSG_DATA(control), &value, sizeof(T));
  message.msg_controllen = CMSG_SPACE(sizeof(T));
}

void put_source(msghdr& message, const IpAddress& from) {
  SockAddr name{};
  to_sockaddr(Address{from, 0}, name);
  if (from.is_v4()) {
    in_pktinfo info{};
    info.ipi_spec_dst = name.v4.sin_addr;
    put_control(message, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_addr = name.v6.sin6_addr;
    put_control(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

// Errors that ICMP messages leave on a socket; any call may be the one that collects them.
bool may_be_pending(int error) {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EACCES || error == EPROTO ||
         error == ENOPROTOOPT || error == EMSGSIZE || error == EOPNOTSUPP;
}

}  // namespace

int send_one(const UdpSocket& socket, const Address& to, Bytes payload, const IpAddress* from) {
  SockAddr name{};
  iovec part{const_cast<std::byte*>(payload.data()), payload.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(std::max(sizeof(in_pktinfo), sizeof(in6_pktinfo)))> control{};
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = to_sockaddr(to, name);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (from != nullptr && !from->is_unspecified()) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    put_source(message, *from);
  }
  int pending = 2;
  for (;;) {
    if (::sendmsg(socket.fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    const int error = errno;
    if (error == EINTR) continue;
    if (may_be_pending(error) && pending-- > 0) continue;
    return error;
  }
}

}  // namespace turnkit::net
