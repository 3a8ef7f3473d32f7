// Sealing and checking of nonces. A nonce is checked by sealing its own cookie and time again and comparing the texts,
// so whatever a client changed in it, the comparison sees.
#include "auth/nonce.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/encoding.h"

namespace turnkit::auth {
namespace {

constexpr std::string_view kCookiePrefix = "obMatJos2";
constexpr std::size_t kFeatureChars = 4;  // base64 of 3 bytes
constexpr std::size_t kCookieSize = kCookiePrefix.size() + kFeatureChars;
constexpr std::size_t kTimeSize = 4;
constexpr std::size_t kTagSize = 8;
static_assert(kCookieSize + (kTimeSize + kTagSize) / 3 * 4 == kNonceSize);

constexpr std::int64_t kSkewSeconds = 5;
constexpr std::byte kPasswordAlgorithmsBit{0x80};
constexpr std::byte kUsernameAnonymityBit{0x40};

std::string_view text_of(const NonceText& nonce) { return {nonce.data(), nonce.size()}; }

// The nonce that `key` seals for this cookie, time and client.
NonceText seal(const Sha256& key, std::string_view cookie, std::uint32_t issued, const Address& client) {
  std::array<std::byte, kTimeSize + kTagSize> sealed;
  store_be32(sealed.data(), issued);
  std::array<std::byte, 2> port;
  store_be16(port.data(), client.port);
  const Bytes time = Bytes(sealed).first(kTimeSize);
  const Sha256 tag = hmac_sha256(key, {as_bytes(cookie), time, client.ip.bytes(), port});
  std::copy_n(tag.begin(), kTagSize, sealed.begin() + kTimeSize);

  NonceText nonce;
  const std::string tail = to_base64(sealed);
  std::copy(tail.begin(), tail.end(), std::copy(cookie.begin(), cookie.end(), nonce.begin()));
  return nonce;
}

// Wall time in 32 bits. It wraps in 2106; ages are therefore signed differences.
std::uint32_t seconds32(WallTime time) { return static_cast<std::uint32_t>(time.time_since_epoch().count()); }

}  // namespace

NonceKey NonceKey::random(Random& random) {
  Sha256 key;
  random.fill(key);
  return NonceKey(key);
}

NonceKey NonceKey::from_shared_secret(std::string_view secret) {
  // The label keeps this use of the secret apart from any other.
  return NonceKey(sha256({as_bytes("turnkit-nonce-v1:"), as_bytes(secret)}));
}

NonceText NonceKey::issue(const SecurityFeatures& features, const Address& client, WallTime now) const {
  std::array<std::byte, 3> bits{};
  if (features.password_algorithms) bits[0] |= kPasswordAlgorithmsBit;
  if (features.username_anonymity) bits[0] |= kUsernameAnonymityBit;
  std::string cookie(kCookiePrefix);
  cookie += to_base64(bits);
  return seal(key_, cookie, seconds32(now), client);
}

NonceKey::Verdict NonceKey::check(std::string_view nonce, const Address& client, WallTime now,
                                  std::chrono::seconds lifetime) const {
  if (nonce.size() != kNonceSize || !nonce.starts_with(kCookiePrefix)) return Verdict::kForeign;
  const auto sealed = from_base64(nonce.substr(kCookieSize));
  if (!sealed || sealed->size() != kTimeSize + kTagSize) return Verdict::kForeign;

  const std::uint32_t issued = load_be32(sealed->data());
  const NonceText expected = seal(key_, nonce.substr(0, kCookieSize), issued, client);
  if (!constant_time_equal(as_bytes(text_of(expected)), as_bytes(nonce))) return Verdict::kForeign;

  if (lifetime == std::chrono::seconds::zero()) return Verdict::kFresh;
  const std::int64_t age = static_cast<std::int32_t>(seconds32(now) - issued);
  return age >= -kSkewSeconds && age <= lifetime.count() ? Verdict::kFresh : Verdict::kExpired;
}

SecurityFeatures features_of(std::string_view nonce) {
  if (nonce.size() < kCookieSize || !nonce.starts_with(kCookiePrefix)) return {};
  const auto bits = from_base64(nonce.substr(kCookiePrefix.size(), kFeatureChars));
  if (!bits || bits->size() != 3) return {};
  return {.password_algorithms = (bits->front() & kPasswordAlgorithmsBit) != std::byte{0},
          .username_anonymity = (bits->front() & kUsernameAnonymityBit) != std::byte{0}};
}

}  // namespace turnkit::auth
