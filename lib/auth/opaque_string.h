// The OpaqueString profile of PRECIS (RFC 8265, section 4.2): how user names, realms and passwords are prepared before hashing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace turnkit::auth {

// Spaces mapped to U+0020, NFC, FreeformClass enforced. nullopt: empty, not UTF-8, or a disallowed code point.
std::optional<std::string> opaque_string(std::string_view text);

}  // namespace turnkit::auth
