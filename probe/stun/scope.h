// Where an address can be reached from, as far as the address itself tells.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/address.h"

namespace turnkit::probe {

enum class Scope : std::uint8_t {
  kPublic,
  kPrivate,  // RFC 1918, fc00::/7
  kShared,   // 100.64.0.0/10: between a carrier's NAT and its customers (RFC 6598)
  kLocal,    // loopback, link-local, unspecified, multicast
};
Scope scope_of(const IpAddress& ip);
std::string_view scope_name(Scope scope);  // "public", "private", "shared (carrier-grade NAT)", "local"

}  // namespace turnkit::probe
