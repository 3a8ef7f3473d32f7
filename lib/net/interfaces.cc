// getifaddrs(3) as plain values.
#include "net/interfaces.h"

#include <ifaddrs.h>
#include <net/if.h>

#include <cstring>
#include <memory>

#include "net/sockaddr.h"

namespace turnkit::net {

std::vector<InterfaceAddress> interface_addresses() {
  std::vector<InterfaceAddress> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    SockAddr name;
    std::memcpy(&name, entry->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    const IpAddress ip = from_sockaddr(name)->ip;
    out.push_back({entry->ifa_name, ip, family == AF_INET6 && ip.is_link_local() ? name.v6.sin6_scope_id : 0});
  }
  return out;
}

}  // namespace turnkit::net
