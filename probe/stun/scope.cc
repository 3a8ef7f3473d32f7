#include "probe/stun/scope.h"

#include <algorithm>
#include <array>

namespace turnkit::probe {

Scope scope_of(const IpAddress& ip) {
  static const std::array kPrivate = {*IpRange::parse("10.0.0.0/8"), *IpRange::parse("172.16.0.0/12"),
                                      *IpRange::parse("192.168.0.0/16"), *IpRange::parse("fc00::/7")};
  static const IpRange kShared = *IpRange::parse("100.64.0.0/10");
  if (ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast()) return Scope::kLocal;
  if (kShared.contains(ip)) return Scope::kShared;
  const bool is_private =
      std::any_of(kPrivate.begin(), kPrivate.end(), [&ip](const IpRange& range) { return range.contains(ip); });
  return is_private ? Scope::kPrivate : Scope::kPublic;
}

std::string_view scope_name(Scope scope) {
  switch (scope) {
    case Scope::kPublic:
      return "public";
    case Scope::kPrivate:
      return "private";
    case Scope::kShared:
      return "shared (carrier-grade NAT)";
    case Scope::kLocal:
      break;
  }
  return "local";
}

}  // namespace turnkit::probe
