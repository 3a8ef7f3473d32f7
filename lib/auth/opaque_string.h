// The OpaqueString profile of PRECIS (RFC 8265, section 4.2): how user names, realms and passwords are prepared before
// hashing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace turnkit::auth {

// Spaces mapped to U+0020, NFC, FreeformClass enforced. nullopt: empty, not UTF-8, or a disallowed code point.
std::optional<std::string> opaque_string(std::string_view text);

// True when every byte is 0x20 to 0x7E: OpaqueString leaves such text as it is, and takes it unless it is empty.
bool is_printable_ascii(std::string_view text);
// True for UTF-8 without control characters: what may name a user at all, whatever a store then makes of it.
bool is_plain_text(std::string_view text);

}  // namespace turnkit::auth
