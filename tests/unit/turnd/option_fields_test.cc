// Every option of listeners, redirection, limits, realms, answers, log and process puts its value where it belongs, and
// takes no value that it should not.
#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::StartsWith;

class Fields : public CommandLineTest {
 protected:
  Config with(const std::string& lines) { return config_of(kSecretLines + lines); }
};

TEST_F(Fields, OfListeners) {
  const Config c = with(
      "aux-server=127.0.0.1:5000\naux-server=[::1]:5001\naux-server=127.0.0.1:5000\nno-tcp\nno-udp=off\n"
      "drop-invalid-packets-log\nudp-recvmmsg-log\nudp-sendmmsg-log\nrfc5780\n");
  EXPECT_THAT(c.aux_servers, ElementsAre(*Address::parse("127.0.0.1:5000"), *Address::parse("[::1]:5001")));
  EXPECT_TRUE(c.no_tcp && c.log_invalid_packets && c.udp_recvmmsg_log && c.udp_sendmmsg_log && c.rfc5780);
  EXPECT_FALSE(c.no_udp);
  const Config d = config_of(kSecretLines);
  EXPECT_FALSE(d.no_tcp || d.no_udp || d.log_invalid_packets || d.udp_recvmmsg_log || d.udp_sendmmsg_log || d.rfc5780);
}

TEST_F(Fields, OfRedirection) {
  const Config c = with(
      "alternate-server=192.0.2.1\nalternate-server=[2001:db8::2]:1\nalternate-server=192.0.2.1:3478\n"
      "tls-alternate-server=192.0.2.3\nudp-alternate-server=192.0.2.4:7\ntcp-alternate-server=two.test\n"
      "aux-server=127.0.0.1:5000\nudp-self-balance\n");
  EXPECT_THAT(c.alternate_servers, ElementsAre(*Address::parse("192.0.2.1:3478"), *Address::parse("[2001:db8::2]:1")));
  EXPECT_THAT(c.tls_alternate_servers, ElementsAre(*Address::parse("192.0.2.3:5349")));
  EXPECT_THAT(c.udp_alternate_servers, ElementsAre(*Address::parse("192.0.2.4:7")));
  EXPECT_THAT(c.tcp_alternate_servers,
              ElementsAre(*Address::parse("192.0.2.1:3478"), *Address::parse("[2001:db8::1]:3478")));
  EXPECT_TRUE(c.udp_self_balance);
  EXPECT_THAT(errors_of(kSecretLines + std::string("alternate-server=none.test\n")),
              ElementsAre("test.conf:3: alternate-server=none.test: cannot resolve none.test"));
}

TEST_F(Fields, OfLimits) {
  const Config c = with(
      "max-tcp-connections=3\nmax-allocate-timeout=4\nmax-connections=5\nmax-connections-per-ip=6\nmax-half-open=7\n"
      "max-dtls-handshakes=8\nstream-queue=20000\nbandwidth-burst=500\nmobility\nserver-relay\n");
  EXPECT_EQ(c.max_tcp_connections, 3U);
  EXPECT_EQ(c.max_allocate_timeout, std::chrono::seconds(4));
  EXPECT_EQ(c.max_connections, 5U);
  EXPECT_EQ(c.max_connections_per_ip, 6U);
  EXPECT_EQ(c.max_half_open, 7U);
  EXPECT_EQ(c.max_dtls_handshakes, 8U);
  EXPECT_EQ(c.stream_queue, 20000U);
  EXPECT_EQ(c.bandwidth_burst, std::chrono::milliseconds(500));
  EXPECT_TRUE(c.mobility && c.server_relay);
}

TEST_F(Fields, OfRealms) {
  const Config c = with(
      "origin-realm=https://Meet.example:443/x=meet\norigin-realm=https://meet.example=other\n"
      "realm-user=meet:bob:secretive\nrealm-user=meet:bob:again\nuser=bob:default\n"
      "realm-option=meet:max-bps=5\nrealm-option=meet:total-quota=6\nrealm-option=other:user-quota=7\n"
      "check-origin-consistency\nsecure-stun\nserver-name=turn.example\n");
  EXPECT_THAT(c.origin_realms, ElementsAre(Pair("https://meet.example", "other")));
  EXPECT_THAT(c.users, ElementsAre(StaticUser{"bob", "again", "meet"}, StaticUser{"bob", "default", "example.org"}));
  EXPECT_EQ(c.realm_limits.at("meet"), (RealmLimits{5, 6, std::nullopt}));
  EXPECT_EQ(c.realm_limits.at("other"), (RealmLimits{std::nullopt, std::nullopt, 7}));
  EXPECT_TRUE(c.check_origin_consistency && c.secure_stun);
  EXPECT_EQ(c.server_name, "turn.example");
}

TEST_F(Fields, OfAnswers) {
  const Config c = with("include-reason-string\nstun-backward-compatibility\nrfc3489-compatibility\nprod=off\n");
  EXPECT_TRUE(c.include_reason_string && c.stun_backward_compatibility && c.rfc3489_compatibility &&
              c.software_attribute);
  const Config d = with("rfc5780\nno-rfc5780\nstun-backward-compatibility\nno-stun-backward-compatibility\n");
  EXPECT_FALSE(d.rfc5780 || d.stun_backward_compatibility || d.software_attribute);
}

TEST_F(Fields, OfLogAndProcess) {
  const Config c = with(
      "log-format=json\nnew-log-timestamp\nlog-anonymize\nlog-binding\ndrain-min-allocations=2\ndrain-timeout=30\n");
  EXPECT_EQ(c.log_format, LogFormat::kJson);
  EXPECT_TRUE(c.new_log_timestamp && c.log_anonymize && c.log_binding);
  EXPECT_EQ(c.drain_min_allocations, 2U);
  EXPECT_EQ(c.drain_timeout, std::chrono::seconds(30));
  EXPECT_EQ(with("log-format=coturn\n").log_format, LogFormat::kCoturn);
  EXPECT_EQ(with("log-format=coturn-4.6\n").log_format, LogFormat::kCoturn46);
  EXPECT_EQ(with("log-format=coturn-4.5\n").log_format, LogFormat::kCoturn45);
  EXPECT_EQ(config_of(kSecretLines).log_format, LogFormat::kNative);
}

TEST_F(Fields, TakeNoWrongValue) {
  for (const std::string wrong : {"listening-port=x",
                                  "alt-listening-port=-1",
                                  "aux-server=127.0.0.1",
                                  "aux-server=127.0.0.1:0",
                                  "aux-server=x:1",
                                  "alternate-server=:1",
                                  "max-tcp-connections=0",
                                  "max-half-open=0",
                                  "max-dtls-handshakes=0",
                                  "stream-queue=100",
                                  "stream-queue=100000000",
                                  "bandwidth-burst=0",
                                  "bandwidth-burst=20000",
                                  "max-allocate-timeout=0",
                                  "max-connections=4294967296",
                                  "unauthorized-ratelimit-rps=0",
                                  "origin-realm=x",
                                  "realm-user=x",
                                  "realm-option=x",
                                  "oauth-key=x",
                                  "log-format=xml",
                                  "drain-timeout=x",
                                  "drain-min-allocations=-1",
                                  "mobility=maybe"}) {
    EXPECT_THAT(errors_of(kSecretLines + wrong + "\n"), ElementsAre(StartsWith("test.conf:3: "))) << wrong;
  }
}

// What Config starts from is what the table says.
TEST_F(Fields, DefaultsAreThoseOfTheTable) {
  const Config c = config_of(kSecretLines);
  const std::pair<const char*, std::uint64_t> numbers[] = {
      {"listening-port", c.listening_port},
      {"tls-listening-port", c.tls_listening_port},
      {"sock-buf-size", static_cast<std::uint64_t>(c.sock_buf_size)},
      {"min-port", c.min_port},
      {"max-port", c.max_port},
      {"max-allocate-lifetime", static_cast<std::uint64_t>(c.max_allocate_lifetime.count())},
      {"channel-lifetime", static_cast<std::uint64_t>(c.channel_lifetime.count())},
      {"permission-lifetime", static_cast<std::uint64_t>(c.permission_lifetime.count())},
      {"max-permissions", c.max_permissions},
      {"max-channels", c.max_channels},
      {"max-tcp-connections", c.max_tcp_connections},
      {"max-allocate-timeout", static_cast<std::uint64_t>(c.max_allocate_timeout.count())},
      {"max-connections", c.max_connections},
      {"max-connections-per-ip", c.max_connections_per_ip},
      {"max-half-open", c.max_half_open},
      {"max-dtls-handshakes", c.max_dtls_handshakes},
      {"stream-queue", c.stream_queue},
      {"user-quota", c.user_quota},
      {"total-quota", c.total_quota},
      {"max-bps", c.max_bps},
      {"bps-capacity", c.bps_capacity},
      {"bandwidth-burst", static_cast<std::uint64_t>(c.bandwidth_burst.count())},
      {"stale-nonce", static_cast<std::uint64_t>(c.nonce_lifetime.count())},
      {"drain-min-allocations", c.drain_min_allocations},
      {"drain-timeout", static_cast<std::uint64_t>(c.drain_timeout.count())},
  };
  for (const auto& [name, value] : numbers) {
    const Option* option = find_option(name);
    ASSERT_NE(option, nullptr) << name;
    EXPECT_EQ(option->default_text, std::to_string(value)) << name;
  }
  EXPECT_EQ(c.alt_listening_port, c.listening_port + 1);
  EXPECT_EQ(c.alt_tls_listening_port, c.tls_listening_port + 1);
}

}  // namespace
}  // namespace turnkit::turnd
