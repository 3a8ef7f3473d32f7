// Keys, and the credential stores that need no database.
#include "auth/credentials.h"

#include <algorithm>
#include <charconv>

#include "auth/opaque_string.h"
#include "base/encoding.h"

namespace turnkit::auth {
namespace {

using stun::PasswordAlgorithm;

// The prepared form of `text`: itself where that is plain ASCII, otherwise kept in `scratch`.
std::optional<std::string_view> prepared(std::string_view text, std::string& scratch) {
  if (!text.empty() && is_printable_ascii(text)) return text;
  auto result = opaque_string(text);
  if (!result) return std::nullopt;
  scratch = *std::move(result);
  return scratch;
}

// Realms and passwords that OpaqueString refuses are used as they are: coturn takes any bytes for both, and its users
// bring such passwords along.
std::string prepared_or_raw(std::string_view text) { return opaque_string(text).value_or(std::string(text)); }

Key key_of_bytes(PasswordAlgorithm algorithm, Bytes bytes) {
  Key key{.algorithm = algorithm, .data = {}};
  std::copy(bytes.begin(), bytes.end(), key.data.begin());
  return key;
}

// A plain decimal number: digits only, no sign, no spaces (REST-007).
std::optional<WallTime> parse_expiry(std::string_view text) {
  if (text.empty() || text.front() == '-') return std::nullopt;
  std::int64_t seconds = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc() || stop != end) return std::nullopt;
  return WallTime(std::chrono::seconds(seconds));
}

}  // namespace

std::string_view bare_name(std::string_view text) {
  while (text.ends_with('\0')) text.remove_suffix(1);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return text;
}

Key long_term_key(PasswordAlgorithm algorithm, std::string_view user, std::string_view realm,
                  std::string_view password) {
  const Bytes colon = as_bytes(":");
  const Bytes name = as_bytes(bare_name(user));
  const Bytes place = as_bytes(bare_name(realm));
  if (algorithm == PasswordAlgorithm::kMd5) {
    return key_of_bytes(algorithm, md5({name, colon, place, colon, as_bytes(password)}));
  }
  return key_of_bytes(algorithm, sha256({name, colon, place, colon, as_bytes(password)}));
}

Userhash userhash(std::string_view user, std::string_view realm) {
  return sha256({as_bytes(user), as_bytes(":"), as_bytes(realm)});
}

StaticUsers::Keys StaticUsers::keys_of(std::string_view user, std::string_view realm, std::string_view secret_text) {
  if (!secret_text.starts_with("0x")) {
    const std::string password = prepared_or_raw(secret_text);
    return {.md5 = long_term_key(PasswordAlgorithm::kMd5, user, realm, password),
            .sha256 = long_term_key(PasswordAlgorithm::kSha256, user, realm, password)};
  }
  const auto bytes = from_hex(secret_text.substr(2));
  if (bytes && bytes->size() == 16) return {.md5 = key_of_bytes(PasswordAlgorithm::kMd5, *bytes), .sha256 = {}};
  if (bytes && bytes->size() == 32) return {.md5 = {}, .sha256 = key_of_bytes(PasswordAlgorithm::kSha256, *bytes)};
  return {};
}

bool StaticUsers::add(std::string_view user, std::string_view realm, std::string_view secret_text) {
  const auto name = opaque_string(bare_name(user));
  if (!name) return false;
  const Id id{.realm = prepared_or_raw(bare_name(realm)), .name = *name};
  const Keys keys = keys_of(id.name, id.realm, secret_text);
  if (!keys.md5 && !keys.sha256) return false;

  Keys& entry = users_[id];
  if (keys.md5) entry.md5 = keys.md5;
  if (keys.sha256) entry.sha256 = keys.sha256;
  hashes_.insert_or_assign(userhash(id.name, id.realm), id);
  return true;
}

void StaticUsers::find(std::string_view user, std::string_view realm, PasswordAlgorithm algorithm, WallTime,
                       std::vector<Candidate>& out) const {
  std::string name_scratch;
  std::string realm_scratch;
  const auto name = prepared(user, name_scratch);
  if (!name) return;
  const auto it = users_.find(IdView(prepared(realm, realm_scratch).value_or(realm), *name));
  if (it == users_.end()) return;
  const auto& key = algorithm == PasswordAlgorithm::kMd5 ? it->second.md5 : it->second.sha256;
  if (key) out.push_back({.key = *key, .quota_name = it->first.name});
}

std::optional<std::string> StaticUsers::user_of(const Userhash& hash, std::string_view realm) const {
  const auto it = hashes_.find(hash);
  std::string scratch;
  if (it == hashes_.end() || it->second.realm != prepared(realm, scratch).value_or(realm)) return std::nullopt;
  return it->second.name;
}

std::optional<std::string> StaticUsers::advice() const {
  const auto without = [&](std::optional<Key> Keys::*kind) {
    return std::find_if(users_.begin(), users_.end(), [&](const auto& u) { return !(u.second.*kind).has_value(); });
  };
  const auto old = without(&Keys::sha256);
  if (old == users_.end()) return std::nullopt;
  std::string text = "user " + escaped(old->first.name) +
                     " has an MD5 key only, so SHA-256 is offered to nobody; give the password or a SHA-256 key, too";
  if (const auto locked_out = without(&Keys::md5); locked_out != users_.end()) {
    text += "; user " + escaped(locked_out->first.name) + " has a SHA-256 key only and cannot log in";
  }
  return text;
}

bool StaticUsers::has_sha256_keys() const {
  return std::all_of(users_.begin(), users_.end(), [](const auto& u) { return u.second.sha256.has_value(); });
}

std::optional<RestName> parse_rest_name(std::string_view user, char separator) {
  const std::size_t first = user.find(separator);
  if (first == std::string_view::npos) {
    const auto expiry = parse_expiry(user);
    return expiry ? std::optional(RestName{.expiry = *expiry, .id = {}}) : std::nullopt;
  }
  if (const auto expiry = parse_expiry(user.substr(0, first))) {
    return RestName{.expiry = *expiry, .id = user.substr(first + 1)};
  }
  const std::size_t last = user.rfind(separator);
  const auto expiry = parse_expiry(user.substr(last + 1));
  return expiry ? std::optional(RestName{.expiry = *expiry, .id = user.substr(0, last)}) : std::nullopt;
}

std::string rest_password(std::string_view secret, std::string_view user) {
  return to_base64(hmac_sha1(as_bytes(secret), {as_bytes(user)}));
}

RestSecrets::RestSecrets(std::vector<std::string> secrets, char separator)
    : secrets_(std::move(secrets)), separator_(separator) {}

void RestSecrets::find(std::string_view user, std::string_view realm, PasswordAlgorithm algorithm, WallTime now,
                       std::vector<Candidate>& out) const {
  const auto name = parse_rest_name(user, separator_);
  if (!name || name->expiry < now) return;  // no grace (REST-008)
  const std::string_view quota_name = name->id.empty() ? user : name->id;
  for (const std::string& secret : secrets_) {
    out.push_back({.key = long_term_key(algorithm, user, realm, rest_password(secret, user)),
                   .quota_name = std::string(quota_name)});
  }
}

void CombinedStore::find(std::string_view user, std::string_view realm, PasswordAlgorithm algorithm, WallTime now,
                         std::vector<Candidate>& out) const {
  for (const CredentialStore* store : stores_) store->find(user, realm, algorithm, now, out);
}

std::optional<std::string> CombinedStore::user_of(const Userhash& hash, std::string_view realm) const {
  for (const CredentialStore* store : stores_) {
    if (auto user = store->user_of(hash, realm)) return user;
  }
  return std::nullopt;
}

bool CombinedStore::has_sha256_keys() const {
  return std::all_of(stores_.begin(), stores_.end(), [](const CredentialStore* s) { return s->has_sha256_keys(); });
}

bool CombinedStore::can_resolve_userhash() const {
  return std::all_of(stores_.begin(), stores_.end(),
                     [](const CredentialStore* s) { return s->can_resolve_userhash(); });
}

}  // namespace turnkit::auth
