// MACs and fingerprints that are wrong in every way that matters.
#include "stun/integrity.h"

#include "base/digest.h"
#include "stun/crc32.h"
#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

const Bytes kKey = as_bytes("key");
const Bytes kOther = as_bytes("other");

// A request with these attributes, parsed. The buffer stays with the view.
struct Parsed {
  template <typename F>
  explicit Parsed(F&& add) : buffer(build(Class::kRequest, Method::kAllocate, add)), view(MessageView::parse(buffer)) {}
  Buffer buffer;
  std::optional<MessageView> view;
};

TEST(Crc32, KnownAnswers) {
  EXPECT_EQ(crc32({}), 0U);
  EXPECT_EQ(crc32(as_bytes("123456789")), 0xCBF43926U);
  EXPECT_EQ(crc32(as_bytes("The quick brown fox jumps over the lazy dog")), 0x414FA339U);
  static_assert(crc32({}) == 0);
}

// Against the definition, bit by bit, for every length around the eight-byte step.
TEST(Crc32, MatchesTheDefinition) {
  Buffer data;
  for (unsigned i = 0; i < 67; ++i) {
    std::uint32_t slow = 0xFFFFFFFF;
    for (const std::byte b : data) {
      slow ^= std::to_integer<std::uint32_t>(b);
      for (int bit = 0; bit < 8; ++bit) slow = (slow & 1) != 0 ? 0xEDB88320 ^ (slow >> 1) : slow >> 1;
    }
    EXPECT_EQ(crc32(data), ~slow) << i;
    data.push_back(static_cast<std::byte>(i * 37 + 11));
  }
}

TEST(DecidingMac, NoneWithoutAMac) {
  const Parsed p([](Builder& b) { b.text(Attr::kUsername, "u").fingerprint(); });
  EXPECT_EQ(deciding_mac(*p.view), MacKind::kNone);
  EXPECT_FALSE(verify_integrity(*p.view, kKey));
}

TEST(DecidingMac, NEG_042_MessageIntegrityOfAnotherLength) {
  for (std::size_t length = 0; length <= 40; ++length) {
    const Parsed p([&](Builder& b) { b.raw(Attr::kMessageIntegrity, Buffer(length)); });
    ASSERT_TRUE(p.view);
    EXPECT_EQ(deciding_mac(*p.view), length == 20 ? MacKind::kSha1 : MacKind::kMalformed) << length;
    EXPECT_FALSE(verify_integrity(*p.view, kKey)) << length;
  }
  const Buffer seed = hex("000100182112a442000102030405060708090a0b000800130000000000000000000000000000000000000000");
  EXPECT_EQ(deciding_mac(*MessageView::parse(seed)), MacKind::kMalformed);
}

TEST(DecidingMac, NEG_043_NEG_045_Sha256OfAnotherLength) {
  for (std::size_t length = 0; length <= 40; ++length) {
    const Parsed p([&](Builder& b) { b.raw(Attr::kMessageIntegritySha256, Buffer(length)); });
    ASSERT_TRUE(p.view);
    const bool allowed = length >= 16 && length <= 32 && length % 4 == 0;
    EXPECT_EQ(deciding_mac(*p.view), allowed ? MacKind::kSha256 : MacKind::kMalformed) << length;
    EXPECT_FALSE(verify_integrity(*p.view, kKey)) << length;
  }
  for (const std::string_view seed : {"000100102112a442000102030405060708090a0b001c000c000000000000000000000000",
                                      "000100282112a442000102030405060708090a0b001c0024"
                                      "000000000000000000000000000000000000000000000000000000000000000000000000"}) {
    const Buffer message = hex(seed);
    EXPECT_EQ(deciding_mac(*MessageView::parse(message)), MacKind::kMalformed);
  }
}

TEST(DecidingMac, OneMalformedMacSpoilsBoth) {
  const Parsed p([](Builder& b) { b.raw(Attr::kMessageIntegrity, Buffer(19)).integrity_sha256(kKey); });
  EXPECT_EQ(deciding_mac(*p.view), MacKind::kMalformed);
  EXPECT_FALSE(verify_integrity(*p.view, kKey));
}

TEST(VerifyIntegrity, NEG_044_TruncatedSha256IsRefusedThoughRight) {
  for (const std::size_t size : {16U, 20U, 24U, 28U}) {
    const Parsed p([&](Builder& b) { b.text(Attr::kUsername, "u").integrity_sha256(kKey, size); });
    ASSERT_TRUE(p.view);
    EXPECT_EQ(p.view->find(Attr::kMessageIntegritySha256)->value.size(), size);
    EXPECT_EQ(deciding_mac(*p.view), MacKind::kSha256);
    EXPECT_FALSE(verify_integrity(*p.view, kKey));
  }
  const Parsed whole([](Builder& b) { b.text(Attr::kUsername, "u").integrity_sha256(kKey); });
  EXPECT_TRUE(verify_integrity(*whole.view, kKey));
}

TEST(VerifyIntegrity, NEG_047_Sha256DecidesWhereBothArePresent) {
  const Parsed wrong([](Builder& b) { b.integrity_sha1(kKey).integrity_sha256(kOther); });
  EXPECT_FALSE(verify_integrity(*wrong.view, kKey));
  const Parsed right([](Builder& b) { b.integrity_sha1(kOther).integrity_sha256(kKey); });
  EXPECT_TRUE(verify_integrity(*right.view, kKey));
}

TEST(VerifyIntegrity, NEG_048_LengthThatCountsTheFingerprint) {
  Buffer message = build(Class::kRequest, Method::kAllocate,
                         [](Builder& b) { b.text(Attr::kUsername, "user").integrity_sha1(kKey).fingerprint(); });
  ASSERT_TRUE(verify_integrity(*MessageView::parse(message), kKey));
  // The MAC over the header as it is on the wire, with a fingerprint made to fit.
  const Bytes all = message;
  const Sha1 wrong = hmac_sha1(kKey, {all.first(all.size() - 8 - 24)});
  std::copy(wrong.begin(), wrong.end(), message.end() - 8 - 20);
  store_be32(message.data() + message.size() - 4, fingerprint_of(all.first(all.size() - 8)));
  const auto view = MessageView::parse(message);
  ASSERT_TRUE(view);
  EXPECT_FALSE(verify_integrity(*view, kKey));
}

TEST(VerifyIntegrity, NEG_049_KeyOfAnotherUser) {
  const Parsed p([](Builder& b) { b.text(Attr::kUsername, "u").integrity_sha1(kOther); });
  EXPECT_FALSE(verify_integrity(*p.view, kKey));
}

TEST(VerifyIntegrity, KeysOfEveryLength) {
  for (std::size_t length = 0; length < 140; ++length) {
    const Buffer key(length, std::byte{7});
    const Parsed p([&](Builder& b) { b.text(Attr::kRealm, "r").integrity_sha1(key); });
    EXPECT_TRUE(verify_integrity(*p.view, key)) << length;
    const Parsed q([&](Builder& b) { b.text(Attr::kRealm, "r").integrity_sha256(key); });
    EXPECT_TRUE(verify_integrity(*q.view, key)) << length;
  }
}

TEST(Fingerprint, NEG_050_WrongValue) {
  EXPECT_EQ(parse_error(hex("000100082112a442000102030405060708090a0b802800045b0ff600")), ParseError::kBadFingerprint);
  EXPECT_EQ(parse_error(hex("000100082112a442000102030405060708090a0b802800045b0ff6fc")), ParseError::kNone);
}

TEST(Fingerprint, NEG_051_NotLast) {
  EXPECT_EQ(parse_error(hex("000100102112a442000102030405060708090a0b802800045b0ff6fc8022000461626364")),
            ParseError::kBadFingerprint);
}

TEST(Fingerprint, NEG_052_OtherLengths) {
  EXPECT_EQ(parse_error(hex("000100042112a442000102030405060708090a0b80280000")), ParseError::kBadFingerprint);
  for (std::size_t length = 0; length <= 12; ++length) {
    if (length == 4) continue;
    const Buffer message =
        build(Class::kRequest, Method::kBinding, [&](Builder& b) { b.raw(Attr::kFingerprint, Buffer(length)); });
    EXPECT_EQ(parse_error(message), ParseError::kBadFingerprint) << length;
  }
}

// Neither place nor length is forgiven for a right value.
TEST(Fingerprint, NEG_051_NEG_052_RightValueInTheWrongForm) {
  const auto fix = [](Buffer message) {
    store_be32(message.data() + 24, fingerprint_of(Bytes(message).first(20)));
    return message;
  };
  EXPECT_EQ(parse_error(fix(hex("000100082112a442000102030405060708090a0b8028000400000000"))), ParseError::kNone);
  for (const std::string_view length : {"01", "02", "03"}) {
    const std::string text = "000100082112a442000102030405060708090a0b802800" + std::string(length) + "00000000";
    EXPECT_EQ(parse_error(fix(hex(text))), ParseError::kBadFingerprint) << length;
  }
  const Buffer not_last = hex("0001000c2112a442000102030405060708090a0b802800040000000080300000");
  EXPECT_EQ(parse_error(fix(not_last)), ParseError::kBadFingerprint);
}

TEST(Fingerprint, NEG_053_Two) {
  const Buffer message = build(Class::kRequest, Method::kBinding, [](Builder& b) { b.fingerprint().fingerprint(); });
  EXPECT_EQ(parse_error(message), ParseError::kBadFingerprint);
}

TEST(Fingerprint, IsCheckedAfterAMacToo) {
  Buffer message = build(Class::kRequest, Method::kBinding, [](Builder& b) { b.integrity_sha256(kKey).fingerprint(); });
  EXPECT_EQ(parse_error(message), ParseError::kNone);
  message.back() ^= std::byte{1};
  EXPECT_EQ(parse_error(message), ParseError::kBadFingerprint);
}

}  // namespace
}  // namespace turnkit::stun
