// --check-config: what is set and where, what it comes to, what is unsafe, and what has no effect.
#include <sys/stat.h>

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A configuration about which there is nothing to say but that it has no certificate.
constexpr const char* kSafe =
    "realm=example.org\nstatic-auth-secret=0123456789abcdef0123456789abcdef\nno-private-peers\nuser-quota=10\n";

class CheckConfig : public CommandLineTest {
 protected:
  std::string check(const std::string& text, std::vector<std::string> arguments = {}) {
    arguments.emplace_back("--check-config");
    const CommandLine line = parse_file(text, std::move(arguments));
    EXPECT_FALSE(line.run);
    EXPECT_EQ(line.exit_code, line.errors.empty() ? kExitOk : kExitUsage);
    errors_ = short_names(line.errors);
    return short_names({line.out}).front();
  }
  // The lines below one heading of the report, without their indent.
  static std::vector<std::string> section(const std::string& report, const std::string& heading) {
    std::vector<std::string> out;
    std::size_t at = ("\n" + report).find("\n" + heading + ":\n");
    if (at == std::string::npos) return out;
    at = report.find('\n', at) + 1;
    while (report.compare(at, 2, "  ") == 0) {
      const std::size_t end = report.find('\n', at);
      out.push_back(report.substr(at + 2, end - at - 2));
      at = end + 1;
    }
    return out;
  }
  std::vector<std::string> unsafe(const std::string& lines) { return section(check(kSafe + lines), "unsafe"); }
  std::vector<std::string> advice(const std::string& lines) { return section(check(kSafe + lines), "advice"); }

  std::vector<std::string> errors_;
};

TEST_F(CheckConfig, ASafeFileHasNothingButANote) {
  const std::string report = check(kSafe);
  EXPECT_THAT(errors_, IsEmpty());
  EXPECT_THAT(section(report, "unsafe"), IsEmpty());
  EXPECT_THAT(section(report, "ignored"), IsEmpty());
  EXPECT_THAT(section(report, "advice"), IsEmpty());
  EXPECT_THAT(section(report, "notes"), ElementsAre(HasSubstr("TLS and DTLS are off")));
  EXPECT_TRUE(report.ends_with("test.conf: the configuration is valid\n")) << report;
}

TEST_F(CheckConfig, SaysWhatIsSetWithLinesAndWithoutSecrets) {
  const std::string report = check("# comment\nrealm=a.example\n\nuser=alice:long-password\nmin-port=50000\n",
                                   {"--realm=b.example", "-m", "2"});
  EXPECT_THAT(section(report, "set in test.conf"), ElementsAre("    2  realm=a.example    (replaced by a later one)",
                                                               "    4  user=(secret)", "    5  min-port=50000"));
  EXPECT_THAT(section(report, "set on the command line"), ElementsAre("--realm=b.example", "--relay-threads=2"));
  EXPECT_THAT(report, Not(HasSubstr("long-password")));
}

TEST_F(CheckConfig, SaysWhatItComesTo) {
  const std::string report =
      check(std::string(kSafe) + "listening-ip=192.0.2.1\nlistening-port=443\nno-udp\nmax-port=50000\n");
  const std::vector<std::string> effect = section(report, "in effect");
  EXPECT_THAT(effect, ::testing::Contains("listens on   192.0.2.1: TCP 443"));
  EXPECT_THAT(effect, ::testing::Contains("protection   none: no TLS, no DTLS"));
  EXPECT_THAT(effect, ::testing::Contains("relays on    the listening addresses, ports 49152 to 50000"));
  EXPECT_THAT(effect, ::testing::Contains("credentials  realm example.org: 1 shared secret"));
  EXPECT_THAT(effect, ::testing::Contains("limits       10 allocations a user"));
}

TEST_F(CheckConfig, ErrorsGoToStandardErrorWithTheExitCode) {
  const std::string report = check("min-port=x\nrealm=y\nraw-public-keys\n");
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("test.conf:1: min-port=x: ")));
  EXPECT_THAT(report, Not(HasSubstr("is valid")));
  EXPECT_THAT(section(report, "ignored"), ElementsAre(HasSubstr("test.conf:3: raw-public-keys: needs OpenSSL 3.2")));
}

TEST_F(CheckConfig, TheFileMayStandBehindIt) {
  const std::string file = directory_.write("named.conf", kSafe);
  for (const auto& arguments : {std::vector<std::string>{"--check-config", file}, {file, "--check-config"}}) {
    const CommandLine line = parse(arguments);
    EXPECT_EQ(line.config.origin.path, file);
    EXPECT_THAT(line.errors, IsEmpty());
    EXPECT_THAT(section(line.out, "ignored"), IsEmpty());
  }
  EXPECT_THAT(parse({"--check-config", file + ".missing"}).errors, ElementsAre(HasSubstr("no such file")));
}

TEST_F(CheckConfig, WorksWithoutAFile) {
  const CommandLine line = parse({"-n", "--no-auth", "--check-config"});
  EXPECT_THAT(line.out, HasSubstr("\nthe configuration is valid\n"));
}

TEST_F(CheckConfig, UnsafeLinesAreNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"allow-loopback-peers\n", "test.conf:5: allow-loopback-peers: clients reach whatever listens"},
      {"no-multicast-peers=off\n", "test.conf:5: no-multicast-peers=off: clients can send to multicast"},
      {"allowed-peer-ip=0.0.0.0-255.255.255.255\n",
       "test.conf:5: allowed-peer-ip=0.0.0.0-255.255.255.255: a line allows"},
      {"static-auth-secret=short\n", "test.conf:5: static-auth-secret: the secret has 5 characters"},
      {"static-auth-secret=north\n", "test.conf:5: static-auth-secret: the secret is one of those in examples"},
      {"user=bob:bob\n", "test.conf:5: user: the password is short"},
      {"realm-user=r:bob:password\n", "test.conf:5: realm-user: the password is short or one of those in examples"},
      {"stale-nonce=0\n", "test.conf:5: stale-nonce=0: nonces hold for ever"},
      {"server-relay\n", "test.conf:5: server-relay: anybody can send to clients"},
  };
  for (const auto& [line, text] : cases) EXPECT_THAT(unsafe(line), ElementsAre(HasSubstr(text))) << line;
  EXPECT_THAT(unsafe("user=bob:0xbc807ee29df3c9ffa736523fb2c4e8ee\n"), IsEmpty());
}

TEST_F(CheckConfig, OpenRelaysAreUnsafeTwice) {
  const std::string report = check("no-auth\nno-private-peers\nuser-quota=1\n");
  EXPECT_THAT(section(report, "unsafe"),
              ElementsAre("test.conf:1: no-auth: anybody who reaches this server can relay through it",
                          "test.conf:1: no-auth: there is no limit of bandwidth either; add max-bps=BYTES"));
}

TEST_F(CheckConfig, PrivatePeersAreUnsafeUntilTheyAreDenied) {
  const std::string base = "realm=example.org\nstatic-auth-secret=0123456789abcdef0123456789abcdef\nuser-quota=1\n";
  EXPECT_THAT(section(check(base), "unsafe"),
              ElementsAre(HasSubstr(
                  "private addresses behind this server (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10)")));
  EXPECT_THAT(section(check(base + "denied-peer-ip=10.0.0.0-10.255.255.255\ndenied-peer-ip=172.16.0.0/12\n"), "unsafe"),
              ElementsAre(HasSubstr("(192.168.0.0/16, 100.64.0.0/10)")));
  EXPECT_THAT(section(check(base + "only-peer-ip=10.0.0.5:8443\n"), "unsafe"), IsEmpty());
  EXPECT_THAT(section(check(base + "denied-peer-ip=0.0.0.0/0\nallowed-peer-ip=10.0.0.5\n"), "unsafe"), IsEmpty());
}

TEST_F(CheckConfig, RunningAsRootIsUnsafe) {
  environment_.uid = 0;
  EXPECT_THAT(unsafe(""), ElementsAre(HasSubstr("turnd would run as root")));
  EXPECT_THAT(unsafe("proc-user=root\n"), IsEmpty());
}

TEST_F(CheckConfig, MissingLimitsAreAdvice) {
  EXPECT_THAT(advice("user-quota=0\nmin-port=50000\nmax-port=50099\n"),
              ElementsAre(HasSubstr("all 100 relayed ports")));
  EXPECT_THAT(advice("min-port=50000\nmax-port=50099\ntotal-quota=200\n"),
              ElementsAre(HasSubstr("test.conf:7: total-quota=200: min-port to max-port are 100 ports only")));
  EXPECT_THAT(advice("tcp-proxy-port=443\n"), ElementsAre(HasSubstr("whoever reaches the port can claim any address")));
}

TEST_F(CheckConfig, LinesWithoutWhatTheyNeedAreIgnored) {
  const auto ignored = [this](const std::string& lines) { return section(check(kSafe + lines), "ignored"); };
  EXPECT_THAT(ignored("sni-turn=turn.example\n"), ElementsAre(HasSubstr("there is no tls-backend")));
  EXPECT_THAT(ignored("sni-turn=turn.example\ntls-backend=127.0.0.1:8443\n"), IsEmpty());
  EXPECT_THAT(ignored("backend-proxy-protocol\n"), ElementsAre(HasSubstr("neither tls-backend nor http-backend")));
  EXPECT_THAT(ignored("backend-proxy-protocol\nhttp-backend=127.0.0.1:8080\n"), IsEmpty());
  EXPECT_THAT(ignored("bandwidth-burst=100\n"), ElementsAre(HasSubstr("there is no max-bps")));
  EXPECT_THAT(ignored("bandwidth-burst=100\nrealm-option=other.example:max-bps=100000\n"), IsEmpty());
  EXPECT_THAT(ignored("alt-listening-port=3500\n"), ElementsAre(HasSubstr("rfc5780 is off")));
  EXPECT_THAT(ignored("alt-tls-listening-port=3501\nrfc5780\n"), IsEmpty());
}

TEST_F(CheckConfig, ReadableSecretsAreUnsafe) {
  const std::string file = directory_.write("open.conf", kSafe);
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  const CommandLine line = parse({"-c", file, "--check-config"});
  EXPECT_THAT(section(line.out, "unsafe"), ElementsAre(HasSubstr("holds secrets (static-auth-secret) and everybody")));
}

TEST_F(CheckConfig, CertificatesThatCannotServeAreErrors) {
  const std::string cert = directory_.write("c.pem", "not a certificate");
  const std::string key = directory_.write("k.pem", "not a key");
  check(std::string(kSafe) + "cert=" + cert + "\npkey=" + key + "\n");
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("c.pem")));
}

TEST_F(CheckConfig, JsonHasTheSame) {
  const std::string report =
      check("realm=example.org\nuser=alice:long-password\nraw-public-keys\nunknown=1\n", {"--json"});
  for (const char* text :
       {"\"valid\": true", "\"file\": \"test.conf\"", "\"key\": \"user\"", "\"secret\": true", "\"kind\": \"ignored\"",
        "\"line\": 4", "\"listens on\": \"every address: UDP and TCP 3478\""}) {
    EXPECT_THAT(report, HasSubstr(text));
  }
  EXPECT_THAT(report, Not(HasSubstr("long-password")));
  const std::string broken = check("min-port=x\n", {"--json"});
  EXPECT_THAT(broken, AllOf(HasSubstr("\"valid\": false"), HasSubstr("\"kind\": \"error\"")));
}

TEST_F(CheckConfig, JsonAloneSaysThatItIsIgnored) {
  EXPECT_THAT(warnings_of(kSafe, {"--json"}), ElementsAre("--json: ignored, because it is for --check-config"));
}

}  // namespace
}  // namespace turnkit::turnd
