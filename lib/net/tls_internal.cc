// OpenSSL's errors in words, ALPN's wire format, and session ticket keys.
#include "net/tls_internal.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace turnkit::net {
namespace {

// Where a context keeps its TicketKeys.
int ticket_keys_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const EVP_CIPHER* ticket_cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return cipher;
}

void fill_random(unsigned char* out, std::size_t size) {
  if (RAND_bytes(out, static_cast<int>(size)) == 1) return;
  std::fprintf(stderr, "libcrypto has no random bytes\n");
  std::abort();
}

}  // namespace

std::string take_openssl_error(const SSL* ssl) {
  const unsigned long code = ERR_peek_last_error();
  std::string text = "no further details";
  if (code != 0) {
    const char* reason = ERR_reason_error_string(code);
    std::array<char, 128> buffer;
    if (reason == nullptr) ERR_error_string_n(code, buffer.data(), buffer.size());
    text = reason != nullptr ? reason : buffer.data();
    if (ssl != nullptr && ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
      text += std::string(": ") + X509_verify_cert_error_string(SSL_get_verify_result(ssl));
    }
  }
  ERR_clear_error();
  return text;
}

std::vector<unsigned char> alpn_wire_format(const std::vector<std::string>& names) {
  std::vector<unsigned char> out;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) continue;
    out.push_back(static_cast<unsigned char>(name.size()));
    out.insert(out.end(), name.begin(), name.end());
  }
  return out;
}

std::string_view alpn_selected(const SSL* ssl) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return name == nullptr ? std::string_view()
                         : std::string_view(static_cast<const char*>(static_cast<const void*>(name)), size);
}

std::string protection_of(const SSL* ssl) {
  if (SSL_is_init_finished(ssl) == 0) return {};
  return std::string(SSL_get_version(ssl)) + " " + SSL_get_cipher_name(ssl);
}

TicketKeys::TicketKeys(Clock clock)
    : clock_(std::move(clock)), current_(fresh_key()), previous_(fresh_key()), made_(clock_()) {}

TicketKeys::~TicketKeys() {
  OPENSSL_cleanse(&current_, sizeof(current_));
  OPENSSL_cleanse(&previous_, sizeof(previous_));
}

TicketKeys::Key TicketKeys::fresh_key() {
  Key key;
  fill_random(key.name.data(), key.name.size());
  fill_random(key.cipher.data(), key.cipher.size());
  fill_random(key.mac.data(), key.mac.size());
  return key;
}

// Requires: the lock is held.
void TicketKeys::retire_old_keys() {
  const TimePoint now = clock_();
  const Duration age = now - made_;
  if (age < kLife) return;
  previous_ = age < 2 * kLife ? current_ : fresh_key();
  current_ = fresh_key();
  made_ = now;
}

TicketKeys::Key TicketKeys::sealing_key() {
  const std::lock_guard lock(mutex_);
  retire_old_keys();
  return current_;
}

bool TicketKeys::find(const unsigned char* name, Key& out, bool& is_current) {
  const std::lock_guard lock(mutex_);
  retire_old_keys();
  for (const Key* key : {&current_, &previous_}) {
    if (std::memcmp(key->name.data(), name, key->name.size()) != 0) continue;
    out = *key;
    is_current = key == &current_;
    return true;
  }
  return false;
}

void TicketKeys::attach(SSL_CTX* context) {
  SSL_CTX_set_ex_data(context, ticket_keys_index(), this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &TicketKeys::on_ticket);
}

// Results as SSL_CTX_set_tlsext_ticket_key_evp_cb(3) has them: 1 use it, 2 use it and give a new ticket, 0 full
// handshake, -1 failure.
int TicketKeys::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                          int encrypt) {
  auto* keys = static_cast<TicketKeys*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ticket_keys_index()));
  Key key;
  bool is_current = true;
  if (encrypt != 0) {
    key = keys->sealing_key();
    std::copy(key.name.begin(), key.name.end(), name);
    fill_random(iv, static_cast<std::size_t>(EVP_CIPHER_get_iv_length(ticket_cipher())));
  } else if (!keys->find(name, key, is_current)) {
    return 0;
  }
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 3> params{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  const bool ready = EVP_MAC_CTX_set_params(mac, params.data()) == 1 &&
                     EVP_CipherInit_ex(cipher, ticket_cipher(), nullptr, key.cipher.data(), iv, encrypt) == 1;
  OPENSSL_cleanse(&key, sizeof(key));
  if (!ready) return -1;
  // RFC 8446, appendix C.4: clients use a ticket of TLS 1.3 once, so each resumption gives a new one.
  return is_current && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
}

}  // namespace turnkit::net
