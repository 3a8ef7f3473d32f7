// Values of options: text in, checked value out. Errors say what would be right; the caller puts key and place in
// front.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "turnd/config.h"
#include "turnd/options/options.h"

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
// REALM:NAME:PASSWORD or REALM:NAME:0xKEY.
Result<StaticUser> parse_realm_user(std::string_view text);
// KID:BASE64[:ALG[:REALM[:TIMESTAMP[:LIFETIME]]]]; a key that is longer than the algorithm's is cut, as coturn does.
Result<auth::OAuthKey> parse_oauth_key(std::string_view text);
// ORIGIN=REALM, the origin in canonical form.
Result<std::pair<std::string, std::string>> parse_origin_realm(std::string_view text);

struct RealmOption {
  std::string realm;
  std::string name;  // max-bps, total-quota or user-quota
  std::uint64_t value = 0;
};
// REALM:NAME=N.
Result<RealmOption> parse_realm_option(std::string_view text);
// An address or host name with a port, which may be left out where there is a default; names are resolved now. Never
// an empty list.
Result<std::vector<Address>> parse_endpoint(std::string_view text, const Environment& environment,
                                            std::uint16_t default_port = 0);
// A DNS name whose last label is not a number, so that a mistyped IPv4 address is not one.
bool is_host_name(std::string_view name);
// A host name for SNI, in lower case; "*." in front stands for one label.
Result<std::string> parse_server_name(std::string_view text);
Result<log::Level> parse_log_level(std::string_view text);

// The entry of `names` that is closest to `word` when it is close enough to be a slip of the hand; empty otherwise.
std::string_view closest(std::string_view word, const std::vector<std::string_view>& names);

}  // namespace turnkit::turnd
