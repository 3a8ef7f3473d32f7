// RFC 8656, section 12: channels.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

TEST_P(Turn, TURN_140_channel_bind_needs_number_and_peer) {
  Client& c = allocated();
  Socket& p = peer();
  EXPECT_TRUE(failed(c.request(Method::kChannelBind, [](stun::Builder& m) { m.channel_number(kChannel); }), 400));
  EXPECT_TRUE(failed(
      c.request(Method::kChannelBind, [&](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, p.local()); }),
      400));
  EXPECT_TRUE(failed(c.request(Method::kChannelBind), 400));
}

TEST_P(Turn, TURN_141_numbers_beyond_rfc_8656_get_400_where_the_range_is_narrowed) {
  options.rfc8656_channels = true;
  Client& c = allocated();
  Socket& p = peer();
  for (const int number : {0, 1, 0x3FFF, 0x5000, 0x7FFE, 0x7FFF, 0x8000, 0xFFFF}) {
    EXPECT_TRUE(failed(c.bind(static_cast<std::uint16_t>(number), p.local()), 400)) << number;
  }
  EXPECT_FALSE(sends(c, p)) << "a refused binding installs no permission";
  EXPECT_TRUE(succeeded(c.bind(0x4FFF, p.local())));
  EXPECT_TRUE(succeeded(c.bind(0x4000, {p.local().ip, 1})));
}

TEST_P(Turn, TURN_141_the_range_of_rfc_5766_is_the_default) {
  Client& c = allocated();
  Socket& p = peer();
  for (const int number : {0, 1, 0x3FFF, 0x7FFF, 0x8000, 0xFFFF}) {
    EXPECT_TRUE(failed(c.bind(static_cast<std::uint16_t>(number), p.local()), 400)) << number;
  }
  Socket& other = peer();
  EXPECT_TRUE(succeeded(c.bind(0x5000, p.local())));
  EXPECT_TRUE(succeeded(c.bind(0x7FFE, other.local())));
  EXPECT_TRUE(sends_on(c, 0x5000, p));
  EXPECT_TRUE(sends_on(c, 0x7FFE, other));
}

TEST_P(Turn, TURN_142_a_number_that_is_bound_elsewhere_gets_400) {
  Client& c = client();
  Socket& p = peer(2);
  Socket& other = peer(3);
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(failed(c.bind(kChannel, other.local()), 400));
  EXPECT_TRUE(failed(c.bind(kChannel, {p.local().ip, 1}), 400)) << "the port counts";
  EXPECT_TRUE(sends_on(c, kChannel, p)) << "the old binding is unchanged";
  EXPECT_FALSE(reaches(other, made.relayed(), c)) << "no permission was installed";
}

TEST_F(TurnEngine, TURN_142_a_refused_binding_does_not_refresh_the_old_one) {
  options.nonce_lifetime = 0s;
  Client& c = client();
  Socket& p = peer();
  ASSERT_TRUE(succeeded(c.allocate([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); })));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  harness().advance(500s);
  EXPECT_TRUE(failed(c.bind(kChannel, {p.local().ip, 1}), 400));
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  harness().advance(99s);
  EXPECT_TRUE(sends_on(c, kChannel, p));
  harness().advance(1s);
  EXPECT_FALSE(sends_on(c, kChannel, p));
}

TEST_P(Turn, TURN_143_an_address_that_has_another_number_gets_400) {
  Client& c = allocated();
  Socket& p = peer();
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(failed(c.bind(kChannel + 1, p.local()), 400));
  EXPECT_TRUE(sends_on(c, kChannel, p));
  EXPECT_FALSE(sends_on(c, kChannel + 1, p));
  EXPECT_TRUE(succeeded(c.bind(kChannel + 1, {p.local().ip, 1})));
}

TEST_F(TurnEngine, TURN_144_binding_again_refreshes_channel_and_permission) {
  options.nonce_lifetime = 0s;
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); });
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
    harness().advance(299s);
    EXPECT_TRUE(sends_on(c, kChannel, p));
    EXPECT_TRUE(reaches(p, made.relayed(), c));
  }
  harness().advance(1s);
  EXPECT_FALSE(sends_on(c, kChannel, p)) << "the permission is over";
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  harness().advance(299s);
  EXPECT_TRUE(sends_on(c, kChannel, p)) << "the channel lasts 600 seconds";
  harness().advance(1s);
  EXPECT_FALSE(sends_on(c, kChannel, p));
}

TEST_P(Turn, TURN_144_binding_again_succeeds) {
  Client& c = allocated();
  Socket& p = peer();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(sends_on(c, kChannel, p));
}

TEST_P(Turn, TURN_145_a_peer_of_another_family_gets_443) {
  REQUIRE_IPV6();
  Client& c = allocated();
  EXPECT_TRUE(failed(c.bind(kChannel, peer_v6().local()), 443));
  EXPECT_TRUE(succeeded(c.bind(kChannel, peer().local())));
}

TEST_P(Turn, TURN_146_a_peer_that_the_policy_forbids_gets_403) {
  options.denied_peers = {"192.0.2.0/24", "198.51.100.7:1000-2000"};
  Client& c = allocated();
  EXPECT_TRUE(failed(c.bind(kChannel, {IpAddress::v4(192, 0, 2, 1), 1000}), 403));
  EXPECT_TRUE(failed(c.bind(kChannel, {IpAddress::v4(198, 51, 100, 7), 2000}), 403));
  EXPECT_TRUE(succeeded(c.bind(kChannel, {IpAddress::v4(198, 51, 100, 7), 2001})));
}

TEST_P(Turn, TURN_147_a_full_table_gets_508) {
  options.max_channels = 2;
  Client& c = allocated();
  Socket& p = peer();
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(succeeded(c.bind(kChannel + 1, {harness().ip(3), 1})));
  EXPECT_TRUE(failed(c.bind(kChannel + 2, {harness().ip(4), 1}), 508));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local()))) << "a refresh takes no place";
  EXPECT_TRUE(sends_on(c, kChannel, p));
}

TEST_P(Turn, TURN_148_a_binding_installs_a_permission) {
  Client& c = client();
  Socket& p = peer();
  Socket& same_ip = peer();
  const Answer made = c.allocate();
  const Answer bound = c.bind(kChannel, p.local());
  EXPECT_THAT(bound.attribute_types(), testing::ElementsAre(Attr::kMessageIntegrity));
  EXPECT_TRUE(sends(c, same_ip));
  EXPECT_TRUE(reaches(same_ip, made.relayed(), c));
}

TEST_P(Turn, TURN_149_a_binding_lasts_600_seconds_and_leaves_number_and_address_free) {
  options.nonce_lifetime = 0s;
  options.channel_lifetime = scaled(600s, 1s);
  Client& c = client();
  Socket& p = peer();
  Socket& other = peer();
  const Answer made = c.allocate([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); });
  const TimePoint asked = harness().now().mono;
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  const TimePoint answered = harness().now().mono;
  wait_until_shortly_before(asked + options.channel_lifetime);
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  const bool alive = static_cast<bool>(sends_on(c, kChannel, p));
  if (harness().now().mono < asked + options.channel_lifetime) {
    EXPECT_TRUE(alive);
  }
  harness().advance(std::max(Duration(0), answered + options.channel_lifetime - harness().now().mono));
  EXPECT_FALSE(sends_on(c, kChannel, p));
  p.send(made.relayed(), "data");
  EXPECT_FALSE(c.receive_data()->channel) << "a Data indication, because the permission lives";
  EXPECT_TRUE(succeeded(c.bind(kChannel, other.local())));
  EXPECT_TRUE(succeeded(c.bind(kChannel + 1, p.local())));
  EXPECT_TRUE(sends_on(c, kChannel, other));
  EXPECT_TRUE(sends_on(c, kChannel + 1, p));
}

TEST_F(TurnEngine, TURN_149_an_expired_binding_is_free_before_the_sweep) {
  options.nonce_lifetime = 0s;
  Client& c = client();
  Socket& p = peer();
  Socket& other = peer();
  ASSERT_TRUE(succeeded(c.allocate([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); })));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(succeeded(c.bind(kChannel + 1, other.local())));
  engine().advance_without_sweep(600s);
  EXPECT_TRUE(succeeded(c.bind(kChannel, other.local())));
  EXPECT_TRUE(succeeded(c.bind(kChannel + 1, p.local())));
  EXPECT_TRUE(sends_on(c, kChannel, other));
  EXPECT_TRUE(sends_on(c, kChannel + 1, p));
}

TEST_F(TurnEngine, TURN_149_an_expired_binding_relays_nothing_before_the_sweep) {
  options.nonce_lifetime = 0s;
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); });
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  harness().advance(400s);
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  engine().advance_without_sweep(200s);
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_TRUE(sends(c, p)) << "the permission lives";
  p.send(made.relayed(), "data");
  EXPECT_FALSE(c.receive_data()->channel);
}

TEST_P(Turn, TURN_150_a_channel_without_its_permission_relays_nothing) {
  options.permission_lifetime = scaled(300s, 1s);
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(sends_on(c, kChannel, p));
  outlive(options.permission_lifetime);
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_FALSE(reaches(p, made.relayed(), c));
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(sends_on(c, kChannel, p)) << "the channel was still bound";
}

TEST_P(Turn, TURN_151_an_unbound_number_is_discarded) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_FALSE(sends_on(c, kChannel + 1, p));
  EXPECT_FALSE(sends_on(c, 0x7FFE, p));
  EXPECT_TRUE(c.silent());
}

TEST_P(Turn, TURN_152_first_bytes_beyond_the_range_are_discarded) {
  options.rfc8656_channels = true;
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  for (const int number : {0x5000, 0x6000, 0x7FFE, 0x8000, 0xBFFF, 0xC000, 0xFFFF}) {
    EXPECT_TRUE(c.ignored(make_channel_data(static_cast<std::uint16_t>(number), "x"))) << number;
  }
  EXPECT_TRUE(silent(c, p));
}

TEST_P(Turn, TURN_153_a_datagram_shorter_than_its_length_is_discarded) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  ByteVector message = make_channel_data(kChannel, "four");
  for (const int length : {5, 100, 65535}) {
    store_be16(message.data() + 2, static_cast<std::uint16_t>(length));
    EXPECT_TRUE(c.ignored(message));
  }
  message.resize(3);
  EXPECT_TRUE(c.ignored(message));
  EXPECT_TRUE(silent(c, p));
}

TEST_P(Turn, TURN_154_a_longer_datagrams_tail_is_ignored) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  for (const std::size_t tail : {1U, 3U, 4U, 100U}) {
    ByteVector message = make_channel_data(kChannel, "abc");
    message.resize(message.size() + tail);
    c.send_raw(message);
    EXPECT_EQ(p.receive()->text(), "abc");
  }
}

TEST_P(Turn, TURN_157_length_0_is_an_empty_datagram) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  c.send_channel(kChannel, "");
  const std::optional<Datagram> got = p.receive();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->data.empty());
}

TEST_F(TurnEngine, TURN_158_channel_data_refreshes_neither_channel_nor_permission) {
  options.nonce_lifetime = 0s;
  Client& c = client();
  Socket& p = peer();
  ASSERT_TRUE(succeeded(c.allocate([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); })));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  for (int i = 0; i < 299; ++i) {
    harness().advance(1s);
    EXPECT_TRUE(sends_on(c, kChannel, p));
  }
  harness().advance(1s);
  EXPECT_FALSE(sends_on(c, kChannel, p)) << "the permission";
  for (int i = 300; i < 599; ++i) {
    EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
    harness().advance(1s);
    EXPECT_TRUE(sends_on(c, kChannel, p));
  }
  harness().advance(1s);
  EXPECT_FALSE(sends_on(c, kChannel, p)) << "the channel";
}

TEST_P(Turn, TURN_160_numbers_are_the_allocations_own) {
  Client& first = client();
  Client& second = client();
  Socket& p = peer(2);
  Socket& q = peer(3);
  const Address a = relay_for(first, p);
  const Address b = relay_for(second, q);
  EXPECT_TRUE(succeeded(first.bind(kChannel, p.local())));
  EXPECT_TRUE(succeeded(second.bind(kChannel, q.local())));
  EXPECT_TRUE(sends_on(first, kChannel, p));
  EXPECT_TRUE(sends_on(second, kChannel, q));
  EXPECT_TRUE(reaches(p, a, first));
  EXPECT_TRUE(reaches(q, b, second));
}

TEST_P(Turn, TURN_160_many_channels_in_one_allocation) {
  Client& c = client();
  const Answer made = c.allocate();
  std::vector<Socket*> peers;
  for (unsigned n = 0; n < 40; ++n) {
    peers.push_back(&peer(2 + n % 20));
    EXPECT_TRUE(succeeded(c.bind(static_cast<std::uint16_t>(kChannel + 37 * n), peers.back()->local())));
  }
  for (unsigned n = 0; n < 40; ++n) {
    EXPECT_TRUE(sends_on(c, static_cast<std::uint16_t>(kChannel + 37 * n), *peers[n]));
    peers[n]->send(made.relayed(), "back");
    EXPECT_EQ(c.receive_data()->channel, kChannel + 37 * n);
  }
}

}  // namespace turnkit::conformance
