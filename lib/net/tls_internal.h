// What the TLS and DTLS sources share and nobody else includes: owners of OpenSSL's objects, its errors in words,
// ticket keys, and the contexts' insides.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "net/tls.h"

namespace turnkit::net {

template <auto free_function>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
// Connections often end without close_notify from both sides; that is no reason to forget how to resume them.
inline void free_ssl(SSL* ssl) {
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}
using SslPtr = std::unique_ptr<SSL, OpensslDeleter<free_ssl>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, OpensslDeleter<SSL_SESSION_free>>;
using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using BioMethodPtr = std::unique_ptr<BIO_METHOD, OpensslDeleter<BIO_meth_free>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;

// The newest entry of this thread's error queue in words, with the certificate's fault where that is the reason;
// empties the queue. "no further details" when there is none.
std::string take_openssl_error(const SSL* ssl = nullptr);

// A protocol list as ALPN carries it (RFC 7301, section 3.1); names that do not fit are left out.
std::vector<unsigned char> alpn_wire_format(const std::vector<std::string>& names);
std::string_view alpn_selected(const SSL* ssl);
// "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty before the handshake is over.
std::string protection_of(const SSL* ssl);

// The keys of session tickets (RFC 5077, section 4), shared by all contexts that came from one another by a reload. A
// key seals tickets for half a day and opens them for as long again; then it is gone, and with it what it protected.
class TicketKeys {
 public:
  static constexpr Duration kLife = std::chrono::hours(12);

  using Clock = std::function<TimePoint()>;
  explicit TicketKeys(Clock clock = [] { return read_clock().mono; });
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;
  // Makes `context` use these keys. Requires: they outlive it.
  void attach(SSL_CTX* context);

 private:
  struct Key {
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> mac{};
  };
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                       int encrypt);
  static Key fresh_key();
  void retire_old_keys();
  Key sealing_key();
  bool find(const unsigned char* name, Key& out, bool& is_current);

  Clock clock_;
  std::mutex mutex_;
  Key current_;
  Key previous_;
  TimePoint made_;
};

struct TlsContext::Impl {
  SslContextPtr tls;
  SslContextPtr dtls;
  std::shared_ptr<TicketKeys> tickets;
  std::array<std::byte, 32> cookie_key{};
  std::vector<unsigned char> alpn;
  WallTime not_after{};
  std::string subject;
};

struct TlsClientContext::Impl {
  TlsClientRules rules;
  SslContextPtr tls;
  SslContextPtr dtls;
  std::mutex mutex;
  SslSessionPtr tls_session;  // the last one that the server gave
  SslSessionPtr dtls_session;
  // A new client SSL with name, checks and the last session set; nullptr when memory is out.
  SslPtr new_ssl(bool datagrams);
};

}  // namespace turnkit::net
