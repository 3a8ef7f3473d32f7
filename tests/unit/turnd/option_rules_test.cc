// The rules between options: contradictions, what is settled by default, and coturn's keys without a function here.
#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Rules = CommandLineTest;

TEST_F(Rules, Contradictions) {
  const std::pair<const char*, const char*> cases[] = {
      {"realm=x\nlt-cred-mech\nno-auth\n",
       "test.conf:3: no-auth: cannot go together with test.conf:2: lt-cred-mech; remove one of the two"},
      {"realm=x\nno-auth\nuse-auth-secret\n",
       "test.conf:2: no-auth: cannot go together with test.conf:3: use-auth-secret; remove one of the two"},
      {"realm=x\nno-auth\nstatic-auth-secret=s\n",
       "test.conf:2: no-auth: cannot go together with test.conf:3: static-auth-secret; remove one of the two"},
      {"realm=x\nuser=a:b\nbps-capacity=1000\n",
       "test.conf:3: bps-capacity=1000: needs max-bps, the share of one allocation"},
      {"realm=x\nuser=a:b\nno-udp-relay\nno-tcp-relay\n",
       "test.conf:3: no-udp-relay: cannot go together with test.conf:4: no-tcp-relay; nothing could be relayed; use "
       "stun-only for a STUN server"},
      {"realm=x\nuser=a:b\nmin-port=60000\nmax-port=50000\n",
       "test.conf:4: max-port=50000: min-port 60000 is above max-port 50000; give both so that min-port is not above "
       "max-port"},
      {"realm=x\nuser=a:b\nmax-port=40000\n",
       "test.conf:3: max-port=40000: min-port 49152 is above max-port 40000; give both so that min-port is not above "
       "max-port"},
  };
  for (const auto& [text, error] : cases) EXPECT_THAT(errors_of(text), ElementsAre(error)) << text;
}

TEST_F(Rules, ContradictionsAcrossFileAndCommandLine) {
  EXPECT_THAT(errors_of("realm=x\nno-auth\n", {"-a"}),
              ElementsAre("test.conf:2: no-auth: cannot go together with --lt-cred-mech; remove one of the two"));
  EXPECT_THAT(errors_of("realm=x\nno-auth\n", {"--no-auth=off", "-u", "a:b"}), IsEmpty());
}

TEST_F(Rules, OptionsThatAreOffContradictNothing) {
  EXPECT_THAT(
      errors_of("realm=x\nlt-cred-mech\nno-auth=false\nuser=a:b\nno-udp-relay=no\nno-tcp-relay\nbps-capacity=0\n"),
      IsEmpty());
}

TEST_F(Rules, UsersAndSecretsWorkTogether) {
  const CommandLine line =
      parse_file("realm=x\nlt-cred-mech\nuser=a:b\nuse-auth-secret\nstatic-auth-secret=s\nstatic-auth-secret=t\n");
  ASSERT_TRUE(line.run);
  EXPECT_THAT(line.warnings, IsEmpty());
  EXPECT_EQ(line.config.users.size(), 1U);
  EXPECT_EQ(line.config.rest_secrets.size(), 2U);
  EXPECT_EQ(line.config.auth, AuthMode::kLongTerm);
}

// coturn takes any value of this flag for on.
TEST_F(Rules, SecretsCanBeTurnedOff) {
  const CommandLine line = parse_file("realm=x\nuser=a:b\nstatic-auth-secret=s\nuse-auth-secret=off\n");
  ASSERT_TRUE(line.run);
  EXPECT_THAT(line.config.rest_secrets, IsEmpty());
  EXPECT_THAT(short_names(line.warnings),
              ElementsAre("test.conf:3: static-auth-secret: not used, because use-auth-secret is off"));
  EXPECT_THAT(errors_of("realm=x\nno-auth\nuse-auth-secret=off\n"), IsEmpty());
}

TEST_F(Rules, AlternatePortsFollowTheirPorts) {
  const Config plain =
      config_of(std::string(kSecretLines) + "listening-port=1000\ntls-listening-port=2000\nno-tls\nno-dtls\n");
  EXPECT_EQ(plain.alt_listening_port, 1001);
  EXPECT_EQ(plain.alt_tls_listening_port, 2001);
  const Config given = config_of(std::string(kSecretLines) + "alt-listening-port=7\nlistening-port=0\n");
  EXPECT_EQ(given.alt_listening_port, 7);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "listening-port=0\n").alt_listening_port, 0);
}

TEST_F(Rules, SomethingMustListen) {
  EXPECT_THAT(errors_of(std::string(kSecretLines) + "no-udp\nno-tcp\nno-tls\nno-dtls\n"),
              ElementsAre(HasSubstr("test.conf:3: no-udp: ")));
  EXPECT_THAT(errors_of(std::string(kSecretLines) + "no-udp\nno-tcp\n"), ElementsAre(HasSubstr("nothing listens")));
  EXPECT_THAT(errors_of(std::string(kSecretLines) + "no-udp\n"), IsEmpty());
}

TEST_F(Rules, TheRateLimitNeedsItsFlag) {
  EXPECT_EQ(config_of(kSecretLines).unauthorized_rps, 0U);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "unauthorized-ratelimit\n").unauthorized_rps, 10U);
  EXPECT_EQ(
      config_of(std::string(kSecretLines) + "unauthorized-ratelimit-rps=3\nunauthorized-ratelimit\n").unauthorized_rps,
      3U);
}

TEST_F(Rules, TokensNeedKeysAndTheFlag) {
  EXPECT_THAT(warnings_of("realm=x\noauth\n"), ElementsAre(HasSubstr("test.conf:2: oauth: there is no oauth-key")));
  EXPECT_THAT(warnings_of(std::string(kSecretLines) + "oauth-key=k:MTIzNDU2Nzg5MDEyMzQ1Ng==:A128GCM\n"),
              ElementsAre("test.conf:3: oauth-key: not used, because oauth is off"));
  const Config c = config_of("realm=x\noauth\noauth-key=k:MTIzNDU2Nzg5MDEyMzQ1Ng==:A128GCM\n");
  EXPECT_EQ(c.server_name, "x");
  EXPECT_EQ(c.oauth_keys.size(), 1U);
}

TEST_F(Rules, UsersAloneTurnCredentialsOn) { EXPECT_EQ(config_of("realm=x\nuser=a:b\n").auth, AuthMode::kLongTerm); }

TEST_F(Rules, NoAuthIsAWarning) {
  const CommandLine line = parse_file("no-auth\nuser=a:b\n");
  ASSERT_TRUE(line.run);
  EXPECT_EQ(line.config.auth, AuthMode::kNone);
  EXPECT_THAT(short_names(line.warnings),
              ElementsAre("test.conf:1: no-auth: anybody who reaches this server can relay through it",
                          "test.conf:2: user: not used, because no-auth is on"));
}

// coturn would relay for anybody here.
TEST_F(Rules, WithoutCredentialsNobodyRelays) {
  const CommandLine line = parse_file("realm=x\n");
  ASSERT_TRUE(line.run);
  EXPECT_EQ(line.config.auth, AuthMode::kLongTerm);
  EXPECT_THAT(line.warnings, ElementsAre(HasSubstr("no credentials are configured, so nobody can relay")));
  EXPECT_THAT(warnings_of("realm=x\nuse-auth-secret\n"), ElementsAre(HasSubstr("without any secret")));
  EXPECT_THAT(warnings_of("realm=x\nstun-only\n"), IsEmpty());
}

TEST_F(Rules, TheRealmFallsBackToTheHost) {
  const CommandLine line = parse_file("user=a:b\n");
  EXPECT_EQ(line.config.realm, "host.test");
  EXPECT_THAT(line.warnings, ElementsAre(HasSubstr("no realm is set; \"host.test\" is used")));
  environment_.host_name.clear();
  EXPECT_EQ(parse_file("user=a:b\n").config.realm, "turnd");
  EXPECT_THAT(errors_of("realm=a\x01"
                        "b\nuser=a:b\n"),
              ElementsAre(HasSubstr("expected at most 127 bytes of UTF-8 text")));
  EXPECT_THAT(errors_of("realm=" + std::string(128, 'r') + "\nuser=a:b\n"),
              ElementsAre(HasSubstr("at most 127 bytes")));
}

TEST_F(Rules, SoftCombinations) {
  EXPECT_THAT(warnings_of(std::string(kSecretLines) + "no-udp-relay\n"), IsEmpty());
  EXPECT_THAT(warnings_of(std::string(kSecretLines) + "udp-self-balance\n"),
              ElementsAre("test.conf:3: udp-self-balance: ignored, because there is no aux-server"));
  EXPECT_THAT(warnings_of(std::string(kSecretLines) + "unauthorized-ratelimit-rps=5\n"),
              ElementsAre("test.conf:3: unauthorized-ratelimit-rps=5: ignored, because unauthorized-ratelimit is off"));
  EXPECT_THAT(warnings_of("no-stun\nstun-only\n"), ElementsAre(HasSubstr("nothing at all is answered")));
}

using PeerLines = CommandLineTest;

TEST_F(PeerLines, Accumulate) {
  const Config c =
      config_of(std::string(kSecretLines) +
                "denied-peer-ip=10.0.0.0-10.255.255.255\ndenied-peer-ip=192.168.0.0/16\n"
                "allowed-peer-ip=10.0.0.5:8443\nonly-peer-ip=[2001:db8::1]:8443\nno-multicast-peers=off\n");
  EXPECT_EQ(c.peers.denied.size(), 2U);
  EXPECT_EQ(c.peers.allowed.size(), 1U);
  EXPECT_EQ(c.peers.only.size(), 1U);
  EXPECT_FALSE(c.peers.deny_multicast);
}

TEST_F(PeerLines, BrokenOnesStopTheStart) {
  EXPECT_THAT(errors_of("denied-peer-ip=10.0.0.0/40\nallowed-peer-ip=10.0.0.9-10.0.0.1\n"),
              ElementsAre(HasSubstr("test.conf:1: denied-peer-ip=10.0.0.0/40: expected IP"),
                          HasSubstr("test.conf:2: allowed-peer-ip=10.0.0.9-10.0.0.1: expected IP")));
}

using CoturnKeys = CommandLineTest;

TEST_F(CoturnKeys, AreAllKnown) {
  const std::map<std::string, std::string> keys = coturn_key_list();
  EXPECT_GT(keys.size(), 150U);
  for (const auto& [key, generations] : keys) EXPECT_NE(find_option(key), nullptr) << key;
}

TEST_F(CoturnKeys, WithoutAFunctionLoadWithOneWarning) {
  for (const Option& option : option_table()) {
    SCOPED_TRACE(option.name);
    const std::string key = option.name;
    const std::string line = key + (option.arg == Arg::kRequired ? "=value\n" : "\n");
    const std::string text = kSecretLines + line + line;
    switch (option.support) {
      case Support::kLive:
        break;
      case Support::kImplied:
        EXPECT_THAT(warnings_of(text), IsEmpty());
        break;
      case Support::kUnsupported:
      case Support::kLegacy:
        EXPECT_THAT(warnings_of(text), ElementsAre(HasSubstr("test.conf:3: " + key)));
        break;
      case Support::kRefused:
        EXPECT_THAT(errors_of(text), ElementsAre(HasSubstr("test.conf:3: " + key)));
        break;
    }
    if (option.support == Support::kLive || option.arg != Arg::kOptional) continue;
    const std::size_t warnings = option.support == Support::kImplied ? 1 : 0;
    EXPECT_EQ(warnings_of(kSecretLines + key + "=off\n").size(), warnings);
  }
}

// A file as people run it beside Mattermost, Jitsi or Matrix.
TEST_F(CoturnKeys, ATypicalFileLoads) {
  const std::string cert = directory_.write("turn.pem", "certificate");
  const std::string key = directory_.write("turn.key", "key");
  const CommandLine line = parse_file(
      "# /etc/turnserver.conf\nlistening-port=3478\ntls-listening-port=5349\nfingerprint\nuse-auth-secret\n"
      "static-auth-secret=\"long secret\"\nrealm=turn.example.org\ntotal-quota=100\nbps-capacity=0\nstale-nonce=600\n"
      "cert=" +
          cert + "\npkey=" + key +
          "\ncipher-list=\"ECDHE+AESGCM\"\nno-tlsv1\nno-tlsv1_1\nno-cli\n"
          "no-multicast-peers\nno-tcp-relay\ndenied-peer-ip=10.0.0.0-10.255.255.255\nallowed-peer-ip=10.0.0.1\n"
          "external-ip=203.0.113.5/10.0.0.1\nsyslog\nno-software-attribute\nno-rfc5780\n"
          "no-stun-backward-compatibility\nresponse-origin-only-with-rfc5780\nproc-user=root\n",
      {"--pidfile="});
  EXPECT_TRUE(line.run) << ::testing::PrintToString(line.errors);
  EXPECT_EQ(line.config.rest_secrets, std::vector<std::string>{"long secret"});
  EXPECT_EQ(line.config.cert, cert);
  EXPECT_EQ(line.config.pkey, key);
  EXPECT_TRUE(serves_tls(line.config));
  EXPECT_THAT(line.warnings, IsEmpty());
  EXPECT_THAT(line.notes, IsEmpty());
}

}  // namespace
}  // namespace turnkit::turnd
