// Numbers and names.
#include "stun/types.h"

#include <set>

#include "stun/attribute_table.h"
#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

TEST(MessageType, EncodingIsABijectionOnFourteenBits) {
  std::set<std::uint16_t> seen;
  for (unsigned method = 0; method <= 0xFFF; ++method) {
    for (unsigned cls = 0; cls < 4; ++cls) {
      const std::uint16_t type = encode_type(Class(cls), Method(method));
      EXPECT_EQ(type & 0xC000, 0);
      EXPECT_EQ(class_of(type), Class(cls));
      EXPECT_EQ(method_of(type), Method(method));
      EXPECT_TRUE(seen.insert(type).second);
    }
  }
  EXPECT_EQ(seen.size(), 0x4000U);
}

TEST(MessageType, WireValuesOfTheRfcs) {
  struct Row {
    Method method;
    std::uint16_t request, indication, success, error;
  };
  constexpr Row kRows[] = {
      {Method::kBinding, 0x0001, 0x0011, 0x0101, 0x0111},
      {Method::kAllocate, 0x0003, 0x0013, 0x0103, 0x0113},
      {Method::kRefresh, 0x0004, 0x0014, 0x0104, 0x0114},
      {Method::kSend, 0x0006, 0x0016, 0x0106, 0x0116},
      {Method::kData, 0x0007, 0x0017, 0x0107, 0x0117},
      {Method::kCreatePermission, 0x0008, 0x0018, 0x0108, 0x0118},
      {Method::kChannelBind, 0x0009, 0x0019, 0x0109, 0x0119},
      {Method::kConnect, 0x000A, 0x001A, 0x010A, 0x011A},
      {Method::kConnectionBind, 0x000B, 0x001B, 0x010B, 0x011B},
      {Method::kConnectionAttempt, 0x000C, 0x001C, 0x010C, 0x011C},
      {Method::kGoogPing, 0x0200, 0x0210, 0x0300, 0x0310},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(encode_type(Class::kRequest, row.method), row.request);
    EXPECT_EQ(encode_type(Class::kIndication, row.method), row.indication);
    EXPECT_EQ(encode_type(Class::kSuccess, row.method), row.success);
    EXPECT_EQ(encode_type(Class::kError, row.method), row.error);
    EXPECT_NE(method_name(row.method), "Unknown");
  }
}

// Which of all 2^14 types a parser takes: exactly those of the table in RFC 8489, 8656, 6062 and GOOG-PING.
TEST(MessageType, OnlyTheClassesOfKnownMethodsAreTaken) {
  std::set<std::uint16_t> expected = {0x0001, 0x0011, 0x0101, 0x0111, 0x0016, 0x0017, 0x001C, 0x0200, 0x0300, 0x0310};
  for (const unsigned method : {0x3U, 0x4U, 0x8U, 0x9U, 0xAU, 0xBU}) {
    for (const unsigned cls : {0x0000U, 0x0100U, 0x0110U}) expected.insert(static_cast<std::uint16_t>(method | cls));
  }
  Buffer message = hex("000000002112a442000102030405060708090a0b");
  for (std::uint16_t type = 0; type < 0x4000; ++type) {
    store_be16(message.data(), type);
    const ParseError want = expected.contains(type) ? ParseError::kNone : ParseError::kBadMethod;
    EXPECT_EQ(parse_error(message), want) << type;
    EXPECT_EQ(parse_error(message, Cookie::kAny), want) << type;
  }
}

TEST(AttributeTable, EverySlotIsUsedOnceAndFitsTheView) {
  std::set<std::size_t> slots;
  for (const AttributeInfo& info : kAttributes) {
    const std::size_t slot = attribute_slot(info.type);
    EXPECT_GT(slot, 0U) << info.name;
    EXPECT_LT(slot, 64U) << info.name;
    EXPECT_TRUE(slots.insert(slot).second) << info.name;
    EXPECT_EQ(kAttributes[slot - 1].name, info.name);
    EXPECT_EQ(attribute_name(info.type), info.name);
  }
}

TEST(AttributeTable, OtherTypesHaveNeitherSlotNorName) {
  std::size_t known = 0;
  for (unsigned type = 0; type <= 0xFFFF; ++type) {
    if (attribute_slot(Attr(type)) != 0) {
      ++known;
    } else {
      EXPECT_TRUE(attribute_name(Attr(type)).empty()) << type;
    }
  }
  EXPECT_EQ(known, std::size(kAttributes));
}

TEST(AttributeTable, ComprehensionIsInTheTopBit) {
  EXPECT_TRUE(is_comprehension_required(Attr::kConnectionId));
  EXPECT_TRUE(is_comprehension_required(Attr{0x7FFF}));
  EXPECT_FALSE(is_comprehension_required(Attr{0x8000}));
  EXPECT_FALSE(is_comprehension_required(Attr::kGoogMessageIntegrity32));
}

TEST(Names, PhrasesOfTheRfcs) {
  EXPECT_EQ(reason_phrase(Code::kUnauthenticated), "Unauthenticated");
  EXPECT_EQ(reason_phrase(Code::kStaleNonce), "Stale Nonce");
  EXPECT_EQ(reason_phrase(Code::kInsufficientCapacity), "Insufficient Capacity");
  EXPECT_EQ(reason_phrase(Code{499}), "Unknown Error");
  EXPECT_EQ(method_name(Method::kConnectionBind), "ConnectionBind");
  EXPECT_EQ(method_name(Method{0x0FF}), "Unknown");
  EXPECT_EQ(attribute_name(Attr::kXorPeerAddress), "XOR-PEER-ADDRESS");
}

}  // namespace
}  // namespace turnkit::stun
