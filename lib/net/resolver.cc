// getaddrinfo(3) behind Result.
#include "net/resolver.h"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/encoding.h"
#include "net/sockaddr.h"

namespace turnkit::net {

Result<std::vector<IpAddress>> resolve(const std::string& host) {
  if (const auto literal = IpAddress::parse(host)) return std::vector<IpAddress>{*literal};
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code != 0) {
    const char* why = code == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(code);
    return Error{"cannot resolve \"" + escaped(host) + "\": " + why};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
  std::vector<IpAddress> out;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_addrlen > sizeof(SockAddr)) continue;
    SockAddr name{};
    std::memcpy(&name, entry->ai_addr, entry->ai_addrlen);
    const auto address = from_sockaddr(name);
    if (address && std::find(out.begin(), out.end(), address->ip) == out.end()) out.push_back(address->ip);
  }
  if (out.empty()) return Error{"\"" + escaped(host) + "\" has neither an A nor an AAAA record"};
  return out;
}

}  // namespace turnkit::net
