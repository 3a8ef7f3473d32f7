// MessageView: finding and visiting attributes, and what follows a MAC.
#include "stun/message.h"

#include <chrono>

#include "stun/attribute_table.h"
#include "stun/integrity.h"
#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

const Bytes kKey = as_bytes("key");

std::optional<MessageView> view_of(const Buffer& message) { return MessageView::parse(message); }

TEST(MessageView, AMessageWithoutAttributesHasNone) {
  const Buffer message = hex("000100002112a442000102030405060708090a0b");
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->begin(), view->end());
  EXPECT_EQ(view->transaction_id(), test_id());
  EXPECT_TRUE(view->has_cookie());
  EXPECT_EQ(view->bytes().size(), 20U);
  for (const AttributeInfo& info : kAttributes) EXPECT_FALSE(view->has(info.type)) << info.name;
  EXPECT_FALSE(view->has(Attr{0x7001}));
  EXPECT_FALSE(view->offset_of(Attr::kMessageIntegrity));
}

// Each attribute type alone and among others, known and unknown, with every padding.
TEST(MessageView, FindsEveryTypeWithEveryPadding) {
  for (unsigned type = 0; type <= 0xFFFF; type += type < 0x40 || (type >= 0x8000 && type < 0x8040) ? 1 : 61) {
    const auto attr = Attr(type);
    if (attr == Attr::kFingerprint || attr == Attr::kMessageIntegrity || attr == Attr::kMessageIntegritySha256)
      continue;
    for (std::size_t length = 0; length < 5; ++length) {
      const Buffer value(length, std::byte{0xEE});
      const Buffer message = build(Class::kRequest, Method::kBinding, [&](Builder& b) {
        b.raw(Attr{0x7F01}, value).raw(attr, value).raw(Attr{0xFF01}, value);
      });
      const auto view = view_of(message);
      ASSERT_TRUE(view) << type;
      const auto found = view->find(attr);
      ASSERT_TRUE(found) << type;
      EXPECT_EQ(found->type, attr);
      EXPECT_TRUE(equal(found->value, value));
      EXPECT_EQ(found->value.data(), message.data() + 20 + 4 + (length + 3) / 4 * 4 + 4);
      EXPECT_EQ(types_of(*view), (std::vector<Attr>{Attr{0x7F01}, attr, Attr{0xFF01}}));
    }
  }
}

TEST(MessageView, TheFirstOfSeveralCounts) {
  const Buffer message = build(Class::kRequest, Method::kCreatePermission, [](Builder& b) {
    b.text(Attr::kXorPeerAddress, "one")
        .text(Attr{0x7002}, "x")
        .text(Attr::kXorPeerAddress, "two")
        .text(Attr{0x7002}, "y");
  });
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_EQ(as_text(view->find(Attr::kXorPeerAddress)->value), "one");
  EXPECT_EQ(as_text(view->find(Attr{0x7002})->value), "x");
  std::vector<std::string> peers;
  for (const Attribute a : *view) {
    if (a.type == Attr::kXorPeerAddress) peers.emplace_back(as_text(a.value));
  }
  EXPECT_EQ(peers, (std::vector<std::string>{"one", "two"}));
}

TEST(MessageView, LargestMessageIsIndexedToItsEnd) {
  Buffer message = hex("0001fffc2112a442000102030405060708090a0b");
  message.resize(20 + 65532);
  store_be16(message.data() + 20, 0x7001);
  store_be16(message.data() + 22, 65532 - 4 - 8);
  store_be16(message.data() + message.size() - 8, static_cast<std::uint16_t>(Attr::kLifetime));
  store_be16(message.data() + message.size() - 6, 4);
  store_be32(message.data() + message.size() - 4, 600);
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_EQ(decode_u32(view->find(Attr::kLifetime)->value), 600U);
  EXPECT_EQ(view->find(Attr{0x7001})->value.size(), 65520U);
  EXPECT_EQ(types_of(*view), (std::vector<Attr>{Attr{0x7001}, Attr::kLifetime}));
}

TEST(MessageView, Rfc3489MessagesOnlyWhereAskedFor) {
  const Buffer message = hex("00010008deadbeef000102030405060708090a0b0003000400000006");
  EXPECT_EQ(parse_error(message), ParseError::kBadCookie);
  const auto view = MessageView::parse(message, nullptr, Cookie::kAny);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->has_cookie());
  EXPECT_EQ(decode_u32(view->find(Attr::kChangeRequest)->value), 6U);
}

// RFC 8489, section 14.5: after MESSAGE-INTEGRITY only MESSAGE-INTEGRITY-SHA256 and FINGERPRINT count.
TEST(MessageView, WhatFollowsAMacIsIgnored) {
  const Buffer message = build(Class::kRequest, Method::kAllocate, [](Builder& b) {
    b.text(Attr::kUsername, "u").integrity_sha1(kKey).text(Attr::kLifetime, "late").text(Attr{0x7001}, "late");
    b.integrity_sha256(kKey).text(Attr::kRealm, "later").fingerprint();
  });
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->has(Attr::kLifetime));
  EXPECT_FALSE(view->has(Attr::kRealm));
  EXPECT_FALSE(view->has(Attr{0x7001}));
  EXPECT_TRUE(view->has(Attr::kUsername));
  EXPECT_EQ(types_of(*view), (std::vector<Attr>{Attr::kUsername, Attr::kMessageIntegrity, Attr::kMessageIntegritySha256,
                                                Attr::kFingerprint}));
  EXPECT_EQ(deciding_mac(*view), MacKind::kSha256);
  EXPECT_TRUE(verify_integrity(*view, kKey));
}

// Section 14.6: with no MESSAGE-INTEGRITY before it, only FINGERPRINT counts after MESSAGE-INTEGRITY-SHA256.
TEST(MessageView, NEG_046_Sha256BeforeSha1Decides) {
  const Buffer message = build(Class::kRequest, Method::kAllocate, [](Builder& b) {
    b.integrity_sha256(kKey).integrity_sha1(as_bytes("other")).text(Attr::kUsername, "late");
  });
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_EQ(types_of(*view), (std::vector<Attr>{Attr::kMessageIntegritySha256}));
  EXPECT_FALSE(view->has(Attr::kMessageIntegrity));
  EXPECT_EQ(deciding_mac(*view), MacKind::kSha256);
  EXPECT_TRUE(verify_integrity(*view, kKey));
}

TEST(MessageView, NEG_041_TwoMacsTheFirstCounts) {
  const Buffer message = build(Class::kRequest, Method::kAllocate, [](Builder& b) {
    b.integrity_sha1(kKey).raw(Attr::kMessageIntegrity, Buffer(20)).fingerprint();
  });
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_TRUE(verify_integrity(*view, kKey));
  EXPECT_EQ(types_of(*view), (std::vector<Attr>{Attr::kMessageIntegrity, Attr::kFingerprint}));

  const Buffer reversed = build(Class::kRequest, Method::kAllocate,
                                [](Builder& b) { b.raw(Attr::kMessageIntegrity, Buffer(20)).integrity_sha1(kKey); });
  EXPECT_FALSE(verify_integrity(*view_of(reversed), kKey));
}

TEST(MessageView, NEG_031_SixteenThousandAttributesTakeLinearTime) {
  const auto cost = [](std::size_t count) {
    const Buffer message = build(Class::kRequest, Method::kBinding, [&](Builder& b) {
      for (std::size_t i = 0; i < count; ++i) b.flag(Attr::kMobilityTicket);
    });
    auto best = std::chrono::nanoseconds::max();
    for (int round = 0; round < 20; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const auto view = MessageView::parse(message);
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
      EXPECT_TRUE(view && view->has(Attr::kMobilityTicket));
    }
    return best;
  };
  // Ten times the attributes may not cost a hundred times as much, by a wide margin on a busy machine.
  EXPECT_LT(cost(16000).count(), 50 * (cost(1600).count() + 1000));
  const Buffer message = build(Class::kRequest, Method::kBinding, [&](Builder& b) {
    for (int i = 0; i < 16000; ++i) b.flag(Attr::kMobilityTicket);
  });
  EXPECT_EQ(types_of(*view_of(message)).size(), 16000U);
}

TEST(MessageView, NEG_032_ThousandsOfUnknownAttributesAreVisitedOnce) {
  const Buffer message = build(Class::kRequest, Method::kBinding, [&](Builder& b) {
    for (unsigned i = 0; i < 4000; ++i) b.flag(Attr(0x4000 + i));
  });
  const auto types = types_of(*view_of(message));
  ASSERT_EQ(types.size(), 4000U);
  EXPECT_EQ(types.front(), Attr{0x4000});
  EXPECT_EQ(types.back(), Attr{0x4000 + 3999});
}

TEST(MessageView, NEG_038_UnknownRequiredAfterTheMacIsIgnored) {
  const Buffer message = build(Class::kRequest, Method::kAllocate, [](Builder& b) {
    b.text(Attr::kUsername, "u").integrity_sha1(kKey).flag(Attr{0x7FFF});
  });
  const auto view = view_of(message);
  ASSERT_TRUE(view);
  EXPECT_FALSE(view->has(Attr{0x7FFF}));
  EXPECT_TRUE(verify_integrity(*view, kKey));
}

TEST(MessageView, NEG_040_DuplicateLifetimeTheFirstCounts) {
  const Buffer message =
      build(Class::kRequest, Method::kRefresh, [](Builder& b) { b.u32(Attr::kLifetime, 0).u32(Attr::kLifetime, 600); });
  EXPECT_EQ(decode_u32(view_of(message)->find(Attr::kLifetime)->value), 0U);
}

}  // namespace
}  // namespace turnkit::stun
