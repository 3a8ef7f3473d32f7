// Access tokens of third-party authorization (RFC 7635): what an authorization server seals for the TURN server, and
// the keys that open it. Layout, big-endian:
//
//   nonce_length16, nonce, AEAD( key_length16, mac_key, timestamp64, lifetime32 ), tag of 16 bytes
//
// The timestamp has 48 bits of seconds since 1970 and 16 bits of fraction. The associated data is the server's name.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace turnkit::auth {

enum class TokenAlgorithm : std::uint8_t { kA256Gcm, kA128Gcm };

std::string_view token_algorithm_name(TokenAlgorithm algorithm);             // "A256GCM"
std::optional<TokenAlgorithm> parse_token_algorithm(std::string_view name);  // either case; empty is A256GCM
std::size_t token_key_size(TokenAlgorithm algorithm);                        // 32 or 16 bytes

// A key that this server shares with an authorization server; clients name it by its kid.
struct OAuthKey {
  std::string kid;
  std::vector<std::byte> key;  // token_key_size() bytes; never to be logged
  TokenAlgorithm algorithm = TokenAlgorithm::kA256Gcm;
  std::string realm = {};            // sessions with this key move to this realm; empty: to none
  WallTime from = {};                // from when the lifetime counts
  std::chrono::seconds lifetime{0};  // 0: for ever
  [[nodiscard]] bool is_valid(WallTime now) const { return lifetime.count() == 0 || now < from + lifetime; }
  friend bool operator==(const OAuthKey&, const OAuthKey&) = default;
};

// The key of AES from what an administrator stored: as coturn does, the first 32 (16) bytes; shorter ones are refused.
Result<std::vector<std::byte>> token_key_of(TokenAlgorithm algorithm, Bytes material);

// Where keys come from. Calls come from worker threads at the same time.
class OAuthKeyStore {
 public:
  virtual ~OAuthKeyStore() = default;
  [[nodiscard]] virtual std::optional<OAuthKey> find(std::string_view kid) const = 0;
};

// Keys that are known from the start.
class OAuthKeys final : public OAuthKeyStore {
 public:
  // Replaces an earlier key of the same kid. Fails for an empty kid and for a key of the wrong size.
  Status add(OAuthKey key);
  [[nodiscard]] bool empty() const { return keys_.empty(); }
  [[nodiscard]] std::optional<OAuthKey> find(std::string_view kid) const override;

 private:
  std::map<std::string, OAuthKey, std::less<>> keys_;
};

struct AccessToken {
  std::vector<std::byte> mac_key;  // 20 bytes for MESSAGE-INTEGRITY, 32 for MESSAGE-INTEGRITY-SHA256
  std::uint64_t seconds = 0;       // when it was made; 48 bits
  std::uint16_t fraction = 0;      // in 1/64000 s
  std::uint32_t lifetime = 0;      // in seconds

  [[nodiscard]] WallTime ends() const {
    return WallTime(std::chrono::seconds(static_cast<std::int64_t>(seconds & 0xFFFF'FFFF'FFFF) + lifetime));
  }
};

inline constexpr std::size_t kTokenNonceSize = 12;   // of AES-GCM
inline constexpr std::size_t kMaxTokenBytes = 1024;  // as coturn takes
inline constexpr std::size_t kMaxMacKeyBytes = 256;

// nullopt: not made with this key for this server name, altered, or not of this layout. The age is not looked at.
std::optional<AccessToken> open_token(const OAuthKey& key, std::string_view server_name, Bytes token);
// What an authorization server does; for tests and tools. Requires: a key of the right size, a nonce of
// kTokenNonceSize bytes that was never used with it, at most kMaxMacKeyBytes of mac_key.
std::vector<std::byte> seal_token(const OAuthKey& key, std::string_view server_name, const AccessToken& token,
                                  Bytes nonce);

}  // namespace turnkit::auth
