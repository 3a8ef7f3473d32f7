// Binding's variants: with credentials, with MAPPED-ADDRESS, and in RFC 3489's form (rows BC).
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

class AnyPath final : public engine::ClientPath {};

// A Binding request without magic cookie: 16 bytes of transaction ID.
ByteVector classic(const Fill& fill = {}, Class cls = Class::kRequest, Method method = Method::kBinding) {
  ByteVector message = make_message(cls, method, fill);
  store_be32(message.data() + 4, 0x0A0B0C0D);
  return message;
}

stun::MessageView view_of(const ByteVector& message) {
  return *stun::MessageView::parse(message, nullptr, stun::Cookie::kAny);
}

}  // namespace

class Classic : public Turn {
 protected:
  Classic() { options.rfc3489 = true; }
  // Empty: nothing came back.
  ByteVector ask(Client& c, const ByteVector& message) {
    c.send_raw(message);
    c.barrier();
    return c.take_early().value_or(ByteVector{});
  }
  int error_of(const ByteVector& answer) {
    if (answer.empty()) return -1;
    const auto value = view_of(answer).find(Attr::kErrorCode);
    return value ? stun::decode_error_code(value->value)->code : 0;
  }
};

INSTANTIATE_TEST_SUITE_P(Conformance, Classic, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const auto& kind) { return kind.param == Kind::kEngine ? "engine" : "binary"; });

TEST_P(Classic, BC_1_a_request_without_cookie_gets_the_old_answer) {
  Client& c = client();
  const ByteVector request = classic();
  const ByteVector answer = ask(c, request);
  ASSERT_FALSE(answer.empty());
  EXPECT_TRUE(std::equal(request.begin() + 4, request.begin() + 20, answer.begin() + 4)) << "all 16 bytes";
  const stun::MessageView view = view_of(answer);
  EXPECT_EQ(stun::decode_address(view.find(Attr::kMappedAddress)->value), c.local());
  EXPECT_EQ(stun::decode_address(view.find(Attr::kSourceAddress)->value), c.server());
  EXPECT_FALSE(view.has(Attr::kXorMappedAddress));
}

TEST_P(Classic, BC_1_turn_does_not_use_it) {
  Client& c = client();
  EXPECT_TRUE(ask(c, classic({}, Class::kRequest, Method::kAllocate)).empty());
  EXPECT_TRUE(ask(c, classic({}, Class::kIndication, Method::kBinding)).empty());
}

TEST_F(TurnEngine, BC_2_over_dtls_requests_get_500_and_indications_nothing) {
  options.rfc3489 = true;
  AnyPath path;
  const engine::FiveTuple tuple{{harness().ip(1), 5000}, harness().server(), engine::Transport::kDtls};
  const ByteVector request = classic();
  const engine::Outcome outcome = engine().engine().on_message(request, tuple, path, harness().now());
  const ByteVector answer(outcome.answer.begin(), outcome.answer.end());
  ASSERT_FALSE(answer.empty());
  EXPECT_EQ(stun::decode_error_code(view_of(answer).find(Attr::kErrorCode)->value)->code, 500);
  const ByteVector indication = classic({}, Class::kIndication);
  EXPECT_TRUE(engine().engine().on_message(indication, tuple, path, harness().now()).answer.empty());
}

TEST_P(Classic, BC_3_BC_7_response_address_and_change_request_get_420) {
  Client& c = client();
  const Address victim{harness().ip(9), 4000};
  Socket& bystander = open(victim);
  EXPECT_EQ(error_of(ask(c, classic([&](stun::Builder& m) { m.address(Attr::kResponseAddress, victim); }))), 420);
  EXPECT_FALSE(bystander.poll()) << "never a reflector";
  EXPECT_EQ(error_of(ask(c, classic([](stun::Builder& m) { m.u32(Attr::kChangeRequest, 6); }))), 420);
}

TEST_P(Classic, BC_3_change_request_works_where_rfc_5780_does) {
  options.listeners = 2;
  options.rfc5780 = true;
  Client& c = client();
  c.send_raw(classic([](stun::Builder& m) { m.u32(Attr::kChangeRequest, 6); }));
  const auto datagram = c.socket().receive();
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->from, harness().server(3));
  const stun::MessageView view = view_of(datagram->data);
  EXPECT_EQ(stun::decode_address(view.find(Attr::kSourceAddress)->value), harness().server(3));
  EXPECT_EQ(stun::decode_address(view.find(Attr::kChangedAddress)->value), harness().server(3));
}

TEST_P(Classic, BC_4_old_answers_have_no_fingerprint_even_where_all_others_have) {
  options.fingerprint = true;
  const ByteVector answer = ask(client(), classic());
  ASSERT_FALSE(answer.empty());
  EXPECT_FALSE(view_of(answer).has(Attr::kFingerprint));
}

TEST_P(Classic, BC_6_an_odd_list_of_unknown_attributes_repeats_its_last) {
  Client& c = client();
  const ByteVector answer = ask(c, classic([](stun::Builder& m) { m.u32(Attr::kResponseAddress, 0); }));
  ASSERT_EQ(error_of(answer), 420);
  const Bytes list = view_of(answer).find(Attr::kUnknownAttributes)->value;
  EXPECT_EQ(list.size(), 4U);
  EXPECT_THAT(stun::decode_unknown_attributes(list),
              testing::ElementsAre(Attr::kResponseAddress, Attr::kResponseAddress));
}

TEST_P(Turn, BC_8_without_the_option_a_message_without_cookie_is_nothing) {
  Client& c = client();
  EXPECT_TRUE(c.ignored(classic()));
}

TEST_P(Turn, stun_backward_compatibility_adds_mapped_address) {
  options.mapped_address = true;
  Client& c = client();
  const Answer answer = c.binding();
  EXPECT_EQ(stun::decode_address(answer.value(Attr::kMappedAddress).value()), c.local());
  EXPECT_EQ(answer.xor_address(Attr::kXorMappedAddress), c.local());
}

TEST_P(Turn, without_it_a_binding_answer_is_xor_mapped_address_alone) {
  const Answer answer = client().binding();
  EXPECT_THAT(answer.attribute_types(), testing::ElementsAre(Attr::kXorMappedAddress));
}

TEST_P(Turn, secure_stun_asks_for_credentials) {
  options.secure_stun = true;
  Client& c = client();
  const Answer challenge = c.binding();
  EXPECT_TRUE(failed(challenge, 401));
  EXPECT_TRUE(challenge.has(Attr::kNonce));
  EXPECT_TRUE(succeeded(c.request(Method::kBinding)));
  Client& wrong = client({.password = "guess"});
  EXPECT_TRUE(failed(wrong.request(Method::kBinding), 401));
}

}  // namespace turnkit::conformance
