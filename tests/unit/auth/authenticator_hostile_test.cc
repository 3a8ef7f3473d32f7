// Malformed and hostile requests (NEG-n of the conformance list) and protection from bid-down, as the authenticator
// sees them.
#include "auth/authenticator.h"

#include "tests/unit/auth/request.h"

namespace turnkit::auth::testing {
namespace {

using std::string_literals::operator""s;

class HostileTest : public AuthenticatorTest {
 protected:
  // The verdict on alice's good request with one attribute put in front of, or in place of, another.
  std::optional<Code> error_with_user(Attr type, Bytes value) {
    Request request;
    request->raw(type, value).text(Attr::kRealm, kRealm).text(Attr::kNonce, nonce());
    request->integrity_sha1(md5_key().bytes());
    return check(request).error;
  }
  std::optional<Code> error_with_nonce(std::string_view text, std::string_view password = "wonder") {
    Request request;
    request->text(Attr::kUsername, "alice").text(Attr::kRealm, kRealm).text(Attr::kNonce, text);
    request->integrity_sha1(key_of(PasswordAlgorithm::kMd5, "alice", password).bytes());
    return check(request).error;
  }
  std::optional<Code> error_with_list(Bytes list) {
    Request request;
    add_names(request);
    request->raw(Attr::kPasswordAlgorithms, list).password_algorithm(PasswordAlgorithm::kSha256);
    request->integrity_sha256(sha256_key().bytes());
    return check(request).error;
  }
  std::optional<Code> error_with_raw_mac(Attr type, std::size_t size) {
    Request request;
    add_names(request);
    request->raw(type, std::vector<std::byte>(size));
    return check(request).error;
  }
};

TEST_F(HostileTest, NEG_039_OfTwoUsernamesTheFirstCountsForLookupAndMac) {
  ASSERT_TRUE(users_.add("bob", kRealm, "builder"));
  const auto result_for = [this](std::string_view first, std::string_view second) {
    Request request;
    add_names(request, first);
    request->text(Attr::kUsername, second);
    request->integrity_sha1(md5_key().bytes());  // alice's
    return check(request);
  };
  const AuthResult good = result_for("alice", "bob");
  EXPECT_EQ(good.error, std::nullopt);
  EXPECT_EQ(good.identity.user, "alice");
  EXPECT_EQ(result_for("bob", "alice").error, Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_041_OfTwoMacsTheFirstCounts) {
  Request good_first;
  add_names(good_first);
  good_first->integrity_sha1(md5_key().bytes()).raw(Attr::kMessageIntegrity, std::vector<std::byte>(20));
  EXPECT_EQ(check(good_first).error, std::nullopt);

  Request bad_first;
  add_names(bad_first);
  bad_first->raw(Attr::kMessageIntegrity, std::vector<std::byte>(20)).integrity_sha1(md5_key().bytes());
  EXPECT_EQ(check(bad_first).error, Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_042_MessageIntegrityOfAnotherLengthIsBad) {
  for (const std::size_t size : {0U, 4U, 19U, 21U, 32U}) {
    EXPECT_EQ(error_with_raw_mac(Attr::kMessageIntegrity, size), Code::kBadRequest) << size;
  }
  EXPECT_EQ(error_with_raw_mac(Attr::kMessageIntegrity, 20), Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_043_TooShortSha256MacIsBad) {
  for (const std::size_t size : {0U, 4U, 12U, 15U, 18U}) {
    EXPECT_EQ(error_with_raw_mac(Attr::kMessageIntegritySha256, size), Code::kBadRequest) << size;
  }
}

TEST_F(HostileTest, NEG_044_TruncatedSha256MacIsRefusedThoughItsBytesAreRight) {
  for (const std::size_t size : {16U, 20U, 24U, 28U}) {
    Request request;
    add_names_and_algorithms(request, PasswordAlgorithm::kSha256);
    request->integrity_sha256(sha256_key().bytes(), size);
    EXPECT_EQ(check(request).error, Code::kUnauthenticated) << size;
  }
}

TEST_F(HostileTest, NEG_045_TooLongSha256MacIsBad) {
  for (const std::size_t size : {33U, 36U, 64U}) {
    EXPECT_EQ(error_with_raw_mac(Attr::kMessageIntegritySha256, size), Code::kBadRequest) << size;
  }
}

TEST_F(HostileTest, NEG_046_Sha256MacBeforeTheOtherDecides) {
  Request request;
  add_names(request);
  request->integrity_sha256(md5_key().bytes()).raw(Attr::kMessageIntegrity, std::vector<std::byte>(20));
  const AuthResult result = check(request);
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_EQ(result.identity.reply_mac, MacKind::kSha256);
}

TEST_F(HostileTest, NEG_047_OfBothMacsSha256Decides) {
  Request request;
  add_names(request);
  request->integrity_sha1(md5_key().bytes()).raw(Attr::kMessageIntegritySha256, std::vector<std::byte>(32));
  EXPECT_EQ(check(request).error, Code::kUnauthenticated);

  Request reversed;
  add_names(reversed);
  reversed->raw(Attr::kMessageIntegrity, std::vector<std::byte>(20)).integrity_sha256(md5_key().bytes());
  EXPECT_EQ(check(reversed).error, std::nullopt);
}

TEST_F(HostileTest, NEG_048_MacOverALengthThatCountsTheFingerprintIsWrong) {
  Request request;
  add_names(request);
  request->integrity_sha1(md5_key().bytes());
  const Bytes good = request.message().bytes();
  // The same MAC input, but with the header's length as it is with FINGERPRINT behind.
  std::vector<std::byte> covered(good.begin(), good.end() - 24);
  store_be16(covered.data() + 2, static_cast<std::uint16_t>(good.size() - 20 + 8));
  const Sha1 mac = hmac_sha1(md5_key().bytes(), {covered});

  Request wrong;
  add_names(wrong);
  wrong->raw(Attr::kMessageIntegrity, mac).fingerprint();
  EXPECT_EQ(check(wrong).error, Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_049_AnotherUsersKeyIsAWrongPassword) {
  ASSERT_TRUE(users_.add("bob", kRealm, "builder"));
  Request request;
  add_names(request, "bob");
  request->integrity_sha1(md5_key().bytes());  // alice's
  EXPECT_EQ(check(request).error, Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_054_EmptyUsernameIsBad) {
  EXPECT_EQ(error_with_user(Attr::kUsername, {}), Code::kBadRequest);
  EXPECT_EQ(error_with_user(Attr::kUsername, as_bytes("\0\0"s)), Code::kBadRequest);
  EXPECT_EQ(error_with_user(Attr::kUsername, as_bytes("\"\"")), Code::kBadRequest);
}

TEST_F(HostileTest, NEG_055_UsernameOf763BytesIsTakenAndNoLonger) {
  EXPECT_EQ(error_with_user(Attr::kUsername, as_bytes(std::string(764, 'a'))), Code::kBadRequest);
  const std::string longest(763, 'a');
  ASSERT_TRUE(users_.add(longest, kRealm, "wonder"));
  Request request;
  add_names(request, longest);
  request->integrity_sha1(key_of(PasswordAlgorithm::kMd5, longest).bytes());
  const Authenticator server_with_user(config_, users_, nonce_key_);
  EXPECT_EQ(server_with_user.check(request.message(), kClient, kNow).error, std::nullopt);
}

TEST_F(HostileTest, NEG_056_UsernameThatIsNoTextIsUnknown) {
  for (const std::string& name : {"a\0b\xC0\xAF\xFF"s, "a\0b"s, "caf\xE9"s, "\xC0\x80"s, "\xED\xA0\x80"s, "\x1B[2J"s}) {
    EXPECT_EQ(error_with_user(Attr::kUsername, as_bytes(name)), Code::kUnauthenticated) << name;
  }
}

// Not even a store that would take any name sees one that is no text.
TEST_F(HostileTest, NEG_056_ServiceSignedNamesAreNoExceptionToText) {
  const RestSecrets secrets({"secret"});
  const Authenticator rest(config_, secrets, nonce_key_);
  const auto error_of = [&](std::string_view user) {
    Request request;
    request->text(Attr::kUsername, user).text(Attr::kRealm, kRealm).text(Attr::kNonce, challenge_of(rest).nonce);
    request->integrity_sha1(
        long_term_key(PasswordAlgorithm::kMd5, user, kRealm, rest_password("secret", user)).bytes());
    return rest.check(request.message(), kClient, kNow).error;
  };
  EXPECT_EQ(error_of("1900000000:Zo\u00EB \U0001F600"), std::nullopt);
  EXPECT_EQ(error_of("1900000000:\x1B[2J"), Code::kUnauthenticated);
  EXPECT_EQ(error_of("1900000000:caf\xE9"), Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_057_AnotherRealmGetsOurChallenge) {
  for (const std::string_view realm : {"example.com", "", "example.or", "EXAMPLE.ORG", "\xFF"}) {
    ASSERT_TRUE(users_.add("alice", realm, "wonder"));
    const Key theirs = long_term_key(PasswordAlgorithm::kMd5, "alice", realm, "wonder");
    for (const Key& key : {theirs, md5_key()}) {
      Request request;
      request->text(Attr::kUsername, "alice").text(Attr::kRealm, realm).text(Attr::kNonce, nonce());
      request->integrity_sha1(key.bytes());
      EXPECT_EQ(check(request).error, Code::kUnauthenticated) << realm;
    }
  }
}

TEST_F(HostileTest, QuotesAndTrailingNulsOfOldClientsAreNotPartOfTheNames) {
  Request request;
  request->text(Attr::kUsername, "alice\0"s).text(Attr::kRealm, "\"example.org\"").text(Attr::kNonce, nonce());
  request->integrity_sha1(md5_key().bytes());
  const AuthResult result = check(request);
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_EQ(result.identity.user, "alice");
}

TEST_F(HostileTest, NEG_058_StrangeNoncesAreStaleForTheRightKeyOnly) {
  const std::string good = nonce();
  for (const std::string& strange :
       {""s, "obMatJos2AA"s, std::string(129, 'n'), good + "=", good.substr(1), "f//499k954d6OL34oL9FSTvy64sA"s,
        std::string(kNonceSize, '\0'), std::string(40'000, 'A')}) {
    EXPECT_EQ(error_with_nonce(strange), Code::kStaleNonce) << strange.substr(0, 50);
    EXPECT_EQ(error_with_nonce(strange, "guess"), Code::kUnauthenticated) << strange.substr(0, 50);
  }
  EXPECT_EQ(error_with_nonce(good), std::nullopt);
}

// Bid-down: someone between cleared the bits of the challenge and took the algorithms out. The client then answers as
// to an RFC 5389 server; its nonce is not ours, so it gets the true challenge.
TEST_F(HostileTest, NEG_059_ANonceWithClearedBitsIsNotOurs) {
  for (const std::string_view bits : {"AAAA", "gAAA", "QAAA", "wAAB"}) {
    std::string altered = nonce();
    altered.replace(9, 4, bits);
    EXPECT_EQ(error_with_nonce(altered), Code::kStaleNonce) << bits;
    EXPECT_EQ(error_with_nonce(altered, "guess"), Code::kUnauthenticated) << bits;
  }
  // Nor do the cleared bits excuse a broken list.
  std::string altered = nonce();
  altered.replace(9, 4, "AAAA");
  Request request;
  request->text(Attr::kUsername, "alice").text(Attr::kRealm, kRealm).text(Attr::kNonce, altered);
  request->raw(Attr::kPasswordAlgorithms, algorithm_list({1})).password_algorithm(PasswordAlgorithm::kMd5);
  request->integrity_sha256(md5_key().bytes());
  EXPECT_EQ(check(request).error, Code::kBadRequest);
}

TEST_F(HostileTest, NEG_060_ChoiceWithoutListIsBad) {
  for (const auto algorithm : {PasswordAlgorithm::kMd5, PasswordAlgorithm::kSha256}) {
    Request request;
    add_names(request);
    request->password_algorithm(algorithm).integrity_sha256(key_of(algorithm).bytes());
    EXPECT_EQ(check(request).error, Code::kBadRequest);
  }
}

TEST_F(HostileTest, NEG_061_ListReorderedOrChangedIsBad) {
  EXPECT_EQ(error_with_list(algorithm_list({2, 1})), std::nullopt);
  for (const auto& list : {algorithm_list({1, 2}), algorithm_list({2}), algorithm_list({1}), algorithm_list({2, 1, 1}),
                           algorithm_list({2, 1, 3}), algorithm_list({2, 0}), bytes_of_hex("000200000001000000")}) {
    EXPECT_EQ(error_with_list(list), Code::kBadRequest) << to_hex(list);
  }
}

TEST_F(HostileTest, NEG_062_ParametersPastTheEndAreBad) {
  EXPECT_EQ(error_with_list(bytes_of_hex("0002fff0")), Code::kBadRequest);
  EXPECT_EQ(error_with_list(bytes_of_hex("000200000001fff0")), Code::kBadRequest);
}

TEST_F(HostileTest, NEG_063_EmptyAndHugeListsAreBad) {
  EXPECT_EQ(error_with_list({}), Code::kBadRequest);
  std::vector<std::byte> huge;
  for (int i = 0; i < 10'000; ++i) {
    const auto entry = algorithm_list({2});
    huge.insert(huge.end(), entry.begin(), entry.end());
  }
  EXPECT_EQ(error_with_list(huge), Code::kBadRequest);
}

TEST_F(HostileTest, NEG_064_ChoiceOfABrokenLengthIsBad) {
  for (const std::string_view value : {"", "0002", "000200", "00020004", "0002000000"}) {
    Request request;
    add_names(request);
    request->raw(Attr::kPasswordAlgorithms, algorithm_list({2, 1}));
    request->raw(Attr::kPasswordAlgorithm, bytes_of_hex(value)).integrity_sha256(sha256_key().bytes());
    EXPECT_EQ(check(request).error, Code::kBadRequest) << value;
  }
}

TEST_F(HostileTest, NEG_065_UserhashOfAnotherLengthIsBad) {
  for (const std::size_t size : {0U, 31U, 33U, 64U}) {
    EXPECT_EQ(error_with_user(Attr::kUserhash, std::vector<std::byte>(size)), Code::kBadRequest) << size;
  }
  EXPECT_EQ(error_with_user(Attr::kUserhash, std::vector<std::byte>(32)), Code::kUnauthenticated);
}

TEST_F(HostileTest, NEG_066_UsernameAndUserhashTogetherAreBad) {
  Request request;
  add_names(request);
  request->raw(Attr::kUserhash, userhash("alice", kRealm)).integrity_sha1(md5_key().bytes());
  EXPECT_EQ(check(request).error, Code::kBadRequest);
}

// What follows the MAC is not protected by it and so says nothing.
TEST_F(HostileTest, NamesBehindTheMacDoNotCount) {
  Request request;
  request->text(Attr::kRealm, kRealm).text(Attr::kNonce, nonce());
  request->integrity_sha1(md5_key().bytes()).text(Attr::kUsername, "alice");
  EXPECT_EQ(check(request).error, Code::kBadRequest);
}

}  // namespace
}  // namespace turnkit::auth::testing
