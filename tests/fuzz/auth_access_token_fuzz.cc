// open_token on any bytes, as they are and sealed with the right key. Bytes that nobody sealed never open; a content
// that was sealed opens exactly when its layout is right, and sealing what came out gives the same bytes.
#include <algorithm>
#include <array>

#include "auth/access_token.h"
#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

constexpr std::string_view kServer = "turn.example.org";

auth::OAuthKey key_of(auth::TokenAlgorithm algorithm) {
  auth::OAuthKey key;
  key.kid = "north";
  key.algorithm = algorithm;
  key.key.assign(auth::token_key_size(algorithm), std::byte{7});
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer bytes = input(data, size);
  for (const auto algorithm : {auth::TokenAlgorithm::kA256Gcm, auth::TokenAlgorithm::kA128Gcm}) {
    require(!auth::open_token(key_of(algorithm), kServer, bytes), "nobody forges a tag");
  }

  Reader reader(bytes);
  const auto algorithm = (reader.u8() & 1) != 0 ? auth::TokenAlgorithm::kA128Gcm : auth::TokenAlgorithm::kA256Gcm;
  const auth::OAuthKey key = key_of(algorithm);
  auth::AccessToken token;
  token.seconds = reader.u64() >> 16;
  token.fraction = reader.u16();
  token.lifetime = reader.u32();
  std::array<std::byte, auth::kTokenNonceSize> nonce{};
  const Bytes given = reader.take(std::min(nonce.size(), reader.remaining()));
  std::copy(given.begin(), given.end(), nonce.begin());
  token.mac_key = copy(reader.rest().first(std::min<std::size_t>(reader.remaining(), 300)));
  Buffer sealed = auth::seal_token(key, kServer, token, nonce);
  const auto opened = auth::open_token(key, kServer, sealed);
  require(opened.has_value() == (token.mac_key.size() <= auth::kMaxMacKeyBytes), "what was sealed opens");
  if (opened) {
    require(opened->mac_key == token.mac_key && opened->seconds == token.seconds &&
                opened->fraction == token.fraction && opened->lifetime == token.lifetime,
            "unchanged");
    require(opened->ends() >= WallTime{}, "times do not overflow");
    require(auth::seal_token(key, kServer, *opened, nonce) == sealed, "the same again");
  }
  sealed[size % sealed.size()] ^= std::byte{1};
  require(!auth::open_token(key, kServer, sealed), "a flipped bit is noticed");
  return 0;
}
