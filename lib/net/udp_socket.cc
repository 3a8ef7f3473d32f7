// UdpSocket: as few system calls as a socket of an allocation needs, and the ICMP error queue.
#include "net/udp_socket.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "net/sockaddr.h"

namespace turnkit::net {
namespace {

constexpr std::uint8_t kIcmpV6PacketTooBig = 2;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

int open_socket(Family family) {
  return ::socket(family == Family::kIPv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

UdpCapabilities probe_capabilities() {
  UniqueFd fd(open_socket(Family::kIPv4));
  if (!fd) fd = UniqueFd(open_socket(Family::kIPv6));
  UdpCapabilities out;
  if (!fd) return out;
  out.gro = set_option(fd.get(), SOL_UDP, UDP_GRO, 1);
  out.segment = set_option(fd.get(), SOL_UDP, UDP_SEGMENT, 1200);
  return out;
}

// The FORCE options pass net.core.{r,w}mem_max but need CAP_NET_ADMIN; the plain ones are cut to the maximum without an
// error on Linux, so the halving is for kernels that refuse.
void set_buffer(int fd, int force_name, int name, int bytes) {
  if (bytes <= 0 || set_option(fd, SOL_SOCKET, force_name, bytes)) return;
  for (int size = bytes; size >= 4096; size /= 2) {
    if (set_option(fd, SOL_SOCKET, name, size)) return;
  }
}

// What set-up is under way, for the error message.
const char* apply_required_options(int fd, const Address& local, const UdpOptions& options) {
  const bool v4 = local.ip.is_v4();
  if (!v4 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return "IPV6_V6ONLY";
  if (options.reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return "SO_REUSEPORT";
  if (!options.device.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options.device.c_str(),
                                              static_cast<socklen_t>(options.device.size())) != 0) {
    return "SO_BINDTODEVICE";
  }
  if (options.receive_pktinfo || local.ip.is_unspecified()) {
    if (!(v4 ? set_option(fd, IPPROTO_IP, IP_PKTINFO, 1) : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1))) {
      return "IP_PKTINFO";
    }
  }
  if (options.receive_errors) {
    if (!(v4 ? set_option(fd, IPPROTO_IP, IP_RECVERR, 1) : set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1))) {
      return "IP_RECVERR";
    }
  }
  return nullptr;
}

// DF clear, as IP_PMTUDISC_DONT has it, but "fragmentation needed" still reaches next_icmp_error(): it may come after a datagram with DF,
// when DF is off again. Nor does a forged one shrink what is sent.
constexpr int kFragment = IP_PMTUDISC_OMIT;

// Options that the socket works without.
void apply_optional_options(int fd, const Address& local, const UdpOptions& options) {
  const bool v4 = local.ip.is_v4();
  if (v4) set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, kFragment);
  if (options.gro && udp_capabilities().gro) set_option(fd, SOL_UDP, UDP_GRO, 1);
  if (options.receive_tos) {
    v4 ? set_option(fd, IPPROTO_IP, IP_RECVTOS, 1) : set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  }
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer);
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer);
}

Error bind_error(const Address& local, const std::string& step, int error) {
  std::string text = "cannot bind UDP " + local.to_string() + step + ": " + std::strerror(error);
  if (error == EADDRINUSE) text += "; another socket has this port";
  if (error == EADDRNOTAVAIL) text += "; no interface of this host has this address";
  if (error == EACCES) text += "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
  if (error == EMFILE) text += "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
  return Error{std::move(text)};
}

}  // namespace

const UdpCapabilities& udp_capabilities() {
  static const UdpCapabilities kCapabilities = probe_capabilities();
  return kCapabilities;
}

Result<UdpSocket> UdpSocket::bind(const Address& local, const UdpOptions& options) {
  UdpSocket out;
  out.fd_ = UniqueFd(open_socket(local.family()));
  if (!out.fd_) return bind_error(local, "", errno);
  const int fd = out.fd_.get();
  if (const char* failed = apply_required_options(fd, local, options)) {
    const int error = errno;
    std::string step = std::string(" (") + failed;
    if (!options.device.empty() && std::strcmp(failed, "SO_BINDTODEVICE") == 0) step += " " + options.device;
    return bind_error(local, step + ")", error);
  }
  apply_optional_options(fd, local, options);
  SockAddr name;
  const socklen_t size = to_sockaddr(local, name);
  if (::bind(fd, &name.base, size) != 0) return bind_error(local, "", errno);
  out.local_ = local;
  if (local.port == 0) {
    const auto bound = local_address(fd);
    if (!bound) return bind_error(local, " (getsockname)", errno);
    out.local_ = *bound;
  }
  out.segment_ = udp_capabilities().segment;
  return out;
}

bool UdpSocket::set_dont_fragment(bool on) {
  // PROBE sets DF and leaves path MTU discovery to whoever asked for DF: every "too big" error reaches
  // next_icmp_error().
  if (local_.ip.is_v4()) {
    return set_option(fd(), IPPROTO_IP, IP_MTU_DISCOVER, on ? IP_PMTUDISC_PROBE : kFragment);
  }
  return set_option(fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT) &&
         set_option(fd(), IPPROTO_IPV6, IPV6_DONTFRAG, on ? 1 : 0);
}

namespace {

// Where the kernel puts the reporter's address: right behind the sock_extended_err.
IpAddress reporter_of(const sock_extended_err& error, std::size_t room) {
  const sockaddr* offender = SO_EE_OFFENDER(&error);
  SockAddr name{};
  const std::size_t size = std::min(room, sizeof(name));
  std::memcpy(&name, offender, size);
  const bool whole = (name.base.sa_family == AF_INET && size >= sizeof(sockaddr_in)) ||
                     (name.base.sa_family == AF_INET6 && size >= sizeof(sockaddr_in6));
  return whole ? from_sockaddr(name)->ip : IpAddress{};
}

bool read_icmp_error(const cmsghdr& control, IcmpError& out) {
  if (control.cmsg_len < CMSG_LEN(sizeof(sock_extended_err))) return false;
  const auto* error = reinterpret_cast<const sock_extended_err*>(CMSG_DATA(&control));
  const bool v4 = error->ee_origin == SO_EE_ORIGIN_ICMP;
  if (!v4 && error->ee_origin != SO_EE_ORIGIN_ICMP6) return false;
  out.type = error->ee_type;
  out.code = error->ee_code;
  const bool too_big = v4 ? error->ee_type == ICMP_DEST_UNREACH && error->ee_code == ICMP_FRAG_NEEDED
                          : error->ee_type == kIcmpV6PacketTooBig;
  out.info = too_big ? error->ee_info : 0;
  out.reporter = reporter_of(*error, control.cmsg_len - CMSG_LEN(sizeof(sock_extended_err)));
  return true;
}

}  // namespace

bool next_icmp_error(int fd, IcmpError& out) {
  for (;;) {
    SockAddr name{};
    alignas(cmsghdr) std::array<std::byte, 512> control;
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof(name);
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    const auto destination = from_sockaddr(name);
    if (!destination) continue;
    for (const cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, const_cast<cmsghdr*>(c))) {
      const bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                            (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
      out = IcmpError{};
      if (is_error && read_icmp_error(*c, out)) {
        out.destination = *destination;
        return true;
      }
    }
  }
}

}  // namespace turnkit::net
