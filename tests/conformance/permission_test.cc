// RFC 8656, sections 9 and 10: permissions.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

TEST_P(Turn, TURN_090_create_permission_needs_a_peer) {
  Client& c = allocated();
  EXPECT_TRUE(failed(c.permit({}), 400));
}

TEST_P(Turn, TURN_091_one_malformed_peer_refuses_the_whole_request) {
  Client& c = allocated();
  Socket& p = peer();
  for (const bool good_first : {true, false}) {
    EXPECT_TRUE(failed(c.request(Method::kCreatePermission,
                                 [&](stun::Builder& m) {
                                   if (good_first) m.xor_address(Attr::kXorPeerAddress, p.local());
                                   m.raw(Attr::kXorPeerAddress, ByteVector(7));
                                   if (!good_first) m.xor_address(Attr::kXorPeerAddress, p.local());
                                 }),
                       400));
  }
  EXPECT_FALSE(sends(c, p)) << "none is installed";
}

TEST_P(Turn, TURN_092_several_peers_in_one_request) {
  options.denied_peers = {"192.0.2.66"};
  Client& c = client();
  const Answer made = c.allocate();
  std::vector<Socket*> peers;
  for (unsigned n = 2; n < 8; ++n) peers.push_back(&peer(n));
  EXPECT_TRUE(failed(c.request(Method::kCreatePermission,
                               [&](stun::Builder& m) {
                                 for (Socket* p : peers) m.xor_address(Attr::kXorPeerAddress, p->local());
                                 m.xor_address(Attr::kXorPeerAddress, {IpAddress::v4(192, 0, 2, 66), 9});
                               }),
                     403));
  EXPECT_FALSE(sends(c, *peers.front())) << "all are checked before any is installed";
  EXPECT_TRUE(succeeded(c.request(Method::kCreatePermission, [&](stun::Builder& m) {
    for (Socket* p : peers) m.xor_address(Attr::kXorPeerAddress, p->local());
  })));
  for (Socket* p : peers) {
    EXPECT_TRUE(sends(c, *p));
    EXPECT_TRUE(reaches(*p, made.relayed(), c));
  }
}

TEST_P(Turn, TURN_093_a_peer_of_another_family_gets_443) {
  REQUIRE_IPV6();
  Client& c = allocated();
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  EXPECT_TRUE(failed(c.permit(p6.local().ip), 443));
  EXPECT_TRUE(failed(c.permit({p4.local(), p6.local()}), 443));
  EXPECT_FALSE(sends(c, p4));
}

TEST_P(Turn, TURN_094_a_dual_allocation_takes_both_families_at_once) {
  REQUIRE_IPV6();
  Client& c = allocated([](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); });
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  EXPECT_TRUE(succeeded(c.permit({p4.local(), p6.local()})));
  EXPECT_TRUE(sends(c, p4));
  EXPECT_TRUE(sends(c, p6));
}

TEST_P(Turn, TURN_095_a_peer_that_the_policy_forbids_gets_403) {
  options.denied_peers = {"192.0.2.0/24", "198.51.100.7"};
  Client& c = allocated();
  EXPECT_TRUE(failed(c.permit(IpAddress::v4(192, 0, 2, 1)), 403));
  EXPECT_TRUE(failed(c.permit(IpAddress::v4(198, 51, 100, 7)), 403));
  EXPECT_TRUE(succeeded(c.permit(IpAddress::v4(198, 51, 100, 8))));
  EXPECT_TRUE(failed(c.permit({{IpAddress::v4(198, 51, 100, 8), 1}, {IpAddress::v4(192, 0, 2, 1), 1}}), 403));
}

TEST_P(Turn, TURN_096_a_full_table_gets_508) {
  options.max_permissions = 3;
  Client& c = allocated();
  Socket& p = peer(2);
  EXPECT_TRUE(succeeded(c.permit({p.local(), {harness().ip(3), 0}, {harness().ip(4), 0}})));
  EXPECT_TRUE(failed(c.permit(harness().ip(5)), 508));
  EXPECT_TRUE(failed(c.bind(kChannel, {harness().ip(5), 1000}), 508));
  EXPECT_TRUE(succeeded(c.permit({p.local(), {harness().ip(4), 0}}))) << "a refresh takes no place";
  EXPECT_TRUE(sends(c, p));
}

TEST_P(Turn, TURN_096_a_peer_named_twice_takes_one_place) {
  options.max_permissions = 1;
  Client& c = allocated();
  EXPECT_TRUE(succeeded(c.permit({{harness().ip(2), 1}, {harness().ip(2), 2}, {harness().ip(2), 3}})));
}

TEST_P(Turn, TURN_096_what_has_expired_takes_no_place) {
  options.max_permissions = 2;
  options.permission_lifetime = scaled(300s, 1s);
  Client& c = allocated();
  EXPECT_TRUE(succeeded(c.permit({{harness().ip(2), 0}, {harness().ip(3), 0}})));
  if (is_engine()) {
    static_cast<EngineHarness&>(harness()).advance_without_sweep(300s);
  } else {
    outlive(1s);
  }
  EXPECT_TRUE(succeeded(c.permit({{harness().ip(4), 0}, {harness().ip(5), 0}})));
}

TEST_P(Turn, TURN_097_the_port_of_the_peer_address_is_ignored) {
  Client& c = client();
  Socket& p = peer();
  Socket& same_ip = peer();
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.permit({Address{p.local().ip, 1}})));
  EXPECT_TRUE(sends(c, p));
  EXPECT_TRUE(sends(c, same_ip));
  EXPECT_TRUE(reaches(p, made.relayed(), c));
  EXPECT_TRUE(reaches(same_ip, made.relayed(), c));
}

TEST_P(Turn, TURN_098_a_permission_lasts_300_seconds) {
  options.permission_lifetime = scaled(300s, 1s);
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate();
  const TimePoint asked = harness().now().mono;
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  const TimePoint answered = harness().now().mono;
  wait_until_shortly_before(asked + options.permission_lifetime);
  const bool alive = sends(c, p) && reaches(p, made.relayed(), c);
  if (harness().now().mono < asked + options.permission_lifetime) {
    EXPECT_TRUE(alive);
  }
  harness().advance(std::max(Duration(0), answered + options.permission_lifetime - harness().now().mono));
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(reaches(p, made.relayed(), c));
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(sends(c, p));
}

TEST_F(TurnEngine, TURN_098_a_permission_that_is_over_lets_nothing_through_before_the_sweep) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  engine().advance_without_sweep(300s);
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_FALSE(reaches(p, relayed, c));
}

TEST_P(Turn, TURN_099_only_requests_refresh_a_permission) {
  options.permission_lifetime = scaled(300s, 1s);
  Client& c = client();
  Socket& p = peer();
  Socket& bound = peer(3);
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(succeeded(c.bind(kChannel, bound.local())));
  for (int i = 0; i < 5; ++i) {
    harness().advance(Duration(options.permission_lifetime) / 5);
    c.send(p.local(), "x");
    c.send_channel(kChannel, "x");
    p.send(made.relayed(), "x");
    bound.send(made.relayed(), "x");
  }
  outlive(0s);
  while (p.poll() || bound.poll() || c.data_so_far()) {
  }
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(reaches(p, made.relayed(), c));
  EXPECT_FALSE(reaches(bound, made.relayed(), c));
}

TEST_F(TurnEngine, TURN_099_create_permission_and_channel_bind_refresh_it) {
  options.nonce_lifetime = 0s;
  Client& c = client();
  Socket& p = peer();
  Socket& bound = peer(3);
  const Answer made = c.allocate();
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(succeeded(c.bind(kChannel, bound.local())));
  for (int i = 0; i < 10; ++i) {
    harness().advance(299s);
    EXPECT_TRUE(succeeded(c.refresh(3600)));
    EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
    EXPECT_TRUE(succeeded(c.bind(kChannel, bound.local())));
    EXPECT_TRUE(reaches(p, made.relayed(), c));
    EXPECT_TRUE(reaches(bound, made.relayed(), c));
  }
}

TEST_P(Turn, TURN_100_the_success_holds_nothing_but_the_mac) {
  Client& c = allocated();
  EXPECT_THAT(c.permit(harness().ip(2)).attribute_types(), testing::ElementsAre(Attr::kMessageIntegrity));
}

TEST_P(Turn, TURN_101_permissions_of_one_allocation_do_not_count_for_another) {
  Client& first = client();
  Client& second = client();
  Socket& p = peer();
  relay_for(first, p);
  const Answer other = second.allocate();
  EXPECT_FALSE(sends(second, p));
  EXPECT_FALSE(reaches(p, other.relayed(), second));
  EXPECT_TRUE(sends(first, p));
}

TEST_P(Turn, TURN_102_special_addresses_get_403_by_default) {
  REQUIRE_IPV6();
  options.allow_loopback_peers = false;
  Client& c = allocated([](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); });
  for (const char* text : {"127.0.0.1",
                           "127.200.1.1",
                           "0.0.0.0",
                           "0.1.2.3",
                           "169.254.1.1",
                           "169.254.169.254",
                           "224.0.0.1",
                           "239.1.2.3",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::1",
                           "::",
                           "fe80::1",
                           "ff02::1",
                           "2002:7f00:1::",
                           "2002:c000:204::1",
                           "2001::5ef5:79fb",
                           "::ffff:127.0.0.1",
                           "64:ff9b::7f00:1",
                           "64:ff9b::a9fe:a9fe"}) {
    const IpAddress ip = *IpAddress::parse(text);
    EXPECT_TRUE(failed(c.permit(ip), 403)) << text;
    EXPECT_TRUE(failed(c.bind(kChannel, {ip, 5000}), 403)) << text;
  }
  EXPECT_TRUE(succeeded(c.permit(IpAddress::v4(192, 0, 2, 1))));
  EXPECT_TRUE(succeeded(c.permit(*IpAddress::parse("2001:db8::1"))));
}

TEST_P(Turn, TURN_102_the_servers_own_listener_cannot_be_reached) {
  Client& c = client();
  ASSERT_TRUE(succeeded(c.allocate()));
  EXPECT_TRUE(failed(c.bind(kChannel, c.server()), 403));
  EXPECT_TRUE(succeeded(c.permit(c.server().ip))) << "the address has other ports";
  const ByteVector loop = make_message(Class::kRequest, Method::kBinding);
  c.send(c.server(), as_text(loop));
  EXPECT_TRUE(c.silent()) << "an answer would have come back as a Data indication";
}

TEST_P(Turn, TURN_102_tunnels_are_refused_even_where_all_is_allowed) {
  REQUIRE_IPV6();
  options.allowed_peers = {"::/0", "2002::/16", "2001::/32", "2002:c000:204::1"};
  Client& c = allocated([](stun::Builder& m) { m.address_family(Attr::kRequestedAddressFamily, Family::kIPv6); });
  EXPECT_TRUE(failed(c.permit(*IpAddress::parse("2002:c000:204::1")), 403));
  EXPECT_TRUE(failed(c.permit(*IpAddress::parse("2001::5ef5:79fb")), 403));
}

}  // namespace turnkit::conformance
