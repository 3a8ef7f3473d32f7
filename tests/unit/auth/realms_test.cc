// Realms by ORIGIN, and advice about keys.
#include "auth/realms.h"

#include <gtest/gtest.h>

#include "tests/unit/auth/request.h"

namespace turnkit::auth {
namespace {

using testing::Attr;
using testing::Request;

TEST(CanonicalOrigin, IsComparedAsBrowsersDo) {
  EXPECT_EQ(canonical_origin("https://example.org"), "https://example.org");
  EXPECT_EQ(canonical_origin("HTTPS://Example.ORG"), "https://example.org");
  EXPECT_EQ(canonical_origin("https://example.org:443/path?query#part"), "https://example.org");
  EXPECT_EQ(canonical_origin("http://example.org:443"), "http://example.org:443");
  EXPECT_EQ(canonical_origin("http://example.org:80"), "http://example.org");
  EXPECT_EQ(canonical_origin("https://example.org:"), "https://example.org");
  EXPECT_EQ(canonical_origin("https://user@example.org:8443"), "https://example.org:8443");
  EXPECT_EQ(canonical_origin("https://[2001:DB8::1]"), "https://[2001:db8::1]");
  EXPECT_EQ(canonical_origin("https://[2001:db8::1]:443"), "https://[2001:db8::1]");
  EXPECT_EQ(canonical_origin("https://[2001:db8::1]:444"), "https://[2001:db8::1]:444");
  EXPECT_EQ(canonical_origin("turns:example.org"), "turns:example.org") << "no origin of the web: as it is";
  EXPECT_EQ(canonical_origin("null"), "null");
  EXPECT_EQ(canonical_origin(""), "");
  EXPECT_EQ(canonical_origin("https://"), "https://");
  EXPECT_EQ(canonical_origin("://x"), "://x");
}

class RealmTableTest : public ::testing::Test {
 protected:
  RealmTable table_{"example.org", {{"https://A.example.com:443", "a"}, {"https://b.example.com", "b"}}};

  std::string realm_of(std::initializer_list<std::string_view> origins, std::string_view claimed = {}) {
    Request request;
    for (const std::string_view origin : origins) request->text(Attr::kOrigin, origin);
    if (!claimed.empty()) request->text(Attr::kRealm, claimed);
    return table_.realm_of(request.message());
  }
};

TEST_F(RealmTableTest, OriginDecides) {
  EXPECT_EQ(realm_of({}), "example.org");
  EXPECT_EQ(realm_of({"https://a.example.com"}), "a");
  EXPECT_EQ(realm_of({"https://other.example.com", "https://b.example.com"}), "b") << "the first that has a realm";
  EXPECT_EQ(realm_of({"https://b.example.com", "https://a.example.com"}), "b");
  EXPECT_EQ(realm_of({"https://a.example.com"}, "b"), "a") << "not what the client claims";
  EXPECT_EQ(realm_of({"https://c.example.com"}, "b"), "example.org");
  EXPECT_EQ(realm_of({"", "https://a.example.com"}), "a");
}

TEST_F(RealmTableTest, WithoutOriginAKnownRealmSpeaksForItself) {
  EXPECT_EQ(realm_of({}, "a"), "a");
  EXPECT_EQ(realm_of({}, "\"b\""), "b");
  EXPECT_EQ(realm_of({}, "c"), "example.org");
  EXPECT_EQ(realm_of({}, "example.org"), "example.org");
}

TEST_F(RealmTableTest, HugeOriginsCountAsNone) {
  const std::string huge = "https://" + std::string(kMaxOriginBytes, 'a');
  Request request;
  request->text(Attr::kOrigin, huge);
  const auto message = request.message();
  EXPECT_EQ(table_.origin_of(message), "");
  EXPECT_FALSE(has_origin(message, huge));
}

TEST(Origin, IsKeptInItsCanonicalForm) {
  Request request;
  request->text(Attr::kOrigin, "HTTPS://Example.org/").text(Attr::kOrigin, "https://second.example.org");
  const auto message = request.message();
  EXPECT_EQ(RealmTable("r").origin_of(message), "https://second.example.org") << "the last";
  EXPECT_EQ(RealmTable("r", {{"https://example.org", "e"}}).origin_of(message), "https://example.org");
  EXPECT_TRUE(has_origin(message, "https://example.org"));
  EXPECT_TRUE(has_origin(message, "https://second.example.org"));
  EXPECT_FALSE(has_origin(message, "https://third.example.org"));
  EXPECT_FALSE(has_origin(message, ""));
  Request none;
  const auto plain = none.message();
  EXPECT_EQ(RealmTable("r").origin_of(plain), "");
  EXPECT_TRUE(has_origin(plain, ""));
}

TEST(StaticUsersAdvice, TellsWhoCannotLogIn) {
  StaticUsers users;
  EXPECT_FALSE(users.advice());
  ASSERT_TRUE(users.add("alice", "example.org", "password"));
  ASSERT_TRUE(users.add("carol", "example.org", "0x" + std::string(64, 'a')));
  EXPECT_FALSE(users.advice()) << "all have SHA-256 keys";
  ASSERT_TRUE(users.add("bob", "example.org", "0x" + std::string(32, 'a')));
  ASSERT_TRUE(users.advice());
  EXPECT_NE(users.advice()->find("user bob has an MD5 key only"), std::string::npos) << *users.advice();
  EXPECT_NE(users.advice()->find("user carol has a SHA-256 key only and cannot log in"), std::string::npos);
}

}  // namespace
}  // namespace turnkit::auth
