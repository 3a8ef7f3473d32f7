// The server's side of the long-term credential mechanism (RFC 8489, section 9.2.4): the checks LT-1 to LT-8 of
// conformance.md, in order. Sans I/O; one per worker is enough, all methods are const.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "auth/credentials.h"
#include "auth/nonce.h"
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
};

struct AuthResult {
  // nullopt: passed. Otherwise kBadRequest (LT-2, LT-4), kUnauthenticated (LT-1, LT-5, LT-6; add a challenge) or
  // kStaleNonce (LT-7; add a challenge; may be protected with identity.key, because the MAC was right).
  std::optional<stun::Code> error;
  Identity identity;  // filled when passed, and for kStaleNonce
};

struct AuthConfig {
  std::string realm;                         // prepared with OpaqueString by the Authenticator
  std::chrono::seconds nonce_lifetime{600};  // 0: nonces never expire
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

  // Adds REALM, NONCE and PASSWORD-ALGORITHMS.
  void add_challenge(stun::Builder& answer, const Address& client, WallTime now) const;
  // The bytes that it adds.
  [[nodiscard]] std::size_t challenge_size() const;

 private:
  AuthConfig config_;
  const CredentialStore* store_;
  NonceKey nonce_key_;
  SecurityFeatures features_;
  // In order of preference, and as the value of PASSWORD-ALGORITHMS that a client must send back.
  std::span<const stun::PasswordAlgorithm> algorithms_;
  Bytes algorithms_value_;
};

}  // namespace turnkit::auth
