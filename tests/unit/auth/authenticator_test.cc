// The server's checks of the long-term mechanism, row by row (LT-1 to LT-8), REST credentials over them, and identities
// that are already established.
#include "auth/authenticator.h"

#include <gmock/gmock.h>

#include "stun/attributes.h"
#include "tests/unit/auth/request.h"

namespace turnkit::auth::testing {
namespace {

using std::chrono::seconds;
using ::testing::StartsWith;

TEST_F(AuthenticatorTest, ChallengeCarriesRealmNonceAndAlgorithmsOnly) {
  const Challenge challenge = challenge_of(server());
  EXPECT_EQ(challenge.realm, kRealm);
  EXPECT_THAT(challenge.nonce, StartsWith("obMatJos2wAAA"));
  EXPECT_EQ(challenge.algorithms, algorithm_list({2, 1}));  // SHA-256 first
  EXPECT_EQ(challenge.attributes, 3U);
}

TEST_F(AuthenticatorTest, ChallengeSizeIsWhatTheChallengeAdds) {
  const auto size_of = [](const Authenticator& authenticator) {
    std::vector<std::byte> buffer(1500);
    stun::Builder answer(buffer, stun::Class::kError, stun::Method::kAllocate, {});
    const std::size_t before = answer.remaining();
    authenticator.add_challenge(answer, kClient, kNow);
    return before - answer.remaining();
  };
  EXPECT_EQ(server().challenge_size(), size_of(server()));
  ASSERT_TRUE(users_.add("old", kRealm, "0x8493fbc53ba582fb4c044c456bdc40eb"));
  for (const std::string_view realm : {"a", "ab", "abc", "abcd", "example.org"}) {
    const Authenticator md5_only({.realm = std::string(realm)}, users_, nonce_key_);
    EXPECT_EQ(md5_only.challenge_size(), size_of(md5_only)) << realm;
  }
}

TEST_F(AuthenticatorTest, OffersOnlyMd5WhereAUserHasNoSha256Key) {
  ASSERT_TRUE(users_.add("old", kRealm, "0x8493fbc53ba582fb4c044c456bdc40eb"));
  const Challenge challenge = challenge_of(server());
  EXPECT_THAT(challenge.nonce, StartsWith("obMatJos2wAAA"));
  EXPECT_EQ(challenge.algorithms, algorithm_list({1}));

  Request good;
  add_names(good);
  good->raw(Attr::kPasswordAlgorithms, algorithm_list({1})).password_algorithm(PasswordAlgorithm::kMd5);
  good->integrity_sha256(md5_key().bytes());
  EXPECT_EQ(check(good).error, std::nullopt);

  Request longer;
  add_names_and_algorithms(longer, PasswordAlgorithm::kSha256);
  longer->integrity_sha256(sha256_key().bytes());
  EXPECT_EQ(check(longer).error, Code::kBadRequest);
}

TEST_F(AuthenticatorTest, PreparesTheRealmOfTheConfiguration) {
  ASSERT_TRUE(users_.add("alice", "cafe\u0301", "wonder"));
  config_.realm = "cafe\u0301";
  const std::string composed = "caf\u00E9";
  EXPECT_EQ(challenge_of(server()).realm, composed);
  for (const std::string& realm : {composed, config_.realm}) {
    Request request;
    request->text(Attr::kUsername, "alice").text(Attr::kRealm, realm).text(Attr::kNonce, nonce());
    request->integrity_sha1(long_term_key(PasswordAlgorithm::kMd5, "alice", composed, "wonder").bytes());
    EXPECT_EQ(check(request).error, std::nullopt) << realm;
  }
}

TEST_F(AuthenticatorTest, LT_1_NoMacIsAskedForCredentials) {
  Request bare;
  EXPECT_EQ(check(bare).error, Code::kUnauthenticated);
  Request names_without_mac;
  add_names(names_without_mac);
  EXPECT_EQ(check(names_without_mac).error, Code::kUnauthenticated);
}

TEST_F(AuthenticatorTest, LT_2_MacWithoutUserRealmOrNonceIsBad) {
  const std::string current = nonce();
  for (const Attr missing : {Attr::kUsername, Attr::kRealm, Attr::kNonce}) {
    for (const bool sha256 : {false, true}) {
      Request request;
      if (missing != Attr::kUsername) request->text(Attr::kUsername, "alice");
      if (missing != Attr::kRealm) request->text(Attr::kRealm, kRealm);
      if (missing != Attr::kNonce) request->text(Attr::kNonce, current);
      sha256 ? request->integrity_sha256(md5_key().bytes()) : request->integrity_sha1(md5_key().bytes());
      EXPECT_EQ(check(request).error, Code::kBadRequest) << static_cast<int>(missing);
    }
  }
}

TEST_F(AuthenticatorTest, LT_3_WithoutAlgorithmsTheKeyIsMd5) {
  Request request;
  add_names(request);
  request->integrity_sha1(md5_key().bytes());
  const AuthResult result = check(request);
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_EQ(result.identity.user, "alice");
  EXPECT_EQ(result.identity.quota_name, "alice");
  EXPECT_EQ(result.identity.key, md5_key());
  EXPECT_EQ(result.identity.reply_mac, MacKind::kSha1);

  Request sha256_keyed;
  add_names(sha256_keyed);
  sha256_keyed->integrity_sha1(sha256_key().bytes());
  EXPECT_EQ(check(sha256_keyed).error, Code::kUnauthenticated);
}

TEST_F(AuthenticatorTest, LT_4_AlgorithmsMustBeBothThereAsOfferedAndAChoiceOfThem) {
  const auto error_of = [this](std::optional<std::vector<std::byte>> list, std::optional<std::vector<std::byte>> choice,
                               const Key& key) {
    Request request;
    add_names(request);
    if (list) request->raw(Attr::kPasswordAlgorithms, *list);
    if (choice) request->raw(Attr::kPasswordAlgorithm, *choice);
    request->integrity_sha256(key.bytes());
    return check(request).error;
  };
  const auto offered = algorithm_list({2, 1});
  EXPECT_EQ(error_of(offered, algorithm_list({2}), sha256_key()), std::nullopt);
  EXPECT_EQ(error_of(offered, algorithm_list({1}), md5_key()), std::nullopt);
  EXPECT_EQ(error_of(std::nullopt, algorithm_list({2}), sha256_key()), Code::kBadRequest);
  EXPECT_EQ(error_of(offered, std::nullopt, md5_key()), Code::kBadRequest);
  EXPECT_EQ(error_of(algorithm_list({1}), algorithm_list({1}), md5_key()), Code::kBadRequest);
  EXPECT_EQ(error_of(offered, algorithm_list({3}), sha256_key()), Code::kBadRequest);
  EXPECT_EQ(error_of(offered, algorithm_list({0}), sha256_key()), Code::kBadRequest);
  EXPECT_EQ(error_of(offered, bytes_of_hex("0002000400000000"), sha256_key()), Code::kBadRequest);  // parameters
}

// The two differ in nothing an answer is made of; with the same challenge they are the same bytes.
TEST_F(AuthenticatorTest, LT_5_LT_6_UnknownUserAndWrongPasswordLookAlike) {
  const auto answer_to = [this](std::string_view user, PasswordAlgorithm algorithm, std::string_view password) {
    Request request;
    add_names_and_algorithms(request, algorithm, user);
    request->integrity_sha256(key_of(algorithm, user, password).bytes());
    const AuthResult result = check(request);
    EXPECT_EQ(result.identity.user, "");
    EXPECT_EQ(result.identity.quota_name, "");
    EXPECT_EQ(result.identity.key, Key{});

    std::vector<std::byte> buffer(1500);
    stun::Builder answer(buffer, stun::Class::kError, stun::Method::kAllocate, {});
    EXPECT_EQ(result.error, Code::kUnauthenticated);
    answer.error_code(result.error.value_or(Code::kServerError), "Unauthenticated");
    server().add_challenge(answer, kClient, kNow);
    return to_hex(*answer.finish());
  };
  for (const auto algorithm : {PasswordAlgorithm::kMd5, PasswordAlgorithm::kSha256}) {
    EXPECT_EQ(answer_to("mallory", algorithm, "wonder"), answer_to("alice", algorithm, "guess"));
  }
}

TEST_F(AuthenticatorTest, LT_5_TheDummyKeyOpensNothing) {
  for (const auto algorithm : {PasswordAlgorithm::kMd5, PasswordAlgorithm::kSha256}) {
    const Key zeros{.algorithm = algorithm, .data = {}};
    Request with_name;
    add_names_and_algorithms(with_name, algorithm, "mallory");
    with_name->integrity_sha256(zeros.bytes());
    EXPECT_EQ(check(with_name).error, Code::kUnauthenticated);

    Request with_hash;
    with_hash->raw(Attr::kUserhash, userhash("mallory", kRealm));
    with_hash->text(Attr::kRealm, kRealm).text(Attr::kNonce, nonce());
    with_hash->raw(Attr::kPasswordAlgorithms, algorithm_list({2, 1})).password_algorithm(algorithm);
    with_hash->integrity_sha256(zeros.bytes());
    EXPECT_EQ(check(with_hash).error, Code::kUnauthenticated);
  }
}

TEST_F(AuthenticatorTest, LT_6_EveryChangedByteUnderTheMacIsNoticed) {
  Request request;
  add_names_and_algorithms(request, PasswordAlgorithm::kSha256);
  request->integrity_sha256(sha256_key().bytes());
  const Bytes good = request.message().bytes();
  std::vector<std::byte> bytes(good.begin(), good.end());
  int answered = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] ^= std::byte{1};
    if (const auto view = stun::MessageView::parse(bytes)) {
      ++answered;
      EXPECT_NE(server().check(*view, kClient, kNow).error, std::nullopt) << i;
    }
    bytes[i] ^= std::byte{1};
  }
  EXPECT_GT(answered, 100);
  EXPECT_EQ(server().check(*stun::MessageView::parse(bytes), kClient, kNow).error, std::nullopt);
}

TEST_F(AuthenticatorTest, LT_7_StaleNonceIsToldToWhoHasTheKeyOnly) {
  const auto result_of = [this](std::string_view password, WallTime now, const Address& client) {
    Request request;
    add_names(request);
    request->integrity_sha1(key_of(PasswordAlgorithm::kMd5, "alice", password).bytes());
    return server().check(request.message(), client, now, nullptr);
  };
  Address elsewhere = kClient;
  ++elsewhere.port;
  EXPECT_EQ(result_of("wonder", kNow + seconds(600), kClient).error, std::nullopt);
  const AuthResult stale = result_of("wonder", kNow + seconds(601), kClient);
  EXPECT_EQ(stale.error, Code::kStaleNonce);
  EXPECT_EQ(stale.identity.key, md5_key());  // the answer may be protected
  EXPECT_EQ(stale.identity.user, "alice");
  EXPECT_EQ(result_of("wonder", kNow, elsewhere).error, Code::kStaleNonce);
  EXPECT_EQ(result_of("guess", kNow + seconds(601), kClient).error, Code::kUnauthenticated);
  EXPECT_EQ(result_of("guess", kNow, elsewhere).error, Code::kUnauthenticated);
}

TEST_F(AuthenticatorTest, LT_8_TheAnswersMacFollowsTheRequest) {
  const auto reply_mac = [this](bool algorithms, bool sha256_mac) {
    Request request;
    algorithms ? add_names_and_algorithms(request, PasswordAlgorithm::kMd5) : add_names(request);
    sha256_mac ? request->integrity_sha256(md5_key().bytes()) : request->integrity_sha1(md5_key().bytes());
    const AuthResult result = check(request);
    EXPECT_EQ(result.error, std::nullopt);
    return result.identity.reply_mac;
  };
  EXPECT_EQ(reply_mac(false, false), MacKind::kSha1);
  EXPECT_EQ(reply_mac(false, true), MacKind::kSha256);
  EXPECT_EQ(reply_mac(true, false), MacKind::kSha256);
  EXPECT_EQ(reply_mac(true, true), MacKind::kSha256);
}

TEST_F(AuthenticatorTest, UserhashNamesTheUser) {
  Request request;
  request->raw(Attr::kUserhash, userhash("alice", kRealm));
  request->text(Attr::kRealm, kRealm).text(Attr::kNonce, nonce());
  request->raw(Attr::kPasswordAlgorithms, algorithm_list({2, 1})).password_algorithm(PasswordAlgorithm::kSha256);
  request->integrity_sha256(sha256_key().bytes());
  const AuthResult result = check(request);
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_EQ(result.identity.user, "alice");
}

// RFC 5769, section 2.4, through the whole check: the MAC is right, the nonce is another server's.
TEST_F(AuthenticatorTest, Rfc5769LongTermRequestPassesTheMac) {
  ASSERT_TRUE(users_.add("\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9", "example.org", "TheMatrIX"));
  const auto bytes = bytes_of_hex(
      "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39"
      "353464364f4c33346f4c39465354767936347341"
      "0014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666");
  const auto view = stun::MessageView::parse(bytes);
  ASSERT_TRUE(view.has_value());
  const AuthResult result = server().check(*view, kClient, kNow);
  EXPECT_EQ(result.error, Code::kStaleNonce);
  EXPECT_EQ(to_hex(result.identity.key.bytes()), "e8ca7ad59d5eb0518e312911d2dab2a9");
}

// RFC 8489, appendix B.1 with erratum 6268. It names an algorithm without the list, so as a flow it is LT-4.
TEST_F(AuthenticatorTest, Rfc8489AppendixB1VerifiesWithTheStoredKey) {
  ASSERT_TRUE(users_.add("\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9", "example.org", "TheMatrIX"));
  const auto bytes = bytes_of_hex(
      "000100902112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
      "001500296f624d61744a6f73324141414366"
      "2f2f3439396b39353464364f4c33346f4c394653547679363473410000000014000b6578616d706c652e6f726700001d000400020000"
      "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65");
  const auto view = stun::MessageView::parse(bytes);
  ASSERT_TRUE(view.has_value());
  Userhash hash;
  const auto value = view->find(Attr::kUserhash)->value;
  std::copy(value.begin(), value.end(), hash.begin());
  const auto user = users_.user_of(hash, "example.org");
  ASSERT_TRUE(user.has_value());
  std::vector<Candidate> candidates;
  users_.find(*user, "example.org", PasswordAlgorithm::kSha256, kNow, candidates);
  ASSERT_EQ(candidates.size(), 1U);
  EXPECT_TRUE(stun::verify_integrity(*view, candidates[0].key.bytes()));
  EXPECT_EQ(server().check(*view, kClient, kNow).error, Code::kBadRequest);
}

// A request under a REST credential, as an RFC 5389 client sends it.
class RestTest : public AuthenticatorTest {
 protected:
  AuthResult check_rest(std::string_view user, std::string_view secret, WallTime now = kNow,
                        const Identity* established = nullptr) {
    Request request;
    request->text(Attr::kUsername, user).text(Attr::kRealm, kRealm);
    request->text(Attr::kNonce, challenge_of(rest_, kClient, now).nonce);
    request->integrity_sha1(long_term_key(PasswordAlgorithm::kMd5, user, kRealm, rest_password(secret, user)).bytes());
    return rest_.check(request.message(), kClient, now, established);
  }

  RestSecrets secrets_{{"new", "old"}};
  Authenticator rest_{config_, secrets_, nonce_key_};
};

TEST_F(RestTest, REST_003_ValidUntilItsTimeThen401) {
  const AuthResult result = check_rest("1800000000:alice", "new");
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_EQ(result.identity.user, "1800000000:alice");
  EXPECT_EQ(result.identity.quota_name, "alice");
  EXPECT_EQ(check_rest("1799999999:alice", "new").error, Code::kUnauthenticated);
  EXPECT_EQ(check_rest("1800000000:alice", "other").error, Code::kUnauthenticated);
}

TEST_F(RestTest, REST_004_ExpiryDoesNotEndWhatIsEstablished) {
  const AuthResult allocated = check_rest("1800000010:alice", "new");
  ASSERT_EQ(allocated.error, std::nullopt);
  const WallTime later = kNow + std::chrono::hours(3);
  EXPECT_EQ(check_rest("1800000010:alice", "new", later).error, Code::kUnauthenticated);
  const AuthResult refreshed = check_rest("1800000010:alice", "new", later, &allocated.identity);
  EXPECT_EQ(refreshed.error, std::nullopt);
  EXPECT_EQ(refreshed.identity.user, "1800000010:alice");
  EXPECT_EQ(refreshed.identity.quota_name, "alice");
}

TEST_F(RestTest, REST_005_EitherSecretOpens) {
  EXPECT_EQ(check_rest("1800000600:alice", "new").error, std::nullopt);
  EXPECT_EQ(check_rest("1800000600:alice", "old").error, std::nullopt);
}

TEST_F(RestTest, REST_007_BrokenTimesGet401) {
  for (const std::string_view user :
       {"alice", "-5:alice", "+1800000600:a", " 1800000600:a", "99999999999999999999:a"}) {
    EXPECT_EQ(check_rest(user, "new").error, Code::kUnauthenticated) << user;
  }
}

TEST_F(RestTest, REST_009_AnonymityIsNotOffered) {
  EXPECT_THAT(challenge_of(rest_).nonce, StartsWith("obMatJos2gAAA"));
  EXPECT_EQ(challenge_of(rest_).algorithms, algorithm_list({2, 1}));
}

class EstablishedTest : public AuthenticatorTest {
 protected:
  // What Allocate found under a password that the store no longer has.
  Identity owner(PasswordAlgorithm algorithm) {
    return {.user = "alice",
            .quota_name = "team",
            .key = key_of(algorithm, "alice", "former"),
            .reply_mac = MacKind::kSha256};
  }
  AuthResult refresh(std::string_view user, const Key& key, const Identity& established) {
    Request request(stun::Method::kRefresh);
    add_names_and_algorithms(request, key.algorithm, user);
    request->integrity_sha256(key.bytes());
    return check(request, &established);
  }
};

TEST_F(EstablishedTest, TPA_007_ATokensEndEndsRequestsThatDoNotRepeatIt) {
  Identity owner_of_token = owner(PasswordAlgorithm::kSha256);
  owner_of_token.third_party = true;
  for (const auto& [past, error] : {std::pair{seconds(-60), std::optional<Code>()},
                                    {seconds(4), std::nullopt},
                                    {seconds(5), Code::kUnauthenticated},
                                    {seconds(3600), Code::kUnauthenticated}}) {
    owner_of_token.valid_until = kNow - past;
    EXPECT_EQ(refresh("alice", owner_of_token.key, owner_of_token).error, error) << past.count();
  }
}

TEST_F(EstablishedTest, TheSameUserIsCheckedAgainstTheKeyOfAllocate) {
  for (const auto algorithm : {PasswordAlgorithm::kMd5, PasswordAlgorithm::kSha256}) {
    const Identity alice = owner(algorithm);
    const AuthResult result = refresh("alice", alice.key, alice);
    EXPECT_EQ(result.error, std::nullopt);
    EXPECT_EQ(result.identity.quota_name, "team");
    EXPECT_EQ(refresh("alice", key_of(algorithm), alice).error, Code::kUnauthenticated);
  }
}

TEST_F(EstablishedTest, AnotherUserIsAskedOfTheStore) {
  ASSERT_TRUE(users_.add("bob", kRealm, "builder"));
  const Identity alice = owner(PasswordAlgorithm::kSha256);
  const AuthResult bob = refresh("bob", key_of(PasswordAlgorithm::kSha256, "bob", "builder"), alice);
  EXPECT_EQ(bob.error, std::nullopt);  // the engine answers 441 (NEG-049)
  EXPECT_EQ(bob.identity.user, "bob");
  EXPECT_EQ(refresh("bob", alice.key, alice).error, Code::kUnauthenticated);
  EXPECT_EQ(refresh("mallory", alice.key, alice).error, Code::kUnauthenticated);
}

TEST_F(EstablishedTest, AnotherAlgorithmIsAskedOfTheStore) {
  const Identity alice = owner(PasswordAlgorithm::kSha256);
  EXPECT_EQ(refresh("alice", md5_key(), alice).error, std::nullopt);
  EXPECT_EQ(refresh("alice", key_of(PasswordAlgorithm::kMd5, "alice", "former"), alice).error, Code::kUnauthenticated);
}

TEST_F(EstablishedTest, ItsUserhashIsTheSameUser) {
  const Identity alice = owner(PasswordAlgorithm::kSha256);
  Request request(stun::Method::kRefresh);
  request->raw(Attr::kUserhash, userhash("alice", kRealm)).text(Attr::kRealm, kRealm).text(Attr::kNonce, nonce());
  request->raw(Attr::kPasswordAlgorithms, algorithm_list({2, 1})).password_algorithm(PasswordAlgorithm::kSha256);
  request->integrity_sha256(alice.key.bytes());
  const AuthResult result = check(request, &alice);
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_EQ(result.identity.user, "alice");
}

}  // namespace
}  // namespace turnkit::auth::testing
