// Values of options about realms, tokens and other servers.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "auth/opaque_string.h"
#include "auth/realms.h"
#include "base/encoding.h"
#include "net/resolver.h"
#include "turnd/options/values.h"

namespace turnkit::turnd {
namespace {

constexpr std::size_t kMaxRealm = 127;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

Result<std::string> parse_realm(std::string_view text) {
  const std::optional<std::string> realm = auth::opaque_string(text);
  if (!realm || realm->empty() || realm->size() > kMaxRealm) {
    return Error{"expected a realm of at most 127 bytes of UTF-8 text without control characters"};
  }
  return *realm;
}

// Cuts `text` at its first `separator`; the rest goes back into `text`.
std::string_view cut(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return head;
}

}  // namespace

Result<StaticUser> parse_realm_user(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return Error{"expected REALM:NAME:PASSWORD, or REALM:NAME:0x and a key of 32 or 64 hex digits"};
  }
  const Result<std::string> realm = parse_realm(text.substr(0, colon));
  if (!realm) return realm.error();
  return parse_user(text.substr(colon + 1), *realm);
}

Result<auth::OAuthKey> parse_oauth_key(std::string_view text) {
  auth::OAuthKey out;
  out.kid = cut(text, ':');
  const std::string_view base64 = cut(text, ':');
  const std::string_view algorithm = cut(text, ':');
  const std::string_view realm = cut(text, ':');
  const std::string_view timestamp = cut(text, ':');
  const std::string_view lifetime = text;
  if (out.kid.empty() || out.kid.size() > 128) return Error{"expected KID:BASE64[:ALG[:REALM[:TIME[:SECONDS]]]]"};
  const std::string shown = escaped(out.kid);
  const auto known = auth::parse_token_algorithm(algorithm);
  if (!known) return Error{fmt::format("kid \"{}\": expected A256GCM or A128GCM as the algorithm", shown)};
  out.algorithm = *known;
  const std::optional<std::vector<std::byte>> material = from_base64(base64);
  auto key = auth::token_key_of(out.algorithm, material ? Bytes(*material) : Bytes());
  if (!key) {
    return Error{fmt::format("kid \"{}\": expected a key of {} bytes or more in base64", shown,
                             auth::token_key_size(out.algorithm))};
  }
  out.key = *std::move(key);
  if (!realm.empty()) {
    const Result<std::string> prepared = parse_realm(realm);
    if (!prepared) return Error{fmt::format("kid \"{}\": {}", shown, prepared.error().text)};
    out.realm = *prepared;
  }
  constexpr std::uint64_t kMaxTime = 1ULL << 40;
  for (const auto& [part, field] : {std::pair{timestamp, 0}, std::pair{lifetime, 1}}) {
    if (part.empty()) continue;
    const Result<std::uint64_t> number = parse_number(part, 0, kMaxTime);
    if (!number) return Error{fmt::format("kid \"{}\": expected TIME and SECONDS in whole seconds", shown)};
    if (field == 0) {
      out.from = WallTime(std::chrono::seconds(*number));
    } else {
      out.lifetime = std::chrono::seconds(*number);
    }
  }
  return out;
}

Result<std::pair<std::string, std::string>> parse_origin_realm(std::string_view text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0 || equals > kMaxRealm) {
    return Error{"expected ORIGIN=REALM, such as https://meet.example.org=example.org"};
  }
  const Result<std::string> realm = parse_realm(text.substr(equals + 1));
  if (!realm) return realm.error();
  return std::pair{auth::canonical_origin(text.substr(0, equals)), *realm};
}

Result<RealmOption> parse_realm_option(std::string_view text) {
  const std::size_t equals = text.rfind('=');
  const std::size_t colon = text.substr(0, std::min(equals, text.size())).rfind(':');
  if (equals == std::string_view::npos || colon == std::string_view::npos) {
    return Error{"expected REALM:max-bps=N, REALM:total-quota=N or REALM:user-quota=N"};
  }
  RealmOption out;
  out.name = text.substr(colon + 1, equals - colon - 1);
  if (out.name != "max-bps" && out.name != "total-quota" && out.name != "user-quota") {
    return Error{"expected max-bps, total-quota or user-quota behind the realm"};
  }
  const Result<std::string> realm = parse_realm(text.substr(0, colon));
  if (!realm) return realm.error();
  out.realm = *realm;
  const std::uint64_t max =
      out.name == "max-bps" ? std::numeric_limits<std::uint64_t>::max() : std::numeric_limits<std::uint32_t>::max();
  const Result<std::uint64_t> value = parse_number(text.substr(equals + 1), 0, max);
  if (!value) return value.error();
  out.value = *value;
  return out;
}

Result<std::vector<Address>> parse_endpoint(std::string_view text, const Environment& environment,
                                            std::uint16_t default_port) {
  const char* expected =
      default_port == 0 ? "expected HOST:PORT, such as 127.0.0.1:8443 or [::1]:8443" : "expected HOST or HOST:PORT";
  const auto address = default_port == 0 ? Address::parse(text) : Address::parse(text, default_port);
  if (address) {
    if (address->port == 0 || address->ip.is_unspecified()) return Error{expected};
    return std::vector<Address>{*address};
  }
  const std::size_t colon = text.find(':');
  std::uint16_t port = default_port;
  if (colon != std::string_view::npos) {
    const Result<std::uint16_t> given = parse_port(text.substr(colon + 1), 1);
    if (!given) return Error{expected};
    port = *given;
  }
  const std::string_view host = text.substr(0, colon);
  if (port == 0 || !is_host_name(host)) return Error{expected};
  const std::string name(host);
  const Result<std::vector<IpAddress>> ips =
      environment.resolve == nullptr ? net::resolve(name) : environment.resolve(name);
  if (!ips) return ips.error();
  std::vector<Address> out;
  for (const IpAddress& ip : *ips) out.push_back({ip, port});
  return out;
}

Result<std::string> parse_server_name(std::string_view text) {
  const std::string_view name = text.starts_with("*.") ? text.substr(2) : text;
  if (!is_host_name(name)) return Error{"expected a host name such as turn.example.org, or *.example.org"};
  std::string out = lowered(text);
  if (out.ends_with('.')) out.pop_back();
  return out;
}

}  // namespace turnkit::turnd
