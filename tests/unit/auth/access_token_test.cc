// Access tokens: vectors made by coturn's turnutils_oauth 4.6, round trips, and everything that must not open.
#include "auth/access_token.h"

#include <gtest/gtest.h>

#include "tests/unit/auth/request.h"

namespace turnkit::auth {
namespace {

using testing::bytes_of_hex;

constexpr std::string_view kServer = "blackdow.carleon.gov";
constexpr std::string_view kNonce = "abcdefghijkl";

// The keys that coturn's test databases have, by their kids.
OAuthKey coturn_key(std::string_view kid) {
  OAuthKey key;
  key.kid = kid;
  key.algorithm = kid == "union" ? TokenAlgorithm::kA128Gcm : TokenAlgorithm::kA256Gcm;
  const std::string_view base64 = kid == "north"   ? "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK"
                                  : kid == "union" ? "MTIzNDU2Nzg5MDEyMzQ1Ngo="
                                                   : "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIK";
  key.key = *token_key_of(key.algorithm, *from_base64(base64));
  return key;
}

AccessToken token_of(std::string_view mac_key = "01234567890123456789") {
  AccessToken token;
  token.mac_key.assign(as_bytes(mac_key).begin(), as_bytes(mac_key).end());
  token.seconds = 1'800'000'000;
  token.lifetime = 3600;
  return token;
}

struct Vector {
  std::string_view kid;
  std::string_view mac_key;
  std::string_view base64;
};

// turnutils_oauth -e -i blackdow.carleon.gov -j KID -k KEY -n ALG -o abcdefghijkl -p MAC-KEY -q 117964800000000 -r 3600
constexpr Vector kVectors[] = {
    {"north", "01234567890123456789",
     "AAxhYmNkZWZnaGlqa2wnvQRTk3BZctAglNNZmjKuXUMuvNdst2PazTIfijIQtLiiTnpkcnq+0Y86ZLMNMJM1bg=="},
    {"union", "01234567890123456789",
     "AAxhYmNkZWZnaGlqa2ygDySdIJlaV55kcscqAkiOFcT8nlB3z0St0oLyf+Y9tjeyEGG8BAgDje5/0T1m2qb+Nw=="},
    {"oldempire", "01234567890123456789",
     "AAxhYmNkZWZnaGlqa2yfiU0nK1s+U7lIDlprbkKmLUc4DNzcf0BqbGSRdUN/leddDcYCvrhFJblyK1VIecn74w=="},
    {"north", "01234567890123456789012345678901",
     "AAxhYmNkZWZnaGlqa2wniQRTk3BZctAglNNZmjKuXUMuvNdsh1KDt9QqvAUojYaDcP293ig/VhRzPyNnuMlGNUlRyoiIgiCr7E3VAA=="}};

TEST(AccessToken, CoturnsTokensOpen) {
  for (const Vector& vector : kVectors) {
    const auto token = open_token(coturn_key(vector.kid), kServer, *from_base64(vector.base64));
    ASSERT_TRUE(token) << vector.kid;
    EXPECT_EQ(as_text(token->mac_key), vector.mac_key);
    EXPECT_EQ(token->seconds, 1'800'000'000U);
    EXPECT_EQ(token->fraction, 0U);
    EXPECT_EQ(token->lifetime, 3600U);
    EXPECT_EQ(token->ends(), WallTime(std::chrono::seconds(1'800'003'600)));
  }
}

TEST(AccessToken, SealingWritesWhatCoturnWrites) {
  for (const Vector& vector : kVectors) {
    const auto sealed = seal_token(coturn_key(vector.kid), kServer, token_of(vector.mac_key), as_bytes(kNonce));
    EXPECT_EQ(to_base64(sealed), vector.base64) << vector.kid;
  }
}

TEST(AccessToken, EveryChangedByteIsNoticed) {
  const auto sealed = seal_token(coturn_key("north"), kServer, token_of(), as_bytes(kNonce));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] ^= std::byte{0x80};
    EXPECT_FALSE(open_token(coturn_key("north"), kServer, changed)) << "byte " << i;
  }
}

TEST(AccessToken, EveryShorterOrLongerFormIsRefused) {
  const auto sealed = seal_token(coturn_key("north"), kServer, token_of(), as_bytes(kNonce));
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(open_token(coturn_key("north"), kServer, Bytes(sealed).first(size))) << size << " bytes";
  }
  auto longer = sealed;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(open_token(coturn_key("north"), kServer, longer));
  longer.resize(kMaxTokenBytes + 1);
  EXPECT_FALSE(open_token(coturn_key("north"), kServer, longer));
}

TEST(AccessToken, OtherKeysNamesAndAlgorithmsDoNotOpen) {
  const auto sealed = seal_token(coturn_key("north"), kServer, token_of(), as_bytes(kNonce));
  EXPECT_FALSE(open_token(coturn_key("oldempire"), kServer, sealed));
  EXPECT_FALSE(open_token(coturn_key("union"), kServer, sealed));
  EXPECT_FALSE(open_token(coturn_key("north"), "blackdow.carleon.go", sealed));
  EXPECT_FALSE(open_token(coturn_key("north"), "", sealed));
  OAuthKey short_key = coturn_key("north");
  short_key.key.pop_back();
  EXPECT_FALSE(open_token(short_key, kServer, sealed));
}

// What an authentic token may still say wrongly about its own parts.
TEST(AccessToken, AuthenticTokensWithWrongSizesAreRefused) {
  const OAuthKey key = coturn_key("north");
  AccessToken empty = token_of("");
  EXPECT_TRUE(open_token(key, kServer, seal_token(key, kServer, empty, as_bytes(kNonce))))
      << "the MAC decides about the size";
  AccessToken longest = token_of(std::string(kMaxMacKeyBytes, 'k'));
  EXPECT_TRUE(open_token(key, kServer, seal_token(key, kServer, longest, as_bytes(kNonce))));
  AccessToken too_long = token_of(std::string(kMaxMacKeyBytes + 1, 'k'));
  EXPECT_FALSE(open_token(key, kServer, seal_token(key, kServer, too_long, as_bytes(kNonce))));
  EXPECT_TRUE(seal_token(key, kServer, token_of(), as_bytes("short")).empty()) << "no GCM nonce";
}

TEST(AccessToken, TheLatestTimesDoNotOverflow) {
  AccessToken token = token_of();
  token.seconds = 0xFFFF'FFFF'FFFF;
  token.fraction = 0xFFFF;
  token.lifetime = 0xFFFF'FFFF;
  const OAuthKey key = coturn_key("union");
  const auto opened = open_token(key, kServer, seal_token(key, kServer, token, as_bytes(kNonce)));
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->seconds, token.seconds);
  EXPECT_EQ(opened->fraction, token.fraction);
  EXPECT_EQ(opened->ends().time_since_epoch().count(), 0xFFFF'FFFF'FFFF + std::int64_t{0xFFFF'FFFF});
}

TEST(OAuthKeys, FindsByKidAndRefusesWhatCannotWork) {
  OAuthKeys keys;
  EXPECT_TRUE(keys.empty());
  EXPECT_TRUE(keys.add(coturn_key("north")));
  EXPECT_TRUE(keys.add(coturn_key("union")));
  EXPECT_TRUE(keys.find("north"));
  EXPECT_FALSE(keys.find("North"));
  EXPECT_FALSE(keys.find(""));

  OAuthKey wrong = coturn_key("north");
  wrong.algorithm = TokenAlgorithm::kA128Gcm;
  const Status refused = keys.add(wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, "kid north: the key has 32 bytes; A128GCM needs 16");
  EXPECT_EQ(keys.find("north")->algorithm, TokenAlgorithm::kA256Gcm) << "the earlier one stays";
  EXPECT_FALSE(keys.add(OAuthKey{}));
}

TEST(OAuthKeys, MaterialIsCutAsCoturnCutsIt) {
  const auto material = *from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEK");
  ASSERT_EQ(material.size(), 33U);
  EXPECT_EQ(token_key_of(TokenAlgorithm::kA256Gcm, material)->size(), 32U);
  EXPECT_EQ(token_key_of(TokenAlgorithm::kA128Gcm, material)->size(), 16U);
  EXPECT_FALSE(token_key_of(TokenAlgorithm::kA128Gcm, Bytes(material).first(15)));
}

TEST(OAuthKeys, AKeyEndsWithItsLifetime) {
  OAuthKey key = coturn_key("north");
  const WallTime start{std::chrono::seconds(1000)};
  EXPECT_TRUE(key.is_valid(start)) << "0 is for ever";
  key.from = start;
  key.lifetime = std::chrono::seconds(10);
  EXPECT_TRUE(key.is_valid(start + std::chrono::seconds(9)));
  EXPECT_FALSE(key.is_valid(start + std::chrono::seconds(10)));
}

TEST(OAuthKeys, NamesOfAlgorithms) {
  EXPECT_EQ(parse_token_algorithm("A256GCM"), TokenAlgorithm::kA256Gcm);
  EXPECT_EQ(parse_token_algorithm("a128gcm"), TokenAlgorithm::kA128Gcm);
  EXPECT_EQ(parse_token_algorithm(""), TokenAlgorithm::kA256Gcm);
  EXPECT_FALSE(parse_token_algorithm("A256CBC"));
}

}  // namespace
}  // namespace turnkit::auth
