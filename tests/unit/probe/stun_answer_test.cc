// What a Binding answer says, and what is no answer; and the requests that ask for it.
#include "probe/stun/answer.h"

#include <gtest/gtest.h>

#include <array>

#include "probe/stun/exchange.h"
#include "stun/attributes.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

using stun::Attr;
using stun::Class;
using stun::Method;

const stun::TransactionId kId = [] {
  stun::TransactionId id;
  id.bytes.fill(std::byte{7});
  return id;
}();
const Address kMapped{IpAddress::v4(203, 0, 113, 7), 4500};
const Address kOther{IpAddress::v4(203, 0, 113, 11), 3479};
const Address kOld{IpAddress::v4(192, 0, 2, 9), 1};

class StunAnswerTest : public ::testing::Test {
 protected:
  stun::Builder begin(Class cls = Class::kSuccess, Method method = Method::kBinding) {
    return stun::Builder(buffer_, cls, method, kId);
  }
  std::array<std::byte, 2048> buffer_{};
};

TEST_F(StunAnswerTest, HoldsEveryAddress) {
  auto builder = begin();
  builder.address(Attr::kMappedAddress, kOther)
      .xor_address(Attr::kXorMappedAddress, kMapped)
      .address(Attr::kChangedAddress, kOld)
      .address(Attr::kOtherAddress, kOther)
      .address(Attr::kSourceAddress, kOld)
      .text(Attr::kSoftware, "x\033[31my")
      .fingerprint();
  const auto answer = decode_stun_answer(*builder.finish(), kId, nullptr);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->xor_mapped, kMapped);
  EXPECT_EQ(answer->mapped, kOther);
  EXPECT_EQ(answer->reflexive(), kMapped);
  EXPECT_EQ(answer->other, kOther);  // not RFC 3489's, although that one comes first
  EXPECT_EQ(answer->origin, kOld);
  EXPECT_TRUE(answer->fingerprint);
  EXPECT_TRUE(answer->is_success());
  EXPECT_EQ(answer->software, "x\\x1b[31my");
  ASSERT_EQ(answer->attributes.size(), 7U);
  EXPECT_EQ(answer->attributes[1].text, "XOR-MAPPED-ADDRESS 203.0.113.7:4500");
}

TEST_F(StunAnswerTest, TellsErrorsWithWhatIsUnknown) {
  auto builder = begin(Class::kError);
  const std::array unknown = {Attr::kChangeRequest};
  builder.error_code(stun::Code::kUnknownAttribute, "no\n").unknown_attributes(unknown);
  const auto answer = decode_stun_answer(*builder.finish(), kId, nullptr);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->is_success());
  EXPECT_EQ(answer->error_code, 420);
  EXPECT_EQ(answer->reason, "no\\x0a");
  ASSERT_EQ(answer->unknown.size(), 1U);
  EXPECT_EQ(answer->unknown[0], Attr::kChangeRequest);
}

TEST_F(StunAnswerTest, AnErrorWithoutACodeIsStillAnError) {
  const auto answer = decode_stun_answer(*begin(Class::kError).finish(), kId, nullptr);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->is_success());
}

TEST_F(StunAnswerTest, IsNoneOfAnotherTransactionMethodOrClass) {
  stun::TransactionId other = kId;
  other.bytes[11] = std::byte{8};
  EXPECT_FALSE(decode_stun_answer(*begin().finish(), other, nullptr));
  EXPECT_FALSE(decode_stun_answer(*begin(Class::kRequest).finish(), kId, nullptr));
  EXPECT_FALSE(decode_stun_answer(*begin(Class::kSuccess, Method::kAllocate).finish(), kId, nullptr));
  EXPECT_FALSE(decode_stun_answer({}, kId, nullptr));
}

TEST_F(StunAnswerTest, ToldApartByAWrongFingerprint) {
  auto builder = begin();
  builder.xor_address(Attr::kXorMappedAddress, kMapped).fingerprint();
  const Bytes message = *builder.finish();
  buffer_[message.size() - 1] ^= std::byte{1};
  bool bad = false;
  EXPECT_FALSE(decode_stun_answer(message, kId, &bad));
  EXPECT_TRUE(bad);
}

TEST_F(StunAnswerTest, EveryCutIsNoAnswer) {
  auto builder = begin();
  builder.xor_address(Attr::kXorMappedAddress, kMapped).text(Attr::kSoftware, "server").fingerprint();
  const Bytes message = *builder.finish();
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(decode_stun_answer(message.first(size), kId, nullptr)) << size;
  }
}

TEST(BindingRequest, IsAsLargeAsAskedFor) {
  std::vector<std::byte> buffer(2048);
  for (const bool padding : {false, true}) {
    for (const std::size_t size : {36U, 548U, 1172U, 1472U}) {
      BindingPlan plan;
      plan.size = size;
      plan.padding = padding;
      const Bytes request = encode_binding(plan, kId, buffer);
      ASSERT_EQ(request.size(), size);
      const auto message = stun::MessageView::parse(request);
      ASSERT_TRUE(message);
      EXPECT_EQ(message->has(Attr::kPadding), padding);
      // Without PADDING, what fills it is for servers to ignore: comprehension-optional.
      for (const stun::Attribute attribute : *message) {
        EXPECT_EQ(stun::is_comprehension_required(attribute.type), padding && attribute.type == Attr::kPadding);
      }
    }
  }
  BindingPlan impossible;
  for (const std::size_t size : {20U, 30U, 549U, 4096U}) {
    impossible.size = size;
    EXPECT_TRUE(encode_binding(impossible, kId, buffer).empty()) << size;
  }
}

TEST(BindingRequest, CarriesWhatItAsksFor) {
  std::array<std::byte, 128> buffer;
  BindingPlan plan;
  plan.change = kChangeIp | kChangePort;
  plan.response_port = 40001;
  const auto message = stun::MessageView::parse(encode_binding(plan, kId, buffer));
  ASSERT_TRUE(message);
  EXPECT_EQ(stun::decode_u32(message->find(Attr::kChangeRequest)->value), 6U);
  EXPECT_EQ(stun::decode_response_port(message->find(Attr::kResponsePort)->value), 40001);
  EXPECT_TRUE(message->has(Attr::kFingerprint));
  const auto plain = stun::MessageView::parse(encode_binding({}, kId, buffer));
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->has(Attr::kChangeRequest));
}

}  // namespace
}  // namespace turnkit::probe
