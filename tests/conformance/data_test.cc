// RFC 8656, section 11: Send and Data indications.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

TEST_P(Turn, TURN_110_send_without_peer_or_data_is_discarded) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  const auto send = [&](const Fill& fill) { c.send_raw(make_message(Class::kIndication, Method::kSend, fill)); };
  send([&](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, p.local()); });
  send([&](stun::Builder& m) { m.text(Attr::kData, "x"); });
  send([&](stun::Builder& m) { m.raw(Attr::kXorPeerAddress, ByteVector(7)).text(Attr::kData, "x"); });
  send({});
  EXPECT_TRUE(silent(c, p));
  EXPECT_TRUE(c.silent());
}

TEST_P(Turn, TURN_111_empty_data_is_an_empty_datagram) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  c.send(p.local(), "");
  const std::optional<Datagram> got = p.receive();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->data.empty());
}

TEST_P(Turn, TURN_112_send_without_a_permission_is_discarded_and_makes_none) {
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate();
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(reaches(p, made.relayed(), c));
  EXPECT_FALSE(sends(c, p));
}

TEST_P(Turn, TURN_113_send_is_one_datagram_from_the_relayed_address) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  for (const std::size_t size : {1U, 3U, 4U, 172U, 1200U, 9000U, 60'000U}) {
    const std::string text(size, 'a');
    c.send(p.local(), text);
    const std::optional<Datagram> got = p.receive();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->from, relayed);
    EXPECT_EQ(got->text(), text) << "padding must not be sent";
  }
  EXPECT_TRUE(silent(c, p));
}

TEST_P(Turn, TURN_113_send_over_ipv6) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  Socket& p = peer_v6();
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(sends(c, p));
  EXPECT_TRUE(reaches(p, relayed, c));
}

TEST_F(TurnEngine, TURN_114_send_does_not_refresh_the_permission) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  for (int i = 0; i < 299; ++i) {
    harness().advance(1s);
    EXPECT_TRUE(sends(c, p));
  }
  harness().advance(1s);
  EXPECT_FALSE(sends(c, p));
}

TEST_P(Turn, TURN_115_dont_fragment_in_send_is_taken) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  c.send(p.local(), "whole", {}, true);
  c.send(p.local(), "any");
  EXPECT_EQ(p.receive()->text(), "whole");
  EXPECT_EQ(p.receive()->text(), "any");
}

TEST_F(TurnEngine, TURN_115_dont_fragment_is_for_that_datagram) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  c.send(p.local(), "whole", {}, true);
  EXPECT_TRUE(engine().last_outcome().dont_fragment);
  c.send(p.local(), "any");
  EXPECT_FALSE(engine().last_outcome().dont_fragment);
}

TEST_F(TurnEngine, TURN_116_dont_fragment_discards_where_df_cannot_be_set) {
  options.can_set_dont_fragment = false;
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  c.send(p.local(), "whole", {}, true);
  EXPECT_TRUE(silent(c, p));
  EXPECT_TRUE(sends(c, p));
}

TEST_P(Turn, TURN_117_a_port_that_the_policy_forbids_is_discarded) {
  options.denied_peers = {"192.0.2.1:1-65535"};
  Client& c = client();
  Socket& open_port = peer();
  Socket& closed_port = peer();
  (void)closed_port;
  relay_for(c, open_port);
  EXPECT_TRUE(sends(c, open_port));
  EXPECT_TRUE(failed(c.permit(IpAddress::v4(192, 0, 2, 1)), 403)) << "no port is left";
  c.send({IpAddress::v4(192, 0, 2, 1), 80}, "x");
  EXPECT_TRUE(c.silent());
}

TEST_F(TurnEngine, TURN_117_ports_are_checked_both_ways) {
  options.denied_peers = {"127.0.0.2:1-5000"};
  Client& c = client();
  Socket& allowed = peer(2, 5001);
  Socket& forbidden = peer(2, 5000);
  const Address relayed = relay_for(c, allowed);
  EXPECT_TRUE(sends(c, allowed));
  EXPECT_TRUE(reaches(allowed, relayed, c));
  EXPECT_FALSE(sends(c, forbidden));
  EXPECT_EQ(engine().last_drop(), engine::Drop::kNone) << "the barrier after it";
  EXPECT_FALSE(reaches(forbidden, relayed, c));
  EXPECT_TRUE(failed(c.bind(kChannel, forbidden.local()), 403));
  EXPECT_TRUE(succeeded(c.bind(kChannel, allowed.local())));
}

TEST_P(Turn, TURN_118_send_to_another_family_is_discarded) {
  REQUIRE_IPV6();
  Client& c = client();
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  relay_for(c, p4);
  EXPECT_FALSE(sends(c, p6));
  EXPECT_TRUE(c.silent());
  EXPECT_TRUE(sends(c, p4));
}

TEST_P(Turn, TURN_119_data_tells_the_peers_address_and_port) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  for (const std::size_t size : {1U, 2U, 3U, 4U, 1200U, 60'000U}) {
    const std::string text(size, 'b');
    p.send(relayed, text);
    const std::optional<Data> got = c.receive_data();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->peer, p.local());
    EXPECT_FALSE(got->channel);
    EXPECT_EQ(got->text, text);
    EXPECT_FALSE(got->icmp);
  }
}

TEST_P(Turn, TURN_120_a_peer_without_a_permission_is_not_heard) {
  Client& c = client();
  Socket& p = peer(2);
  Socket& stranger = peer(3);
  Socket& same_ip = peer(2);
  const Address relayed = relay_for(c, p);
  EXPECT_FALSE(reaches(stranger, relayed, c));
  EXPECT_TRUE(reaches(same_ip, relayed, c)) << "the port is not compared";
}

TEST_P(Turn, TURN_121_a_bound_peer_is_heard_on_its_channel) {
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  p.send(made.relayed(), "data");
  const std::optional<Data> got = c.receive_data();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->channel, kChannel);
  EXPECT_EQ(got->text, "data");
}

TEST_P(Turn, TURN_122_another_port_of_a_bound_peer_uses_data_indications) {
  Client& c = client();
  Socket& bound = peer();
  Socket& other = peer();
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.bind(kChannel, bound.local())));
  other.send(made.relayed(), "data");
  const std::optional<Data> got = c.receive_data();
  ASSERT_TRUE(got);
  EXPECT_FALSE(got->channel);
  EXPECT_EQ(got->peer, other.local());
}

TEST_P(Turn, TURN_123_an_empty_datagram_from_a_peer_is_relayed) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  p.send(relayed, "");
  std::optional<Data> got = c.receive_data();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->has_data);
  EXPECT_EQ(got->text, "");
  EXPECT_EQ(got->peer, p.local());
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  p.send(relayed, "");
  got = c.receive_data();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->channel, kChannel);
  EXPECT_EQ(got->text, "");
}

TEST_P(Turn, TURN_124_a_data_indication_from_a_client_is_discarded) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(c.ignored(make_message(Class::kIndication, Method::kData, [&](stun::Builder& m) {
    m.xor_address(Attr::kXorPeerAddress, p.local()).text(Attr::kData, "x");
  })));
  EXPECT_TRUE(silent(c, p));
}

// Two clients of the same server talk through their relayed addresses, as two participants behind symmetric NATs do.
TEST_P(Turn, TURN_113_relayed_addresses_reach_each_other) {
  Client& first = client();
  Client& second = client({"bob", "builder"});
  const Address a = first.allocate().relayed();
  const Address b = second.allocate().relayed();
  EXPECT_TRUE(succeeded(first.permit({b})));
  EXPECT_TRUE(succeeded(second.bind(kChannel, a)));
  first.send(b, "hello");
  const std::optional<Data> got = second.receive_data();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->channel, kChannel);
  EXPECT_EQ(got->text, "hello");
  second.send_channel(kChannel, "hello yourself");
  EXPECT_EQ(first.receive_data()->text, "hello yourself");
}

}  // namespace turnkit::conformance
