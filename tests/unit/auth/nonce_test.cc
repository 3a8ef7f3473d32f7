// Nonces: layout, binding to the client, lifetime, skew, keys of a fleet, and the nonce cookie of RFC 8489,
// section 9.2.
#include "auth/nonce.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/auth/request.h"

namespace turnkit::auth {
namespace {

using std::chrono::seconds;
using testing::kClient;
using testing::kNow;
using testing::text;
using Verdict = NonceKey::Verdict;

constexpr SecurityFeatures kBoth{.password_algorithms = true, .username_anonymity = true};
constexpr seconds kLifetime{600};

NonceKey fleet_key() { return NonceKey::from_shared_secret("fleet"); }

TEST(Nonce, StartsWithTheCookieOfItsFeatures) {
  const NonceKey key = fleet_key();
  EXPECT_TRUE(text(key.issue({}, kClient, kNow)).starts_with("obMatJos2AAAA"));
  EXPECT_TRUE(text(key.issue({.password_algorithms = true}, kClient, kNow)).starts_with("obMatJos2gAAA"));
  EXPECT_TRUE(text(key.issue({.username_anonymity = true}, kClient, kNow)).starts_with("obMatJos2QAAA"));
  EXPECT_TRUE(text(key.issue(kBoth, kClient, kNow)).starts_with("obMatJos2wAAA"));
}

TEST(Nonce, FeaturesComeBackFromTheText) {
  for (const bool algorithms : {false, true}) {
    for (const bool anonymity : {false, true}) {
      const SecurityFeatures in{.password_algorithms = algorithms, .username_anonymity = anonymity};
      const SecurityFeatures out = features_of(text(fleet_key().issue(in, kClient, kNow)));
      EXPECT_EQ(out.password_algorithms, algorithms);
      EXPECT_EQ(out.username_anonymity, anonymity);
    }
  }
}

TEST(Nonce, FeaturesIgnoreUnassignedBits) {
  // The nonce of RFC 8489, appendix B.1: bits 00 00 02.
  const SecurityFeatures rfc = features_of("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
  EXPECT_FALSE(rfc.password_algorithms);
  EXPECT_FALSE(rfc.username_anonymity);
  const SecurityFeatures all = features_of("obMatJos2////");
  EXPECT_TRUE(all.password_algorithms);
  EXPECT_TRUE(all.username_anonymity);
}

TEST(Nonce, FeaturesOfANonceWithoutCookieAreNone) {
  for (const std::string_view nonce : {"", "obMatJos2", "obMatJos2wAA", "ObMatJos2wAAA", "obMatJos2w*AA",
                                       "obMatJos2wA==", "f//499k954d6OL34oL9FSTvy64sA"}) {
    EXPECT_FALSE(features_of(nonce).password_algorithms) << nonce;
    EXPECT_FALSE(features_of(nonce).username_anonymity) << nonce;
  }
}

TEST(Nonce, IsFreshForItsClientUntilItsLifetimeEnds) {
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, kNow));
  EXPECT_EQ(key.check(nonce, kClient, kNow, kLifetime), Verdict::kFresh);
  EXPECT_EQ(key.check(nonce, kClient, kNow + kLifetime, kLifetime), Verdict::kFresh);
  EXPECT_EQ(key.check(nonce, kClient, kNow + kLifetime + seconds(1), kLifetime), Verdict::kExpired);
}

TEST(Nonce, LifetimeZeroNeverExpires) {
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, kNow));
  EXPECT_EQ(key.check(nonce, kClient, kNow + std::chrono::years(3), seconds(0)), Verdict::kFresh);
}

TEST(Nonce, ToleratesFiveSecondsOfSkew) {
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, kNow));
  EXPECT_EQ(key.check(nonce, kClient, kNow - seconds(5), kLifetime), Verdict::kFresh);
  EXPECT_EQ(key.check(nonce, kClient, kNow - seconds(6), kLifetime), Verdict::kExpired);
}

TEST(Nonce, SurvivesTheWrapOf32BitTime) {
  const WallTime before{seconds((std::int64_t{1} << 32) - 10)};
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, before));
  EXPECT_EQ(key.check(nonce, kClient, before + seconds(20), kLifetime), Verdict::kFresh);
  EXPECT_EQ(key.check(nonce, kClient, before + seconds(601), kLifetime), Verdict::kExpired);
}

// RFC 8489, section 9.2: not the same nonce for two clients that differ in address or port.
TEST(Nonce, IsForeignToAnyOtherClient) {
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, kNow));
  Address other_port = kClient;
  ++other_port.port;
  const Address other_ip{IpAddress::v4(192, 0, 2, 8), kClient.port};
  const Address mapped{*IpAddress::parse("::ffff:192.0.2.7"), kClient.port};
  for (const Address& other : {other_port, other_ip, mapped}) {
    EXPECT_NE(text(key.issue(kBoth, other, kNow)), nonce);
    EXPECT_EQ(key.check(nonce, other, kNow, kLifetime), Verdict::kForeign);
  }
}

TEST(Nonce, OneTextGivesOneKeyOnEveryServerOfAFleet) {
  const std::string nonce = text(NonceKey::from_shared_secret("fleet").issue(kBoth, kClient, kNow));
  EXPECT_EQ(NonceKey::from_shared_secret("fleet").check(nonce, kClient, kNow, kLifetime), Verdict::kFresh);
  EXPECT_EQ(NonceKey::from_shared_secret("Fleet").check(nonce, kClient, kNow, kLifetime), Verdict::kForeign);
}

TEST(Nonce, RandomKeysDiffer) {
  SeededRandom random(1);
  const NonceKey first = NonceKey::random(random);
  const NonceKey second = NonceKey::random(random);
  const std::string nonce = text(first.issue(kBoth, kClient, kNow));
  EXPECT_EQ(first.check(nonce, kClient, kNow, kLifetime), Verdict::kFresh);
  EXPECT_EQ(second.check(nonce, kClient, kNow, kLifetime), Verdict::kForeign);
}

// Every one-character change makes it foreign, in the cookie too: the client's copy of the bits is bound by the MAC.
TEST(Nonce, AnyAlteredCharacterMakesItForeign) {
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, kNow));
  ASSERT_EQ(nonce.size(), kNonceSize);
  for (std::size_t i = 0; i < nonce.size(); ++i) {
    for (int c = 0; c < 256; ++c) {
      std::string altered = nonce;
      altered[i] = static_cast<char>(c);
      if (altered == nonce) continue;
      ASSERT_EQ(key.check(altered, kClient, kNow, kLifetime), Verdict::kForeign) << i << " " << c;
    }
  }
}

TEST(Nonce, NEG_058_AnyOtherLengthIsForeign) {
  const NonceKey key = fleet_key();
  const std::string nonce = text(key.issue(kBoth, kClient, kNow));
  for (std::size_t size = 0; size < nonce.size(); ++size) {
    EXPECT_EQ(key.check(nonce.substr(0, size), kClient, kNow, kLifetime), Verdict::kForeign) << size;
  }
  EXPECT_EQ(key.check(nonce + "A", kClient, kNow, kLifetime), Verdict::kForeign);
  EXPECT_EQ(key.check(nonce + std::string(100, 'A'), kClient, kNow, kLifetime), Verdict::kForeign);
  EXPECT_EQ(key.check(std::string(60'000, 'A'), kClient, kNow, kLifetime), Verdict::kForeign);
}

}  // namespace
}  // namespace turnkit::auth
