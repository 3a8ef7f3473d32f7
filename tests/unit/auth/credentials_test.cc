// Keys, user hashes, and the stores that need no database. REST-n are rows of the conformance list.
#include "auth/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/auth/request.h"

namespace turnkit::auth {
namespace {

using std::string_literals::operator""s;
using std::chrono::seconds;
using stun::PasswordAlgorithm;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kNow;
using testing::kRealm;
using ::testing::SizeIs;

// The user of RFC 5769, section 2.4, and RFC 8489, appendix B.1.
constexpr std::string_view kMatrix = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9";

std::vector<Candidate> found(const CredentialStore& store, std::string_view user, PasswordAlgorithm algorithm,
                             std::string_view realm = kRealm, WallTime now = kNow) {
  std::vector<Candidate> out;
  store.find(user, realm, algorithm, now, out);
  return out;
}
std::vector<std::string> found_keys(const CredentialStore& store, std::string_view user, PasswordAlgorithm algorithm,
                                    std::string_view realm = kRealm) {
  std::vector<std::string> out;
  for (const Candidate& c : found(store, user, algorithm, realm)) out.push_back(to_hex(c.key.bytes()));
  return out;
}

TEST(LongTermKey, KnownAnswers) {
  // RFC 8489, section 9.2.2, and the vectors of RFC 5769, section 2.4, and RFC 8489, appendix B.1.
  EXPECT_EQ(to_hex(long_term_key(PasswordAlgorithm::kMd5, "user", "realm", "pass").bytes()),
            "8493fbc53ba582fb4c044c456bdc40eb");
  EXPECT_EQ(to_hex(long_term_key(PasswordAlgorithm::kMd5, kMatrix, "example.org", "TheMatrIX").bytes()),
            "e8ca7ad59d5eb0518e312911d2dab2a9");
  EXPECT_EQ(to_hex(long_term_key(PasswordAlgorithm::kSha256, kMatrix, "example.org", "TheMatrIX").bytes()),
            "dd295a613b9058c3c23d6dc7165bda072304d989c9d0af3a8c7e184b4f9bb4a1");
}

TEST(LongTermKey, LeavesOutQuotesAndTrailingNuls) {
  const Key plain = long_term_key(PasswordAlgorithm::kMd5, "user", "realm", "pass");
  EXPECT_EQ(long_term_key(PasswordAlgorithm::kMd5, "\"user\"", "\"realm\"", "pass"), plain);
  EXPECT_EQ(long_term_key(PasswordAlgorithm::kMd5, "user\0\0"s, "realm\0"s, "pass"), plain);
  EXPECT_NE(long_term_key(PasswordAlgorithm::kMd5, "user", "realm", "\"pass\""), plain);
  EXPECT_EQ(bare_name("\""), "\"");
  EXPECT_EQ(bare_name("\"\""), "");
  EXPECT_EQ(bare_name("a\"b"), "a\"b");
}

TEST(Userhash, KnownAnswer) {
  EXPECT_EQ(to_hex(userhash(kMatrix, "example.org")),
            "4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704");
}

TEST(StaticUsers, APasswordGivesBothKeys) {
  StaticUsers users;
  EXPECT_TRUE(users.empty());
  ASSERT_TRUE(users.add(kMatrix, "example.org", "TheMatrIX"));
  EXPECT_FALSE(users.empty());
  EXPECT_THAT(found_keys(users, kMatrix, PasswordAlgorithm::kMd5), ElementsAre("e8ca7ad59d5eb0518e312911d2dab2a9"));
  EXPECT_THAT(found_keys(users, kMatrix, PasswordAlgorithm::kSha256),
              ElementsAre("dd295a613b9058c3c23d6dc7165bda072304d989c9d0af3a8c7e184b4f9bb4a1"));
  EXPECT_EQ(found(users, kMatrix, PasswordAlgorithm::kMd5).at(0).quota_name, kMatrix);
  EXPECT_TRUE(users.has_sha256_keys());
  EXPECT_TRUE(users.can_resolve_userhash());
}

TEST(StaticUsers, A0xTextIsOneKey) {
  StaticUsers users;
  ASSERT_TRUE(users.add("old", kRealm, "0x8493fbc53ba582fb4c044c456bdc40eb"));
  EXPECT_THAT(found_keys(users, "old", PasswordAlgorithm::kMd5), ElementsAre("8493fbc53ba582fb4c044c456bdc40eb"));
  EXPECT_THAT(found_keys(users, "old", PasswordAlgorithm::kSha256), IsEmpty());
  EXPECT_FALSE(users.has_sha256_keys());

  const std::string sha(64, 'a');
  ASSERT_TRUE(users.add("new", kRealm, "0x" + sha));
  EXPECT_THAT(found_keys(users, "new", PasswordAlgorithm::kSha256), ElementsAre(sha));
  EXPECT_THAT(found_keys(users, "new", PasswordAlgorithm::kMd5), IsEmpty());
  EXPECT_FALSE(users.has_sha256_keys());

  // The second key of a user joins the first.
  ASSERT_TRUE(users.add("old", kRealm, "0x" + sha));
  EXPECT_THAT(found_keys(users, "old", PasswordAlgorithm::kMd5), SizeIs(1));
  EXPECT_THAT(found_keys(users, "old", PasswordAlgorithm::kSha256), ElementsAre(sha));
  EXPECT_TRUE(users.has_sha256_keys());
}

TEST(StaticUsers, RefusesBrokenKeysAndNames) {
  StaticUsers users;
  EXPECT_FALSE(users.add("", kRealm, "password"));
  EXPECT_FALSE(users.add("\"\"", kRealm, "password"));
  EXPECT_FALSE(users.add("a\nb", kRealm, "password"));
  EXPECT_FALSE(users.add("caf\xE9", kRealm, "password"));
  for (const std::size_t digits : {0U, 1U, 31U, 33U, 40U, 63U, 65U}) {
    EXPECT_FALSE(users.add("alice", kRealm, "0x" + std::string(digits, 'a'))) << digits;
  }
  EXPECT_FALSE(users.add("alice", kRealm, "0x" + std::string(31, 'a') + "g"));
  EXPECT_TRUE(users.empty());
}

TEST(StaticUsers, AddingAgainReplaces) {
  StaticUsers users;
  ASSERT_TRUE(users.add("alice", kRealm, "first"));
  ASSERT_TRUE(users.add("alice", kRealm, "second"));
  const auto candidates = found(users, "alice", PasswordAlgorithm::kMd5);
  ASSERT_THAT(candidates, SizeIs(1));
  EXPECT_EQ(candidates[0].key, long_term_key(PasswordAlgorithm::kMd5, "alice", kRealm, "second"));
}

TEST(StaticUsers, FindsTheRightOneOfManyInEachRealm) {
  StaticUsers users;
  constexpr int kUsers = 500;
  for (int i = 0; i < kUsers; ++i) {
    const std::string number = std::to_string(i * 7919 % kUsers);  // not in order
    ASSERT_TRUE(users.add("user" + number, "east", "e" + number));
    ASSERT_TRUE(users.add("user" + number, "west", "w" + number));
  }
  for (int i = 0; i < kUsers; ++i) {
    const std::string number = std::to_string(i);
    const std::string user = "user" + number;
    const auto east = found(users, user, PasswordAlgorithm::kMd5, "east");
    const auto west = found(users, user, PasswordAlgorithm::kSha256, "west");
    ASSERT_THAT(east, SizeIs(1));
    ASSERT_THAT(west, SizeIs(1));
    EXPECT_EQ(east[0].key, long_term_key(PasswordAlgorithm::kMd5, user, "east", "e" + number));
    EXPECT_EQ(west[0].key, long_term_key(PasswordAlgorithm::kSha256, user, "west", "w" + number));
    EXPECT_EQ(users.user_of(userhash(user, "west"), "west"), user);
    EXPECT_EQ(users.user_of(userhash(user, "west"), "east"), std::nullopt);
  }
  EXPECT_THAT(found(users, "user500", PasswordAlgorithm::kMd5, "east"), IsEmpty());
  EXPECT_THAT(found(users, "user", PasswordAlgorithm::kMd5, "east"), IsEmpty());
  EXPECT_THAT(found(users, "user1", PasswordAlgorithm::kMd5, "north"), IsEmpty());
  EXPECT_EQ(users.user_of(userhash("nobody", "east"), "east"), std::nullopt);
}

TEST(StaticUsers, ComparesPreparedNames) {
  StaticUsers users;
  ASSERT_TRUE(users.add("Jose\u0301", kRealm, "p\u00E4ss"));
  const auto composed = found(users, "Jos\u00E9", PasswordAlgorithm::kMd5);
  const auto decomposed = found(users, "Jose\u0301", PasswordAlgorithm::kMd5);
  ASSERT_THAT(composed, SizeIs(1));
  ASSERT_THAT(decomposed, SizeIs(1));
  EXPECT_EQ(composed[0].key, long_term_key(PasswordAlgorithm::kMd5, "Jos\u00E9", kRealm, "p\u00E4ss"));
  EXPECT_EQ(decomposed[0].key, composed[0].key);
  EXPECT_EQ(users.user_of(userhash("Jos\u00E9", kRealm), kRealm), "Jos\u00E9");
  EXPECT_THAT(found(users, "Jos\xE9", PasswordAlgorithm::kMd5), IsEmpty());
  EXPECT_THAT(found(users, "", PasswordAlgorithm::kMd5), IsEmpty());
}

TEST(StaticUsers, PreparesPasswordsAndTakesThoseThatCannotBe) {
  StaticUsers users;
  ASSERT_TRUE(users.add("space", kRealm, "a\u00A0b"));
  ASSERT_TRUE(users.add("latin1", kRealm, "caf\xE9"));
  ASSERT_TRUE(users.add("none", kRealm, ""));
  const auto md5 = PasswordAlgorithm::kMd5;
  EXPECT_EQ(found(users, "space", md5).at(0).key, long_term_key(md5, "space", kRealm, "a b"));
  EXPECT_EQ(found(users, "latin1", md5).at(0).key, long_term_key(md5, "latin1", kRealm, "caf\xE9"));
  EXPECT_EQ(found(users, "none", md5).at(0).key, long_term_key(md5, "none", kRealm, ""));
}

TEST(RestName, REST_001_ReadsTheTimeAtEitherEnd) {
  const auto expect = [](std::string_view user, char separator, std::int64_t time, std::string_view id) {
    const auto name = parse_rest_name(user, separator);
    ASSERT_TRUE(name.has_value()) << user;
    EXPECT_EQ(name->expiry, WallTime(seconds(time))) << user;
    EXPECT_EQ(name->id, id) << user;
  };
  expect("1800000000", ':', 1800000000, "");
  expect("1800000000:alice", ':', 1800000000, "alice");
  expect("alice:1800000000", ':', 1800000000, "alice");
  expect("1800000000|alice:b", '|', 1800000000, "alice:b");
  expect("1800000000:a:b:c", ':', 1800000000, "a:b:c");
  expect("a:b:1800000000", ':', 1800000000, "a:b");
  expect("1800000000:1900000000", ':', 1800000000, "1900000000");
  expect("1800000000:", ':', 1800000000, "");
  expect(":1800000000", ':', 1800000000, "");
  expect("0", ':', 0, "");
  expect("9223372036854775807", ':', INT64_MAX, "");
}

TEST(RestName, REST_007_RefusesWhatIsNoPlainNumber) {
  for (const std::string& user : {""s,
                                  ":"s,
                                  "alice"s,
                                  "alice:bob"s,
                                  "-1"s,
                                  "-1:alice"s,
                                  "+1800000000"s,
                                  "+1800000000:alice"s,
                                  " 1800000000:a"s,
                                  "1800000000 :a"s,
                                  "1800000000\t"s,
                                  "1.8e9:a"s,
                                  "0x6b49d200:a"s,
                                  "1800000000s:a"s,
                                  "9223372036854775808"s,
                                  "18446744073709551616:a"s,
                                  "99999999999999999999999999:a"s,
                                  "1800000000\0:a"s,
                                  "alice:"s,
                                  "::"s,
                                  "a:-5"s,
                                  "\u0661\u0662\u0663:a"s}) {
    EXPECT_FALSE(parse_rest_name(user, ':').has_value()) << user;
    EXPECT_THAT(found(RestSecrets({"secret"}), user, PasswordAlgorithm::kMd5), IsEmpty()) << user;
  }
}

TEST(RestSecrets, REST_002_PasswordIsBase64OfHmacSha1) {
  // printf '1800000600:alice' | openssl dgst -sha1 -hmac north -binary | base64
  EXPECT_EQ(rest_password("north", "1800000600:alice"), "8ZET7dsUGGXZ8WEDxmkDf0cN13Y=");
}

TEST(RestSecrets, REST_003_DerivesTheLongTermKeyOfTheWholeName) {
  const RestSecrets secrets({"north"});
  const std::string user = "1800000600:alice";
  for (const auto algorithm : {PasswordAlgorithm::kMd5, PasswordAlgorithm::kSha256}) {
    const auto candidates = found(secrets, user, algorithm, "any.realm");
    ASSERT_THAT(candidates, SizeIs(1));
    EXPECT_EQ(candidates[0].key, long_term_key(algorithm, user, "any.realm", rest_password("north", user)));
  }
  EXPECT_TRUE(secrets.has_sha256_keys());
}

TEST(RestSecrets, REST_005_EverySecretIsACandidateInOrder) {
  const RestSecrets secrets({"new", "old"});
  const std::string user = "1800000600:alice";
  const auto candidates = found(secrets, user, PasswordAlgorithm::kMd5);
  ASSERT_THAT(candidates, SizeIs(2));
  EXPECT_EQ(candidates[0].key, long_term_key(PasswordAlgorithm::kMd5, user, kRealm, rest_password("new", user)));
  EXPECT_EQ(candidates[1].key, long_term_key(PasswordAlgorithm::kMd5, user, kRealm, rest_password("old", user)));
}

TEST(RestSecrets, REST_008_NoGrace) {
  const RestSecrets secrets({"secret"});
  const std::string user = std::to_string(kNow.time_since_epoch().count()) + ":alice";
  EXPECT_THAT(found(secrets, user, PasswordAlgorithm::kMd5, kRealm, kNow), SizeIs(1));
  EXPECT_THAT(found(secrets, user, PasswordAlgorithm::kMd5, kRealm, kNow + seconds(1)), IsEmpty());
}

TEST(RestSecrets, REST_009_CannotResolveUserhash) {
  const RestSecrets secrets({"secret"});
  EXPECT_FALSE(secrets.can_resolve_userhash());
  EXPECT_EQ(secrets.user_of(userhash("1800000600:alice", kRealm), kRealm), std::nullopt);
}

TEST(RestSecrets, REST_010_QuotaCountsTheIdNotTheTime) {
  const RestSecrets secrets({"secret"});
  const auto quota_name = [&](std::string_view user) {
    return found(secrets, user, PasswordAlgorithm::kMd5).at(0).quota_name;
  };
  EXPECT_EQ(quota_name("1800000600:alice"), "alice");
  EXPECT_EQ(quota_name("1900000000:alice"), "alice");
  EXPECT_EQ(quota_name("alice:1900000000"), "alice");
  EXPECT_EQ(quota_name("1900000000"), "1900000000");
  EXPECT_EQ(quota_name("1900000000:"), "1900000000:");
  EXPECT_EQ(found(RestSecrets({"s"}, '|'), "1900000000|alice:x", PasswordAlgorithm::kMd5).at(0).quota_name, "alice:x");
}

TEST(CombinedStore, AsksAllAndPromisesWhatAllCan) {
  StaticUsers users;
  ASSERT_TRUE(users.add("1900000000:alice", kRealm, "static"));
  StaticUsers old_users;
  ASSERT_TRUE(old_users.add("bob", kRealm, "0x8493fbc53ba582fb4c044c456bdc40eb"));
  const RestSecrets secrets({"secret"});

  const CombinedStore all({&users, &secrets, &old_users});
  EXPECT_THAT(found(all, "1900000000:alice", PasswordAlgorithm::kMd5), SizeIs(2));
  EXPECT_THAT(found(all, "bob", PasswordAlgorithm::kMd5), SizeIs(1));
  EXPECT_EQ(all.user_of(userhash("bob", kRealm), kRealm), "bob");
  EXPECT_FALSE(all.has_sha256_keys());
  EXPECT_FALSE(all.can_resolve_userhash());

  EXPECT_TRUE(CombinedStore({&users, &secrets}).has_sha256_keys());
  EXPECT_TRUE(CombinedStore({&users, &old_users}).can_resolve_userhash());
}

}  // namespace
}  // namespace turnkit::auth
