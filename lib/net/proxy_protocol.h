// The PROXY protocol of HAProxy, versions 1 (text) and 2 (binary): the real addresses of a connection, sent ahead of
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"

namespace turnkit::net {

struct ProxyHeader {
  enum class State : std::uint8_t { kNeedMore, kBroken, kDone };
  State state = State::kNeedMore;
  std::size_t size = 0;  // kNeedMore: bytes in all before the next call can say more; kDone: the header's length
  // The client and the address that it reached; nullopt for LOCAL and UNKNOWN (use the socket's own).
  struct Addresses {
    Address source;
    Address destination;
  };
  std::optional<Addresses> addresses;
};

// At most 107 bytes of version 1, and 16 + 4096 of version 2 (longer TLVs are kBroken).
ProxyHeader read_proxy_header(Bytes start);

// For tests and tools.
std::string proxy_header_v1(const Address& source, const Address& destination);
std::vector<std::byte> proxy_header_v2(const Address& source, const Address& destination);

}  // namespace turnkit::net
