// Realms: which one a request belongs to. A server has a default realm; ORIGIN, which a browser's client sends before
// it knows any realm, picks another one.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "stun/message.h"

namespace turnkit::auth {

inline constexpr std::size_t kMaxOriginBytes = 127;  // longer ORIGIN values count as none

// The form in which origins are compared: scheme and host in lower case, the scheme's default port, path and the like
// left out. Text that is no origin stays as it is.
std::string canonical_origin(std::string_view origin);

class RealmTable {
 public:
  RealmTable() = default;
  // Realms are prepared as credentials are (opaque_string.h); origins are made canonical.
  explicit RealmTable(std::string_view default_realm, const std::map<std::string, std::string>& origin_realms = {});

  [[nodiscard]] const std::string& default_realm() const { return default_realm_; }
  // The realm of a request that no session tells: of the first of its ORIGINs that has one; otherwise the one that its
  // REALM names, if that is a realm of this table; otherwise the default.
  [[nodiscard]] const std::string& realm_of(const stun::MessageView& request) const;
  // The ORIGIN, in its canonical form, that a session of this request has: the one that told the realm, or else, as in
  // coturn, the last. Empty when there is none.
  [[nodiscard]] std::string origin_of(const stun::MessageView& request) const;

 private:
  std::string default_realm_;
  std::map<std::string, std::string, std::less<>> origin_realms_;
};

// Whether one of the request's ORIGINs is `origin`; for an empty one, whether the request has none.
bool has_origin(const stun::MessageView& request, std::string_view origin);

}  // namespace turnkit::auth
