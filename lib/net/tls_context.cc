// TlsContext: certificate, key, authorities and rules into one TLS and one DTLS SSL_CTX, with errors a person can act
// on.
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "net/tls_internal.h"

namespace turnkit::net {
namespace {

BioPtr read_only(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1 << 30))));
}

struct Password {
  const std::string* text;
  bool asked = false;
};

// Never asks the terminal, which OpenSSL does by default.
int give_password(char* buffer, int size, int /*writing*/, void* user) {
  auto* password = static_cast<Password*>(user);
  password->asked = true;
  if (password->text->empty() || password->text->size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, password->text->data(), password->text->size());
  return static_cast<int>(password->text->size());
}

// All certificates of a PEM text; nullopt-like empty when there is none or one is damaged.
std::vector<X509Ptr> read_certificates(const std::string& pem) {
  std::vector<X509Ptr> out;
  const BioPtr in = read_only(pem);
  std::string no_password;
  Password password{&no_password};
  while (X509* certificate = PEM_read_bio_X509_AUX(in.get(), nullptr, give_password, &password)) {
    out.emplace_back(certificate);
  }
  const unsigned long end = ERR_peek_last_error();
  const bool whole = ERR_GET_LIB(end) == ERR_LIB_PEM && ERR_GET_REASON(end) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!whole) out.clear();
  return out;
}

Result<PkeyPtr> read_key(const TlsMaterial& material, const TlsRules& rules) {
  const BioPtr in = read_only(material.key);
  Password password{&rules.key_password};
  PkeyPtr key(PEM_read_bio_PrivateKey(in.get(), nullptr, give_password, &password));
  if (key) return key;
  ERR_clear_error();
  const std::string start = "cannot use the private key " + material.key_name + ": ";
  if (password.asked && rules.key_password.empty()) return Error{start + "it is encrypted and no password is set"};
  if (password.asked) return Error{start + "the password is wrong"};
  return Error{start + "it is not a private key in PEM format"};
}

// RFC 7919's 2048-bit group.
PkeyPtr built_in_dh() {
  std::array<char, 10> group{"ffdhe2048"};
  std::array<OSSL_PARAM, 2> params{OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
                                   OSSL_PARAM_construct_end()};
  EVP_PKEY* key = nullptr;
  EVP_PKEY_CTX* maker = EVP_PKEY_CTX_new_from_name(nullptr, "DH", nullptr);
  if (maker != nullptr && EVP_PKEY_fromdata_init(maker) == 1) {
    (void)EVP_PKEY_fromdata(maker, &key, EVP_PKEY_KEY_PARAMETERS, params.data());
  }
  EVP_PKEY_CTX_free(maker);
  return PkeyPtr(key);
}

Status set_dh(SSL_CTX* context, const TlsMaterial& material, const TlsRules& rules) {
  if (material.dh.empty() && rules.dh_bits == 0) {
    SSL_CTX_set_dh_auto(context, 1);
    return {};
  }
  PkeyPtr key;
  if (material.dh.empty()) {
    key = built_in_dh();
  } else {
    const BioPtr in = read_only(material.dh);
    key.reset(PEM_read_bio_Parameters(in.get(), nullptr));
    if (!key || (EVP_PKEY_is_a(key.get(), "DH") == 0 && EVP_PKEY_is_a(key.get(), "DHX") == 0)) {
      ERR_clear_error();
      return Error{"cannot use the DH parameters " + material.dh_name + ": they are not DH parameters in PEM format"};
    }
  }
  if (key && SSL_CTX_set0_tmp_dh_pkey(context, key.get()) == 1) {
    (void)key.release();
    return {};
  }
  return Error{"cannot use the DH parameters " + material.dh_name + ": " + take_openssl_error()};
}

bool is_tls13_suite(std::string_view name) {
  return name == "TLS_AES_128_GCM_SHA256" || name == "TLS_AES_256_GCM_SHA384" ||
         name == "TLS_CHACHA20_POLY1305_SHA256" || name == "TLS_AES_128_CCM_SHA256" ||
         name == "TLS_AES_128_CCM_8_SHA256";
}

Status set_ciphers(SSL_CTX* context, const std::string& list) {
  std::string tls13;
  std::string older;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find_first_of(":, ", at), list.size());
    const std::string entry = list.substr(at, end - at);
    at = end + 1;
    if (entry.empty()) continue;
    std::string& target = is_tls13_suite(entry) ? tls13 : older;
    target += (target.empty() ? "" : ":") + entry;
  }
  if (!older.empty() && SSL_CTX_set_cipher_list(context, older.c_str()) != 1) {
    ERR_clear_error();
    return Error{"the cipher list \"" + list + "\" names no cipher that this OpenSSL has; see openssl-ciphers(1)"};
  }
  if (!tls13.empty() && SSL_CTX_set_ciphersuites(context, tls13.c_str()) != 1) {
    return Error{"cannot use the cipher list \"" + list + "\": " + take_openssl_error()};
  }
  return {};
}

Status set_versions(SSL_CTX* tls, SSL_CTX* dtls, const TlsRules& rules) {
  int minimum = TLS1_2_VERSION;
  if (rules.minimum == TlsVersion::kTls10) minimum = TLS1_VERSION;
  if (rules.minimum == TlsVersion::kTls11) minimum = TLS1_1_VERSION;
  if (rules.minimum == TlsVersion::kTls13 || !rules.allow_tls12) minimum = TLS1_3_VERSION;
  const bool old = minimum < TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(tls, minimum);
  SSL_CTX_set_max_proto_version(tls, 0);
  SSL_CTX_set_min_proto_version(dtls, old ? DTLS1_VERSION : DTLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(dtls, 0);
  // Their MD5 and SHA-1 are below OpenSSL's level 1; whoever asks for these versions by name has to get them.
  if (old && rules.cipher_list.find("@SECLEVEL") == std::string::npos) {
    SSL_CTX_set_security_level(tls, 0);
    SSL_CTX_set_security_level(dtls, 0);
  }
  return {};
}

Status set_authorities(SSL_CTX* context, const TlsMaterial& material) {
  if (material.ca.empty()) return {};
  const std::vector<X509Ptr> authorities = read_certificates(material.ca);
  if (authorities.empty()) {
    return Error{"cannot use the CA file " + material.ca_name + ": it is not a list of certificates in PEM format"};
  }
  for (const X509Ptr& authority : authorities) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get()) != 1 ||
        SSL_CTX_add_client_CA(context, authority.get()) != 1) {
      return Error{"cannot use the CA file " + material.ca_name + ": " + take_openssl_error()};
    }
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_CLIENT_ONCE, nullptr);
  SSL_CTX_set_verify_depth(context, 9);
  return {};
}

Status set_certificate(SSL_CTX* context, const std::vector<X509Ptr>& chain, EVP_PKEY* key,
                       const TlsMaterial& material) {
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) {
    return Error{"cannot use the certificate " + material.certificate_name + ": " + take_openssl_error()};
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) {
      return Error{"cannot use the certificate chain " + material.certificate_name + ": " + take_openssl_error()};
    }
  }
  if (X509_check_private_key(chain[0].get(), key) != 1) {
    ERR_clear_error();
    return Error{"the private key " + material.key_name + " does not belong to the certificate " +
                 material.certificate_name};
  }
  if (SSL_CTX_use_PrivateKey(context, key) != 1) {
    return Error{"cannot use the private key " + material.key_name + ": " + take_openssl_error()};
  }
  return {};
}

// RFC 7301, section 3.2, would have us refuse clients without overlap; a browser's list says nothing about TURN, and
// they are served without ALPN.
int select_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                unsigned offered_size, void* user) {
  const auto& ours = *static_cast<const std::vector<unsigned char>*>(user);
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_size, ours.data(), static_cast<unsigned>(ours.size()), offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

void set_house_rules(SSL_CTX* context, TlsContext::Impl& impl, const TlsMaterial& material, const TlsRules& rules) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Resumption by tickets alone: the server keeps nothing.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 1);
  // A session stands in for the client's certificate, so it is good only under the authorities that it began with.
  const Sha256 id = sha256({as_bytes(rules.session_context), as_bytes("\n"), as_bytes(material.ca)});
  SSL_CTX_set_session_id_context(context, static_cast<const unsigned char*>(static_cast<const void*>(id.data())),
                                 static_cast<unsigned>(id.size()));
  impl.tickets->attach(context);
  if (!impl.alpn.empty()) SSL_CTX_set_alpn_select_cb(context, select_alpn, &impl.alpn);
}

// One read takes in as many records as there are, up to this.
constexpr std::size_t kReadAhead = 32768;

Status fill(SSL_CTX* context, TlsContext::Impl& impl, const std::vector<X509Ptr>& chain, EVP_PKEY* key,
            const TlsMaterial& material, const TlsRules& rules) {
  set_house_rules(context, impl, material, rules);
  if (Status done = set_ciphers(context, rules.cipher_list); !done) return done;
  if (!rules.curves.empty() && SSL_CTX_set1_groups_list(context, rules.curves.c_str()) != 1) {
    ERR_clear_error();
    return Error{"unknown curve in \"" + rules.curves + "\"; names look like prime256v1 or X25519:P-256"};
  }
  if (Status done = set_certificate(context, chain, key, material); !done) return done;
  if (Status done = set_dh(context, material, rules); !done) return done;
  return set_authorities(context, material);
}

WallTime end_of(const X509* certificate) {
  std::tm when{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1) return {};
  return WallTime(std::chrono::seconds(::timegm(&when)));
}

std::string describe(const X509* certificate, WallTime not_after) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  std::string text = size > 0 ? std::string(data, static_cast<std::size_t>(size)) : "no subject";
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(not_after));
  std::array<char, 32> date;
  std::snprintf(date.data(), date.size(), "%d-%02u-%02u", int{day.year()}, unsigned{day.month()}, unsigned{day.day()});
  return text + ", until " + date.data();
}

}  // namespace

TlsContext::TlsContext() : impl_(std::make_unique<Impl>()) {}
TlsContext::~TlsContext() = default;

WallTime TlsContext::not_after() const { return impl_->not_after; }
const std::string& TlsContext::subject() const { return impl_->subject; }

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const TlsMaterial& material, const TlsRules& rules,
                                                           const TlsContext* previous) {
  ERR_clear_error();
  const std::vector<X509Ptr> chain = read_certificates(material.certificate);
  if (chain.empty()) {
    return Error{"cannot use the certificate " + material.certificate_name + ": it is not a certificate in PEM format"};
  }
  Result<PkeyPtr> key = read_key(material, rules);
  if (!key) return key.error();

  const std::shared_ptr<TlsContext> out(new TlsContext);
  Impl& impl = *out->impl_;
  impl.alpn = alpn_wire_format(rules.alpn);
  if (previous != nullptr) {
    impl.tickets = previous->impl_->tickets;
    impl.cookie_key = previous->impl_->cookie_key;
  } else {
    impl.tickets = std::make_shared<TicketKeys>();
    SystemRandom().fill(impl.cookie_key);
  }
  impl.tls.reset(SSL_CTX_new(TLS_server_method()));
  impl.dtls.reset(SSL_CTX_new(DTLS_server_method()));
  if (!impl.tls || !impl.dtls) return Error{"OpenSSL cannot make a TLS context: " + take_openssl_error()};
  if (Status done = set_versions(impl.tls.get(), impl.dtls.get(), rules); !done) return done.error();
  for (SSL_CTX* context : {impl.tls.get(), impl.dtls.get()}) {
    if (Status done = fill(context, impl, chain, key->get(), material, rules); !done) return done.error();
  }
  SSL_CTX_set_read_ahead(impl.tls.get(), 1);
  SSL_CTX_set_default_read_buffer_len(impl.tls.get(), kReadAhead);
  // DtlsGate has checked the cookie when OpenSSL asks.
  SSL_CTX_set_options(impl.dtls.get(), SSL_OP_COOKIE_EXCHANGE | SSL_OP_NO_QUERY_MTU);
  SSL_CTX_set_cookie_verify_cb(impl.dtls.get(), [](SSL*, const unsigned char*, unsigned) { return 1; });
  SSL_CTX_set_cookie_generate_cb(impl.dtls.get(), [](SSL*, unsigned char*, unsigned*) { return 0; });
  impl.not_after = end_of(chain[0].get());
  impl.subject = describe(chain[0].get(), impl.not_after);
  return std::shared_ptr<const TlsContext>(out);
}

}  // namespace turnkit::net
