// Stateless nonces: any server that holds the key can check one, none is remembered. Layout of the text, 29 characters:
//
//   "obMatJos2" + base64(security features, 3 bytes)   RFC 8489, section 9.2: the nonce cookie
//   + base64(issue time, 4 bytes; first 8 bytes of HMAC-SHA256(key, cookie | time | client address and port))
//
// Binding it to the client's address and port keeps RFC 8489's rule that no two clients get the same nonce.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/random.h"

namespace turnkit::auth {

// Bit 0 is the most significant bit of the first byte (RFC 8489, section 18.1).
struct SecurityFeatures {
  bool password_algorithms = false;  // bit 0
  bool username_anonymity = false;   // bit 1
};

inline constexpr std::size_t kNonceSize = 29;
using NonceText = std::array<char, kNonceSize>;

class NonceKey {
 public:
  static NonceKey random(Random& random);
  // The same text gives the same key on every server of a fleet.
  static NonceKey from_shared_secret(std::string_view secret);

  [[nodiscard]] NonceText issue(const SecurityFeatures& features, const Address& client, WallTime now) const;

  enum class Verdict : std::uint8_t { kFresh, kExpired, kForeign };  // kForeign: not ours, altered, or another client's
  // `lifetime` of 0 seconds: never expires. Tolerates 5 s of clock skew between fleet members.
  [[nodiscard]] Verdict check(std::string_view nonce, const Address& client, WallTime now,
                              std::chrono::seconds lifetime) const;

 private:
  explicit NonceKey(const Sha256& key) : key_(key) {}
  Sha256 key_;
};

// What a client may trust of a server's nonce; all false when it has no cookie (an RFC 5389 server). Unassigned bits
// are ignored.
SecurityFeatures features_of(std::string_view nonce);

}  // namespace turnkit::auth
