// Builder: what it writes is what the decoders read, it pads with zero, and it never writes past its buffer.
#include "stun/builder.h"

#include "stun/integrity.h"
#include "stun_test_util.h"

namespace turnkit::stun {
namespace {

const Bytes kKey = as_bytes("key");

// The attributes that `add` writes, as hex.
template <typename F>
std::string attributes_of(F&& add) {
  const Buffer message = build(Class::kRequest, Method::kAllocate, add);
  EXPECT_EQ(parse_error(message), ParseError::kNone);
  return to_hex(Bytes(message).subspan(kHeaderSize));
}

// The value of the one attribute that `add` writes, read back through the view.
template <typename F>
Buffer value_of(Attr type, F&& add) {
  const Buffer message = build(Class::kSuccess, Method::kAllocate, add);
  const auto view = MessageView::parse(message);
  EXPECT_TRUE(view && view->has(type));
  EXPECT_EQ(types_of(*view), (std::vector<Attr>{type}));
  return copy(view->find(type)->value);
}

TEST(Builder, Header) {
  EXPECT_EQ(to_hex(build(Class::kIndication, Method::kSend, [](Builder&) {})),
            "001600002112a442000102030405060708090a0b");
  Buffer buffer(20);
  Builder classic(buffer, Class::kSuccess, Method::kBinding, test_id(), 0xDEADBEEF);
  EXPECT_EQ(to_hex(*classic.finish()), "01010000deadbeef000102030405060708090a0b");
}

TEST(Builder, BytesOfEachAttribute) {
  const Address v4{IpAddress::v4(192, 0, 2, 1), 32853};
  EXPECT_EQ(attributes_of([](Builder& b) { b.text(Attr::kSoftware, "abc"); }), "8022000361626300");
  EXPECT_EQ(attributes_of([](Builder& b) { b.flag(Attr::kDontFragment); }), "001a0000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.u32(Attr::kLifetime, 600); }), "000d000400000258");
  EXPECT_EQ(attributes_of([](Builder& b) { b.u64(Attr::kIceControlled, 0x932ff9b151263b36); }),
            "80290008932ff9b151263b36");
  EXPECT_EQ(attributes_of([&](Builder& b) { b.address(Attr::kMappedAddress, v4); }), "0001000800018055c0000201");
  EXPECT_EQ(attributes_of([&](Builder& b) { b.xor_address(Attr::kXorMappedAddress, v4); }), "002000080001a147e112a643");
  EXPECT_EQ(attributes_of([](Builder& b) { b.channel_number(0x4001); }), "000c000440010000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.requested_transport(17); }), "0019000411000000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.address_family(Attr::kRequestedAddressFamily, Family::kIPv6); }),
            "0017000402000000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.even_port(true); }), "0018000180000000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.even_port(false); }), "0018000100000000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.response_port(3479); }), "002700020d970000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.error_code(Code::kStaleNonce, "Stale"); }),
            "00090009000004265374616c65000000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.address_error_code(Family::kIPv6, Code::kInsufficientCapacity, ""); }),
            "8001000402000508");
  EXPECT_EQ(attributes_of([](Builder& b) { b.icmp({3, 4, 1400}); }), "800400080000030400000578");
  const Attr unknown[] = {Attr{0x7FFF}, Attr{0x1234}, Attr{0x0001}};
  EXPECT_EQ(attributes_of([&](Builder& b) { b.unknown_attributes(unknown); }), "000a00067fff123400010000");
  EXPECT_EQ(attributes_of([](Builder& b) { b.password_algorithm(PasswordAlgorithm::kSha256); }), "001d000400020000");
  const PasswordAlgorithm both[] = {PasswordAlgorithm::kSha256, PasswordAlgorithm::kMd5};
  EXPECT_EQ(attributes_of([&](Builder& b) { b.password_algorithms(both); }), "800200080002000000010000");
}

TEST(Builder, AddressesComeBack) {
  for (const std::string_view text : {"0.0.0.0:0", "255.255.255.255:65535", "192.0.2.1:3478", "[::]:0",
                                      "[2001:db8::1]:443", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    for (const Attr type : {Attr::kMappedAddress, Attr::kAlternateServer, Attr::kResponseOrigin, Attr::kOtherAddress}) {
      EXPECT_EQ(decode_address(value_of(type, [&](Builder& b) { b.address(type, *address); })), address);
    }
    for (const Attr type : {Attr::kXorMappedAddress, Attr::kXorPeerAddress, Attr::kXorRelayedAddress}) {
      EXPECT_EQ(decode_xor_address(value_of(type, [&](Builder& b) { b.xor_address(type, *address); }), test_id()),
                address);
    }
  }
}

TEST(Builder, NumbersComeBack) {
  for (const std::uint32_t v : {0U, 1U, 600U, 0x12345678U, 0xFFFFFFFFU}) {
    for (const Attr type : {Attr::kLifetime, Attr::kPriority, Attr::kConnectionId, Attr::kChangeRequest}) {
      EXPECT_EQ(decode_u32(value_of(type, [&](Builder& b) { b.u32(type, v); })), v);
    }
    const std::uint64_t wide = (std::uint64_t{v} << 32) | ~v;
    for (const Attr type : {Attr::kReservationToken, Attr::kIceControlled, Attr::kIceControlling}) {
      EXPECT_EQ(decode_u64(value_of(type, [&](Builder& b) { b.u64(type, wide); })), wide);
    }
    const auto v16 = static_cast<std::uint16_t>(v);
    EXPECT_EQ(decode_channel_number(value_of(Attr::kChannelNumber, [&](Builder& b) { b.channel_number(v16); })), v16);
    EXPECT_EQ(decode_response_port(value_of(Attr::kResponsePort, [&](Builder& b) { b.response_port(v16); })), v16);
    const auto v8 = static_cast<std::uint8_t>(v);
    EXPECT_EQ(
        decode_requested_transport(value_of(Attr::kRequestedTransport, [&](Builder& b) { b.requested_transport(v8); })),
        v8);
  }
  for (const Family family : {Family::kIPv4, Family::kIPv6}) {
    for (const Attr type : {Attr::kRequestedAddressFamily, Attr::kAdditionalAddressFamily}) {
      EXPECT_EQ(decode_address_family(value_of(type, [&](Builder& b) { b.address_family(type, family); })),
                static_cast<std::uint8_t>(family));
    }
  }
  for (const bool reserve : {false, true}) {
    EXPECT_EQ(decode_even_port(value_of(Attr::kEvenPort, [&](Builder& b) { b.even_port(reserve); })), reserve);
  }
}

TEST(Builder, TextsComeBackWithEveryPadding) {
  for (std::size_t length = 0; length < 40; ++length) {
    const std::string text(length, 'x');
    for (const Attr type : {Attr::kUsername, Attr::kRealm, Attr::kNonce, Attr::kSoftware, Attr::kAlternateDomain,
                            Attr::kData, Attr::kUserhash, Attr::kMobilityTicket, Attr::kAccessToken,
                            Attr::kThirdPartyAuthorization, Attr::kOrigin, Attr::kPadding}) {
      EXPECT_EQ(as_text(value_of(type, [&](Builder& b) { b.text(type, text); })), text);
    }
    const Buffer error =
        value_of(Attr::kErrorCode, [&](Builder& b) { b.error_code(Code::kAllocationQuotaReached, text); });
    ASSERT_TRUE(decode_error_code(error));
    EXPECT_EQ(decode_error_code(error)->code, 486);
    EXPECT_EQ(decode_error_code(error)->reason, text);
    const Buffer address_error = value_of(Attr::kAddressErrorCode, [&](Builder& b) {
      b.address_error_code(Family::kIPv6, Code::kAddressFamilyNotSupported, text);
    });
    ASSERT_TRUE(decode_address_error_code(address_error));
    EXPECT_EQ(decode_address_error_code(address_error)->family, 2);
    EXPECT_EQ(decode_address_error_code(address_error)->error.code, 440);
    EXPECT_EQ(decode_address_error_code(address_error)->error.reason, text);
  }
}

TEST(Builder, ListsComeBack) {
  std::vector<Attr> types;
  for (unsigned n = 0; n < 9; ++n) {
    EXPECT_EQ(
        decode_unknown_attributes(value_of(Attr::kUnknownAttributes, [&](Builder& b) { b.unknown_attributes(types); })),
        types);
    types.push_back(Attr(0x7000 + n));
  }
  const PasswordAlgorithm both[] = {PasswordAlgorithm::kSha256, PasswordAlgorithm::kMd5};
  const Buffer list = value_of(Attr::kPasswordAlgorithms, [&](Builder& b) { b.password_algorithms(both); });
  EXPECT_TRUE(password_algorithms_contain(list, 1));
  EXPECT_TRUE(password_algorithms_contain(list, 2));
  EXPECT_FALSE(password_algorithms_contain(list, 3));
  Reader reader(list);
  EXPECT_EQ(next_password_algorithm(reader)->algorithm, 2);
  EXPECT_EQ(next_password_algorithm(reader)->algorithm, 1);
  EXPECT_FALSE(next_password_algorithm(reader));
  EXPECT_TRUE(reader.ok());
  const auto icmp = decode_icmp(value_of(Attr::kIcmp, [](Builder& b) { b.icmp({2, 0, 1280}); }));
  ASSERT_TRUE(icmp);
  EXPECT_EQ(icmp->type, 2);
  EXPECT_EQ(icmp->code, 0);
  EXPECT_EQ(icmp->error_data, 1280U);
}

TEST(PasswordAlgorithmEntry, ParametersAndTheirPadding) {
  const Buffer padded = hex("0007000361626300 00010000");
  Reader reader(padded);
  const auto first = next_password_algorithm(reader);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->algorithm, 7);
  EXPECT_EQ(as_text(first->parameters), "abc");
  EXPECT_EQ(next_password_algorithm(reader)->algorithm, 1);
  EXPECT_TRUE(password_algorithms_contain(padded, 1));
  EXPECT_TRUE(decode_password_algorithm(hex("0007000361626300")));
  EXPECT_TRUE(decode_password_algorithm(hex("00070003616263")));  // padded by the attribute itself
  EXPECT_FALSE(decode_password_algorithm(hex("0007000361626300000000")));
  EXPECT_FALSE(password_algorithms_contain(hex("00010000 0002"), 1));  // a cut entry spoils the list
}

// Every capacity from nothing to just enough: only the last gives a message, and no byte behind the buffer changes.
TEST(Builder, OverflowIsStickyAndStaysInside) {
  const auto add = [](Builder& b) {
    b.xor_address(Attr::kXorRelayedAddress, {IpAddress::v4(192, 0, 2, 1), 50000})
        .u32(Attr::kLifetime, 600)
        .text(Attr::kSoftware, "abc")
        .error_code(Code::kBadRequest, "Bad Request")
        .even_port(true)
        .integrity_sha1(kKey)
        .integrity_sha256(kKey)
        .fingerprint();
  };
  const std::size_t needed = build(Class::kSuccess, Method::kAllocate, add).size();
  for (std::size_t capacity = 0; capacity <= needed; ++capacity) {
    Buffer buffer(capacity + 64, std::byte{0xAA});
    Builder builder(MutableBytes(buffer).first(capacity), Class::kSuccess, Method::kAllocate, test_id());
    add(builder);
    EXPECT_EQ(builder.finish().has_value(), capacity == needed) << capacity;
    builder.flag(Attr::kUseCandidate);
    EXPECT_FALSE(builder.finish()) << capacity;
    for (std::size_t i = capacity; i < buffer.size(); ++i) ASSERT_EQ(buffer[i], std::byte{0xAA}) << capacity;
  }
}

TEST(Builder, RemainingCountsDown) {
  Buffer buffer(40);
  Builder builder(buffer, Class::kRequest, Method::kBinding, test_id());
  EXPECT_EQ(builder.remaining(), 20U);
  builder.text(Attr::kSoftware, "abc");
  EXPECT_EQ(builder.remaining(), 12U);
}

// The length field has 16 bits and counts in fours: 65532 bytes of attributes fit, no more.
TEST(Builder, SixteenBitsOfLength) {
  const auto finish = [](std::size_t value_size, bool mac) {
    Buffer buffer(140000);
    Builder builder(buffer, Class::kIndication, Method::kSend, test_id());
    builder.raw(Attr::kData, Buffer(value_size));
    if (mac) builder.integrity_sha1(kKey);
    const auto message = builder.finish();
    return message ? message->size() : 0;
  };
  EXPECT_EQ(finish(65528, false), 65552U);
  EXPECT_EQ(finish(65525, false), 65552U);
  EXPECT_EQ(finish(65529, false), 0U);
  EXPECT_EQ(finish(65535, false), 0U);
  EXPECT_EQ(finish(65536, false), 0U);
  EXPECT_EQ(finish(70000, false), 0U);
  EXPECT_EQ(finish(65504, true), 65552U);
  EXPECT_EQ(finish(65508, true), 0U);
  const std::vector<Attr> many(40000, Attr{0x7001});
  Buffer buffer(140000);
  Builder builder(buffer, Class::kError, Method::kBinding, test_id());
  EXPECT_FALSE(builder.unknown_attributes(many).finish());
}

TEST(Builder, MacsCoverWhatIsWrittenSoFar) {
  const Buffer message = build(Class::kSuccess, Method::kRefresh, [](Builder& b) {
    b.text(Attr::kSoftware, "abc").integrity_sha1(kKey).integrity_sha256(kKey).fingerprint();
  });
  const auto view = MessageView::parse(message);
  ASSERT_TRUE(view);
  EXPECT_TRUE(verify_integrity(*view, kKey));
  // The SHA-1 MAC alone, with the rest cut off.
  Buffer shorter = copy(Bytes(message).first(20 + 8 + 24));
  store_be16(shorter.data() + 2, 32);
  EXPECT_TRUE(verify_integrity(*MessageView::parse(shorter), kKey));
}

}  // namespace
}  // namespace turnkit::stun
