// How people name a STUN server: HOST, HOST:PORT, or a URI (RFC 7064).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace turnkit::client {

inline constexpr std::uint16_t kStunPort = 3478;
inline constexpr std::uint16_t kStunsPort = 5349;

struct StunServerName {
  std::string host;  // a name, or an address without brackets
  std::optional<std::uint16_t> port;
  bool is_uri = false;  // a URI without a port is looked up as SRV first (RFC 8489, section 8)
  bool secure = false;  // stuns:
  bool is_address = false;
};
// The error says what is wrong and what would be right: RFC 7064 knows no userinfo, path or query, and "stuns:" needs a
// name that a certificate can have (RFC 8489, section 8.1).
Result<StunServerName> parse_stun_server(std::string_view text);

}  // namespace turnkit::client
