// TlsContext: what it refuses, and in which words.
#include "tls_test_support.h"

using namespace turnkit;
using namespace turnkit::net;
using namespace turnkit::net::testing;

namespace {

std::string refusal(const TlsMaterial& from, const TlsRules& rules = {}) {
  const auto made = TlsContext::make(from, rules);
  return made ? "" : made.error().text;
}

TEST(TlsContext, NamesSubjectAndEnd) {
  const Certificate certificate;
  const auto context = server_context(material(certificate));
  const auto end = read_clock().wall + std::chrono::hours(24);
  EXPECT_LT(std::chrono::abs(context->not_after() - end), std::chrono::minutes(2));
  EXPECT_EQ(context->subject().substr(0, 19), "CN=turn.test, until");
}

TEST(TlsContext, SaysWhatIsWrongWithTheCertificate) {
  const Certificate certificate;
  TlsMaterial from = material(certificate);
  from.certificate = "no PEM";
  EXPECT_EQ(refusal(from), "cannot use the certificate cert.pem: it is not a certificate in PEM format");
  from.certificate = "";
  EXPECT_EQ(refusal(from), "cannot use the certificate cert.pem: it is not a certificate in PEM format");
  from.certificate = certificate.pem() + certificate.pem().substr(0, certificate.pem().size() / 2);
  EXPECT_EQ(refusal(from), "cannot use the certificate cert.pem: it is not a certificate in PEM format");
  CertificateOptions weak;
  weak.rsa_bits = 1024;
  EXPECT_EQ(refusal(material(Certificate(weak))), "cannot use the certificate cert.pem: ee key too small");
}

TEST(TlsContext, SaysWhatIsWrongWithTheKey) {
  const Certificate certificate;
  TlsMaterial from = material(certificate);
  from.key = material(Certificate()).key;
  EXPECT_EQ(refusal(from), "the private key key.pem does not belong to the certificate cert.pem");
  from.key = certificate.pem();
  EXPECT_EQ(refusal(from), "cannot use the private key key.pem: it is not a private key in PEM format");
  CertificateOptions options;
  options.key_password = "secret";
  from = material(Certificate(options));
  EXPECT_EQ(refusal(from), "cannot use the private key key.pem: it is encrypted and no password is set");
  TlsRules rules;
  rules.key_password = "wrong";
  EXPECT_EQ(refusal(from, rules), "cannot use the private key key.pem: the password is wrong");
  rules.key_password = "secret";
  EXPECT_EQ(refusal(from, rules), "");
}

TEST(TlsContext, SaysWhichRuleIsWrong) {
  const Certificate certificate;
  TlsMaterial from = material(certificate);
  TlsRules rules;
  rules.cipher_list = "NO-SUCH-CIPHER";
  EXPECT_EQ(refusal(from, rules),
            "the cipher list \"NO-SUCH-CIPHER\" names no cipher that this OpenSSL has; see openssl-ciphers(1)");
  rules = {};
  rules.curves = "P-256:curve";
  EXPECT_EQ(refusal(from, rules), "unknown curve in \"P-256:curve\"; names look like prime256v1 or X25519:P-256");
  rules.curves = "prime256v1";
  rules.cipher_list = "TLS_AES_128_GCM_SHA256";
  rules.dh_bits = 2066;
  EXPECT_EQ(refusal(from, rules), "");
  from.ca = "no PEM";
  EXPECT_EQ(refusal(from), "cannot use the CA file ca.pem: it is not a list of certificates in PEM format");
  from.ca.clear();
  from.dh = certificate.pem();
  EXPECT_EQ(refusal(from), "cannot use the DH parameters dh.pem: they are not DH parameters in PEM format");
}

TEST(TlsContext, SendsTheWholeChain) {
  const Certificate root = Certificate::authority("Root");
  CertificateOptions middle_options;
  middle_options.common_name = "Middle";
  middle_options.names.clear();
  middle_options.authority = true;
  const Certificate middle(middle_options, &root);
  const Certificate own({}, &middle);
  TlsMaterial from = material(own);
  from.certificate += middle.pem();
  TempDir files;
  TlsClientRules client;
  client.verify = true;
  client.server_name = "turn.test";
  client.ca_file = files.write("root.pem", root.pem());
  StreamPair pair = stream_pair(server_context(from), client_context(client));
  EXPECT_TRUE(handshake(pair)) << pair.client->failure();
}

TEST(TlsClientContext, SaysWhatIsWrong) {
  TlsClientRules rules;
  rules.verify = true;
  rules.ca_file = "no-such-file.pem";
  auto made = TlsClientContext::make(rules);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().text.substr(0, 39), "cannot use the CA file no-such-file.pem");
  rules = {};
  rules.certificate_file = "no-such-file.pem";
  made = TlsClientContext::make(rules);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().text.substr(0, 43), "cannot use the certificate no-such-file.pem");
}

}  // namespace
