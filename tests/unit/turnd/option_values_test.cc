// Values of single options, from the text in a file to the field of Config.
#include "turnd/options/values.h"

#include <grp.h>
#include <pwd.h>

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using namespace std::chrono_literals;

TEST(ParseFlag, FollowsCoturn) {
  for (const char* text : {"", "1", "9", "y", "Y", "yes", "t", "T", "true", "TRUE", "on", "ON", "On", "1x", "yonder"}) {
    const Result<bool> flag = parse_flag(text);
    ASSERT_TRUE(flag) << text;
    EXPECT_TRUE(*flag) << text;
  }
  for (const char* text : {"0", "n", "N", "no", "f", "F", "false", "FALSE", "off", "OFF", "Off", "01", "never"}) {
    const Result<bool> flag = parse_flag(text);
    ASSERT_TRUE(flag) << text;
    EXPECT_FALSE(*flag) << text;
  }
  for (const char* text : {"oN", "oFF", "onn", "o", "-1", "+", " ", "enabled", "\"yes\""})
    EXPECT_FALSE(parse_flag(text)) << text;
}

TEST(ParseNumber, TakesDigitsOnly) {
  EXPECT_EQ(*parse_number("0", 0, 10), 0U);
  EXPECT_EQ(*parse_number("10", 0, 10), 10U);
  EXPECT_EQ(*parse_number("007", 0, 10), 7U);
  for (const char* text :
       {"", " 1", "1 ", "-1", "+1", "1.0", "1e3", "0x10", "600s", "eleven", "11", "99999999999999999999"}) {
    EXPECT_FALSE(parse_number(text, 0, 10)) << text;
  }
  EXPECT_FALSE(parse_number("0", 1, 10));
}

TEST(ParsePort, IsStrict) {
  EXPECT_EQ(*parse_port("0"), 0);
  EXPECT_EQ(*parse_port("65535"), 65535);
  for (const char* text : {"", "65536", "-1", "80 ", "http", "0x50"}) EXPECT_FALSE(parse_port(text)) << text;
  EXPECT_FALSE(parse_port("0", 1));
}

TEST(ParseExternalIp, TakesEveryForm) {
  using Kind = ExternalIp::Kind;
  struct Case {
    const char* text;
    ExternalIp expected;
  };
  const IpAddress pub = IpAddress::v4(192, 0, 2, 1);
  const IpAddress local = IpAddress::v4(10, 0, 0, 1);
  const IpAddress pub6 = *IpAddress::parse("2001:db8::1");
  const IpAddress local6 = *IpAddress::parse("fd00::1");
  const Case cases[] = {
      {"192.0.2.1", {Kind::kAddress, pub, "", std::nullopt}},
      {"192.0.2.1/10.0.0.1", {Kind::kAddress, pub, "", local}},
      {"2001:db8::1", {Kind::kAddress, pub6, "", std::nullopt}},
      {"2001:db8::1/fd00::1", {Kind::kAddress, pub6, "", local6}},
      {"auto", {Kind::kAuto, {}, kDefaultAutoStunServer, std::nullopt}},
      {"auto/10.0.0.1", {Kind::kAuto, {}, kDefaultAutoStunServer, local}},
      {"auto:stun.example.org", {Kind::kAuto, {}, "stun.example.org:3478", std::nullopt}},
      {"auto:stun.example.org:19302", {Kind::kAuto, {}, "stun.example.org:19302", std::nullopt}},
      {"auto:192.0.2.9", {Kind::kAuto, {}, "192.0.2.9:3478", std::nullopt}},
      {"auto:[2001:db8::9]:5000", {Kind::kAuto, {}, "[2001:db8::9]:5000", std::nullopt}},
      {"turn.example.org", {Kind::kName, {}, "turn.example.org", std::nullopt}},
      {"turn.example.org/10.0.0.1", {Kind::kName, {}, "turn.example.org", local}},
      {"localhost", {Kind::kName, {}, "localhost", std::nullopt}},
  };
  for (const Case& c : cases) {
    const Result<ExternalIp> line = parse_external_ip(c.text);
    ASSERT_TRUE(line) << c.text << ": " << line.error().text;
    EXPECT_EQ(*line, c.expected) << c.text;
  }
}

TEST(ParseExternalIp, RefusesMistypedAddresses) {
  for (const char* text : {"",
                           "192.0.2",
                           "192.0.2.256",
                           "192.0.2.1.5",
                           "300.1.1.1",
                           "192.0.2.1:3478",
                           "192.0.2.1/",
                           "192.0.2.1/host",
                           "192.0.2.1/10.0.0.1/10.0.0.2",
                           "192.0.2.1/fd00::1",
                           "0.0.0.0",
                           "::",
                           "auto:",
                           "auto:a b",
                           "auto:host:x",
                           "auto:host:0",
                           "a..b",
                           "-a.b",
                           "a_b c",
                           "turn.example.org:3478",
                           "http://example.org",
                           "192.0.2.1 # x"}) {
    EXPECT_FALSE(parse_external_ip(text)) << text;
  }
}

TEST(ParseUser, TakesPasswordsAndKeys) {
  const Result<StaticUser> plain = parse_user("alice:pass:word", "example.org");
  ASSERT_TRUE(plain);
  EXPECT_EQ(*plain, (StaticUser{"alice", "pass:word", "example.org"}));
  EXPECT_TRUE(parse_user("alice:0xbc807ee29df3c9ffa736523fb2c4e8ee", "example.org"));
  EXPECT_TRUE(parse_user("alice:0x" + std::string(64, 'a'), "example.org"));
  for (const char* text :
       {"", "alice", ":pw", "alice:", "alice:0x", "alice:0x12", "alice:0xzz807ee29df3c9ffa736523fb2c4e8ee",
        "alice:p\x01w", "al\x02ice:pw", "alice:\xff\xfe"}) {
    EXPECT_FALSE(parse_user(text, "example.org")) << text;
  }
}

using Values = CommandLineTest;

TEST_F(Values, ReachTheirFields) {
  const Config c = config_of(
      "realm=example.org\nuse-auth-secret\nstatic-auth-secret=s\nlistening-port=3479\nsock-buf-size=65536\nmin-port="
      "50000\n"
      "max-port=50100\nmax-allocate-lifetime=7200\nchannel-lifetime=60\npermission-lifetime=30\nmax-permissions=5\n"
      "max-channels=6\nstale-nonce=300\nstateless-nonce-secret=fleet\nuser-quota=3\ntotal-quota=100\nmax-bps=125000\n"
      "bps-capacity=5000000000\nno-tcp-relay\nfingerprint\nsoftware-attribute\nno-stun\npidfile=/run/t.pid\n"
      "relay-threads=2\nno-multicast-peers\nallow-loopback-peers\nno-private-peers\nrest-api-separator=|\nverbose\n");
  EXPECT_EQ(c.listening_port, 3479);
  EXPECT_EQ(c.sock_buf_size, 65536);
  EXPECT_EQ(c.min_port, 50000);
  EXPECT_EQ(c.max_port, 50100);
  EXPECT_EQ(c.max_allocate_lifetime, 7200s);
  EXPECT_EQ(c.channel_lifetime, 60s);
  EXPECT_EQ(c.permission_lifetime, 30s);
  EXPECT_EQ(c.max_permissions, 5U);
  EXPECT_EQ(c.max_channels, 6U);
  EXPECT_EQ(c.nonce_lifetime, 300s);
  EXPECT_EQ(c.nonce_secret, "fleet");
  EXPECT_EQ(c.user_quota, 3U);
  EXPECT_EQ(c.total_quota, 100U);
  EXPECT_EQ(c.max_bps, 125000U);
  EXPECT_EQ(c.bps_capacity, 5000000000U);
  EXPECT_TRUE(c.no_tcp_relay);
  EXPECT_TRUE(c.fingerprint);
  EXPECT_TRUE(c.software_attribute);
  EXPECT_TRUE(c.no_stun);
  EXPECT_EQ(c.pidfile, "/run/t.pid");
  EXPECT_EQ(c.relay_threads, 2U);
  EXPECT_TRUE(c.peers.deny_multicast);
  EXPECT_TRUE(c.peers.allow_loopback);
  EXPECT_TRUE(c.peers.deny_private);
  EXPECT_EQ(c.rest_separator, '|');
  EXPECT_EQ(c.verbose, 1);
  EXPECT_EQ(c.auth, AuthMode::kLongTerm);
}

TEST_F(Values, DefaultsAreCoturnsOrSafer) {
  const Config c = config_of(kSecretLines);
  EXPECT_EQ(c.listening_port, 3478);
  EXPECT_THAT(c.listening_ips, IsEmpty());
  EXPECT_EQ(c.min_port, 49152);
  EXPECT_EQ(c.max_port, 65535);
  EXPECT_EQ(c.max_allocate_lifetime, 3600s);
  EXPECT_EQ(c.nonce_lifetime, 600s);
  EXPECT_EQ(c.max_channel_number, 0x7FFE);
  EXPECT_EQ(c.default_family, DefaultFamily::kIPv4);
  EXPECT_EQ(c.relay_threads, 4U);  // the CPUs of the test's environment
  EXPECT_TRUE(c.peers.deny_multicast);
  EXPECT_FALSE(c.peers.deny_private);
  EXPECT_FALSE(c.peers.allow_loopback);
  EXPECT_FALSE(c.software_attribute);
  EXPECT_EQ(c.log.level, log::Level::kInfo);
  EXPECT_TRUE(c.log.to_stdout);
  EXPECT_EQ(c.log.file, "");
  EXPECT_EQ(c.pidfile, "");
}

TEST_F(Values, GarbageIsNeverZero) {
  for (const char* line : {"user-quota=many", "total-quota=1k", "max-bps=1.5", "stale-nonce=10m", "relay-threads=auto",
                           "relay-threads=129", "cpus=-1", "channel-lifetime=0",
                           "max-allocate-lifetime=", "sock-buf-size=64K", "max-permissions=0", "max-channels=20000"}) {
    EXPECT_EQ(errors_of(std::string(kSecretLines) + line).size(), 1U) << line;
  }
}

TEST_F(Values, StaleNonceIsAlsoAFlag) {
  EXPECT_EQ(config_of(std::string(kSecretLines) + "stale-nonce\n").nonce_lifetime, 600s);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "stale-nonce=0\n").nonce_lifetime, 0s);
}

TEST_F(Values, ChannelNumbers) {
  const auto highest = [&](const char* line) { return config_of(std::string(kSecretLines) + line).max_channel_number; };
  EXPECT_EQ(highest("rfc5766-channel-numbers\n"), 0x7FFE);
  EXPECT_EQ(highest("rfc5766-channel-numbers=false\n"), 0x4FFF);
  EXPECT_EQ(highest("rfc8656-channel-numbers\n"), 0x4FFF);
  EXPECT_EQ(highest("rfc8656-channel-numbers=off\n"), 0x7FFE);
}

TEST_F(Values, SoftwareAttributeAndItsInverse) {
  EXPECT_TRUE(config_of(std::string(kSecretLines) + "no-software-attribute=no\n").software_attribute);
  EXPECT_FALSE(config_of(std::string(kSecretLines) + "software-attribute\nno-software-attribute\n").software_attribute);
}

TEST_F(Values, ExternalIpKeepsTheFirstPlainFormOfAFamily) {
  const CommandLine line = parse_file(std::string(kSecretLines) +
                                          "external-ip=192.0.2.1\nexternal-ip=2001:db8::1\nexternal-ip=192.0.2.2\n"
                                          "external-ip=192.0.2.3/10.0.0.1\nexternal-ip=192.0.2.4/10.0.0.1\n",
                                      {"-X", "192.0.2.5"});
  ASSERT_TRUE(line.run);
  ASSERT_EQ(line.config.external_ips.size(), 3U);
  EXPECT_EQ(line.config.external_ips[0].address.to_string(), "192.0.2.1");
  EXPECT_EQ(line.config.external_ips[1].address.to_string(), "2001:db8::1");
  EXPECT_EQ(line.config.external_ips[2].address.to_string(), "192.0.2.3");
  EXPECT_THAT(short_names(line.warnings),
              ElementsAre(StartsWith("test.conf:5: external-ip=192.0.2.2: ignored"),
                          StartsWith("test.conf:7: external-ip=192.0.2.4/10.0.0.1: ignored"),
                          StartsWith("--external-ip=192.0.2.5: ignored")));
}

TEST_F(Values, UnspecifiedRelayAddressIsIgnoredWithAWarning) {
  const CommandLine line = parse_file(std::string(kSecretLines) + "relay-ip=0.0.0.0\n");
  EXPECT_TRUE(line.run);
  EXPECT_THAT(line.config.relay_ips, IsEmpty());
  EXPECT_EQ(line.warnings.size(), 1U);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "listening-ip=0.0.0.0\n").listening_ips.size(), 1U);
}

TEST_F(Values, EmptyPidfileIsNone) {
  EXPECT_EQ(config_of(kSecretLines, {"--pidfile="}).pidfile, "");
  EXPECT_EQ(config_of(std::string(kSecretLines) + "pidfile=/run/x.pid\n", {"--pidfile="}).pidfile, "");
}

TEST_F(Values, RelayThreads) {
  const auto threads = [&](const char* lines) { return config_of(std::string(kSecretLines) + lines).relay_threads; };
  EXPECT_EQ(threads("relay-threads=0\n"), 1U);
  EXPECT_EQ(threads("relay-threads=128\n"), 128U);
  EXPECT_EQ(threads("cpus=7\n"), 7U);
  EXPECT_EQ(threads("cpus=0\n"), 4U);
  EXPECT_EQ(threads("cpus=7\nrelay-threads=2\n"), 2U);
}

TEST_F(Values, ProcUserAndGroup) {
  const passwd* user = getpwuid(0);
  const group* other = getgrgid(1);
  ASSERT_NE(user, nullptr);
  ASSERT_NE(other, nullptr);
  const std::string name = user->pw_name;
  const std::string group_name = other->gr_name;
  Config c = config_of(std::string(kSecretLines) + "proc-user=" + name + "\n");
  EXPECT_EQ(c.proc_uid, uid_t{0});
  EXPECT_EQ(c.proc_gid, user->pw_gid);
  c = config_of(std::string(kSecretLines) + "proc-group=" + group_name + "\nproc-user=" + name + "\n");
  EXPECT_EQ(c.proc_gid, gid_t{1});
  EXPECT_THAT(errors_of(std::string(kSecretLines) + "proc-user=no-such-user\nproc-group=no-such-group\n"),
              ElementsAre("test.conf:3: proc-user=no-such-user: expected a user of this system",
                          "test.conf:4: proc-group=no-such-group: expected a group of this system"));
}

using LogOptions = CommandLineTest;

TEST_F(LogOptions, Targets) {
  struct Case {
    const char* lines;
    bool to_stdout;
    const char* file;
    bool to_syslog;
    std::size_t warnings;
  };
  const Case cases[] = {
      {"log-file=/var/log/turn.log\n", true, "/var/log/turn.log", false, 0},
      {"log-file=/var/log/turn.log\nno-stdout-log\nsimple-log\n", false, "/var/log/turn.log", false, 0},
      {"log-file=stdout\n", true, "", false, 0},
      {"log-file=-\n", true, "", false, 0},
      {"log-file=stdout\nno-stdout-log\n", true, "", false, 1},
      {"no-stdout-log\n", true, "", false, 1},
      {"syslog\n", true, "", true, 0},
      {"log-file=syslog\nno-stdout-log\n", false, "", true, 0},
      {"syslog\nlog-file=/var/log/turn.log\n", true, "", true, 0},
      {"syslog=off\n", true, "", false, 0},
  };
  for (const Case& c : cases) {
    const CommandLine line = parse_file(std::string(kSecretLines) + c.lines);
    ASSERT_TRUE(line.run) << c.lines;
    EXPECT_EQ(line.config.log.to_stdout, c.to_stdout) << c.lines;
    EXPECT_EQ(line.config.log.file, c.file) << c.lines;
    EXPECT_EQ(line.config.log.to_syslog, c.to_syslog) << c.lines;
    EXPECT_EQ(line.warnings.size(), c.warnings) << c.lines;
    EXPECT_EQ(line.config.log.ident, "turnd");
  }
}

TEST_F(LogOptions, Levels) {
  const auto level = [&](const char* lines) { return config_of(std::string(kSecretLines) + lines).log.level; };
  EXPECT_EQ(level("verbose\n"), log::Level::kInfo);
  EXPECT_EQ(level("Verbose\n"), log::Level::kDebug);
  EXPECT_EQ(level("Verbose\nlog-min-level=warning\n"), log::Level::kWarning);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "Verbose\nverbose\n").verbose, 2);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "Verbose\nVerbose=off\n").verbose, 1);
  EXPECT_EQ(config_of(std::string(kSecretLines) + "verbose=off\n").verbose, 0);
  EXPECT_THAT(
      errors_of("log-min-level=loud\nsyslog-facility=LOCAL1\nnew-log-timestamp-format=" + std::string(48, 'x')),
      ElementsAre("test.conf:1: log-min-level=loud: expected debug, info, warning or error",
                  "test.conf:2: syslog-facility=LOCAL1: expected a syslog facility such as LOG_DAEMON or LOG_LOCAL1",
                  HasSubstr("expected a strftime format of at most 47 characters")));
}

}  // namespace
}  // namespace turnkit::turnd
