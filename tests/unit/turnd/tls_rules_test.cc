// TLS is served where it was asked for, or the start fails; it is never off without a word.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class TlsRules : public CommandLineTest {
 protected:
  static std::string with(const std::string& lines) { return kSecretLines + lines; }
  std::string certificate_lines() {
    return "cert=" + directory_.write("c.pem", "c") + "\npkey=" + directory_.write("k.pem", "k") + "\n";
  }
};

TEST_F(TlsRules, WithoutAWordOfTlsItIsOffWithANote) {
  const CommandLine line = parse_file(kSecretLines);
  ASSERT_TRUE(line.run);
  EXPECT_TRUE(line.config.no_tls);
  EXPECT_TRUE(line.config.no_dtls);
  EXPECT_FALSE(serves_tls(line.config));
  EXPECT_THAT(line.warnings, IsEmpty());
  EXPECT_THAT(line.notes, ElementsAre(StartsWith("no certificate is configured, so TLS and DTLS are off")));
}

TEST_F(TlsRules, CoturnsDefaultFilesAreFound) {
  const std::string cert = directory_.write("turn_server_cert.pem", "c");
  const std::string key = directory_.write("etc/turn_server_pkey.pem", "k");
  const Config c = config_of(kSecretLines);
  EXPECT_EQ(c.cert, cert);
  EXPECT_EQ(c.pkey, key);
  EXPECT_FALSE(c.no_tls);
  EXPECT_FALSE(c.no_dtls);
}

TEST_F(TlsRules, AskingByNameWithoutACertificateFails) {
  directory_.write("ca.pem", "ca");
  for (const std::string asking : {"tls-listening-port=5349", "CA-file=ca.pem", "pkey-pwd=p", "dtls", "no-dtls=off",
                                   "alt-tls-listening-port=5350"}) {
    const std::vector<std::string> errors = errors_of(with(asking + "\n"));
    ASSERT_EQ(errors.size(), 1U) << asking;
    EXPECT_THAT(errors[0], StartsWith("test.conf:3: ")) << asking;
    EXPECT_THAT(errors[0], HasSubstr("TLS needs a certificate: add cert=FILE and pkey=FILE")) << asking;
  }
}

TEST_F(TlsRules, AskingIsNoFaultWhereTlsIsOff) {
  EXPECT_THAT(errors_of(with("tls-listening-port=5349\ncert=missing.pem\nno-tls\nno-dtls\n")), IsEmpty());
  EXPECT_THAT(errors_of(with("dtls=off\n")), IsEmpty());
}

TEST_F(TlsRules, TuningAloneIsAWarning) {
  const CommandLine line = parse_file(with("cipher-list=HIGH\n"));
  ASSERT_TRUE(line.run);
  EXPECT_FALSE(serves_tls(line.config));
  EXPECT_THAT(short_names(line.warnings), ElementsAre(HasSubstr("test.conf:3: cipher-list=HIGH: no certificate")));
}

TEST_F(TlsRules, MissingFilesAreNamedWithTheirLine) {
  EXPECT_THAT(
      errors_of(with("cert=/no/where.pem\npkey=/no/key.pem\n")),
      ElementsAre("test.conf:3: cert=/no/where.pem: no such file", "test.conf:4: pkey=/no/key.pem: no such file"));
  EXPECT_THAT(errors_of(with(certificate_lines() + "CA-file=ca.pem\ndh-file=dh.pem\n")),
              ElementsAre("test.conf:5: CA-file=ca.pem: no such file", "test.conf:6: dh-file=dh.pem: no such file"));
}

TEST_F(TlsRules, ACertificateNeedsItsKey) {
  const std::string cert = directory_.write("c.pem", "c");
  EXPECT_THAT(errors_of(with("cert=" + cert + "\n")), ElementsAre(HasSubstr("needs pkey=FILE, its key, too")));
  EXPECT_THAT(errors_of(with("pkey=" + cert + "\n")), ElementsAre(HasSubstr("needs cert=FILE, the certificate, too")));
}

TEST_F(TlsRules, UnreadableFilesSayWhy) {
  const std::string lines = with(certificate_lines());
  ASSERT_EQ(::chmod((directory_.path() + "/k.pem").c_str(), 0), 0);
  const std::string file = directory_.write("test.conf", lines);
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod((directory_.path() + "/c.pem").c_str(), 0644), 0);
  // Root may read every file, so it becomes nobody for a moment.
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const CommandLine line = parse({"-c", file});
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_THAT(line.errors, ElementsAre(HasSubstr("k.pem: Permission denied")));
}

TEST_F(TlsRules, EveryOptionHasItsField) {
  directory_.write("ca.pem", "ca");
  directory_.write("dh.pem", "dh");
  const Config c =
      config_of(with(certificate_lines() +
                     "pkey-pwd=secret\ncipher-list=HIGH\nCA-file=ca.pem\nec-curve-name=X25519\ndh-file=dh.pem\n"
                     "dh566\ntlsv1\ntlsv1_1\nno-tlsv1_2\ncertificate-watch=off\nno-dtls\n"));
  EXPECT_EQ(c.pkey_pwd, "secret");
  EXPECT_EQ(c.cipher_list, "HIGH");
  EXPECT_EQ(c.ca_file, directory_.path() + "/ca.pem");
  EXPECT_EQ(c.dh_file, directory_.path() + "/dh.pem");
  EXPECT_EQ(c.dh_bits, 0) << "dh-file goes before the built-in sizes";
  EXPECT_EQ(c.ec_curve_name, "X25519");
  EXPECT_TRUE(c.tlsv1 && c.tlsv1_1 && c.no_tlsv1_2);
  EXPECT_FALSE(c.certificate_watch);
  EXPECT_TRUE(c.no_dtls);
  EXPECT_FALSE(c.no_tls);
  const Config d = config_of(with(certificate_lines() + "dh2066\ndh1066\ndh566=off\ntlsv1\nno-tlsv1\n"));
  EXPECT_EQ(d.dh_bits, 1066);
  EXPECT_FALSE(d.tlsv1);
}

TEST_F(TlsRules, SharingOptionsHaveTheirFields) {
  const Config c = config_of(
      with("sni-turn=Turn.Example.ORG\nsni-turn=*.turn.example.org\ntls-backend=127.0.0.1:8443\n"
           "http-backend=[::1]:8080\nbackend-proxy-protocol\nacme-redirect=http://acme.example.org/x/\n"
           "respond-http-unsupported\nproxy-protocol\ntcp-proxy-port=443\ntcp-proxy-port=444\ntcp-proxy-port=443\n"));
  EXPECT_THAT(c.sni_turn, ElementsAre("turn.example.org", "*.turn.example.org"));
  EXPECT_EQ(c.tls_backend, Address::parse("127.0.0.1:8443"));
  EXPECT_EQ(c.http_backend, Address::parse("[::1]:8080"));
  EXPECT_TRUE(c.backend_proxy_protocol && c.respond_http_unsupported && c.proxy_protocol);
  EXPECT_EQ(c.acme_redirect, "http://acme.example.org/x/");
  EXPECT_THAT(c.tcp_proxy_ports, ElementsAre(443, 444));
  for (const std::string wrong :
       {"sni-turn=10.0.0.1", "sni-turn=a..b", "tls-backend=127.0.0.1", "http-backend=:80",
        "acme-redirect=acme.example.org", "acme-redirect=http://x/ y", "tcp-proxy-port=70000"}) {
    EXPECT_THAT(errors_of(with(wrong + "\n")), ElementsAre(StartsWith("test.conf:3: "))) << wrong;
  }
}

}  // namespace
}  // namespace turnkit::turnd
