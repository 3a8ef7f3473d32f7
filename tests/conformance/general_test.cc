// RFC 8656, sections 5 and 6: general behaviour.
#include "base/encoding.h"
#include "stun/integrity.h"
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

TEST_P(Turn, TURN_001_requests_without_an_allocation_get_437_and_data_is_discarded) {
  Client& c = client();
  Socket& p = peer();
  EXPECT_TRUE(failed(c.refresh(), 437));
  EXPECT_TRUE(failed(c.permit(p.local().ip), 437));
  EXPECT_TRUE(failed(c.bind(kChannel, p.local()), 437));
  c.send(p.local(), "lost");
  c.send_channel(kChannel, "lost");
  EXPECT_TRUE(c.silent());
  EXPECT_TRUE(silent(c, p));
}

TEST_P(Turn, TURN_002_the_5_tuple_identifies_an_allocation) {
  options.listeners = 2;
  Client& first = allocated();
  Client& other_port = client();
  EXPECT_TRUE(failed(other_port.refresh(), 437)) << "another client port is another 5-tuple";

  // The same socket towards another server address.
  Client& other_server = client({}, 1);
  EXPECT_TRUE(succeeded(other_server.allocate()));
  const ByteVector refresh = first.signed_message(Method::kRefresh);
  EXPECT_TRUE(succeeded(first.exchange(refresh)));
  Client& same_tuple_elsewhere = other_server;
  EXPECT_TRUE(succeeded(same_tuple_elsewhere.refresh(0)));
  EXPECT_TRUE(succeeded(first.refresh())) << "deleting one leaves the other";
}

TEST_P(Turn, TURN_002_the_same_client_socket_has_one_allocation_a_server_address) {
  options.listeners = 2;
  Client& c = allocated();
  Socket& s = c.socket();
  const ByteVector request = make_message(Class::kRequest, Method::kRefresh);
  s.send(harness().server(1), request);
  const std::optional<Datagram> datagram = s.receive();
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->from, harness().server(1));
  EXPECT_TRUE(failed(Answer(datagram->data), 437));
}

TEST_P(Turn, TURN_003_another_user_cannot_touch_an_allocation) {
  Client& c = allocated();
  Socket& p = peer();
  c.credentials() = {"bob", "builder"};
  EXPECT_TRUE(failed(c.refresh(0), 441));
  EXPECT_TRUE(failed(c.permit(p.local().ip), 441));
  EXPECT_TRUE(failed(c.bind(kChannel, p.local()), 441));
  c.credentials() = {"alice", "wonderland"};
  EXPECT_FALSE(sends(c, p)) << "no permission was installed";
  EXPECT_TRUE(succeeded(c.refresh())) << "the allocation is still there";
}

TEST_P(Turn, TURN_004_a_request_without_credentials_is_challenged) {
  Client& c = client();
  const Answer answer = c.learn();
  EXPECT_TRUE(failed(answer, 401));
  EXPECT_EQ(answer.text(Attr::kRealm), "example.org");
  EXPECT_TRUE(answer.text(Attr::kNonce).starts_with("obMatJos2")) << answer.text(Attr::kNonce);
  EXPECT_EQ(to_hex(*answer.value(Attr::kPasswordAlgorithms)), "0002000000010000");
  EXPECT_FALSE(answer.has(Attr::kUsername));
  EXPECT_FALSE(answer.has(Attr::kMessageIntegrity));
  EXPECT_FALSE(answer.has(Attr::kMessageIntegritySha256));

  // On an allocation, too.
  EXPECT_TRUE(succeeded(c.allocate()));
  EXPECT_TRUE(failed(c.exchange(make_message(Class::kRequest, Method::kRefresh)), 401));
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_P(Turn, TURN_005_a_stale_nonce_gets_438_with_a_fresh_one_and_the_retry_succeeds) {
  options.nonce_lifetime = scaled(600s, 1s);
  Client& c = allocated([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); });
  harness().advance(options.nonce_lifetime + 1100ms);
  const Answer stale = c.request(Method::kRefresh);
  ASSERT_TRUE(failed(stale, 438));
  EXPECT_EQ(stale.text(Attr::kRealm), "example.org");
  EXPECT_TRUE(stale.has(Attr::kPasswordAlgorithms));
  EXPECT_NE(stale.text(Attr::kNonce), c.challenge().nonce);
  c.challenge().nonce = stale.text(Attr::kNonce);
  EXPECT_TRUE(succeeded(c.refresh())) << "the allocation was not touched";
}

TEST_P(Turn, TURN_006_a_nonce_is_worth_nothing_from_another_port) {
  Client& owner = client();
  owner.learn();
  Client& thief = client();
  thief.challenge() = owner.challenge();
  const Answer answer = thief.allocate();
  ASSERT_TRUE(failed(answer, 438));
  thief.challenge().nonce = answer.text(Attr::kNonce);
  EXPECT_TRUE(succeeded(thief.allocate()));
  EXPECT_TRUE(succeeded(owner.allocate()));
}

TEST_P(Turn, TURN_007_a_mac_in_an_indication_is_not_looked_at) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  const ByteVector wrong_key(16);
  c.send_raw(make_message(Class::kIndication, Method::kSend, [&](stun::Builder& m) {
    m.xor_address(Attr::kXorPeerAddress, p.local()).text(Attr::kData, "signed").text(Attr::kUsername, "mallory");
    m.integrity_sha1(wrong_key);
  }));
  const std::optional<Datagram> got = p.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text(), "signed");
}

TEST_F(TurnEngine, TURN_008_an_allocation_keeps_the_key_and_not_the_password) {
  Client& c = allocated();
  const auto tuple = engine::FiveTuple{c.local(), c.server(), engine::Transport::kUdp};
  const engine::Allocation* allocation = engine().engine().find(tuple, engine().now());
  ASSERT_NE(allocation, nullptr);
  EXPECT_EQ(allocation->identity.key, c.key());
  EXPECT_EQ(allocation->identity.user, "alice");
}

TEST_P(Turn, TURN_009_a_message_without_the_cookie_is_discarded) {
  Client& c = client();
  for (const Method method : {Method::kBinding, Method::kAllocate, Method::kRefresh}) {
    ByteVector message = make_message(Class::kRequest, method);
    store_be32(message.data() + 4, 0xDEADBEEF);
    EXPECT_TRUE(c.ignored(message));
  }
}

TEST_P(Turn, TURN_010_udp_is_served) {
  Client& c = allocated();
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_P(Turn, TURN_011_software_is_in_answers_where_it_is_switched_on) {
  options.software = true;
  Client& c = client();
  EXPECT_TRUE(c.allocate().has(Attr::kSoftware));
  EXPECT_TRUE(c.refresh().has(Attr::kSoftware));
  const Answer refused = c.request(Method::kRefresh, [](stun::Builder& m) { m.raw(Attr::kLifetime, ByteVector(3)); });
  EXPECT_TRUE(failed(refused, 400));
  EXPECT_TRUE(refused.has(Attr::kSoftware));
}

TEST_P(Turn, TURN_011_software_is_left_out_by_default) {
  Client& c = client();
  EXPECT_FALSE(c.allocate().has(Attr::kSoftware));
  EXPECT_FALSE(c.refresh().has(Attr::kSoftware));
}

TEST_P(Turn, TURN_012_a_retransmission_has_the_same_outcome) {
  Client& c = client();
  Socket& p = peer();
  c.learn();
  const ByteVector allocate = c.signed_message(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  const Answer first = c.exchange(allocate);
  ASSERT_TRUE(succeeded(first));
  EXPECT_EQ(c.exchange(allocate).bytes(), first.bytes());

  const std::vector<ByteVector> requests = {
      c.signed_message(Method::kCreatePermission,
                       [&](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, p.local()); }),
      c.signed_message(
          Method::kChannelBind,
          [&](stun::Builder& m) { m.channel_number(kChannel).xor_address(Attr::kXorPeerAddress, p.local()); }),
      c.signed_message(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 700); }),
      c.signed_message(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0); }),
  };
  for (const ByteVector& request : requests) {
    const Answer once = c.exchange(request);
    EXPECT_TRUE(succeeded(once));
    EXPECT_EQ(c.exchange(request).bytes(), once.bytes());
  }
}

TEST_P(Turn, TURN_013_answers_and_data_leave_from_the_address_the_client_uses) {
  options.listeners = 3;
  for (std::size_t i = 0; i < 3; ++i) {
    Client& c = client({}, i);  // exchange() checks where answers come from
    Socket& p = peer();
    const Address relayed = relay_for(c, p);
    p.send(relayed, "data");
    const std::optional<Datagram> got = c.socket().receive();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->from, harness().server(i));
  }
}

TEST_F(TurnBinary, TURN_013_so_it_is_where_one_socket_listens_on_all_addresses) {
  options.listeners = 3;
  options.listen_on_all = true;
  for (std::size_t i = 0; i < 3; ++i) {
    Client& c = client({}, i);
    Socket& p = peer();
    const Address relayed = relay_for(c, p);
    EXPECT_TRUE(sends(c, p));
    p.send(relayed, "data");
    const std::optional<Datagram> got = c.socket().receive();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->from, harness().server(i));
  }
}

TEST_P(Turn, TURN_014_relayed_addresses_are_unique) {
  std::vector<Address> all;
  for (int i = 0; i < 20; ++i) {
    Client& c = client();
    const bool reserve = i % 4 == 0;
    const Answer answer = c.allocate([&](stun::Builder& m) {
      if (reserve) m.even_port(true);
    });
    ASSERT_TRUE(succeeded(answer));
    all.push_back(answer.relayed());
    if (reserve) all.push_back({answer.relayed().ip, static_cast<std::uint16_t>(answer.relayed().port + 1)});
  }
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

TEST_P(Turn, TURN_015_data_over_the_bandwidth_is_discarded_without_an_error) {
  options.max_bps = 1000;
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  const std::string block(30'000, 'x');
  for (int i = 0; i < 5; ++i) c.send(p.local(), block);  // the burst is 65,536 bytes
  c.barrier();
  int to_peer = 0;
  while (p.poll()) ++to_peer;
  EXPECT_EQ(to_peer, 2);
  for (int i = 0; i < 5; ++i) p.send(relayed, block);
  int to_client = 0;
  while (c.data_so_far()) ++to_client;
  EXPECT_EQ(to_client, 2);
  EXPECT_TRUE(succeeded(c.refresh())) << "requests are not counted";
}

TEST_P(Turn, TURN_016_a_stranger_with_an_unknown_attribute_is_challenged_first) {
  Client& c = client();
  EXPECT_TRUE(failed(c.exchange(make_message(Class::kRequest, Method::kAllocate,
                                             [](stun::Builder& m) { m.requested_transport(17).flag(Attr{0x7fff}); })),
                     401));
}

TEST_P(Turn, TURN_017_unknown_required_attributes_are_listed_every_one) {
  Client& c = client();
  const Answer answer = c.allocate([](stun::Builder& m) {
    m.flag(Attr{0x7001}).flag(Attr{0xC001}).u32(Attr{0x7002}, 1).flag(Attr{0x7001}).raw(Attr{0x0027}, ByteVector(2));
  });
  ASSERT_TRUE(failed(answer, 420));
  EXPECT_THAT(answer.unknown_attributes(), ElementsAre(Attr{0x7001}, Attr{0x7002}, Attr{0x0027}));
  EXPECT_TRUE(failed(c.refresh(), 437)) << "nothing was allocated";
}

TEST_P(Turn, TURN_018_an_unknown_required_attribute_in_send_discards_it) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  const auto send_with = [&](Attr extra) {
    c.send_raw(make_message(Class::kIndication, Method::kSend, [&](stun::Builder& m) {
      m.xor_address(Attr::kXorPeerAddress, p.local()).text(Attr::kData, "x").flag(extra);
    }));
  };
  send_with(Attr{0x7fff});
  EXPECT_TRUE(silent(c, p));
  EXPECT_TRUE(c.silent());
  send_with(Attr{0xffff});
  EXPECT_TRUE(p.receive()) << "an optional attribute is ignored";
}

TEST_P(Turn, TURN_019_a_method_in_the_wrong_class_is_discarded) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  const Fill content = [&](stun::Builder& m) {
    m.xor_address(Attr::kXorPeerAddress, p.local()).text(Attr::kData, "x").requested_transport(17);
  };
  for (const auto& [cls, method] : std::vector<std::pair<Class, Method>>{{Class::kRequest, Method::kSend},
                                                                         {Class::kRequest, Method::kData},
                                                                         {Class::kIndication, Method::kData},
                                                                         {Class::kIndication, Method::kAllocate},
                                                                         {Class::kIndication, Method::kRefresh},
                                                                         {Class::kIndication, Method::kChannelBind},
                                                                         {Class::kSuccess, Method::kAllocate},
                                                                         {Class::kError, Method::kBinding}}) {
    EXPECT_TRUE(c.ignored(make_message(cls, method, content)));
  }
  EXPECT_TRUE(silent(c, p));
}

// Client::request() checks each MAC; here is that it is there, and of the request's kind.
TEST_P(Turn, TURN_020_answers_carry_the_mac_of_the_requests_algorithm) {
  for (const Style style : {Style::kLegacy, Style::kMd5, Style::kSha256}) {
    Client& c = client({.style = style});
    const Attr expected = style == Style::kLegacy ? Attr::kMessageIntegrity : Attr::kMessageIntegritySha256;
    const Attr other = style == Style::kLegacy ? Attr::kMessageIntegritySha256 : Attr::kMessageIntegrity;
    const auto check = [&](const Answer& answer) {
      EXPECT_TRUE(answer.has(expected)) << answer;
      EXPECT_FALSE(answer.has(other)) << answer;
    };
    check(c.allocate());
    check(c.refresh());
    check(c.permit(harness().ip(2)));
    check(c.bind(kChannel, {harness().ip(2), 1000}));
    const Answer refused = c.permit({});
    EXPECT_TRUE(failed(refused, 400));
    check(refused);
    const Answer unknown = c.request(Method::kRefresh, [](stun::Builder& m) { m.flag(Attr{0x7fff}); });
    EXPECT_TRUE(failed(unknown, 420));
    check(unknown);
    check(c.refresh(0));
  }
}

TEST_P(Turn, TURN_021_binding_is_answered_without_credentials) {
  Client& c = client();
  const Answer answer = c.binding();
  ASSERT_TRUE(succeeded(answer));
  EXPECT_EQ(answer.xor_address(Attr::kXorMappedAddress), c.local());
  EXPECT_THAT(answer.attribute_types(), Not(Contains(Attr::kNonce)));
  EXPECT_TRUE(succeeded(c.allocate()));
  EXPECT_TRUE(succeeded(c.binding())) << "beside an allocation, too";
}

TEST_P(Turn, TURN_021_binding_over_ipv6) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  EXPECT_EQ(c.binding().xor_address(Attr::kXorMappedAddress), c.local());
}

}  // namespace turnkit::conformance
