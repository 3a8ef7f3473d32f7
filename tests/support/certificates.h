// Certificates made at test time: an authority, and what it signs, as PEM texts. Needs turnkit_net (OpenSSL).
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

namespace turnkit::testing {

struct CertificateOptions {
  std::string common_name = "turn.test";
  std::string names = "DNS:turn.test,IP:127.0.0.1,IP:::1";  // subjectAltName; empty: none
  std::chrono::seconds valid_for = std::chrono::hours(24);  // negative: it ended so long ago
  int rsa_bits = 0;                                         // 0: an EC key on P-256
  bool authority = false;
  std::string key_password;  // empty: the key is not encrypted
};

class Certificate {
 public:
  // Signed by `issuer`, or by itself.
  explicit Certificate(const CertificateOptions& options = {}, const Certificate* issuer = nullptr)
      : key_(options.rsa_bits != 0 ? EVP_RSA_gen(static_cast<unsigned>(options.rsa_bits)) : EVP_EC_gen("P-256")),
        certificate_(X509_new()) {
    if (!key_ || !certificate_) throw std::runtime_error("cannot make a key");
    X509* const x = certificate_.get();
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_set_version(x, X509_VERSION_3);
    const long end = static_cast<long>(options.valid_for.count());
    X509_gmtime_adj(X509_getm_notBefore(x), (end < 0 ? end : 0) - 3600);
    X509_gmtime_adj(X509_getm_notAfter(x), end);
    X509_set_pubkey(x, key_.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, text(options.common_name), -1, -1, 0);
    const Certificate& signer = issuer != nullptr ? *issuer : *this;
    X509_set_issuer_name(x, X509_get_subject_name(signer.certificate_.get()));
    add(NID_basic_constraints, options.authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!options.names.empty()) add(NID_subject_alt_name, options.names);
    if (X509_sign(x, signer.key_.get(), EVP_sha256()) == 0) throw std::runtime_error("cannot sign");
    pem_ = written([&](BIO* out) { return PEM_write_bio_X509(out, x); });
    const bool encrypted = !options.key_password.empty();
    key_pem_ = written([&](BIO* out) {
      return PEM_write_bio_PrivateKey(out, key_.get(), encrypted ? EVP_aes_128_cbc() : nullptr,
                                      encrypted ? text(options.key_password) : nullptr,
                                      static_cast<int>(options.key_password.size()), nullptr, nullptr);
    });
  }

  [[nodiscard]] const std::string& pem() const { return pem_; }
  [[nodiscard]] const std::string& key_pem() const { return key_pem_; }

  static Certificate authority(const std::string& name = "Test Authority") {
    CertificateOptions options;
    options.common_name = name;
    options.names.clear();
    options.authority = true;
    return Certificate(options);
  }

 private:
  template <auto free_function>
  struct Deleter {
    template <typename T>
    void operator()(T* object) const {
      free_function(object);
    }
  };

  static const unsigned char* text(const std::string& s) { return reinterpret_cast<const unsigned char*>(s.c_str()); }

  void add(int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    if (extension == nullptr) throw std::runtime_error("cannot make an extension of " + value);
    X509_add_ext(certificate_.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }

  template <typename Write>
  static std::string written(const Write& write) {
    const std::unique_ptr<BIO, Deleter<BIO_free_all>> out(BIO_new(BIO_s_mem()));
    if (write(out.get()) != 1) throw std::runtime_error("cannot write PEM");
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }

  std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>> key_;
  std::unique_ptr<X509, Deleter<X509_free>> certificate_;
  std::string pem_;
  std::string key_pem_;
};

}  // namespace turnkit::testing
