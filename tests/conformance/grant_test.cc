// RFC 8656, section 7.2: what Allocate grants: families, quotas, lifetimes and ports.
#include <algorithm>
#include <cstdlib>

#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

using testing::ElementsAre;

namespace {

Fill family(Attr type, Family value) {
  return [=](stun::Builder& m) { m.address_family(type, value); };
}

Fill lifetime(std::uint32_t seconds) {
  return [=](stun::Builder& m) { m.u32(Attr::kLifetime, seconds); };
}

}  // namespace

TEST_P(Turn, TURN_050_only_ipv6_can_be_additional) {
  REQUIRE_IPV6();
  Client& c = client();
  for (const std::uint32_t value : {1U, 0U, 3U}) {
    EXPECT_TRUE(failed(c.allocate([&](stun::Builder& m) { m.u32(Attr::kAdditionalAddressFamily, value << 24); }), 400));
  }
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.raw(Attr::kAdditionalAddressFamily, ByteVector(2)); }), 400));
}

TEST_P(Turn, TURN_051_an_additional_family_gives_two_relayed_addresses) {
  REQUIRE_IPV6();
  Client& c = client();
  const Answer answer = c.allocate(family(Attr::kAdditionalAddressFamily, Family::kIPv6));
  ASSERT_TRUE(succeeded(answer));
  const std::vector<Address> relayed = answer.relayed_addresses();
  ASSERT_EQ(relayed.size(), 2U);
  EXPECT_TRUE(relayed[0].ip.is_v4());
  EXPECT_FALSE(relayed[1].ip.is_v4());
  EXPECT_FALSE(answer.has(Attr::kAddressErrorCode));
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  EXPECT_TRUE(succeeded(c.permit({p4.local(), p6.local()})));
  EXPECT_TRUE(sends(c, p4));
  EXPECT_TRUE(sends(c, p6));
  EXPECT_TRUE(reaches(p4, relayed[0], c));
  EXPECT_TRUE(reaches(p6, relayed[1], c));
}

TEST_P(Turn, TURN_052_one_family_that_is_possible_is_given_and_the_other_explained) {
  Client& c = client();
  const Answer answer = c.allocate(family(Attr::kAdditionalAddressFamily, Family::kIPv6));
  ASSERT_TRUE(succeeded(answer));
  ASSERT_EQ(answer.relayed_addresses().size(), 1U);
  EXPECT_TRUE(answer.relayed().ip.is_v4());
  const auto error = stun::decode_address_error_code(answer.value(Attr::kAddressErrorCode).value());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->family, 2);
  EXPECT_EQ(error->error.code, 440);
}

TEST_P(Turn, TURN_052_ipv4_may_be_the_one_that_is_missing) {
  REQUIRE_IPV6();
  options.relay_v4 = false;
  const Answer answer = client_v6().allocate(family(Attr::kAdditionalAddressFamily, Family::kIPv6));
  ASSERT_TRUE(succeeded(answer));
  ASSERT_EQ(answer.relayed_addresses().size(), 1U);
  EXPECT_FALSE(answer.relayed().ip.is_v4());
  const auto error = stun::decode_address_error_code(answer.value(Attr::kAddressErrorCode).value());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->family, 1);
  EXPECT_EQ(error->error.code, 440);
}

TEST_F(TurnEngine, TURN_052_a_family_without_a_free_port_is_508) {
  REQUIRE_IPV6();
  options.min_port = options.max_port = 24000;
  allocated();  // takes the one IPv4 port
  const Answer answer = client().allocate(family(Attr::kAdditionalAddressFamily, Family::kIPv6));
  ASSERT_TRUE(succeeded(answer));
  const auto error = stun::decode_address_error_code(answer.value(Attr::kAddressErrorCode).value());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->family, 1);
  EXPECT_EQ(error->error.code, 508);
}

TEST_P(Turn, TURN_053_neither_family_possible_gets_508) {
  options.min_port = options.max_port = 24000;
  allocated();
  EXPECT_TRUE(failed(client().allocate(family(Attr::kAdditionalAddressFamily, Family::kIPv6)), 508));
}

// It is implemented: that it never leads to 420 is what remains of the row.
TEST_P(Turn, TURN_054_additional_address_family_never_gets_420) {
  EXPECT_TRUE(succeeded(client().allocate(family(Attr::kAdditionalAddressFamily, Family::kIPv6))));
}

TEST_P(Turn, TURN_055_the_user_quota_counts_by_user_name) {
  options.user_quota = 2;
  Client& first = allocated();
  Client& second = allocated();
  EXPECT_TRUE(failed(client().allocate(), 486));
  EXPECT_TRUE(succeeded(client({"bob", "builder"}).allocate())) << "another user at the same address";
  EXPECT_TRUE(succeeded(first.refresh(0)));
  EXPECT_TRUE(succeeded(client().allocate()));
  EXPECT_TRUE(failed(client().allocate(), 486));
  EXPECT_TRUE(succeeded(second.refresh()));
}

TEST_P(Turn, TURN_055_the_total_quota_counts_all) {
  options.total_quota = 2;
  allocated();
  EXPECT_TRUE(succeeded(client({"bob", "builder"}).allocate()));
  EXPECT_TRUE(failed(client({"bob", "builder"}).allocate(), 486));
}

TEST_P(Turn, TURN_055_a_refused_allocate_does_not_use_up_the_quota) {
  options.user_quota = 1;
  Client& c = client();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.u64(Attr::kReservationToken, 42); }), 508));
    EXPECT_TRUE(failed(c.request(Method::kAllocate), 400));
  }
  EXPECT_TRUE(succeeded(c.allocate()));
}

TEST_P(Turn, TURN_057_the_default_lifetime_is_600) { EXPECT_EQ(client().allocate().lifetime(), 600); }

TEST_P(Turn, TURN_058_lifetimes_are_kept_between_600_and_the_maximum) {
  for (const auto& [asked, granted] : std::vector<std::pair<std::uint32_t, int>>{{0, 600},
                                                                                 {1, 600},
                                                                                 {30, 600},
                                                                                 {600, 600},
                                                                                 {601, 601},
                                                                                 {3599, 3599},
                                                                                 {3600, 3600},
                                                                                 {3601, 3600},
                                                                                 {0x7FFFFFFF, 3600},
                                                                                 {0x80000000, 3600},
                                                                                 {0xFFFFFFFF, 3600}}) {
    EXPECT_EQ(client().allocate(lifetime(asked)).lifetime(), granted) << asked;
  }
}

TEST_P(Turn, TURN_058_a_maximum_below_600_holds) {
  options.max_lifetime = 60s;
  EXPECT_EQ(client().allocate().lifetime(), 60);
  EXPECT_EQ(client().allocate(lifetime(30)).lifetime(), 60);
  Client& c = client();
  EXPECT_EQ(c.allocate(lifetime(3600)).lifetime(), 60);
  EXPECT_EQ(c.refresh(1000).lifetime(), 60);
  EXPECT_EQ(c.refresh().lifetime(), 60);
}

TEST_P(Turn, TURN_059_the_success_says_all_that_a_client_needs) {
  Client& c = client();
  const Answer answer = c.allocate();
  ASSERT_TRUE(succeeded(answer));
  EXPECT_THAT(answer.attribute_types(),
              ElementsAre(Attr::kXorRelayedAddress, Attr::kLifetime, Attr::kXorMappedAddress, Attr::kMessageIntegrity));
  EXPECT_EQ(answer.xor_address(Attr::kXorMappedAddress), c.local());
  EXPECT_EQ(answer.relayed().ip, harness().ip(100));
  EXPECT_TRUE(client().allocate([](stun::Builder& m) { m.even_port(true); }).has(Attr::kReservationToken));
}

TEST_P(Turn, TURN_060_ports_are_in_the_dynamic_range_and_random) {
  std::vector<std::uint16_t> ports;
  for (int i = 0; i < 12; ++i) ports.push_back(client().allocate().relayed().port);
  EXPECT_GE(*std::min_element(ports.begin(), ports.end()), 49152);
  int neighbours = 0;
  for (std::size_t i = 1; i < ports.size(); ++i) {
    if (std::abs(ports[i] - ports[i - 1]) <= 2) ++neighbours;
  }
  EXPECT_LE(neighbours, 2) << "ports must not follow a pattern";
}

TEST_P(Turn, TURN_061_a_fresh_allocation_lets_nobody_in) {
  Client& c = client();
  Socket& p = peer();
  const Answer answer = c.allocate();
  EXPECT_FALSE(reaches(p, answer.relayed(), c));
  EXPECT_FALSE(sends(c, p));
  EXPECT_FALSE(sends_on(c, kChannel, p));
}

TEST_P(Turn, TURN_062_no_port_left_gets_508) {
  options.min_port = 24000;
  options.max_port = 24002;
  Client& first = allocated();
  allocated();
  allocated();
  EXPECT_TRUE(failed(client().allocate(), 508));
  EXPECT_TRUE(succeeded(first.refresh(0)));
  EXPECT_TRUE(succeeded(client().allocate())) << "a deleted allocation's port is free again";
}

// No such address can be the source of a packet on loopback.
TEST_F(TurnEngine, TURN_063_clients_behind_teredo_and_6to4_get_403) {
  REQUIRE_IPV6();
  for (const char* text : {"2001::5ef5:79fb", "2002:c000:204::1"}) {
    Client c(harness(), {}, Address{*IpAddress::parse(text), 0}, harness().server_v6());
    EXPECT_TRUE(failed(c.allocate(), 403)) << text;
  }
  Client plain(harness(), {}, Address{*IpAddress::parse("2001:db8::1"), 0}, harness().server_v6());
  EXPECT_TRUE(succeeded(plain.allocate()));
}

TEST_P(Turn, TURN_064_malformed_attributes_get_400) {
  Client& c = client();
  for (const auto& [type, sizes] : std::vector<std::pair<Attr, std::vector<std::size_t>>>{
           {Attr::kLifetime, {0, 3, 8}}, {Attr::kEvenPort, {0, 4}}, {Attr::kReservationToken, {0, 4, 16}}}) {
    for (const std::size_t size : sizes) {
      EXPECT_TRUE(failed(c.allocate([size, t = type](stun::Builder& m) { m.raw(t, ByteVector(size)); }), 400))
          << stun::attribute_name(type) << " of " << size;
    }
  }
  EXPECT_TRUE(succeeded(c.allocate()));
}

}  // namespace turnkit::conformance
