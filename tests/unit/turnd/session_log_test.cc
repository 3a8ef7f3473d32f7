// SessionLog: the lines that scripts and fail2ban rules made for coturn read, in each shape of the log.
#include "turnd/session_log.h"

#include <regex>

#include "base/log.h"
#include "stun/builder.h"
#include "tests/unit/turnd/turnd_test_support.h"
#include "turnd/engine/allocation.h"
#include "turnd/running.h"

namespace turnkit::turnd {
namespace {

using engine::Event;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

class SecurePath final : public engine::ClientPath {
 public:
  [[nodiscard]] std::string protection() const override { return "TLSv1.3 TLS_AES_256_GCM_SHA384"; }
};

class SessionLogTest : public ::testing::Test {
 protected:
  SessionLogTest() {
    allocation_.tuple = {*Address::parse("198.51.100.7:4242"), *Address::parse("203.0.113.1:3478"),
                         engine::Transport::kUdp};
    allocation_.session_id = 1'000'000'000'000'017;
    allocation_.identity.user = "alice";
    allocation_.identity.realm = "r.example";
    allocation_.client_usage = {1, 2, 3, 4};
    allocation_.peer_usage = {5, 6, 7, 8};
  }
  ~SessionLogTest() override { (void)log::configure({.level = log::Level::kOff, .to_stdout = false}); }

  void start(LogFormat format, int verbosity = 1, bool anonymize = false) {
    Config config;
    config.log_format = format;
    config.log_anonymize = anonymize;
    config.log.to_stdout = false;
    config.log.file = path_;
    config.log.level = log::Level::kDebug;
    ASSERT_TRUE(log::configure(log_config(config)));
    log_ = std::make_unique<SessionLog>(
        SessionLog::Rules{verbosity, format, verbosity > 5, std::make_shared<const PeerPolicy>(), authenticator_});
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }
  void event(Event::Kind kind, std::string_view reason = {}) {
    log_->on_event({kind, allocation_, *Address::parse("192.0.2.9:5000"), 0x4001, std::chrono::seconds(600), reason});
  }
  // A request of nobody: `user` may be empty. With a `user` it has the nonce that `nonce_for` got.
  void stranger(std::optional<stun::Code> error, const std::string& user, stun::Method method = stun::Method::kAllocate,
                std::string_view nonce_for = "198.51.100.7:4242") {
    std::array<std::byte, 512> buffer{};
    stun::Builder builder(buffer, stun::Class::kRequest, method, stun::TransactionId{});
    if (!user.empty()) {
      builder.text(stun::Attr::kUsername, user);
      const auth::NonceText nonce = nonce_key_.issue({}, *Address::parse(nonce_for), read_clock().wall);
      builder.text(stun::Attr::kNonce, {nonce.data(), nonce.size()});
    }
    const auto message = stun::MessageView::parse(*builder.finish());
    ASSERT_TRUE(message);
    log_->on_request({allocation_.tuple, nullptr, method, error, &*message});
  }

  auth::StaticUsers users_;
  auth::NonceKey nonce_key_ = auth::NonceKey::from_shared_secret("secret");
  std::shared_ptr<const auth::Authenticator> authenticator_ =
      std::make_shared<const auth::Authenticator>(auth::AuthConfig{"default.example"}, users_, nonce_key_);
  TempDir directory_;
  std::string path_ = directory_.path() + "/turnd.log";
  engine::Allocation allocation_;
  std::unique_ptr<SessionLog> log_;
};

TEST_F(SessionLogTest, LinesOfASessionAsCoturn46WritesThem) {
  start(LogFormat::kCoturn46);
  event(Event::Kind::kAllocationCreated);
  event(Event::Kind::kAllocationRefreshed);
  event(Event::Kind::kPermissionAdded);
  event(Event::Kind::kChannelBound);
  log_->on_request({allocation_.tuple, &allocation_, stun::Method::kChannelBind, std::nullopt, nullptr});
  log_->on_request({allocation_.tuple, &allocation_, stun::Method::kCreatePermission, stun::Code::kForbidden, nullptr});
  event(Event::Kind::kAllocationDeleted, "deleted by the client");
  event(Event::Kind::kPermissionRemoved);
  const std::vector<std::string> all = lines();
  const std::vector<std::string> expected = {
      "session 001000000000000017: new, realm=<r.example>, username=<alice>, lifetime=600",
      "session 001000000000000017: refreshed, realm=<r.example>, username=<alice>, lifetime=600",
      "session 001000000000000017: peer 192.0.2.9 lifetime updated: 600",
      "session 001000000000000017: peer 192.0.2.9:5000 lifetime updated: 600",
      "session 001000000000000017: realm <r.example> user <alice>: incoming packet CHANNEL_BIND processed, success",
      "session 001000000000000017: realm <r.example> user <alice>: incoming packet CREATE_PERMISSION processed, "
      "error 403: Forbidden",
      "session 001000000000000017: usage: realm=<r.example>, username=<alice>, rp=1, rb=2, sp=3, sb=4",
      "session 001000000000000017: peer usage: realm=<r.example>, username=<alice>, rp=5, rb=6, sp=7, sb=8",
      "session 001000000000000017: closed (2nd stage), user <alice> realm <r.example> origin <>, local "
      "203.0.113.1:3478, remote 198.51.100.7:4242, reason: allocation timeout",
      "session 001000000000000017: delete: realm=<r.example>, username=<alice>",
      "session 001000000000000017: peer 192.0.2.9 deleted"};
  ASSERT_EQ(all.size(), expected.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t at = all[i].find("): INFO: ");
    ASSERT_NE(at, std::string::npos) << all[i];
    EXPECT_EQ(all[i].substr(at + 9), expected[i]);
  }
}

TEST_F(SessionLogTest, TlsSessionsSayHowTheyAreProtected) {
  SecurePath path;
  allocation_.path = &path;
  start(LogFormat::kCoturn);
  event(Event::Kind::kAllocationCreated);
  EXPECT_THAT(lines()[0], MatchesRegex(".* INFO session [0-9]{18}: new, realm=<r.example>, username=<alice>, "
                                       "lifetime=600, cipher=TLS_AES_256_GCM_SHA384, method=TLSv1\\.3"));
}

TEST_F(SessionLogTest, AnonymousSessionsAreOfTheDefaultRealm) {
  allocation_.identity = {};
  start(LogFormat::kCoturn);
  event(Event::Kind::kAllocationCreated);
  EXPECT_THAT(lines()[0], HasSubstr("new, realm=<default.example>, username=<>, lifetime=600"));
}

TEST_F(SessionLogTest, OriginIsInTheLastLine) {
  allocation_.identity.origin = "https://a.example";
  start(LogFormat::kNative);
  event(Event::Kind::kAllocationDeleted, "x");
  EXPECT_THAT(lines()[2], HasSubstr("realm <r.example> origin <https://a.example>, local"));
}

// Filters as coturn's users have them.
TEST_F(SessionLogTest, Fail2banFindsWrongPasswords) {
  const std::string address = "(198\\.51\\.100\\.7)";  // <HOST>, <ADDR>
  const std::regex unauthorized(
      "session \\d+: realm <[^>]*> user <[^>]+>: incoming packet message processed, error 401: Unauthorized");
  const std::regex closed(
      "session \\d+: closed \\(2nd stage\\), user <[^>]*> realm <[^>]*> origin <>, local "
      "[\\d.:]+, remote " +
      address + ":\\d+, reason: .*");
  const std::regex incorrect("check_stun_auth: user \\S+ credentials are incorrect");
  for (const LogFormat format : {LogFormat::kCoturn, LogFormat::kCoturn46, LogFormat::kCoturn45}) {
    std::filesystem::remove(path_);
    start(format);
    stranger(stun::Code::kUnauthenticated, "mallory");
    const std::vector<std::string> all = lines();
    ASSERT_EQ(all.size(), 3U);
    EXPECT_TRUE(std::regex_search(all[0], incorrect)) << all[0];
    EXPECT_TRUE(std::regex_search(all[1], unauthorized)) << all[1];
    EXPECT_TRUE(std::regex_search(all[2], closed)) << all[2];
    // Rules over several lines go by the session.
    const std::regex id("session (\\d{18}):");
    std::smatch first;
    std::smatch second;
    ASSERT_TRUE(std::regex_search(all[1], first, id) && std::regex_search(all[2], second, id));
    EXPECT_EQ(first[1], second[1]);
  }
  std::filesystem::remove(path_);
  start(LogFormat::kNative);
  stranger(stun::Code::kUnauthenticated, "mallory");
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_TRUE(std::regex_search(lines()[0], unauthorized));
  EXPECT_TRUE(std::regex_search(lines()[0], std::regex("error 401: Unauthorized, remote " + address + ":4242$")));
}

TEST_F(SessionLogTest, Fail2banFindsScanners) {
  start(LogFormat::kCoturn45);
  log_->on_useless_connection(allocation_.tuple, "Connection reset by peer");
  const std::vector<std::string> all = lines();
  ASSERT_EQ(all.size(), 2U);
  const std::regex reset(
      "^\\s*\\d+: : ERROR: session \\w+: [A-Z/]+ socket error: Connection reset by peer 198\\.51\\.100\\.7:\\d+");
  EXPECT_TRUE(std::regex_search(all[0], reset)) << all[0];
  const std::regex closed(
      "session \\w+: closed \\(2nd stage\\), user <> realm <.*> origin <>, local .*, remote "
      "198\\.51\\.100\\.7:\\d+, reason: ");
  EXPECT_TRUE(std::regex_search(all[1], closed)) << all[1];
  start(LogFormat::kNative);
  log_->on_useless_connection(allocation_.tuple, "closed before it said anything");
  EXPECT_EQ(lines().size(), 2U) << "only with -V";
}

// Whoever forges a source gets no nonce for it, and must not get its owner banned.
TEST_F(SessionLogTest, AForgedSourceIsNotHeldAgainstItsOwner) {
  for (const LogFormat format : {LogFormat::kCoturn, LogFormat::kCoturn46, LogFormat::kCoturn45, LogFormat::kNative}) {
    std::filesystem::remove(path_);
    start(format);
    stranger(stun::Code::kUnauthenticated, "mallory", stun::Method::kAllocate, "192.0.2.66:4242");
    EXPECT_THAT(lines(), Each(Not(HasSubstr("198.51.100.7"))));
  }
  std::filesystem::remove(path_);
  start(LogFormat::kNative, 2);
  stranger(stun::Code::kUnauthenticated, "mallory", stun::Method::kAllocate, "192.0.2.66:4242");
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], HasSubstr("error 401: Unauthorized, unproven source 198.51.100.7:4242"));
  allocation_.tuple.transport = engine::Transport::kTcp;
  stranger(stun::Code::kUnauthenticated, "mallory", stun::Method::kAllocate, "192.0.2.66:4242");
  EXPECT_THAT(lines()[1], HasSubstr("error 401: Unauthorized, remote 198.51.100.7:4242")) << "TCP proves it";
}

// Every honest client begins with a request without a name (RFC 8489, section 9.2.3.1): that must ban nobody.
TEST_F(SessionLogTest, AFirstRequestLooksHarmless) {
  start(LogFormat::kCoturn);
  stranger(stun::Code::kUnauthenticated, "");
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_THAT(lines()[0], AllOf(HasSubstr("user <>: incoming packet message processed, error 401: Unauthorized"),
                                Not(HasSubstr("198.51.100.7"))));
  start(LogFormat::kNative);
  stranger(stun::Code::kUnauthenticated, "");
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(SessionLogTest, JsonHasStableKeys) {
  start(LogFormat::kJson);
  event(Event::Kind::kAllocationCreated);
  event(Event::Kind::kAllocationDeleted, "allocation timeout");
  stranger(stun::Code::kUnauthenticated, "mal\"lory");
  const std::vector<std::string> all = lines();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_THAT(all[0], HasSubstr(R"("event":"new","session":"001000000000000017","user":"alice","realm":"r.example",)"
                                R"("client":"198.51.100.7:4242","server":"203.0.113.1:3478","lifetime":600)"));
  EXPECT_THAT(all[1],
              HasSubstr(R"("reason":"allocation timeout","client_received_packets":1,"client_received_bytes":2,)"
                        R"("client_sent_packets":3,"client_sent_bytes":4,"peer_received_packets":5)"));
  EXPECT_THAT(all[2], HasSubstr(R"("user":"mal\"lory","realm":"default.example","client":"198.51.100.7:4242")"));
  EXPECT_THAT(all[2], HasSubstr(R"("method":"Allocate","error":401)"));
}

TEST_F(SessionLogTest, AddressesAreCut) {
  start(LogFormat::kNative, 2, true);
  event(Event::Kind::kAllocationCreated);
  event(Event::Kind::kPermissionAdded);
  event(Event::Kind::kChannelBound);
  event(Event::Kind::kPeerDenied, "loopback");
  event(Event::Kind::kAllocationMoved);
  event(Event::Kind::kPeerConnected, "x");
  event(Event::Kind::kAllocationDeleted, "x");
  stranger(stun::Code::kUnauthenticated, "mallory");
  EXPECT_THAT(lines(), SizeIs(11));
  EXPECT_THAT(lines(), Each(Not(HasSubstr("198.51.100.7"))));
  EXPECT_THAT(lines(), Each(Not(HasSubstr("192.0.2.9"))));
}

TEST_F(SessionLogTest, QuietSaysOnlyWhatNeedsAttention) {
  start(LogFormat::kCoturn, 0);
  event(Event::Kind::kAllocationCreated);
  event(Event::Kind::kAllocationDeleted, "x");
  stranger(stun::Code::kUnauthenticated, "mallory");
  EXPECT_THAT(lines(), IsEmpty());
  event(Event::Kind::kPeerDenied, "by a rule");
  event(Event::Kind::kPeerDenied, "by a rule");
  EXPECT_THAT(lines(), SizeIs(1)) << "once for each peer";
}

TEST_F(SessionLogTest, BindingIsLoggedWhereThatIsAskedFor) {
  start(LogFormat::kCoturn, 1);
  stranger(std::nullopt, "", stun::Method::kBinding);
  EXPECT_THAT(lines(), IsEmpty());
  start(LogFormat::kCoturn, 6);
  stranger(std::nullopt, "", stun::Method::kBinding);
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], HasSubstr("realm <default.example> user <>: incoming packet BINDING processed, success"));
}

TEST_F(SessionLogTest, StrangersCannotFillTheDisk) {
  start(LogFormat::kCoturn);
  for (int i = 0; i < 20000; ++i) stranger(stun::Code::kUnauthenticated, "mallory");
  EXPECT_LT(lines().size(), 3000U);
}

TEST_F(SessionLogTest, NamesCannotForgeLines) {
  start(LogFormat::kNative);
  stranger(stun::Code::kUnauthenticated, "eve>\n2026 ERROR x");
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], HasSubstr("user <eve>\\x0a2026 ERROR x>"));
}

TEST_F(SessionLogTest, ReloadChangesWhatIsSaid) {
  start(LogFormat::kNative, 0);
  event(Event::Kind::kAllocationCreated);
  log_->set_rules({1, LogFormat::kNative, false, std::make_shared<const PeerPolicy>(), authenticator_});
  event(Event::Kind::kAllocationCreated);
  EXPECT_THAT(lines(), SizeIs(1));
}

}  // namespace
}  // namespace turnkit::turnd
