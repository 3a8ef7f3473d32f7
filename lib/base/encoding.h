// Hex and base64 text, and the escaping of untrusted text for logs and terminals.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace turnkit {

std::string to_hex(Bytes bytes);  // lower case
std::optional<std::vector<std::byte>> from_hex(std::string_view hex);
std::string to_base64(Bytes bytes);  // RFC 4648 section 4, padded
std::optional<std::vector<std::byte>> from_base64(std::string_view text);

// Printable ASCII and valid UTF-8 as they are; control characters, quotes, backslashes and broken UTF-8 as \xNN. At
// most `max_bytes` of input, with "..." where it was cut.
std::string escaped(Bytes untrusted, std::size_t max_bytes = 128);
inline std::string escaped(std::string_view untrusted, std::size_t max_bytes = 128) {
  return escaped(as_bytes(untrusted), max_bytes);
}

// A JSON string with its quotes; broken UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

}  // namespace turnkit
