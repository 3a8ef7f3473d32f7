#include "auth/realms.h"

#include <algorithm>
#include <array>
#include <utility>

#include "auth/credentials.h"
#include "auth/opaque_string.h"

namespace turnkit::auth {
namespace {

using stun::Attr;

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kDefaultPorts{
    {{"http", "80"}, {"https", "443"}, {"turn", "3478"}, {"turns", "5349"}, {"stun", "3478"}, {"stuns", "5349"}}};

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::string prepared_realm(std::string_view realm) {
  const std::string_view bare = bare_name(realm);
  return opaque_string(bare).value_or(std::string(bare));
}

bool usable(const stun::Attribute& attribute) {
  return attribute.type == Attr::kOrigin && !attribute.value.empty() && attribute.value.size() <= kMaxOriginBytes;
}

}  // namespace

std::string canonical_origin(std::string_view origin) {
  const std::size_t mark = origin.find("://");
  if (mark == 0 || mark == std::string_view::npos) return std::string(origin);
  const std::string scheme = lower_case(origin.substr(0, mark));
  std::string_view authority = origin.substr(mark + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  authority = authority.substr(authority.rfind('@') + 1);  // npos + 1 is 0
  if (authority.empty()) return std::string(origin);

  const std::size_t colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  const std::string_view port = has_port ? authority.substr(colon + 1) : std::string_view{};
  const std::string_view host = has_port ? authority.substr(0, colon) : authority;
  const bool is_default = port.empty() || std::any_of(kDefaultPorts.begin(), kDefaultPorts.end(), [&](const auto& p) {
                            return p.first == scheme && p.second == port;
                          });
  std::string out = scheme + "://" + lower_case(host);
  if (!is_default) out.append(":").append(port);
  return out;
}

RealmTable::RealmTable(std::string_view default_realm, const std::map<std::string, std::string>& origin_realms)
    : default_realm_(prepared_realm(default_realm)) {
  for (const auto& [origin, realm] : origin_realms) {
    origin_realms_.insert_or_assign(canonical_origin(origin), prepared_realm(realm));
  }
}

const std::string& RealmTable::realm_of(const stun::MessageView& request) const {
  if (origin_realms_.empty()) return default_realm_;
  if (request.has(Attr::kOrigin)) {
    for (const stun::Attribute& attribute : request) {
      if (!usable(attribute)) continue;
      const auto it = origin_realms_.find(canonical_origin(as_text(attribute.value)));
      if (it != origin_realms_.end()) return it->second;
    }
    return default_realm_;
  }
  // A client that sent its ORIGIN with the first request only answers that request's challenge.
  if (const auto claimed = request.find(Attr::kRealm)) {
    const std::string realm = prepared_realm(as_text(claimed->value));
    const auto it = std::find_if(origin_realms_.begin(), origin_realms_.end(),
                                 [&](const auto& entry) { return entry.second == realm; });
    if (it != origin_realms_.end()) return it->second;
  }
  return default_realm_;
}

std::string RealmTable::origin_of(const stun::MessageView& request) const {
  std::string origin;
  if (!request.has(Attr::kOrigin)) return origin;
  for (const stun::Attribute& attribute : request) {
    if (!usable(attribute)) continue;
    origin = canonical_origin(as_text(attribute.value));
    if (origin_realms_.contains(origin)) break;
  }
  return origin;
}

bool has_origin(const stun::MessageView& request, std::string_view origin) {
  if (!request.has(Attr::kOrigin)) return origin.empty();
  for (const stun::Attribute& attribute : request) {
    if (usable(attribute) && canonical_origin(as_text(attribute.value)) == origin) return true;
  }
  return false;
}

}  // namespace turnkit::auth
