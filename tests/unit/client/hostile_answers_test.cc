// Answers that no proper server sends: the client rows of conformance.md section 6, redirects, and bid-down attacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "client/binding.h"
#include "client/long_term.h"
#include "client/turn_session.h"
#include "fake_server.h"

namespace turnkit::client {
namespace {

using stun::Attr;

Datagram bytes_of(std::string_view hex) { return *from_hex(hex); }

// Sends one unauthenticated Allocate and answers it with `message`, its method and transaction id made to fit.
std::vector<Event> allocate_answered_with(Datagram message, SessionOptions options = {}) {
  SeededRandom random(3);
  TurnSession session(kServerAddress, std::move(options), random);
  const TimePoint now{std::chrono::hours(1)};
  session.allocate(now);
  const auto output = session.take_output();
  const bool error =
      (std::to_integer<unsigned>(message[0]) & 1) != 0 && (std::to_integer<unsigned>(message[1]) & 0x10) != 0;
  store_be16(message.data(),
             stun::encode_type(error ? stun::Class::kError : stun::Class::kSuccess, stun::Method::kAllocate));
  std::copy_n(output.at(0).begin() + 8, 12, message.begin() + 8);
  session.on_datagram(message, now);
  return session.take_events();
}

const Failure& only_failure(const std::vector<Event>& events) {
  static const Failure none;
  if (events.size() != 1 || !std::holds_alternative<Failure>(events[0])) {
    ADD_FAILURE() << "expected one Failure, got " << events.size() << " events";
    return none;
  }
  return std::get<Failure>(events[0]);
}

TEST(HostileAnswers, NEG_074_BrokenErrorCodes) {
  for (const char* value : {"000007ff", "00000000", "00000101", "00000201", "00000463", "000004ff"}) {
    const auto events =
        allocate_answered_with(bytes_of(std::string("011100082112a442000102030405060708090a0b00090004") + value));
    if (std::string_view(value) == "00000463") {  // 499: a code without a name is still a code
      EXPECT_EQ(only_failure(events).code, 499);
      continue;
    }
    EXPECT_EQ(only_failure(events).kind, Failure::Kind::kMalformed) << value;
  }
  const auto events = allocate_answered_with(bytes_of("011100082112a442000102030405060708090a0b0009000204000000"));
  EXPECT_EQ(only_failure(events).kind, Failure::Kind::kMalformed);  // shorter than 4 bytes
}

TEST(HostileAnswers, NEG_075_ErrorWithoutErrorCode) {
  const auto events = allocate_answered_with(bytes_of("011100002112a442000102030405060708090a0b"));
  EXPECT_EQ(only_failure(events).kind, Failure::Kind::kMalformed);
}

TEST(HostileAnswers, NEG_076_ReasonPhraseIsEscaped) {
  const auto events =
      allocate_answered_with(bytes_of("0111000c2112a442000102030405060708090a0b00090008000004001b5b324a"));
  const Failure& failure = only_failure(events);
  EXPECT_EQ(failure.code, 400);
  EXPECT_EQ(failure.text().find('\x1b'), std::string::npos);
}

TEST(HostileAnswers, NEG_077_OddUnknownAttributes) {
  const auto events =
      allocate_answered_with(bytes_of("011100102112a442000102030405060708090a0b0009000400000414000a00037fff0100"));
  const Failure& failure = only_failure(events);
  EXPECT_EQ(failure.code, 420);
  EXPECT_THAT(failure.unknown_attributes, testing::ElementsAre(static_cast<Attr>(0x7fff)));
}

TEST(HostileAnswers, NEG_078_BindingSuccessWithoutMappedAddress) {
  const Datagram bytes = bytes_of("010100002112a442000102030405060708090a0b");
  const auto address = read_binding_answer(*stun::MessageView::parse(bytes));
  ASSERT_FALSE(address);
  EXPECT_THAT(address.error().text, testing::HasSubstr("mapped address"));
}

TEST(HostileAnswers, ClassicMappedAddressIsTaken) {
  const Datagram bytes = bytes_of("0101000c2112a442000102030405060708090a0b0001000800018055c0000201");
  const auto address = read_binding_answer(*stun::MessageView::parse(bytes));
  ASSERT_TRUE(address);
  EXPECT_EQ(address->to_string(), "192.0.2.1:32853");
}

TEST(HostileAnswers, UnknownRequiredAttributeFailsTheTransaction) {
  const auto events = allocate_answered_with(bytes_of("010100082112a442000102030405060708090a0b7fff000400000000"));
  EXPECT_EQ(only_failure(events).kind, Failure::Kind::kMalformed);
}

TEST(HostileAnswers, SuccessWithoutItsAttributesIsMalformed) {
  const auto events = allocate_answered_with(bytes_of("010100002112a442000102030405060708090a0b"));
  EXPECT_EQ(only_failure(events).kind, Failure::Kind::kMalformed);
}

// NEG-080: the redirect of an authenticated request must be protected, and of the server's family.
struct Redirect {
  const char* alternate;
  bool with_mac;
  bool accepted;
};

class RedirectTest : public testing::TestWithParam<Redirect> {};

TEST_P(RedirectTest, NEG_080) {
  FakeServer server;
  server.skip_mac = !GetParam().with_mac;
  server.override_answer = [](const stun::MessageView&, stun::Class& cls, auto& extra) {
    cls = stun::Class::kError;
    extra.push_back([](stun::Builder& b) {
      b.error_code(stun::Code::kTryAlternate, "Try Alternate");
      b.address(Attr::kAlternateServer, *Address::parse(GetParam().alternate));
    });
    return true;
  };
  SeededRandom random(3);
  SessionOptions options;
  options.credentials = {"alice", "wonderland"};
  TurnSession session(kServerAddress, options, random);
  const TimePoint now{std::chrono::hours(1)};
  session.allocate(now);
  for (auto output = session.take_output(); !output.empty(); output = session.take_output()) {
    for (const Datagram& d : output) session.on_datagram(*server.handle(d), now);
  }
  const auto events = session.take_events();
  if (!GetParam().with_mac) {
    EXPECT_TRUE(events.empty());  // as if it had never come
    return;
  }
  const Failure& failure = only_failure(events);
  EXPECT_EQ(failure.code, 300);
  EXPECT_EQ(failure.alternate_server.has_value(), GetParam().accepted);
  EXPECT_EQ(failure.advice(), GetParam().accepted ? Failure::Advice::kRedirect : Failure::Advice::kGiveUp);
}

INSTANTIATE_TEST_SUITE_P(All, RedirectTest,
                         testing::Values(Redirect{"192.0.2.2:3478", true, true},
                                         Redirect{"192.0.2.2:3478", false, false},
                                         Redirect{"[2001:db8::1]:3478", true, false},
                                         Redirect{"127.0.0.1:3478", true, false}, Redirect{"192.0.2.2:0", true, false},
                                         Redirect{"0.0.0.0:3478", true, false},
                                         Redirect{"224.0.0.1:3478", true, false}));

TEST(HostileAnswers, NEG_080_UnprotectedRedirectOfAnUnauthenticatedRequestNamesNoServer) {
  std::array<std::byte, 200> buffer;
  stun::Builder b(buffer, stun::Class::kError, stun::Method::kAllocate, {});
  b.error_code(stun::Code::kTryAlternate, "x").address(Attr::kAlternateServer, *Address::parse("192.0.2.2:3478"));
  const Bytes message = *b.finish();
  const auto events = allocate_answered_with(Datagram(message.begin(), message.end()));
  EXPECT_EQ(only_failure(events).alternate_server, std::nullopt);
}

// Bid-down attacks (RFC 8489, sections 9.2.5 and 16.1.3).
struct Challenge {
  std::string nonce;
  std::vector<stun::PasswordAlgorithm> algorithms;
  const char* realm = "example.org";

  Datagram build(stun::Code code = stun::Code::kUnauthenticated) const {
    std::array<std::byte, 400> buffer;
    stun::Builder b(buffer, stun::Class::kError, stun::Method::kAllocate, {});
    b.error_code(code, "").text(Attr::kRealm, realm).text(Attr::kNonce, nonce);
    if (!algorithms.empty()) b.password_algorithms(algorithms);
    const Bytes m = *b.finish();
    return {m.begin(), m.end()};
  }
};

ChallengeVerdict meet(LongTermClient& client, const Challenge& challenge,
                      stun::Code code = stun::Code::kUnauthenticated, bool had_credentials = false) {
  const Datagram bytes = challenge.build(code);
  return client.on_challenge(*stun::MessageView::parse(bytes), code, had_credentials, 0);
}

constexpr auto kMd5 = stun::PasswordAlgorithm::kMd5;
constexpr auto kSha256 = stun::PasswordAlgorithm::kSha256;

TEST(BidDown, CookieWithoutAlgorithmsIsNotAnswered) {
  LongTermClient client({"alice", "wonderland"});
  EXPECT_EQ(meet(client, {"obMatJos2gAAAxyz", {}}), ChallengeVerdict::kBidDown);
  EXPECT_FALSE(client.armed());
}

TEST(BidDown, Sha256IsChosenWhereverItStands) {
  LongTermClient client({"alice", "wonderland"});
  EXPECT_EQ(meet(client, {"obMatJos2gAAAxyz", {kMd5, kSha256}}), ChallengeVerdict::kRetry);
  EXPECT_TRUE(client.uses_sha256());
  EXPECT_FALSE(client.uses_userhash());
}

TEST(BidDown, Md5OnlyOfferIsTakenButNotBySha256Only) {
  LongTermClient best({"alice", "wonderland"});
  EXPECT_EQ(meet(best, {"obMatJos2gAAAxyz", {kMd5}}), ChallengeVerdict::kRetry);
  EXPECT_FALSE(best.uses_sha256());
  LongTermClient strict({"alice", "wonderland"}, AlgorithmPolicy::kSha256Only);
  EXPECT_EQ(meet(strict, {"obMatJos2gAAAxyz", {kMd5}}), ChallengeVerdict::kNoAlgorithm);
  EXPECT_EQ(meet(strict, {"plain-nonce", {}}), ChallengeVerdict::kNoAlgorithm);
}

TEST(BidDown, UnknownAlgorithmsOnlyAreNotAnswered) {
  LongTermClient client({"alice", "wonderland"});
  EXPECT_EQ(meet(client, {"obMatJos2gAAAxyz", {static_cast<stun::PasswordAlgorithm>(9)}}),
            ChallengeVerdict::kNoAlgorithm);
}

TEST(BidDown, UnassignedFeatureBitsAreIgnored) {
  LongTermClient client({"alice", "wonderland"});
  EXPECT_EQ(meet(client, {"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA", {}}),
            ChallengeVerdict::kRetry);  // RFC 8489, B.1
}

TEST(BidDown, AServerThatProvedSha256MayNotFallBack) {
  LongTermClient client({"alice", "wonderland"});
  ASSERT_EQ(meet(client, {"obMatJos2gAAAxyz", {kSha256}}), ChallengeVerdict::kRetry);
  std::array<std::byte, 400> buffer;
  stun::Builder b(buffer, stun::Class::kSuccess, stun::Method::kRefresh, {});
  b.u32(Attr::kLifetime, 600).integrity_sha256(client.key().bytes());
  ASSERT_EQ(client.check(*stun::MessageView::parse(*b.finish()), true), AnswerVerdict::kAuthentic);

  EXPECT_EQ(meet(client, {"plain-nonce", {}}, stun::Code::kStaleNonce, true), ChallengeVerdict::kBidDown);
  EXPECT_EQ(meet(client, {"obMatJos2gAAAnew", {kMd5}}, stun::Code::kStaleNonce, true), ChallengeVerdict::kBidDown);
  EXPECT_EQ(meet(client, {"obMatJos2gAAAnew", {kMd5, kSha256}}, stun::Code::kStaleNonce, true),
            ChallengeVerdict::kRetry);
}

TEST(BidDown, AnswersUnderTheWeakerMacAreDiscarded) {
  LongTermClient client({"alice", "wonderland"});
  ASSERT_EQ(meet(client, {"obMatJos2gAAAxyz", {kMd5, kSha256}}), ChallengeVerdict::kRetry);
  std::array<std::byte, 400> buffer;
  stun::Builder b(buffer, stun::Class::kSuccess, stun::Method::kAllocate, {});
  b.integrity_sha1(client.key().bytes());
  EXPECT_EQ(client.check(*stun::MessageView::parse(*b.finish()), true), AnswerVerdict::kDiscard);
}

TEST(BidDown, AnswerWithCookieButNoAlgorithmsIsIgnored) {
  LongTermClient client({"alice", "wonderland"});
  std::array<std::byte, 400> buffer;
  stun::Builder b(buffer, stun::Class::kSuccess, stun::Method::kAllocate, {});
  b.text(Attr::kNonce, "obMatJos2gAAAxyz");
  EXPECT_EQ(client.check(*stun::MessageView::parse(*b.finish()), false), AnswerVerdict::kDiscard);
}

TEST(BidDown, TruncatedSha256MacsAreDiscarded) {
  LongTermClient client({"alice", "wonderland"});
  ASSERT_EQ(meet(client, {"obMatJos2gAAAxyz", {kSha256}}), ChallengeVerdict::kRetry);
  std::array<std::byte, 400> buffer;
  stun::Builder b(buffer, stun::Class::kSuccess, stun::Method::kAllocate, {});
  b.integrity_sha256(client.key().bytes(), 16);
  EXPECT_EQ(client.check(*stun::MessageView::parse(*b.finish()), true), AnswerVerdict::kDiscard);
}

TEST(Challenge, MissingRealmOrNonceIsMalformed) {
  LongTermClient client({"alice", "wonderland"});
  std::array<std::byte, 400> buffer;
  stun::Builder no_nonce(buffer, stun::Class::kError, stun::Method::kAllocate, {});
  no_nonce.error_code(stun::Code::kUnauthenticated, "").text(Attr::kRealm, "r");
  EXPECT_EQ(client.on_challenge(*stun::MessageView::parse(*no_nonce.finish()), stun::Code::kUnauthenticated, false, 0),
            ChallengeVerdict::kMalformed);
  stun::Builder no_realm(buffer, stun::Class::kError, stun::Method::kAllocate, {});
  no_realm.error_code(stun::Code::kUnauthenticated, "").text(Attr::kNonce, "n");
  EXPECT_EQ(client.on_challenge(*stun::MessageView::parse(*no_realm.finish()), stun::Code::kUnauthenticated, false, 0),
            ChallengeVerdict::kMalformed);
}

TEST(Challenge, AlternatingRealmsComeToAnEnd) {
  LongTermClient client({"alice", "wonderland"});
  ChallengeVerdict verdict = ChallengeVerdict::kRetry;
  int rounds = 0;
  for (; rounds < 20 && verdict == ChallengeVerdict::kRetry; ++rounds) {
    const Challenge challenge{"nonce" + std::to_string(rounds), {}, rounds % 2 == 0 ? "a" : "b"};
    const Datagram bytes = challenge.build();
    verdict = client.on_challenge(*stun::MessageView::parse(bytes), stun::Code::kUnauthenticated, rounds > 0, rounds);
  }
  EXPECT_EQ(verdict, ChallengeVerdict::kTooMany);
  EXPECT_LT(rounds, 10);
}

TEST(Challenge, RealmQuotesAndTrailingNulsAreStrippedBeforeHashing) {
  LongTermClient client({"user", "pass"});
  ASSERT_EQ(meet(client, {"n", {}, "\"realm\""}), ChallengeVerdict::kRetry);
  EXPECT_EQ(to_hex(client.key().bytes()), "8493fbc53ba582fb4c044c456bdc40eb");
}

TEST(Credentials, RestNamesAndPasswords) {
  const WallTime expiry{std::chrono::seconds(1'800'000'000)};
  const Credentials named = Credentials::from_secret("north", "load", expiry);
  EXPECT_EQ(named.user, "1800000000:load");
  EXPECT_EQ(named.password, auth::rest_password("north", named.user));
  EXPECT_EQ(Credentials::from_secret("north", "", expiry).user, "1800000000");
  EXPECT_EQ(Credentials::from_secret("north", "x", expiry, '.').user, "1800000000.x");
}

}  // namespace
}  // namespace turnkit::client
