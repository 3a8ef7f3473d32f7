// The RFCs' test vectors, and what must happen to them when they are changed.
#include "vectors.h"

#include "base/digest.h"
#include "stun/attributes.h"
#include "stun/integrity.h"
#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

using namespace vectors;

constexpr std::string_view kUser = "\xE3\x83\x9E\xE3\x83\x88\xE3\x83\xAA\xE3\x83\x83\xE3\x82\xAF\xE3\x82\xB9";

MessageView view_of(const Buffer& message) {
  auto view = MessageView::parse(message);
  EXPECT_TRUE(view);
  return *view;
}

std::string_view text_of(const MessageView& view, Attr type) {
  const auto attribute = view.find(type);
  return attribute ? decode_text(attribute->value).value_or("(too long)") : "(absent)";
}

// What each vector is keyed with, which MAC it has, and whether a fingerprint follows.
struct Vector {
  std::string_view name;
  std::string_view message;
  Buffer key;
  bool has_fingerprint;
};

std::vector<Vector> all_vectors() {
  const Buffer password = copy(as_bytes(kShortTermPassword));
  const Sha256 sha256_key = sha256({as_bytes(kUser), as_bytes(":example.org:TheMatrIX")});
  return {{"request", kRequest, password, true},
          {"IPv4 response", kIpv4Response, password, true},
          {"IPv6 response", kIpv6Response, password, true},
          {"long-term request", kLongTermRequest, hex(kLongTermKey), false},
          {"userhash request", kUserhashRequest, copy(sha256_key), false}};
}

TEST(Rfc5769, RequestIsRead) {
  const Buffer message = hex(kRequest);
  const MessageView view = view_of(message);
  EXPECT_TRUE(view.is(Class::kRequest, Method::kBinding));
  EXPECT_EQ(to_hex(view.transaction_id().bytes), "b7e7a701bc34d686fa87dfae");
  EXPECT_EQ(text_of(view, Attr::kSoftware), "STUN test client");
  EXPECT_EQ(decode_u32(view.find(Attr::kPriority)->value), 0x6e0001ffU);
  EXPECT_EQ(decode_u64(view.find(Attr::kIceControlled)->value), 0x932ff9b151263b36U);
  EXPECT_EQ(text_of(view, Attr::kUsername), "evtj:h6vY");
  EXPECT_EQ(deciding_mac(view), MacKind::kSha1);
  EXPECT_EQ(view.offset_of(Attr::kMessageIntegrity), 76U);
  EXPECT_EQ(types_of(view), (std::vector<Attr>{Attr::kSoftware, Attr::kPriority, Attr::kIceControlled, Attr::kUsername,
                                               Attr::kMessageIntegrity, Attr::kFingerprint}));
}

TEST(Rfc5769, ResponsesAreRead) {
  const Buffer v4 = hex(kIpv4Response);
  const MessageView view4 = view_of(v4);
  EXPECT_TRUE(view4.is(Class::kSuccess, Method::kBinding));
  EXPECT_EQ(text_of(view4, Attr::kSoftware), "test vector");
  const auto mapped4 = decode_xor_address(view4.find(Attr::kXorMappedAddress)->value, view4.transaction_id());
  ASSERT_TRUE(mapped4);
  EXPECT_EQ(mapped4->to_string(), "192.0.2.1:32853");

  const Buffer v6 = hex(kIpv6Response);
  const MessageView view6 = view_of(v6);
  const auto mapped6 = decode_xor_address(view6.find(Attr::kXorMappedAddress)->value, view6.transaction_id());
  ASSERT_TRUE(mapped6);
  EXPECT_EQ(mapped6->to_string(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

TEST(Rfc5769, LongTermRequestIsRead) {
  const Buffer message = hex(kLongTermRequest);
  const MessageView view = view_of(message);
  EXPECT_EQ(text_of(view, Attr::kUsername), kUser);
  EXPECT_EQ(text_of(view, Attr::kRealm), "example.org");
  EXPECT_EQ(text_of(view, Attr::kNonce), "f//499k954d6OL34oL9FSTvy64sA");
  EXPECT_EQ(to_hex(md5({as_bytes(kUser), as_bytes(":example.org:TheMatrIX")})), kLongTermKey);
}

TEST(Rfc8489B1, CorrectedRequestIsRead) {
  const Buffer message = hex(kUserhashRequest);
  const MessageView view = view_of(message);
  EXPECT_EQ(deciding_mac(view), MacKind::kSha256);
  EXPECT_EQ(to_hex(sha256({as_bytes(kUser), as_bytes(":example.org")})), to_hex(view.find(Attr::kUserhash)->value));
  EXPECT_EQ(text_of(view, Attr::kNonce), "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA");
  const auto algorithm = decode_password_algorithm(view.find(Attr::kPasswordAlgorithm)->value);
  ASSERT_TRUE(algorithm);
  EXPECT_EQ(algorithm->algorithm, 2);
  EXPECT_TRUE(algorithm->parameters.empty());
  EXPECT_EQ(to_hex(sha256({as_bytes(kUser), as_bytes(":example.org:TheMatrIX")})),
            "dd295a613b9058c3c23d6dc7165bda072304d989c9d0af3a8c7e184b4f9bb4a1");
}

TEST(Rfc8489B1, NEG_011_RequestAsPrintedIsRefused) {
  Buffer message = hex(kUserhashRequestAsPrinted);
  ASSERT_EQ(message.size(), 156U);
  EXPECT_EQ(parse_error(message), ParseError::kBadLength);
  // With the length that it has, its MAC is still wrong for either key.
  store_be16(message.data() + 2, 136);
  const MessageView view = view_of(message);
  EXPECT_FALSE(verify_integrity(view, sha256({as_bytes(kUser), as_bytes(":example.org:TheMatrIX")})));
  EXPECT_FALSE(verify_integrity(view, hex(kLongTermKey)));
}

TEST(Vectors, MacsVerify) {
  for (const Vector& vector : all_vectors()) {
    const Buffer message = hex(vector.message);
    const MessageView view = view_of(message);
    EXPECT_TRUE(verify_integrity(view, vector.key)) << vector.name;
    EXPECT_EQ(view.has(Attr::kFingerprint), vector.has_fingerprint) << vector.name;
    Buffer other_key = vector.key;
    other_key.back() ^= std::byte{1};
    EXPECT_FALSE(verify_integrity(view, other_key)) << vector.name;
    EXPECT_FALSE(verify_integrity(view, {})) << vector.name;
  }
}

// A message with a bit changed is either refused or, should it parse, not authentic; except in what no MAC covers.
TEST(Vectors, EveryFlippedBitIsNoticed) {
  for (const Vector& vector : all_vectors()) {
    const Buffer good = hex(vector.message);
    const std::size_t mac_at = vector.has_fingerprint ? good.size() - 8 : good.size();
    for (std::size_t i = 0; i < good.size(); ++i) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        Buffer bad = good;
        bad[i] ^= static_cast<std::byte>(1U << bit);
        const auto view = MessageView::parse(bad);
        if (i < mac_at) {
          EXPECT_FALSE(view && verify_integrity(*view, vector.key)) << vector.name << " byte " << i << " bit " << bit;
        }
        // What parses has no fingerprint any more: its type was changed, or a longer attribute swallowed it.
        if (vector.has_fingerprint && view) {
          EXPECT_FALSE(view->has(Attr::kFingerprint)) << vector.name << " byte " << i << " bit " << bit;
        }
      }
    }
  }
}

TEST(Vectors, PaddingIsCovered) {
  Buffer request = hex(kRequest);
  ASSERT_EQ(request[75], std::byte{0x20});  // the last byte of USERNAME's padding
  request[75] = std::byte{0};
  EXPECT_EQ(parse_error(request), ParseError::kBadFingerprint);
  request.resize(request.size() - 8);
  store_be16(request.data() + 2, 80);
  EXPECT_FALSE(verify_integrity(view_of(request), as_bytes(kShortTermPassword)));

  Buffer long_term = hex(kLongTermRequest);
  ASSERT_EQ(long_term[42], std::byte{0});
  long_term[42] = std::byte{0x20};
  EXPECT_FALSE(verify_integrity(view_of(long_term), hex(kLongTermKey)));
}

TEST(Vectors, FingerprintBeforeTheMacIsRefused) {
  const Buffer good = hex(kRequest);
  const Bytes all = good;
  const Bytes mac = all.subspan(76, 24);
  const Bytes fingerprint = all.subspan(100, 8);
  EXPECT_EQ(parse_error(concat({all.first(76), fingerprint, mac})), ParseError::kBadFingerprint);
}

TEST(Vectors, MacStandsWithoutTheFingerprint) {
  for (const Vector& vector : all_vectors()) {
    if (!vector.has_fingerprint) continue;
    Buffer message = hex(vector.message);
    message.resize(message.size() - 8);
    store_be16(message.data() + 2, static_cast<std::uint16_t>(message.size() - kHeaderSize));
    EXPECT_TRUE(verify_integrity(view_of(message), vector.key)) << vector.name;
  }
}

// The builder makes the same bytes where the vector pads with zero.
TEST(Vectors, BuilderMakesTheLongTermRequest) {
  const Buffer expected = hex(kLongTermRequest);
  TransactionId id;
  std::copy_n(expected.begin() + 8, 12, id.bytes.begin());
  std::array<std::byte, 200> buffer;
  Builder builder(buffer, Class::kRequest, Method::kBinding, id);
  builder.text(Attr::kUsername, kUser)
      .text(Attr::kNonce, "f//499k954d6OL34oL9FSTvy64sA")
      .text(Attr::kRealm, "example.org");
  builder.integrity_sha1(hex(kLongTermKey));
  const auto message = builder.finish();
  ASSERT_TRUE(message);
  EXPECT_EQ(to_hex(*message), to_hex(expected));
}

TEST(Vectors, BuilderMakesTheUserhashRequest) {
  const Buffer expected = hex(kUserhashRequest);
  TransactionId id;
  std::copy_n(expected.begin() + 8, 12, id.bytes.begin());
  std::array<std::byte, 200> buffer;
  Builder builder(buffer, Class::kRequest, Method::kBinding, id);
  builder.raw(Attr::kUserhash, sha256({as_bytes(kUser), as_bytes(":example.org")}))
      .text(Attr::kNonce, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")
      .text(Attr::kRealm, "example.org")
      .password_algorithm(PasswordAlgorithm::kSha256)
      .integrity_sha256(sha256({as_bytes(kUser), as_bytes(":example.org:TheMatrIX")}));
  const auto message = builder.finish();
  ASSERT_TRUE(message);
  EXPECT_EQ(to_hex(*message), to_hex(expected));
}

}  // namespace
}  // namespace turnkit::stun
