// Malformed and hostile messages, by their number in the conformance list; what a server answers is tested with the
// server.
#include <string>

#include "stun/attributes.h"
#include "stun/channel_data.h"
#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

constexpr std::string_view kId = "000102030405060708090a0b";

ParseError refused(std::string_view seed) { return parse_error(hex(seed)); }

// The value of attribute `type` of a seed that parses.
Buffer value_of(std::string_view seed, Attr type) {
  const Buffer message = hex(seed);
  const auto view = MessageView::parse(message);
  EXPECT_TRUE(view) << seed;
  if (!view) return {};
  const auto attribute = view->find(type);
  EXPECT_TRUE(attribute) << seed;
  return attribute ? copy(attribute->value) : Buffer{};
}

TEST(Header, NEG_001_Empty) { EXPECT_EQ(parse_error({}), ParseError::kTooShort); }
TEST(Header, NEG_002_OneByte) { EXPECT_EQ(refused("00"), ParseError::kTooShort); }
TEST(Header, NEG_003_NineteenBytes) {
  EXPECT_EQ(refused("000100002112a442000102030405060708090a"), ParseError::kTooShort);
  const Buffer whole = hex("000100002112a442000102030405060708090a0b");
  for (std::size_t size = 0; size < 20; ++size) {
    EXPECT_EQ(parse_error(Bytes(whole).first(size)), ParseError::kTooShort) << size;
  }
}
TEST(Header, NEG_007_LengthNotAMultipleOfFour) {
  EXPECT_EQ(refused("000100032112a442000102030405060708090a0b00000000"), ParseError::kBadLength);
  EXPECT_EQ(refused("000100032112a442000102030405060708090a0b000000"), ParseError::kBadLength);
}
TEST(Header, NEG_008_LengthBeyondTheDatagram) {
  EXPECT_EQ(refused("000100082112a442000102030405060708090a0b"), ParseError::kBadLength);
}
TEST(Header, NEG_009_LengthFffc) {
  EXPECT_EQ(refused("0001fffc2112a442000102030405060708090a0b"), ParseError::kBadLength);
}
TEST(Header, NEG_010_TrailingBytes) {
  EXPECT_EQ(refused("000100002112a442000102030405060708090a0b8022000461626364"), ParseError::kBadLength);
}
TEST(Header, NEG_012_WrongCookieBinding) {
  EXPECT_EQ(refused("00010000deadbeef000102030405060708090a0b"), ParseError::kBadCookie);
  EXPECT_EQ(parse_error(hex("00010000deadbeef000102030405060708090a0b"), Cookie::kAny), ParseError::kNone);
}
TEST(Header, NEG_013_WrongCookieAllocate) {
  EXPECT_EQ(refused("00030008deadbeef000102030405060708090a0b0019000411000000"), ParseError::kBadCookie);
}
TEST(Header, NEG_015_UnknownMethod) {
  EXPECT_EQ(refused("02ef00002112a442000102030405060708090a0b"), ParseError::kBadMethod);
}
TEST(Header, NEG_016_MethodZero) {
  EXPECT_EQ(refused("000000002112a442000102030405060708090a0b"), ParseError::kBadMethod);
}
TEST(Header, NEG_017_SharedSecret) {
  EXPECT_EQ(refused("000200002112a442000102030405060708090a0b"), ParseError::kBadMethod);
}
TEST(Header, NEG_018_SuccessResponseIsAResponse) {
  const Buffer message = hex("0101000c2112a442000102030405060708090a0b002000080001a147e112a643");
  EXPECT_EQ(MessageView::parse(message)->cls(), Class::kSuccess);
}
TEST(Header, NEG_019_ErrorResponseIsAResponse) {
  const Buffer message = hex("011100082112a442000102030405060708090a0b0009000400000400");
  EXPECT_EQ(MessageView::parse(message)->cls(), Class::kError);
}
TEST(Header, NEG_021_AllocateIndication) {
  EXPECT_EQ(refused("001300082112a442000102030405060708090a0b0019000411000000"), ParseError::kBadMethod);
}
TEST(Header, NEG_022_SendRequest) {
  EXPECT_EQ(refused("000600142112a442000102030405060708090a0b001200080001a147e112a6430013000268690000"),
            ParseError::kBadMethod);
}
// What a client may not send but a server may: the codec takes it, and knows it for what it is.
TEST(Header, NEG_023_NEG_024_ServersIndications) {
  const Buffer data = hex("001700142112a442000102030405060708090a0b001200080001a147e112a6430013000268690000");
  EXPECT_TRUE(MessageView::parse(data)->is(Class::kIndication, Method::kData));
  const Buffer attempt = hex("001c00082112a442000102030405060708090a0b002a000400000001");
  EXPECT_TRUE(MessageView::parse(attempt)->is(Class::kIndication, Method::kConnectionAttempt));
}

TEST(Tlv, NEG_025_HeaderCut) {
  EXPECT_EQ(refused("000100022112a442000102030405060708090a0b8022"), ParseError::kBadLength);
}
TEST(Tlv, NEG_026_LengthBeyondTheMessage) {
  EXPECT_EQ(refused("000100082112a442000102030405060708090a0b802200c861626364"), ParseError::kBadAttribute);
  EXPECT_EQ(refused("000100082112a442000102030405060708090a0b8022000561626364"), ParseError::kBadAttribute);
}
TEST(Tlv, NEG_027_LengthFfff) {
  EXPECT_EQ(refused("000100042112a442000102030405060708090a0b8022ffff"), ParseError::kBadAttribute);
}
TEST(Tlv, NEG_028_PaddedSizeWraps) {
  EXPECT_EQ(refused("000100082112a442000102030405060708090a0b8022fffd00000000"), ParseError::kBadAttribute);
}
TEST(Tlv, NEG_029_PaddingDoesNotFit) {
  EXPECT_EQ(refused("000100092112a442000102030405060708090a0b802200056162636465"), ParseError::kBadLength);
}
TEST(Tlv, NEG_030_NonZeroPadding) {
  EXPECT_EQ(as_text(value_of("000100082112a442000102030405060708090a0b80220003616263ff", Attr::kSoftware)), "abc");
}
TEST(Tlv, NEG_033_SameUnknownAttributeAThousandTimes) {
  const Buffer message = build(Class::kRequest, Method::kBinding, [](Builder& b) {
    for (int i = 0; i < 1000; ++i) b.flag(Attr{0x7001});
  });
  const auto view = MessageView::parse(message);
  EXPECT_EQ(types_of(*view), std::vector<Attr>(1000, Attr{0x7001}));
}
TEST(Tlv, NEG_034_NEG_035_NEG_036_UnknownRequiredAttributesAreSeen) {
  for (const std::string_view type : {"0001", "0011", "0101"}) {
    const Buffer message = hex(std::string(type) + "00042112a442" + std::string(kId) + "7fff0000");
    const auto view = MessageView::parse(message);
    ASSERT_TRUE(view);
    EXPECT_EQ(types_of(*view), (std::vector<Attr>{Attr{0x7FFF}}));
    EXPECT_TRUE(is_comprehension_required((*view->begin()).type));
  }
}
TEST(Tlv, NEG_037_UnknownOptionalAttribute) {
  const Buffer message = hex("000100082112a442000102030405060708090a0bffff000178000000");
  const auto view = MessageView::parse(message);
  ASSERT_TRUE(view);
  EXPECT_EQ(as_text(view->find(Attr{0xFFFF})->value), "x");
  EXPECT_FALSE(is_comprehension_required(Attr{0xFFFF}));
}
TEST(Tlv, NEG_039_DuplicateUsername) {
  EXPECT_EQ(
      as_text(value_of("000100102112a442000102030405060708090a0b00060001610000000006000162000000", Attr::kUsername)),
      "a");
}

TEST(Text, NEG_054_EmptyUsername) {
  const Buffer value = value_of("000100042112a442000102030405060708090a0b00060000", Attr::kUsername);
  EXPECT_EQ(decode_text(value), "");
}
TEST(Text, NEG_055_UsernameOf764Bytes) {
  EXPECT_TRUE(decode_text(Buffer(763, std::byte{'a'})));
  EXPECT_FALSE(decode_text(Buffer(764, std::byte{'a'})));
}
TEST(Text, NEG_056_InvalidUtf8IsPassedOnAndEscapedForLogs) {
  const Buffer value = value_of("0001000c2112a442000102030405060708090a0b00060006610062c0afff0000", Attr::kUsername);
  ASSERT_TRUE(decode_text(value));
  EXPECT_EQ(escaped(*decode_text(value)), "a\\x00b\\xc0\\xaf\\xff");
}

TEST(PasswordAlgorithms, NEG_062_ParametersBeyondTheEnd) {
  const Buffer value = value_of("000100082112a442000102030405060708090a0b800200040002fff0", Attr::kPasswordAlgorithms);
  EXPECT_FALSE(password_algorithms_contain(value, 2));
  Reader reader(value);
  EXPECT_FALSE(next_password_algorithm(reader));
  EXPECT_FALSE(reader.ok());
}
TEST(PasswordAlgorithms, NEG_063_EmptyOrHuge) {
  EXPECT_FALSE(password_algorithms_contain(
      value_of("000100042112a442000102030405060708090a0b80020000", Attr::kPasswordAlgorithms), 1));
  Buffer many(4 * 10000);
  EXPECT_FALSE(password_algorithms_contain(many, 1));
  store_be16(many.data() + many.size() - 4, 1);
  EXPECT_TRUE(password_algorithms_contain(many, 1));
}
TEST(PasswordAlgorithms, NEG_064_LengthsThatAreNoEntry) {
  for (const std::size_t length : {0U, 1U, 2U, 3U, 5U, 6U, 7U, 8U}) {
    EXPECT_FALSE(decode_password_algorithm(Buffer(length))) << length;
  }
  EXPECT_FALSE(decode_password_algorithm(
      value_of("000100082112a442000102030405060708090a0b001d000200020000", Attr::kPasswordAlgorithm)));
}
TEST(PasswordAlgorithms, NEG_065_UserhashLengthIsKept) {
  const std::string seed = "000100242112a442" + std::string(kId) + "001e001f" + std::string(64, '0');
  EXPECT_EQ(value_of(seed, Attr::kUserhash).size(), 31U);
}

TEST(Addresses, NEG_067_OtherLengths) {
  for (std::size_t length = 0; length <= 24; ++length) {
    for (const unsigned family : {1U, 2U}) {
      Buffer value(length);
      if (length > 1) value[1] = static_cast<std::byte>(family);
      const bool want = (family == 1 && length == 8) || (family == 2 && length == 20);
      EXPECT_EQ(decode_address(value).has_value(), want) << length;
      EXPECT_EQ(decode_xor_address(value, test_id()).has_value(), want) << length;
    }
  }
  EXPECT_FALSE(decode_xor_address(
      value_of("001600102112a442000102030405060708090a0b00120004000100000013000178000000", Attr::kXorPeerAddress),
      test_id()));
}
TEST(Addresses, NEG_068_OtherFamilies) {
  for (unsigned family = 0; family < 256; ++family) {
    Buffer v4(8);
    Buffer v6(20);
    v4[1] = v6[1] = static_cast<std::byte>(family);
    EXPECT_EQ(decode_address(v4).has_value(), family == 1) << family;
    EXPECT_EQ(decode_address(v6).has_value(), family == 2) << family;
  }
  EXPECT_FALSE(
      decode_xor_address(value_of("001600142112a442000102030405060708090a0b001200080003a147e112a6430013000178000000",
                                  Attr::kXorPeerAddress),
                         test_id()));
}
TEST(Addresses, NEG_069_FamilyAndLengthDisagree) {
  EXPECT_FALSE(
      decode_xor_address(value_of("001600142112a442000102030405060708090a0b001200080002a147e112a6430013000178000000",
                                  Attr::kXorPeerAddress),
                         test_id()));
}
TEST(Addresses, NEG_070_FirstByteIsIgnored) {
  const auto address = decode_xor_address(
      value_of("0101000c2112a442000102030405060708090a0b00200008ff01a147e112a643", Attr::kXorMappedAddress), test_id());
  ASSERT_TRUE(address);
  EXPECT_EQ(address->to_string(), "192.0.2.1:32853");
}
TEST(Addresses, NEG_071_PortZeroIsPassedOn) {
  const auto address = decode_address(hex("0001000001020304"));
  ASSERT_TRUE(address);
  EXPECT_EQ(address->to_string(), "1.2.3.4:0");
}

TEST(ErrorCodes, NEG_074_ClassAndNumberOutsideTheirRange) {
  for (unsigned hundreds = 0; hundreds < 8; ++hundreds) {
    for (unsigned number = 0; number < 256; ++number) {
      Buffer value(4);
      value[2] = static_cast<std::byte>(hundreds | 0xF8);  // reserved bits set
      value[3] = static_cast<std::byte>(number);
      const auto error = decode_error_code(value);
      EXPECT_EQ(error.has_value(), hundreds >= 3 && hundreds <= 6 && number <= 99) << hundreds << '/' << number;
      if (error) {
        EXPECT_EQ(error->code, hundreds * 100 + number);
      }
    }
  }
  for (std::size_t length = 0; length < 4; ++length) EXPECT_FALSE(decode_error_code(Buffer(length)));
  EXPECT_FALSE(
      decode_error_code(value_of("011100082112a442000102030405060708090a0b00090004000007ff", Attr::kErrorCode)));
}
TEST(ErrorCodes, NEG_075_ErrorResponseWithoutErrorCode) {
  const Buffer message = hex("011100002112a442000102030405060708090a0b");
  EXPECT_FALSE(MessageView::parse(message)->has(Attr::kErrorCode));
}
TEST(ErrorCodes, NEG_076_ReasonWithTerminalEscapes) {
  const Buffer value = value_of("0111000c2112a442000102030405060708090a0b00090008000004001b5b324a", Attr::kErrorCode);
  const auto error = decode_error_code(value);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, 400);
  EXPECT_EQ(escaped(error->reason), "\\x1b[2J");
}
TEST(ErrorCodes, NEG_077_OddUnknownAttributes) {
  const Buffer value =
      value_of("011100102112a442000102030405060708090a0b0009000400000414000a00037fff0100", Attr::kUnknownAttributes);
  EXPECT_EQ(decode_unknown_attributes(value), (std::vector<Attr>{Attr{0x7FFF}}));
}
TEST(ErrorCodes, NEG_078_BindingSuccessWithoutAddress) {
  const Buffer message = hex("010100002112a442000102030405060708090a0b");
  EXPECT_FALSE(MessageView::parse(message)->has(Attr::kXorMappedAddress));
}

// Attributes of one fixed length: every other length is refused.
template <typename Decode>
void expect_only_lengths(Decode decode, std::initializer_list<std::size_t> lengths) {
  for (std::size_t length = 0; length <= 17; ++length) {
    const bool want = std::find(lengths.begin(), lengths.end(), length) != lengths.end();
    EXPECT_EQ(decode(Buffer(length)).has_value(), want) << length;
  }
}
TEST(Turn, NEG_081_RequestedTransportLength) { expect_only_lengths(decode_requested_transport, {4}); }
TEST(Turn, NEG_082_RequestedTransportValueIsPassedOn) {
  EXPECT_EQ(decode_requested_transport(
                value_of("000300082112a442000102030405060708090a0b00190004ff000000", Attr::kRequestedTransport)),
            255);
}
TEST(Turn, NEG_083_LifetimeOfAllOnes) {
  EXPECT_EQ(decode_u32(value_of("000400082112a442000102030405060708090a0b000d0004ffffffff", Attr::kLifetime)),
            0xFFFFFFFFU);
}
TEST(Turn, NEG_084_LifetimeLength) { expect_only_lengths(decode_u32, {4}); }
TEST(Turn, NEG_085_EvenPortLength) { expect_only_lengths(decode_even_port, {1}); }
TEST(Turn, NEG_086_ReservationTokenLength) { expect_only_lengths(decode_u64, {8}); }
TEST(Turn, NEG_087_DontFragmentWithAValue) {
  EXPECT_EQ(as_text(value_of("000300102112a442000102030405060708090a0b0019000411000000001a000461626364",
                             Attr::kDontFragment)),
            "abcd");
}
TEST(Turn, NEG_088_ChannelNumberOutsideTheRange) {
  const auto number = decode_channel_number(value_of(
      "000900142112a442000102030405060708090a0b000c000450000000001200080001a147e112a643", Attr::kChannelNumber));
  ASSERT_EQ(number, 0x5000);
  EXPECT_FALSE(kRfc8656Channels.contains(*number));
  EXPECT_TRUE(kRfc5766Channels.contains(*number));
}
TEST(Turn, NEG_089_ChannelNumberLength) { expect_only_lengths(decode_channel_number, {4}); }
TEST(Turn, NEG_095_HugeMobilityTicket) {
  const Buffer message =
      build(Class::kRequest, Method::kRefresh, [](Builder& b) { b.raw(Attr::kMobilityTicket, Buffer(60000)); });
  EXPECT_EQ(MessageView::parse(message)->find(Attr::kMobilityTicket)->value.size(), 60000U);
}
TEST(Turn, OtherFixedLengths) {
  expect_only_lengths(decode_address_family, {4});
  expect_only_lengths(decode_icmp, {8});
  expect_only_lengths(decode_response_port, {2, 4});
}

}  // namespace
}  // namespace turnkit::stun
