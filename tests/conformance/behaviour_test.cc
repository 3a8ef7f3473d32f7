// Behaviour discovery on the relay (RFC 5780).
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

class AnyPath final : public engine::ClientPath {};

ByteVector binding(const Fill& fill = {}) { return make_message(Class::kRequest, Method::kBinding, fill); }

std::optional<Address> plain_address(const Answer& answer, Attr type) {
  const auto value = answer.value(type);
  return value ? stun::decode_address(*value) : std::nullopt;
}

}  // namespace

// Two addresses with two ports each: servers 0 and 1 on the first port, 2 and 3 on the second.
class Behaviour : public Turn {
 protected:
  Behaviour() {
    options.listeners = 2;
    options.rfc5780 = true;
  }
  // What came back, and from where.
  std::optional<Datagram> ask(Client& c, const ByteVector& message) {
    c.send_raw(message);
    return c.socket().receive();
  }
};

INSTANTIATE_TEST_SUITE_P(Conformance, Behaviour, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const auto& kind) { return kind.param == Kind::kEngine ? "engine" : "binary"; });

TEST_P(Behaviour, NBD_001_NBD_003_NBD_005_NBD_006_every_binding_answer_tells_the_addresses) {
  for (const std::size_t server : {0U, 1U, 2U, 3U}) {
    Client& c = client({}, server);
    const Answer answer = c.binding();
    ASSERT_TRUE(succeeded(answer)) << server;
    EXPECT_EQ(plain_address(answer, Attr::kMappedAddress), c.local());
    EXPECT_EQ(answer.xor_address(Attr::kXorMappedAddress), c.local());
    EXPECT_EQ(plain_address(answer, Attr::kResponseOrigin), c.server());
    EXPECT_EQ(plain_address(answer, Attr::kOtherAddress), harness().server(3 - server)) << "other address, other port";
  }
}

TEST_P(Turn, NBD_002_without_a_second_address_nothing_is_offered) {
  options.rfc5780 = true;  // one listening address only
  Client& c = client();
  const Answer plain = c.binding();
  EXPECT_TRUE(succeeded(plain));
  EXPECT_FALSE(plain.has(Attr::kOtherAddress));
  EXPECT_FALSE(plain.has(Attr::kResponseOrigin));
  const std::array<Fill, 3> wishes{[](stun::Builder& m) { m.u32(Attr::kChangeRequest, 6); },
                                   [](stun::Builder& m) { m.response_port(4000); },
                                   [](stun::Builder& m) { m.raw(Attr::kPadding, std::array<std::byte, 64>{}); }};
  for (const Fill& wish : wishes) EXPECT_TRUE(failed(c.exchange(binding(wish)), 420));
}

TEST_P(Behaviour, NBD_004_NBD_005_NBD_006_answers_leave_from_where_they_are_asked_to) {
  struct Case {
    std::uint32_t flags;
    std::size_t from;
  };
  for (const Case& test : {Case{0, 0}, Case{4, 1}, Case{2, 2}, Case{6, 3}, Case{0xFFFF'FFF9, 0}}) {
    Client& c = client();
    const auto datagram = ask(c, binding([&](stun::Builder& m) { m.u32(Attr::kChangeRequest, test.flags); }));
    ASSERT_TRUE(datagram) << test.flags;
    EXPECT_EQ(datagram->from, harness().server(test.from)) << test.flags;
    const Answer answer(datagram->data);
    EXPECT_EQ(plain_address(answer, Attr::kResponseOrigin), harness().server(test.from));
    EXPECT_EQ(plain_address(answer, Attr::kOtherAddress), harness().server(3)) << "whatever the flags";
  }
}

TEST_P(Behaviour, NBD_007_an_answer_goes_to_the_port_that_is_asked_for) {
  Client& c = client();
  Socket& other = open({c.local().ip, 0});
  c.send_raw(binding([&](stun::Builder& m) { m.response_port(other.local().port); }));
  const auto datagram = other.receive();
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->from, c.server());
  EXPECT_EQ(Answer(datagram->data).xor_address(Attr::kXorMappedAddress), c.local());

  ByteVector long_form = binding([&](stun::Builder& m) {
    const std::uint16_t port = other.local().port;
    const std::array<std::byte, 4> value{std::byte(port >> 8), std::byte(port & 0xFF), std::byte{0}, std::byte{0}};
    m.raw(Attr::kResponsePort, value);
  });
  c.send_raw(long_form);
  EXPECT_TRUE(other.receive()) << "some stacks write the padding as part of the value";
  EXPECT_TRUE(failed(c.exchange(binding([](stun::Builder& m) { m.response_port(0); })), 400));
}

TEST_P(Behaviour, NBD_008_NBD_012_padding_comes_back_and_no_more_than_came) {
  Client& c = client();
  const auto padded = [](std::size_t size) {
    return binding([size](stun::Builder& m) { m.raw(Attr::kPadding, std::vector<std::byte>(size, std::byte{0x20})); });
  };
  for (const std::size_t size : {std::size_t{64}, std::size_t{512}, std::size_t{1500}}) {
    const Answer answer = c.exchange(padded(size));
    ASSERT_TRUE(succeeded(answer)) << size;
    EXPECT_EQ(answer.value(Attr::kPadding)->size(), size);
  }
  const Answer longest = c.exchange(padded(4000));
  EXPECT_EQ(longest.value(Attr::kPadding)->size(), 1500U) << "an MTU";
}

TEST_P(Behaviour, NBD_009_padding_and_response_port_exclude_each_other) {
  Client& c = client();
  EXPECT_TRUE(failed(c.exchange(binding([](stun::Builder& m) {
    m.raw(Attr::kPadding, std::array<std::byte, 64>{}).response_port(4000);
  })),
                     400));
}

TEST_P(Behaviour, NBD_010_binding_is_never_redirected) {
  options.alternates = {{IpAddress::v4(192, 0, 2, 9), 3478}};
  const Answer answer = client().binding();
  EXPECT_TRUE(succeeded(answer));
  EXPECT_FALSE(answer.has(Attr::kAlternateServer));
}

TEST_F(TurnEngine, NBD_011_a_connection_cannot_change_its_address) {
  options.listeners = 2;
  options.rfc5780 = true;
  AnyPath path;
  for (const auto transport : {engine::Transport::kTcp, engine::Transport::kTls, engine::Transport::kDtls}) {
    const engine::FiveTuple tuple{{harness().ip(1), 5000}, harness().server(), transport};
    const auto ask = [&](const Fill& fill) {
      const engine::Outcome outcome = engine().engine().on_message(binding(fill), tuple, path, harness().now());
      return Answer(ByteVector(outcome.answer.begin(), outcome.answer.end()));
    };
    EXPECT_TRUE(failed(ask([](stun::Builder& m) { m.u32(Attr::kChangeRequest, 6); }), 400));
    EXPECT_TRUE(failed(ask([](stun::Builder& m) { m.response_port(4000); }), 400));
    EXPECT_TRUE(ask({}).has(Attr::kOtherAddress)) << "mapping tests work";
  }
}

TEST_P(Behaviour, NBD_012_few_answers_a_second_go_elsewhere) {
  Client& c = client();
  Socket& other = open({c.local().ip, 0});
  const TimePoint start = harness().now().mono;
  for (int i = 0; i < 40; ++i) c.send_raw(binding([&](stun::Builder& m) { m.response_port(other.local().port); }));
  c.barrier();
  int came = 0;
  while (other.poll()) ++came;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(harness().now().mono - start).count();
  EXPECT_GE(came, 10);
  EXPECT_LE(came, 10 * (seconds + 1));
  EXPECT_TRUE(succeeded(c.binding())) << "ordinary requests are not limited";
}

TEST_P(Behaviour, unknown_attributes_are_still_unknown) {
  Client& c = client();
  const Answer answer = c.exchange(binding([](stun::Builder& m) { m.u32(Attr::kResponseAddress, 0); }));
  EXPECT_TRUE(failed(answer, 420));
}

TEST_F(TurnEngine, addresses_are_told_as_they_look_from_outside) {
  options.listeners = 2;
  options.rfc5780 = true;
  const IpAddress first = IpAddress::v4(192, 0, 2, 1);
  const IpAddress second = IpAddress::v4(192, 0, 2, 2);
  engine().engine().set_external_ips(engine::ExternalIps({{first, harness().ip(101)}, {second, harness().ip(102)}}));
  const Answer answer = client().binding();
  EXPECT_EQ(plain_address(answer, Attr::kResponseOrigin), (Address{first, kPort}));
  EXPECT_EQ(plain_address(answer, Attr::kOtherAddress), (Address{second, kAlternatePort}));
}

}  // namespace turnkit::conformance
