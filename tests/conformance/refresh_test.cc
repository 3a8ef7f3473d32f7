// RFC 8656, section 8.2: Refresh, and how an allocation ends.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

Fill only(Family family) {
  return [=](stun::Builder& m) { m.address_family(Attr::kRequestedAddressFamily, family); };
}

Fill dual() {
  return [](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); };
}

}  // namespace

TEST_P(Turn, TURN_070_refresh_without_an_allocation_gets_437) {
  Client& c = client();
  EXPECT_TRUE(failed(c.refresh(), 437));
  EXPECT_TRUE(failed(c.refresh(0), 437));
}

TEST_P(Turn, TURN_071_lifetime_0_deletes_at_once) {
  options.min_port = options.max_port = 24000;
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(failed(client().allocate(), 508));
  const Answer deleted = c.refresh(0);
  ASSERT_TRUE(succeeded(deleted));
  EXPECT_EQ(deleted.lifetime(), 0);
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_FALSE(reaches(p, relayed, c));
  EXPECT_TRUE(failed(c.permit(p.local().ip), 437));
  const Answer again = c.allocate();
  ASSERT_TRUE(succeeded(again)) << "5-tuple and port are free";
  EXPECT_EQ(again.relayed(), relayed);
  EXPECT_FALSE(sends(c, p)) << "permissions and channels did not survive";
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_FALSE(reaches(p, relayed, c));
}

TEST_P(Turn, TURN_072_the_default_lifetime_is_600) {
  Client& c = allocated([](stun::Builder& m) { m.u32(Attr::kLifetime, 3600); });
  EXPECT_EQ(c.refresh().lifetime(), 600);
}

TEST_P(Turn, TURN_073_lifetimes_are_kept_between_600_and_the_maximum) {
  Client& c = allocated();
  for (const auto& [asked, granted] : std::vector<std::pair<std::uint32_t, int>>{
           {1, 600}, {599, 600}, {600, 600}, {1800, 1800}, {3600, 3600}, {3601, 3600}, {0xFFFFFFFF, 3600}}) {
    EXPECT_EQ(c.refresh(asked).lifetime(), granted) << asked;
  }
}

TEST_P(Turn, TURN_074_a_family_that_the_allocation_does_not_have_gets_443) {
  REQUIRE_IPV6();
  Client& c = allocated();
  EXPECT_TRUE(failed(c.refresh(std::nullopt, only(Family::kIPv6)), 443));
  EXPECT_TRUE(failed(c.refresh(0, only(Family::kIPv6)), 443));
  EXPECT_TRUE(failed(c.refresh(0, [](stun::Builder& m) { m.u32(Attr::kRequestedAddressFamily, 0x03000000); }), 443));
  EXPECT_TRUE(failed(c.refresh(0, [](stun::Builder& m) { m.raw(Attr::kRequestedAddressFamily, ByteVector(2)); }), 400));
  EXPECT_TRUE(succeeded(c.refresh(std::nullopt, only(Family::kIPv4))));
}

TEST_P(Turn, TURN_075_one_half_of_a_dual_allocation_can_be_deleted) {
  REQUIRE_IPV6();
  Client& c = client();
  const std::vector<Address> relayed = c.allocate(dual()).relayed_addresses();
  ASSERT_EQ(relayed.size(), 2U);
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  EXPECT_TRUE(succeeded(c.permit(p4.local().ip)));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p6.local())));
  EXPECT_TRUE(succeeded(c.bind(kChannel + 1, p4.local())));

  EXPECT_EQ(c.refresh(0, only(Family::kIPv4)).lifetime(), 0);
  EXPECT_FALSE(sends(c, p4));
  EXPECT_FALSE(sends_on(c, kChannel + 1, p4));
  EXPECT_FALSE(reaches(p4, relayed[0], c));
  EXPECT_TRUE(failed(c.permit(p4.local().ip), 443));
  EXPECT_TRUE(failed(c.refresh(std::nullopt, only(Family::kIPv4)), 443));
  EXPECT_TRUE(sends_on(c, kChannel, p6));
  EXPECT_TRUE(reaches(p6, relayed[1], c));

  EXPECT_TRUE(succeeded(c.refresh(0, only(Family::kIPv6))));
  EXPECT_TRUE(failed(c.refresh(), 437)) << "the last half takes the allocation with it";
}

TEST_P(Turn, TURN_075_the_retransmitted_deletion_of_a_half_has_the_same_answer) {
  REQUIRE_IPV6();
  Client& c = client();
  ASSERT_TRUE(succeeded(c.allocate(dual())));
  const ByteVector request = c.signed_message(Method::kRefresh, [](stun::Builder& m) {
    m.u32(Attr::kLifetime, 0).address_family(Attr::kRequestedAddressFamily, Family::kIPv6);
  });
  const Answer first = c.exchange(request);
  ASSERT_TRUE(succeeded(first));
  EXPECT_EQ(c.exchange(request).bytes(), first.bytes());
  EXPECT_TRUE(succeeded(c.refresh())) << "the other half is still there";
}

TEST_F(TurnEngine, TURN_075_one_half_can_be_refreshed_alone) {
  REQUIRE_IPV6();
  Client& c = client();
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  ASSERT_TRUE(succeeded(c.allocate(dual())));
  harness().advance(500s);
  EXPECT_EQ(c.refresh(600, only(Family::kIPv6)).lifetime(), 600);
  EXPECT_TRUE(succeeded(c.permit({p4.local(), p6.local()})));
  harness().advance(100s);  // the IPv4 half ends at 600
  EXPECT_TRUE(sends(c, p6));
  EXPECT_FALSE(sends(c, p4));
  EXPECT_TRUE(failed(c.permit(p4.local().ip), 443));
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_F(TurnEngine, TURN_075_a_half_that_is_over_relays_nothing_before_the_sweep) {
  REQUIRE_IPV6();
  Client& c = client();
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  const std::vector<Address> relayed = c.allocate(dual()).relayed_addresses();
  harness().advance(500s);
  EXPECT_TRUE(succeeded(c.refresh(600, only(Family::kIPv6))));
  EXPECT_TRUE(succeeded(c.permit({p4.local(), p6.local()})));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p4.local())));
  engine().advance_without_sweep(100s);
  EXPECT_FALSE(sends(c, p4));
  EXPECT_FALSE(sends_on(c, kChannel, p4));
  EXPECT_FALSE(reaches(p4, relayed.at(0), c));
  EXPECT_TRUE(sends(c, p6));
  EXPECT_TRUE(reaches(p6, relayed.at(1), c));
}

TEST_P(Turn, TURN_076_without_a_family_both_halves_are_meant) {
  REQUIRE_IPV6();
  Client& c = client();
  ASSERT_TRUE(succeeded(c.allocate(dual())));
  EXPECT_EQ(c.refresh(1000).lifetime(), 1000);
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  EXPECT_TRUE(succeeded(c.permit({p4.local(), p6.local()})));
  EXPECT_TRUE(sends(c, p4));
  EXPECT_TRUE(sends(c, p6));
  EXPECT_TRUE(succeeded(c.refresh(0)));
  EXPECT_TRUE(failed(c.refresh(), 437));
}

TEST_P(Turn, TURN_077_the_success_tells_the_lifetime) {
  Client& c = allocated();
  const Answer answer = c.refresh(1234);
  EXPECT_THAT(answer.attribute_types(), testing::ElementsAre(Attr::kLifetime, Attr::kMessageIntegrity));
  EXPECT_EQ(answer.lifetime(), 1234);
}

// Better than the row asks for: the retransmission gets the answer again, so that a lost answer does no harm.
TEST_P(Turn, TURN_078_a_retransmitted_deletion_has_the_same_answer) {
  Client& c = allocated();
  const ByteVector request = c.signed_message(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0); });
  const Answer first = c.exchange(request);
  ASSERT_TRUE(succeeded(first));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(c.exchange(request).bytes(), first.bytes());
  EXPECT_TRUE(failed(c.refresh(0), 437)) << "another transaction is no retransmission";

  ByteVector forged = request;
  forged.back() ^= std::byte{1};
  EXPECT_TRUE(failed(c.exchange(forged), 437)) << "nor is one with a wrong MAC";

  EXPECT_TRUE(succeeded(c.allocate()));
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_F(TurnEngine, TURN_078_deletions_are_remembered_for_40_seconds) {
  Client& c = allocated();
  const ByteVector request = c.signed_message(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0); });
  ASSERT_TRUE(succeeded(c.exchange(request)));
  harness().advance(39s);
  EXPECT_TRUE(succeeded(c.exchange(request)));
  harness().advance(2s);
  EXPECT_TRUE(failed(c.exchange(request), 437));
}

TEST_P(Turn, TURN_079_traffic_does_not_refresh_an_allocation) {
  options.max_lifetime = scaled(3600s, 1s);
  const Duration lifetime = scaled(600s, 1s);
  Client& c = client();
  Socket& p = peer();
  const TimePoint start = harness().now().mono;
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  const TimePoint made = harness().now().mono;
  wait_until_shortly_before(start + lifetime);
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  const bool sent = sends(c, p) && sends_on(c, kChannel, p) && reaches(p, relayed, c);
  if (harness().now().mono < start + lifetime) {
    EXPECT_TRUE(sent);
  }
  harness().advance(std::max(Duration(0), made + lifetime - harness().now().mono));
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_FALSE(reaches(p, relayed, c));
  EXPECT_TRUE(failed(c.refresh(), 437));
}

TEST_P(Turn, TURN_080_what_expires_is_free_again) {
  options.max_lifetime = scaled(3600s, 1s);
  options.min_port = options.max_port = 24000;
  options.user_quota = 1;
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  harness().advance(scaled(600s, 1s) + 1100ms);  // and a sweep
  Client& other = client();
  EXPECT_EQ(other.allocate().relayed(), relayed);
  EXPECT_TRUE(failed(c.refresh(), 437));
  EXPECT_TRUE(failed(c.permit(p.local().ip), 437));
  c.send(p.local(), "lost");
  c.send_channel(kChannel, "lost");
  EXPECT_TRUE(silent(c, p));
}

// Between the end of a lifetime and the sweep that frees the memory, nothing is relayed either way.
TEST_F(TurnEngine, TURN_080_expiry_does_not_wait_for_the_sweep) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  harness().advance(400s);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  engine().advance_without_sweep(200s);
  EXPECT_FALSE(reaches(p, relayed, c));
  EXPECT_FALSE(engine().icmp_error(relayed, p.local(), {3, 3, 0}));
  EXPECT_FALSE(sends_on(c, kChannel, p));
  EXPECT_FALSE(sends(c, p));
  EXPECT_TRUE(failed(c.refresh(), 437));
}

}  // namespace turnkit::conformance
