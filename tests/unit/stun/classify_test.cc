// The first-byte demultiplexer and ChannelData.
#include "stun/classify.h"

#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

PacketKind kind_of(unsigned first, ChannelRange channels = kRfc8656Channels) {
  const std::byte b{static_cast<std::uint8_t>(first)};
  return classify(Bytes(&b, 1), channels);
}

// RFC 7983, section 7, with the channel range that RFC 8656 leaves.
TEST(Classify, Rfc7983Table) {
  for (unsigned first = 0; first <= 255; ++first) {
    PacketKind want = PacketKind::kUnknown;
    if (first <= 3) want = PacketKind::kStun;
    if (first >= 16 && first <= 19) want = PacketKind::kZrtp;
    if (first >= 20 && first <= 63) want = PacketKind::kDtls;
    if (first >= 64 && first <= 79) want = PacketKind::kChannelData;
    if (first >= 128 && first <= 191) want = PacketKind::kRtp;
    EXPECT_EQ(kind_of(first), want) << first;
  }
}

TEST(Classify, WideChannelRangeTakesUpTo7F) {
  for (unsigned first = 0; first <= 255; ++first) {
    const bool channel = first >= 0x40 && first <= 0x7F;
    EXPECT_EQ(kind_of(first, kRfc5766Channels) == PacketKind::kChannelData, channel) << first;
    if (!channel) {
      EXPECT_EQ(kind_of(first, kRfc5766Channels), kind_of(first)) << first;
    }
  }
}

TEST(Classify, NEG_001_EmptyDatagram) { EXPECT_EQ(classify({}), PacketKind::kEmpty); }

TEST(Classify, NEG_004_TopBits01AreChannelData) {
  const Buffer message = hex("400100002112a442000102030405060708090a0b");
  EXPECT_EQ(classify(message), PacketKind::kChannelData);
  EXPECT_EQ(parse_error(message), ParseError::kNotStun);
}

TEST(Classify, NEG_005_TopBits10And11AreNotStun) {
  EXPECT_EQ(classify(hex("800100002112a442000102030405060708090a0b")), PacketKind::kRtp);
  EXPECT_EQ(parse_error(hex("800100002112a442000102030405060708090a0b")), ParseError::kNotStun);
  EXPECT_EQ(classify(hex("c00100002112a442000102030405060708090a0b")), PacketKind::kUnknown);
  EXPECT_EQ(parse_error(hex("c00100002112a442000102030405060708090a0b")), ParseError::kNotStun);
}

TEST(Classify, NEG_006_FirstByte4To15) {
  for (unsigned first = 4; first <= 15; ++first) EXPECT_EQ(kind_of(first), PacketKind::kUnknown) << first;
  EXPECT_EQ(parse_error(hex("040100002112a442000102030405060708090a0b")), ParseError::kBadMethod);
}

TEST(ChannelDataMessage, NEG_097_HeaderCut) {
  for (const std::string_view cut : {"", "40", "4000", "400000"}) EXPECT_FALSE(parse_channel_data(hex(cut))) << cut;
}

TEST(ChannelDataMessage, NEG_098_LengthBeyondTheDatagram) { EXPECT_FALSE(parse_channel_data(hex("4000000861626364"))); }

TEST(ChannelDataMessage, NEG_099_TrailingBytesAreLeftOut) {
  const Buffer datagram = hex("4000000261625858");
  const auto message = parse_channel_data(datagram);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->number, 0x4000);
  EXPECT_EQ(as_text(message->data), "ab");
}

TEST(ChannelDataMessage, NEG_100_EmptyDataIsTaken) {
  const auto message = parse_channel_data(hex("40000000"));
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->data.empty());
}

TEST(ChannelDataMessage, NEG_101_NumbersBeyondTheRange) {
  EXPECT_EQ(classify(hex("5000000161")), PacketKind::kUnknown);
  EXPECT_EQ(classify(hex("5000000161"), kRfc5766Channels), PacketKind::kChannelData);
  for (unsigned number = 0; number <= 0xFFFF; ++number) {
    const auto n = static_cast<std::uint16_t>(number);
    EXPECT_EQ(kRfc8656Channels.contains(n), number >= 0x4000 && number <= 0x4FFF) << number;
    EXPECT_EQ(kRfc5766Channels.contains(n), number >= 0x4000 && number <= 0x7FFE) << number;
  }
}

TEST(ChannelDataMessage, HeaderRoundTrip) {
  Buffer datagram(kChannelHeaderSize + 65535);
  for (const std::size_t length : {0U, 1U, 255U, 256U, 1200U, 65534U, 65535U}) {
    write_channel_header(datagram.data(), 0x4ABC, length);
    const auto message = parse_channel_data(Bytes(datagram).first(kChannelHeaderSize + length));
    ASSERT_TRUE(message) << length;
    EXPECT_EQ(message->number, 0x4ABC);
    EXPECT_EQ(message->data.size(), length);
    if (length > 0) {
      EXPECT_FALSE(parse_channel_data(Bytes(datagram).first(kChannelHeaderSize + length - 1)));
    }
  }
}

}  // namespace
}  // namespace turnkit::stun
