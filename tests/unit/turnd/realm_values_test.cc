// Values about realms, tokens and other servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/realms.h"
#include "turnd/options/values.h"

namespace turnkit::turnd {
namespace {

TEST(ParseOAuthKey, TakesCoturnsTestKeys) {
  // base64 of 33 bytes: coturn cuts them to the 32 of the algorithm.
  const Result<auth::OAuthKey> north =
      parse_oauth_key("north:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK:A256GCM:crinna.org");
  ASSERT_TRUE(north) << north.error().text;
  EXPECT_EQ(north->kid, "north");
  EXPECT_EQ(north->key.size(), 32U);
  EXPECT_EQ(north->key.front(), std::byte{'0'});
  EXPECT_EQ(north->key.back(), std::byte{'1'});
  EXPECT_EQ(north->algorithm, auth::TokenAlgorithm::kA256Gcm);
  EXPECT_EQ(north->realm, "crinna.org");
  const Result<auth::OAuthKey> all = parse_oauth_key("union:MTIzNDU2Nzg5MDEyMzQ1Ngo=:A128GCM::1700000000:3600");
  ASSERT_TRUE(all) << all.error().text;
  EXPECT_EQ(all->key.size(), 16U);
  EXPECT_EQ(all->algorithm, auth::TokenAlgorithm::kA128Gcm);
  EXPECT_EQ(all->realm, "");
  EXPECT_EQ(all->from, WallTime(std::chrono::seconds(1700000000)));
  EXPECT_EQ(all->lifetime, std::chrono::seconds(3600));
}

TEST(ParseOAuthKey, NeverShowsTheKey) {
  for (const char* text :
       {"", "kid", ":MTIzNDU2Nzg5MDEyMzQ1Ngo=", "kid:MTIz", "kid:*not base64*",
        "kid:MTIzNDU2Nzg5MDEyMzQ1Ngo=", "kid:MTIzNDU2Nzg5MDEyMzQ1Ngo=:A192GCM",
        "kid:MTIzNDU2Nzg5MDEyMzQ1Ngo=:A128GCM:r:soon", "kid:MTIzNDU2Nzg5MDEyMzQ1Ngo=:A128GCM:r:1:1:1"}) {
    const Result<auth::OAuthKey> key = parse_oauth_key(text);
    ASSERT_FALSE(key) << text;
    EXPECT_EQ(key.error().text.find("MTI"), std::string::npos) << key.error().text;
    EXPECT_EQ(key.error().text.find("not base64"), std::string::npos) << key.error().text;
  }
}

TEST(CanonicalOrigin, IgnoresWhatDoesNotCount) {
  const std::pair<const char*, const char*> cases[] = {
      {"https://Meet.Example.ORG", "https://meet.example.org"},
      {"HTTPS://meet.example.org:443/room?x", "https://meet.example.org"},
      {"https://meet.example.org:8443/", "https://meet.example.org:8443"},
      {"http://meet.example.org:80", "http://meet.example.org"},
      {"https://user@meet.example.org/", "https://meet.example.org"},
      {"https://[2001:DB8::1]:443/", "https://[2001:db8::1]"},
      {"plain", "plain"},
      {"://x", "://x"},
      {"https:///", "https:///"},
  };
  for (const auto& [text, canonical] : cases) EXPECT_EQ(auth::canonical_origin(text), canonical) << text;
}

TEST(ParseOriginRealm, SplitsAtTheLastEqualsSign) {
  const auto pair = parse_origin_realm("https://A.example/?q=1=example.org");
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->first, "https://a.example");
  EXPECT_EQ(pair->second, "example.org");
  for (const char* text : {"", "https://a.example", "=realm", "https://a.example=", "https://a=b\x01"}) {
    EXPECT_FALSE(parse_origin_realm(text)) << text;
  }
}

TEST(ParseRealmUser, HasThreeParts) {
  const Result<StaticUser> user = parse_realm_user("example.org:alice:pass:word");
  ASSERT_TRUE(user);
  EXPECT_EQ(*user, (StaticUser{"alice", "pass:word", "example.org"}));
  EXPECT_TRUE(parse_realm_user("r:a:0xbc807ee29df3c9ffa736523fb2c4e8ee"));
  for (const char* text : {"", "r", "r:a", ":a:p", "r::p", "r:a:", "r:a:0x12"}) {
    const Result<StaticUser> wrong = parse_realm_user(text);
    EXPECT_FALSE(wrong) << text;
  }
}

TEST(ParseRealmOption, KnowsThreeLimits) {
  const Result<RealmOption> option = parse_realm_option("a:b:max-bps=10000000000");
  ASSERT_TRUE(option);
  EXPECT_EQ(option->realm, "a:b");
  EXPECT_EQ(option->name, "max-bps");
  EXPECT_EQ(option->value, 10000000000U);
  EXPECT_TRUE(parse_realm_option("r:total-quota=5"));
  EXPECT_TRUE(parse_realm_option("r:user-quota=0"));
  for (const char* text : {"", "r", "r:max-bps", "r:max-bps=", "r:max-bps=x", "r:other=1", ":max-bps=1", "max-bps=1",
                           "r:user-quota=10000000000"}) {
    EXPECT_FALSE(parse_realm_option(text)) << text;
  }
}

TEST(ParseEndpoint, TakesAddressesAndNames) {
  Environment environment;
  environment.resolve = [](const std::string& host) -> Result<std::vector<IpAddress>> {
    if (host != "two.test") return Error{"cannot resolve " + host};
    return std::vector<IpAddress>{IpAddress::v4(192, 0, 2, 1), *IpAddress::parse("2001:db8::1")};
  };
  const auto all = [&](std::string_view text, std::uint16_t port = 0) {
    const Result<std::vector<Address>> addresses = parse_endpoint(text, environment, port);
    if (!addresses) return "error: " + addresses.error().text;
    std::string out;
    for (const Address& address : *addresses) out += (out.empty() ? "" : " ") + address.to_string();
    return out;
  };
  EXPECT_EQ(all("192.0.2.1:80"), "192.0.2.1:80");
  EXPECT_EQ(all("192.0.2.1", 3478), "192.0.2.1:3478");
  EXPECT_EQ(all("2001:db8::1", 3478), "[2001:db8::1]:3478");
  EXPECT_EQ(all("[2001:db8::1]:5", 3478), "[2001:db8::1]:5");
  EXPECT_EQ(all("two.test:8080"), "192.0.2.1:8080 [2001:db8::1]:8080");
  EXPECT_EQ(all("two.test", 3478), "192.0.2.1:3478 [2001:db8::1]:3478");
  EXPECT_EQ(all("none.test", 3478), "error: cannot resolve none.test");
  for (const char* text : {"", "192.0.2.1", "192.0.2.1:0", "0.0.0.0:80", ":80", "a b:80", "two.test:99999",
                           "two.test:", "two.test", "1.2.3:4"}) {
    EXPECT_TRUE(all(text).starts_with("error: expected")) << text << ": " << all(text);
  }
}

TEST(ParseServerName, IsLowerCase) {
  EXPECT_EQ(*parse_server_name("TURN.Example.org."), "turn.example.org");
  EXPECT_EQ(*parse_server_name("*.Example.org"), "*.example.org");
  for (const char* text : {"", "*", "*.", "10.0.0.1", "a b", "a/b", "[::1]"})
    EXPECT_FALSE(parse_server_name(text)) << text;
}

}  // namespace
}  // namespace turnkit::turnd
