// TlsClientContext: the rules of the client's side, and the sessions that can be resumed.
#include <openssl/x509_vfy.h>

#include "base/address.h"
#include "net/tls_internal.h"

namespace turnkit::net {
namespace {

int impl_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// Keeps the newest session. 1: the reference is ours now.
int on_new_session(SSL* ssl, SSL_SESSION* session) {
  auto* impl = static_cast<TlsClientContext::Impl*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), impl_index()));
  SslSessionPtr owned(session);
  const std::lock_guard lock(impl->mutex);
  (SSL_is_dtls(ssl) != 0 ? impl->dtls_session : impl->tls_session).swap(owned);
  return 1;
}

int version_number(TlsVersion version, bool datagrams) {
  switch (version) {
    case TlsVersion::kTls10:
      return datagrams ? DTLS1_VERSION : TLS1_VERSION;
    case TlsVersion::kTls11:
      return datagrams ? DTLS1_VERSION : TLS1_1_VERSION;
    case TlsVersion::kTls12:
      return datagrams ? DTLS1_2_VERSION : TLS1_2_VERSION;
    case TlsVersion::kTls13:
      break;
  }
  return datagrams ? DTLS1_2_VERSION : TLS1_3_VERSION;
}

Status set_trust(SSL_CTX* context, const TlsClientRules& rules) {
  if (!rules.verify) return {};
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  if (rules.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
    return Error{"cannot read the system's certificate authorities: " + take_openssl_error()};
  }
  if (SSL_CTX_load_verify_locations(context, rules.ca_file.c_str(), nullptr) == 1) return {};
  return Error{"cannot use the CA file " + rules.ca_file + ": " + take_openssl_error()};
}

Status set_own_certificate(SSL_CTX* context, const TlsClientRules& rules) {
  if (rules.certificate_file.empty()) return {};
  if (SSL_CTX_use_certificate_chain_file(context, rules.certificate_file.c_str()) != 1) {
    return Error{"cannot use the certificate " + rules.certificate_file + ": " + take_openssl_error()};
  }
  const std::string& key = rules.key_file.empty() ? rules.certificate_file : rules.key_file;
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Error{"cannot use the private key " + key + ": " + take_openssl_error()};
  }
  return {};
}

Status fill(SSL_CTX* context, bool datagrams, TlsClientContext::Impl& impl) {
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  SSL_CTX_set_session_cache_mode(
      context, impl.rules.resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
  SSL_CTX_set_ex_data(context, impl_index(), &impl);
  SSL_CTX_sess_set_new_cb(context, on_new_session);
  if (impl.rules.maximum) {
    const int newest = version_number(*impl.rules.maximum, datagrams);
    SSL_CTX_set_max_proto_version(context, newest);
    if (*impl.rules.maximum < TlsVersion::kTls12) {
      SSL_CTX_set_min_proto_version(context, newest);
      SSL_CTX_set_security_level(context, 0);
    }
  }
  const std::vector<unsigned char> alpn = alpn_wire_format(impl.rules.alpn);
  if (!alpn.empty()) SSL_CTX_set_alpn_protos(context, alpn.data(), static_cast<unsigned>(alpn.size()));
  if (Status done = set_trust(context, impl.rules); !done) return done;
  return set_own_certificate(context, impl.rules);
}

}  // namespace

TlsClientContext::TlsClientContext() : impl_(std::make_unique<Impl>()) {}
TlsClientContext::~TlsClientContext() = default;

Result<std::shared_ptr<TlsClientContext>> TlsClientContext::make(const TlsClientRules& rules) {
  ERR_clear_error();
  std::shared_ptr<TlsClientContext> out(new TlsClientContext);
  Impl& impl = *out->impl_;
  impl.rules = rules;
  impl.tls.reset(SSL_CTX_new(TLS_client_method()));
  impl.dtls.reset(SSL_CTX_new(DTLS_client_method()));
  if (!impl.tls || !impl.dtls) return Error{"OpenSSL cannot make a TLS context: " + take_openssl_error()};
  if (Status done = fill(impl.tls.get(), false, impl); !done) return done.error();
  if (Status done = fill(impl.dtls.get(), true, impl); !done) return done.error();
  SSL_CTX_set_read_ahead(impl.tls.get(), 1);
  SSL_CTX_set_options(impl.dtls.get(), SSL_OP_NO_QUERY_MTU);
  return out;
}

SslPtr TlsClientContext::Impl::new_ssl(bool datagrams) {
  SslPtr ssl(SSL_new((datagrams ? dtls : tls).get()));
  if (!ssl) return ssl;
  SSL_set_connect_state(ssl.get());
  const std::string& name = rules.server_name;
  const bool is_ip = IpAddress::parse(name).has_value();
  // RFC 6066, section 3: literal addresses are no server names.
  if (!name.empty() && !is_ip) SSL_set_tlsext_host_name(ssl.get(), name.c_str());
  if (rules.verify && !name.empty()) {
    X509_VERIFY_PARAM* checks = SSL_get0_param(ssl.get());
    const int set =
        is_ip ? X509_VERIFY_PARAM_set1_ip_asc(checks, name.c_str()) : SSL_set1_host(ssl.get(), name.c_str());
    if (set != 1) return nullptr;
  }
  const std::lock_guard lock(mutex);
  SSL_SESSION* session = (datagrams ? dtls_session : tls_session).get();
  if (session != nullptr) SSL_set_session(ssl.get(), session);
  return ssl;
}

}  // namespace turnkit::net
