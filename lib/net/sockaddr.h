// The only place where addresses become sockaddr structures and back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "base/address.h"

namespace turnkit::net {

// Room for either family (28 bytes), smaller than sockaddr_storage because batches hold many.
union SockAddr {
  sockaddr base;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// Fills `out` and returns its length. `scope_id` for IPv6 link-local addresses.
socklen_t to_sockaddr(const Address& address, SockAddr& out, std::uint32_t scope_id = 0);
// An IPv4-mapped IPv6 address stays IPv6: listeners are never dual-stack here. nullopt for other families.
std::optional<Address> from_sockaddr(const SockAddr& in);
IpAddress to_ip(const in_addr& in);
IpAddress to_ip(const in6_addr& in);
// getsockname(2) and getpeername(2).
std::optional<Address> local_address(int fd);
std::optional<Address> peer_address(int fd);

}  // namespace turnkit::net
