// Address <-> sockaddr.
#include "net/sockaddr.h"

#include <cstring>

namespace turnkit::net {
namespace {

std::byte* bytes_of(in_port_t& port) { return reinterpret_cast<std::byte*>(&port); }
const std::byte* bytes_of(const in_port_t& port) { return reinterpret_cast<const std::byte*>(&port); }

}  // namespace

socklen_t to_sockaddr(const Address& address, SockAddr& out, std::uint32_t scope_id) {
  const Bytes ip = address.ip.bytes();
  if (address.ip.is_v4()) {
    out.v4 = {};
    out.v4.sin_family = AF_INET;
    store_be16(bytes_of(out.v4.sin_port), address.port);
    std::memcpy(&out.v4.sin_addr, ip.data(), 4);
    return sizeof(sockaddr_in);
  }
  out.v6 = {};
  out.v6.sin6_family = AF_INET6;
  store_be16(bytes_of(out.v6.sin6_port), address.port);
  std::memcpy(&out.v6.sin6_addr, ip.data(), 16);
  out.v6.sin6_scope_id = scope_id;
  return sizeof(sockaddr_in6);
}

std::optional<Address> from_sockaddr(const SockAddr& in) {
  if (in.base.sa_family == AF_INET) {
    return Address{to_ip(in.v4.sin_addr), load_be16(bytes_of(in.v4.sin_port))};
  }
  if (in.base.sa_family == AF_INET6) {
    return Address{to_ip(in.v6.sin6_addr), load_be16(bytes_of(in.v6.sin6_port))};
  }
  return std::nullopt;
}

IpAddress to_ip(const in_addr& in) { return IpAddress::from_bytes({reinterpret_cast<const std::byte*>(&in), 4}); }
IpAddress to_ip(const in6_addr& in) { return IpAddress::from_bytes({reinterpret_cast<const std::byte*>(&in), 16}); }

std::optional<Address> local_address(int fd) {
  SockAddr name;
  name.base.sa_family = AF_UNSPEC;
  socklen_t size = sizeof(name);
  if (::getsockname(fd, &name.base, &size) != 0) return std::nullopt;
  return from_sockaddr(name);
}

std::optional<Address> peer_address(int fd) {
  SockAddr name;
  name.base.sa_family = AF_UNSPEC;
  socklen_t size = sizeof(name);
  if (::getpeername(fd, &name.base, &size) != 0) return std::nullopt;
  return from_sockaddr(name);
}

}  // namespace turnkit::net
