// The server's side of the long-term credential mechanism (RFC 8489, section 9.2.4): the checks LT-1 to LT-8 of
// conformance.md, in order. Sans I/O; one per worker is enough, all methods are const.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "auth/access_token.h"
#include "auth/credentials.h"
#include "auth/nonce.h"
#include "auth/realms.h"
#include "base/address.h"
#include "base/clock.h"
#include "stun/builder.h"
#include "stun/integrity.h"
#include "stun/message.h"

namespace turnkit::auth {

// Who sent a request that passed, and how the answer is to be protected.
struct Identity {
  std::string user;
  std::string quota_name;
  Key key;
  stun::MacKind reply_mac = stun::MacKind::kSha1;
  std::string realm = {};
  std::string origin = {};  // of the request that made the session, canonical
  // Came with an access token (RFC 7635): `user` is the kid, which names no person, and `quota_name` is empty.
  bool third_party = false;
  std::optional<WallTime> valid_until = {};  // the token's end

  // Whether both are the same owner of an allocation. Tokens do not tell persons apart: whoever sends from the
  // session's own 5-tuple with a valid one goes on with it, also under another kid.
  [[nodiscard]] bool same_owner(const Identity& other) const {
    if (third_party || other.third_party) return third_party == other.third_party;
    return user == other.user && realm == other.realm;
  }
};

struct AuthResult {
  // nullopt: passed. Otherwise kBadRequest (LT-2, LT-4), kUnauthenticated (LT-1, LT-5, LT-6; add a challenge) or
  // kStaleNonce (LT-7; add a challenge; may be protected with identity.key, because the MAC was right).
  std::optional<stun::Code> error;
  Identity identity;       // filled when passed, and for kStaleNonce
  std::string_view realm;  // that a challenge names; lives as long as the authenticator and `established`
};

struct AuthConfig {
  std::string realm;                                          // the default one
  std::chrono::seconds nonce_lifetime{600};                   // 0: nonces never expire
  std::map<std::string, std::string> origin_realms = {};      // ORIGIN to realm
  std::shared_ptr<const OAuthKeyStore> oauth_keys = nullptr;  // not null: access tokens are taken, too
  std::string server_name = {};                               // that tokens are made for; empty: the default realm
};

class Authenticator {
 public:
  // Requires: `store` outlives this, and does not change what has_sha256_keys() and can_resolve_userhash() answer.
  Authenticator(AuthConfig config, const CredentialStore& store, const NonceKey& nonce_key);

  // `established`: the identity that owns the allocation of this 5-tuple, if there is one. The same user is then
  // checked against the key that was found at Allocate, without asking the store (so an expired REST credential keeps
  // its allocation, REST-004).
  [[nodiscard]] AuthResult check(const stun::MessageView& request, const Address& client, WallTime now,
                                 const Identity* established = nullptr) const;

  // Adds REALM, NONCE and PASSWORD-ALGORITHMS, and THIRD-PARTY-AUTHORIZATION where tokens are taken. No realm: the
  // default one.
  void add_challenge(stun::Builder& answer, const Address& client, WallTime now, std::string_view realm = {}) const;
  // The bytes that it adds.
  [[nodiscard]] std::size_t challenge_size(std::string_view realm = {}) const;

  // Whether the request has a nonce that this server gave to `client`: then its source is no forgery, whatever else is
  // wrong with it.
  [[nodiscard]] bool has_own_nonce(const stun::MessageView& request, const Address& client, WallTime now) const;

  [[nodiscard]] const RealmTable& realms() const { return realms_; }
  [[nodiscard]] bool takes_tokens() const { return config_.oauth_keys != nullptr; }

 private:
  struct Claim;
  [[nodiscard]] AuthResult check_token(const stun::MessageView& request, const Claim& claim, WallTime now,
                                       std::string_view realm) const;
  [[nodiscard]] AuthResult check_long_term(const stun::MessageView& request, const Claim& claim, WallTime now,
                                           std::string_view realm, const Identity* established) const;

  AuthConfig config_;
  RealmTable realms_;
  const CredentialStore* store_;
  NonceKey nonce_key_;
  SecurityFeatures features_;
  // In order of preference, and as the value of PASSWORD-ALGORITHMS that a client must send back.
  std::span<const stun::PasswordAlgorithm> algorithms_;
  Bytes algorithms_value_;
};

}  // namespace turnkit::auth
