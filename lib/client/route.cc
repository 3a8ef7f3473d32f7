// Source address selection: see route.h.
#include "client/route.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "net/fd.h"
#include "net/sockaddr.h"

namespace turnkit::client {

Result<IpAddress> source_address_for(const Address& destination) {
  const int domain = destination.ip.is_v4() ? AF_INET : AF_INET6;
  const net::UniqueFd fd(::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error{"Cannot open a UDP socket: " + std::string(std::strerror(errno)) + "."};
  net::SockAddr name{};
  Address target = destination;
  if (target.port == 0) target.port = 9;  // connect(2) takes no port 0
  const socklen_t length = net::to_sockaddr(target, name);
  if (::connect(fd.get(), &name.base, length) != 0) {
    return Error{"There is no route to " + destination.ip.to_string() + ": " + std::strerror(errno) + "."};
  }
  const std::optional<Address> local = net::local_address(fd.get());
  if (!local) return Error{"Cannot read the local address towards " + destination.ip.to_string() + "."};
  return local->ip;
}

}  // namespace turnkit::client
