// Sealing and opening of access tokens with AES-GCM.
#include "auth/access_token.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/encoding.h"

namespace turnkit::auth {
namespace {

constexpr std::size_t kTagSize = 16;
constexpr std::size_t kFixedPlain = 2 + 8 + 4;  // key_length, timestamp, lifetime

struct CipherFree {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, CipherFree>;

const unsigned char* raw(Bytes bytes) {
  return static_cast<const unsigned char*>(static_cast<const void*>(bytes.data()));
}
unsigned char* raw(std::byte* bytes) { return static_cast<unsigned char*>(static_cast<void*>(bytes)); }

// A context with key, nonce and associated data set; null when OpenSSL refuses. `seals`: to encrypt.
Cipher begin(const OAuthKey& key, std::string_view server_name, Bytes nonce, bool seals) {
  Cipher cipher(EVP_CIPHER_CTX_new());
  const EVP_CIPHER* type = key.algorithm == TokenAlgorithm::kA256Gcm ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
  const Bytes name = as_bytes(server_name);
  int written = 0;
  const bool ready = cipher != nullptr && key.key.size() == token_key_size(key.algorithm) &&
                     nonce.size() == kTokenNonceSize &&
                     EVP_CipherInit_ex(cipher.get(), type, nullptr, raw(key.key), raw(nonce), seals ? 1 : 0) == 1 &&
                     EVP_CipherUpdate(cipher.get(), nullptr, &written, raw(name), static_cast<int>(name.size())) == 1;
  return ready ? std::move(cipher) : nullptr;
}

}  // namespace

std::string_view token_algorithm_name(TokenAlgorithm algorithm) {
  return algorithm == TokenAlgorithm::kA256Gcm ? "A256GCM" : "A128GCM";
}

std::optional<TokenAlgorithm> parse_token_algorithm(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (upper.empty() || upper == "A256GCM") return TokenAlgorithm::kA256Gcm;
  if (upper == "A128GCM") return TokenAlgorithm::kA128Gcm;
  return std::nullopt;
}

std::size_t token_key_size(TokenAlgorithm algorithm) { return algorithm == TokenAlgorithm::kA256Gcm ? 32 : 16; }

Result<std::vector<std::byte>> token_key_of(TokenAlgorithm algorithm, Bytes material) {
  const std::size_t size = token_key_size(algorithm);
  if (material.size() < size) {
    return Error{
        fmt::format("the key has {} bytes; {} needs {}", material.size(), token_algorithm_name(algorithm), size)};
  }
  return std::vector<std::byte>(material.begin(), material.begin() + static_cast<std::ptrdiff_t>(size));
}

Status OAuthKeys::add(OAuthKey key) {
  if (key.kid.empty()) return Error{"a key of access tokens needs a kid"};
  if (key.key.size() != token_key_size(key.algorithm)) {
    return Error{fmt::format("kid {}: the key has {} bytes; {} needs {}", escaped(key.kid), key.key.size(),
                             token_algorithm_name(key.algorithm), token_key_size(key.algorithm))};
  }
  std::string kid = key.kid;
  keys_.insert_or_assign(std::move(kid), std::move(key));
  return {};
}

std::optional<OAuthKey> OAuthKeys::find(std::string_view kid) const {
  const auto it = keys_.find(kid);
  return it == keys_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<AccessToken> open_token(const OAuthKey& key, std::string_view server_name, Bytes token) {
  if (token.size() > kMaxTokenBytes) return std::nullopt;
  Reader reader(token);
  const std::size_t nonce_size = reader.u16();
  const Bytes nonce = reader.take(nonce_size);
  if (!reader.ok() || nonce_size != kTokenNonceSize) return std::nullopt;
  if (reader.remaining() < kFixedPlain + kTagSize) return std::nullopt;
  const Bytes sealed = reader.take(reader.remaining() - kTagSize);
  std::vector<std::byte> tag(reader.rest().begin(), reader.rest().end());

  const Cipher cipher = begin(key, server_name, nonce, false);
  std::vector<std::byte> plain(sealed.size());
  int written = 0;
  int last = 0;
  const bool opened =
      cipher != nullptr &&
      EVP_CipherUpdate(cipher.get(), raw(plain.data()), &written, raw(sealed), static_cast<int>(sealed.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagSize), tag.data()) == 1 &&
      EVP_CipherFinal_ex(cipher.get(), raw(plain.data()) + written, &last) == 1;
  if (!opened) return std::nullopt;

  Reader content(plain);
  AccessToken out;
  const std::size_t mac_key_size = content.u16();
  const Bytes mac_key = content.take(mac_key_size);
  const std::uint64_t timestamp = content.u64();
  out.lifetime = content.u32();
  if (!content.ok() || content.remaining() != 0 || mac_key_size > kMaxMacKeyBytes) return std::nullopt;
  out.mac_key.assign(mac_key.begin(), mac_key.end());
  out.seconds = timestamp >> 16;
  out.fraction = static_cast<std::uint16_t>(timestamp & 0xFFFF);
  return out;
}

std::vector<std::byte> seal_token(const OAuthKey& key, std::string_view server_name, const AccessToken& token,
                                  Bytes nonce) {
  std::vector<std::byte> plain(kFixedPlain + token.mac_key.size());
  Writer content(plain);
  content.u16(static_cast<std::uint16_t>(token.mac_key.size()));
  content.bytes(token.mac_key);
  content.u64((token.seconds << 16) | token.fraction);
  content.u32(token.lifetime);

  std::vector<std::byte> out(2 + nonce.size() + plain.size() + kTagSize);
  Writer writer(out);
  writer.u16(static_cast<std::uint16_t>(nonce.size()));
  writer.bytes(nonce);
  std::byte* const sealed = out.data() + writer.size();
  const Cipher cipher = begin(key, server_name, nonce, true);
  int written = 0;
  int last = 0;
  const bool done =
      cipher != nullptr &&
      EVP_CipherUpdate(cipher.get(), raw(sealed), &written, raw(plain), static_cast<int>(plain.size())) == 1 &&
      EVP_CipherFinal_ex(cipher.get(), raw(sealed) + written, &last) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagSize), sealed + plain.size()) == 1;
  return done ? out : std::vector<std::byte>();
}

}  // namespace turnkit::auth
