// Long-term credentials (RFC 8489, section 9.2): keys, and the store interface that databases implement.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "stun/types.h"

namespace turnkit::auth {

// A long-term key, MD5 (16 bytes) or SHA-256 (32 bytes) of user ":" realm ":" password; the password is not kept. Or
// the mac_key of an access token (RFC 7635), whose size `mac_key_size` says.
struct Key {
  stun::PasswordAlgorithm algorithm = stun::PasswordAlgorithm::kMd5;
  std::array<std::byte, 32> data{};
  std::uint8_t mac_key_size = 0;

  [[nodiscard]] Bytes bytes() const {
    if (mac_key_size != 0) return Bytes(data).first(mac_key_size);
    return Bytes(data).first(algorithm == stun::PasswordAlgorithm::kMd5 ? 16 : 32);
  }
  friend bool operator==(const Key&, const Key&) = default;
};

// A user name or realm without the surrounding quotes and the trailing NULs that keys must not contain (RFC 8489,
// section 9.2.2).
std::string_view bare_name(std::string_view text);

// Takes the bare_name() of user and realm. Requires: all three already prepared (see opaque_string.h).
Key long_term_key(stun::PasswordAlgorithm algorithm, std::string_view user, std::string_view realm,
                  std::string_view password);

using Userhash = Sha256;
// RFC 8489, section 14.4. Requires: both prepared.
Userhash userhash(std::string_view user, std::string_view realm);

// One key under which a request may be authentic, and whom quotas count: the user, for REST credentials without the
// time (conformance.md REST-010).
struct Candidate {
  Key key;
  std::string quota_name;
};

// Where credentials come from. Several stores may be asked in turn. Calls come from worker threads at the same time.
class CredentialStore {
 public:
  virtual ~CredentialStore() = default;

  // Appends the keys of `user` for `algorithm`, none when the user is unknown or the credential expired.
  virtual void find(std::string_view user, std::string_view realm, stun::PasswordAlgorithm algorithm, WallTime now,
                    std::vector<Candidate>& out) const = 0;
  // The user behind a USERHASH; nullopt when unknown, always so for stores that cannot list their users.
  [[nodiscard]] virtual std::optional<std::string> user_of(const Userhash& hash, std::string_view realm) const = 0;
  // False when some user's key exists as MD5 only (coturn's 0x keys and databases): SHA-256 cannot be offered then,
  // because a client that supports it must choose it.
  [[nodiscard]] virtual bool has_sha256_keys() const = 0;
  // False when users cannot be listed (REST secrets): USERHASH cannot be offered then (REST-009).
  [[nodiscard]] virtual bool can_resolve_userhash() const = 0;
};

// Users from the command line or the configuration file: name and password, or name and 0x key in hex.
class StaticUsers final : public CredentialStore {
 public:
  // `secret_text` is a password, or "0x" and 32 (MD5) or 64 (SHA-256) hex digits. A name that OpaqueString refuses (so
  // an empty one, too) or a broken key is refused. Adding a user again replaces the keys that the new text gives: a
  // user may have both 0x keys.
  [[nodiscard]] bool add(std::string_view user, std::string_view realm, std::string_view secret_text);
  [[nodiscard]] bool empty() const { return users_.empty(); }
  // A sentence for the log about users whom the others' kinds of keys lock out: while one user has an MD5 key only,
  // SHA-256 is offered to nobody, and a user who has a SHA-256 key only cannot log in.
  [[nodiscard]] std::optional<std::string> advice() const;

  void find(std::string_view user, std::string_view realm, stun::PasswordAlgorithm algorithm, WallTime now,
            std::vector<Candidate>& out) const override;
  [[nodiscard]] std::optional<std::string> user_of(const Userhash& hash, std::string_view realm) const override;
  [[nodiscard]] bool has_sha256_keys() const override;
  [[nodiscard]] bool can_resolve_userhash() const override { return true; }

 private:
  struct Id {
    std::string realm;
    std::string name;
  };
  using IdView = std::pair<std::string_view, std::string_view>;  // realm, name
  struct IdLess {
    using is_transparent = void;
    static IdView view(const Id& id) { return {id.realm, id.name}; }
    static IdView view(const IdView& id) { return id; }
    bool operator()(const auto& a, const auto& b) const { return view(a) < view(b); }
  };
  struct Keys {
    std::optional<Key> md5;
    std::optional<Key> sha256;
  };
  // Both nullopt for a "0x" text that is no key.
  static Keys keys_of(std::string_view user, std::string_view realm, std::string_view secret_text);

  std::map<Id, Keys, IdLess> users_;
  std::map<Userhash, Id> hashes_;
};

// TURN REST credentials (draft-uberti-behave-turn-rest-00): user name = expiry, expiry SEP id, or id SEP expiry;
// password = base64(HMAC-SHA1(secret, user name)).
class RestSecrets final : public CredentialStore {
 public:
  explicit RestSecrets(std::vector<std::string> secrets, char separator = ':');

  void find(std::string_view user, std::string_view realm, stun::PasswordAlgorithm algorithm, WallTime now,
            std::vector<Candidate>& out) const override;
  [[nodiscard]] std::optional<std::string> user_of(const Userhash&, std::string_view) const override {
    return std::nullopt;
  }
  [[nodiscard]] bool has_sha256_keys() const override { return true; }
  [[nodiscard]] bool can_resolve_userhash() const override { return false; }

 private:
  std::vector<std::string> secrets_;
  char separator_;
};

// What a REST user name says. nullopt: no form fits, or the time is not a plain number that fits. Where both ends could
// be the time, the first is; an id may contain the separator.
struct RestName {
  WallTime expiry;
  std::string_view id;  // empty in the first form
};
std::optional<RestName> parse_rest_name(std::string_view user, char separator);
// The password of a REST user name, for clients and tools.
std::string rest_password(std::string_view secret, std::string_view user);

// Asks each of its stores in order.
class CombinedStore final : public CredentialStore {
 public:
  // Requires: the stores outlive this.
  explicit CombinedStore(std::vector<const CredentialStore*> stores) : stores_(std::move(stores)) {}

  void find(std::string_view user, std::string_view realm, stun::PasswordAlgorithm algorithm, WallTime now,
            std::vector<Candidate>& out) const override;
  [[nodiscard]] std::optional<std::string> user_of(const Userhash& hash, std::string_view realm) const override;
  [[nodiscard]] bool has_sha256_keys() const override;
  [[nodiscard]] bool can_resolve_userhash() const override;

 private:
  std::vector<const CredentialStore*> stores_;
};

}  // namespace turnkit::auth
