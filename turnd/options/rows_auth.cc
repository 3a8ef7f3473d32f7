// Options of credentials, realms, and what answers hold.
#include "turnd/options/setters.h"
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

using namespace setters;

Status use_auth_secret(Draft& draft, std::string_view value) { return store(parse_flag(value), draft.use_auth_secret); }

Status static_auth_secret(Draft& draft, std::string_view value) {
  std::vector<std::string>& secrets = draft.config.rest_secrets;
  if (std::find(secrets.begin(), secrets.end(), value) == secrets.end()) secrets.emplace_back(value);
  return {};
}

Status rest_separator(Draft& draft, std::string_view value) {
  draft.config.rest_separator = value.front();
  return {};
}

// The old flag form without a value means coturn's default.
Status stale_nonce(Draft& draft, std::string_view value) {
  return value.empty() ? Status{} : seconds<&Config::nonce_lifetime, 0>(draft, value);
}

Status unauthorized_rps(Draft& draft, std::string_view value) {
  const Result<std::uint64_t> rate = parse_number(value, 1, kMax32);
  if (!rate) return rate.error();
  draft.unauthorized_rps = static_cast<std::uint32_t>(*rate);
  return {};
}

Status oauth_key(Draft& draft, std::string_view value) {
  Result<auth::OAuthKey> key = parse_oauth_key(value);
  if (!key) return key.error();
  std::erase_if(draft.config.oauth_keys, [&](const auth::OAuthKey& other) { return other.kid == key->kid; });
  draft.config.oauth_keys.push_back(*std::move(key));
  return {};
}

Status origin_realm(Draft& draft, std::string_view value) {
  const Result<std::pair<std::string, std::string>> pair = parse_origin_realm(value);
  if (!pair) return pair.error();
  draft.config.origin_realms[pair->first] = pair->second;
  return {};
}

void add_user(Draft& draft, const StaticUser& user) {
  std::erase_if(draft.config.users,
                [&](const StaticUser& other) { return other.name == user.name && other.realm == user.realm; });
  draft.config.users.push_back(user);
}

Status user(Draft& draft, std::string_view value) {
  const Result<StaticUser> added = parse_user(value, draft.config.realm);
  if (!added) return added.error();
  add_user(draft, *added);
  return {};
}

Status realm_user(Draft& draft, std::string_view value) {
  const Result<StaticUser> added = parse_realm_user(value);
  if (!added) return added.error();
  add_user(draft, *added);
  return {};
}

Status realm_option(Draft& draft, std::string_view value) {
  const Result<RealmOption> option = parse_realm_option(value);
  if (!option) return option.error();
  RealmLimits& limits = draft.config.realm_limits[option->realm];
  if (option->name == "max-bps") {
    limits.max_bps = option->value;
  } else if (option->name == "total-quota") {
    limits.total_quota = static_cast<std::uint32_t>(option->value);
  } else {
    limits.user_quota = static_cast<std::uint32_t>(option->value);
  }
  return {};
}

// clang-format off
const Option kRows[] = {
  {.name = "realm", .letter = 'r', .group = kAuth, .metavar = "REALM", .default_text = "the NIS domain or host name",
   .help = "The default realm of all credentials.", .apply = text<&Config::realm>},
  {.name = "lt-cred-mech", .letter = 'a', .arg = Arg::kOptional, .group = kAuth, .default_text = "on",
   .help = "Ask for long-term credentials; the default unless no-auth is given.", .apply = draft_flag<&Draft::lt_cred_mech>},
  {.name = "user", .letter = 'u', .pass = Pass::kUser, .list = true, .secret = true, .group = kAuth, .metavar = "NAME:PASSWORD",
   .help = "Accept this user; NAME:0xKEY takes the key that turnadmin -k prints. May be given several times.", .apply = user},
  {.name = "use-auth-secret", .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Accept time-limited credentials made with a shared secret (TURN REST API).", .apply = use_auth_secret},
  {.name = "static-auth-secret", .list = true, .secret = true, .group = kAuth, .metavar = "SECRET",
   .help = "A shared secret for them; turns use-auth-secret on. May be given several times. Users and secrets work side by side.",
   .apply = static_auth_secret},
  {.name = "rest-api-separator", .letter = 'C', .group = kAuth, .metavar = "CHAR", .default_text = ":",
   .help = "What stands between time and name in their user names.", .apply = rest_separator},
  {.name = "no-auth", .letter = 'z', .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Let anybody relay. Dangerous on a public address.", .apply = draft_flag<&Draft::no_auth>},
  {.name = "secure-stun", .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Ask for credentials for Binding requests too.", .apply = flag<&Config::secure_stun>},
  {.name = "stale-nonce", .arg = Arg::kOptional, .group = kAuth, .metavar = "SECONDS", .default_text = "600",
   .help = "How long a nonce is fresh; 0 is for ever.", .apply = stale_nonce},
  {.name = "stateless-nonce-secret", .secret = true, .group = kAuth, .metavar = "SECRET", .default_text = "a random key",
   .help = "Servers with the same secret accept each other's nonces.", .apply = text<&Config::nonce_secret>},
  {.name = "unauthorized-ratelimit", .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Limit the 401 answers to one address.", .apply = draft_flag<&Draft::unauthorized_ratelimit>},
  {.name = "unauthorized-ratelimit-rps", .group = kAuth, .metavar = "N", .default_text = "10",
   .help = "How many 401 answers a second, with unauthorized-ratelimit.", .apply = unauthorized_rps},
  {.name = "oauth", .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Accept tokens of a third party (RFC 7635) beside other credentials.", .apply = flag<&Config::oauth>},
  {.name = "oauth-key", .list = true, .secret = true, .group = kAuth, .metavar = "KID:BASE64[:ALG[:REALM[:TIME[:SECONDS]]]]",
   .help = "A key of those tokens, named KID: A256GCM (the default) or A128GCM; sessions move to REALM; good for SECONDS from TIME (since 1970). May be given several times.", .apply = oauth_key},
  {.name = "server-name", .group = kAuth, .metavar = "NAME", .default_text = "the realm",
   .help = "The name that those tokens are made for.", .apply = text<&Config::server_name>},

  {.name = "origin-realm", .list = true, .group = kRealm, .metavar = "ORIGIN=REALM",
   .help = "Clients that send this ORIGIN belong to REALM. May be given several times.", .apply = origin_realm},
  {.name = "realm-user", .pass = Pass::kUser, .list = true, .secret = true, .group = kRealm, .metavar = "REALM:NAME:PASSWORD",
   .help = "Accept this user in REALM; NAME:0xKEY as with user. May be given several times.", .apply = realm_user},
  {.name = "realm-option", .list = true, .group = kRealm, .metavar = "REALM:LIMIT=N",
   .help = "A limit of REALM instead of the general one: max-bps, total-quota or user-quota. May be given several times.", .apply = realm_option},
  {.name = "check-origin-consistency", .arg = Arg::kOptional, .group = kRealm, .default_text = "off",
   .help = "Refuse requests whose ORIGIN differs from that of their session (441).", .apply = flag<&Config::check_origin_consistency>},

  {.name = "fingerprint", .letter = 'f', .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Add FINGERPRINT to every answer.", .apply = flag<&Config::fingerprint>},
  {.name = "software-attribute", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Add SOFTWARE, with the version, to every answer to an authenticated client.", .apply = flag<&Config::software_attribute>},
  {.name = "no-software-attribute", .arg = Arg::kOptional, .group = kAnswer, .default_text = "on",
   .help = "The inverse of software-attribute.", .apply = inverse_flag<&Config::software_attribute>},
  {.name = "prod", .arg = Arg::kOptional, .group = kAnswer, .default_text = "on",
   .help = "The name of no-software-attribute in coturn 4.5.", .apply = inverse_flag<&Config::software_attribute>},
  {.name = "include-reason-string", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Say the detailed reason in error answers, not the standard phrase only.", .apply = flag<&Config::include_reason_string>},
  {.name = "no-stun", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Drop Binding requests.", .apply = flag<&Config::no_stun>},
  {.name = "stun-only", .letter = 'S', .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Drop everything but Binding requests.", .apply = flag<&Config::stun_only>},
  {.name = "rfc5780", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Let clients learn how their NAT behaves (RFC 5780); needs two listening addresses of a family.", .apply = flag<&Config::rfc5780>},
  {.name = "no-rfc5780", .arg = Arg::kOptional, .group = kAnswer, .default_text = "on",
   .help = "The inverse of rfc5780.", .apply = inverse_flag<&Config::rfc5780>},
  {.name = "stun-backward-compatibility", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Add MAPPED-ADDRESS to Binding answers, for clients of RFC 3489.", .apply = flag<&Config::stun_backward_compatibility>},
  {.name = "no-stun-backward-compatibility", .arg = Arg::kOptional, .group = kAnswer, .default_text = "on",
   .help = "The inverse of stun-backward-compatibility.", .apply = inverse_flag<&Config::stun_backward_compatibility>},
  {.name = "rfc3489-compatibility", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Answer Binding requests without magic cookie (RFC 3489).", .apply = flag<&Config::rfc3489_compatibility>},
};
// clang-format on

}  // namespace

std::span<const Option> auth_options() { return kRows; }

}  // namespace turnkit::turnd
