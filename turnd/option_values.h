// Values of options: text in, checked value out. Errors say what would be right; the caller puts key and place in
// front.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "turnd/config.h"

namespace turnkit::turnd {

// coturn's booleans: empty is true; 0, n, f (first letter, any case), off are false; 1-9, y, t, on are true.
Result<bool> parse_flag(std::string_view text);
// Decimal digits only, from `min` to `max`.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max);
Result<std::uint16_t> parse_port(std::string_view text, std::uint16_t min = 0);
Result<IpAddress> parse_ip(std::string_view text);
// PUBLIC or PUBLIC/PRIVATE, where PUBLIC is an address, "auto", "auto:STUN-SERVER[:PORT]" or a host name.
Result<ExternalIp> parse_external_ip(std::string_view text);
// NAME:PASSWORD or NAME:0xKEY. The error never holds the secret.
Result<StaticUser> parse_user(std::string_view text, std::string_view realm);
Result<log::Level> parse_log_level(std::string_view text);

// The entry of `names` that is closest to `word` when it is close enough to be a slip of the hand; empty otherwise.
std::string_view closest(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace turnkit::turnd
