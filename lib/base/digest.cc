// Hashes and MACs over OpenSSL 3's EVP interface. Algorithms are fetched once and contexts are reused by their thread,
// because a fetch or an allocation costs more than hashing a STUN message does.
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace turnkit {

namespace {

// OpenSSL without a digest that STUN needs is a broken installation, not an input error.
[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "libcrypto cannot compute %s\n", what);
  std::abort();
}

struct Algorithm {
  const char* name;
  const EVP_MD* md;
  explicit Algorithm(const char* n) : name(n), md(EVP_MD_fetch(nullptr, n, nullptr)) {
    if (md == nullptr) die(n);
  }
};

const Algorithm& md5_algorithm() {
  static const Algorithm algorithm("MD5");
  return algorithm;
}
const Algorithm& sha1_algorithm() {
  static const Algorithm algorithm("SHA1");
  return algorithm;
}
const Algorithm& sha256_algorithm() {
  static const Algorithm algorithm("SHA2-256");
  return algorithm;
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// One running hash. A context that already belongs to `algorithm` is reset without a look-up.
class Hasher {
 public:
  explicit Hasher(const Algorithm& algorithm) : algorithm_(algorithm), context_(EVP_MD_CTX_new()) {
    if (!context_) die(algorithm.name);
  }
  void begin() { check(EVP_DigestInit_ex2(context_.get(), algorithm_.md, nullptr)); }
  void add(Bytes bytes) { check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size())); }
  template <std::size_t N>
  void end(std::array<std::byte, N>& out) {
    // The library's byte type differs from ours; the bytes do not.
    check(EVP_DigestFinal_ex(context_.get(), static_cast<unsigned char*>(static_cast<void*>(out.data())), nullptr));
  }

 private:
  void check(int ok) const {
    if (ok != 1) die(algorithm_.name);
  }
  const Algorithm& algorithm_;
  std::unique_ptr<EVP_MD_CTX, ContextDeleter> context_;
};

template <std::size_t N>
std::array<std::byte, N> hash(Hasher& hasher, std::initializer_list<Bytes> parts) {
  std::array<std::byte, N> out;
  hasher.begin();
  for (const Bytes part : parts) hasher.add(part);
  hasher.end(out);
  return out;
}

// HMAC (RFC 2104) laid by hand: for a STUN message EVP_MAC of OpenSSL 3.0 takes 1.6 times as long, HMAC() five times.
template <std::size_t N>
std::array<std::byte, N> hmac(Hasher& hasher, Bytes key, std::initializer_list<Bytes> parts) {
  constexpr std::size_t kBlock = 64;
  std::array<std::byte, kBlock> block{};
  if (key.size() > kBlock) {
    const auto short_key = hash<N>(hasher, {key});
    std::memcpy(block.data(), short_key.data(), N);
  } else if (!key.empty()) {
    std::memcpy(block.data(), key.data(), key.size());
  }

  std::array<std::byte, N> out;
  for (std::byte& b : block) b ^= std::byte{0x36};
  hasher.begin();
  hasher.add(block);
  for (const Bytes part : parts) hasher.add(part);
  hasher.end(out);

  for (std::byte& b : block) b ^= std::byte{0x36 ^ 0x5C};
  hasher.begin();
  hasher.add(block);
  hasher.add(out);
  hasher.end(out);
  OPENSSL_cleanse(block.data(), block.size());
  return out;
}

Hasher& sha1_hasher() {
  thread_local Hasher hasher(sha1_algorithm());
  return hasher;
}
Hasher& sha256_hasher() {
  thread_local Hasher hasher(sha256_algorithm());
  return hasher;
}

}  // namespace

Md5 md5(std::initializer_list<Bytes> parts) {
  thread_local Hasher hasher(md5_algorithm());
  return hash<16>(hasher, parts);
}

Sha256 sha256(std::initializer_list<Bytes> parts) { return hash<32>(sha256_hasher(), parts); }

Sha1 hmac_sha1(Bytes key, std::initializer_list<Bytes> parts) { return hmac<20>(sha1_hasher(), key, parts); }

Sha256 hmac_sha256(Bytes key, std::initializer_list<Bytes> parts) { return hmac<32>(sha256_hasher(), key, parts); }

bool constant_time_equal(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace turnkit
