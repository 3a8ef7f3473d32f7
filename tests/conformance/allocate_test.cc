// RFC 8656, section 7.2: Allocate, in the order of its steps.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

using testing::ElementsAre;

namespace {

Fill family(Attr type, Family value) {
  return [=](stun::Builder& m) { m.address_family(type, value); };
}

Fill reservation(const Answer& from) {
  return
      [token = from.u64(Attr::kReservationToken)](stun::Builder& m) { m.u64(Attr::kReservationToken, token.value()); };
}

}  // namespace

TEST_P(Turn, TURN_030_allocate_needs_credentials) {
  Client& c = client();
  const ByteVector bare = make_message(Class::kRequest, Method::kAllocate, [](auto& m) { m.requested_transport(17); });
  EXPECT_TRUE(failed(c.exchange(bare), 401));
  c.learn();
  EXPECT_TRUE(failed(c.exchange(make_message(Class::kRequest, Method::kAllocate,
                                             [&](stun::Builder& m) {
                                               m.requested_transport(17);
                                               c.add_mac(m);
                                             })),
                     400));
  c.credentials().password = "wrong";
  EXPECT_TRUE(failed(c.allocate(), 401));
  c.credentials().password = "wonderland";
  EXPECT_TRUE(succeeded(c.allocate()));
}

TEST_P(Turn, TURN_030_guests_may_allocate_where_that_is_configured) {
  options.authenticate = false;
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(sends(c, p));
  EXPECT_TRUE(reaches(p, relayed, c));
  EXPECT_TRUE(succeeded(c.refresh(0)));
}

TEST_P(Turn, TURN_031_a_second_allocation_on_the_5_tuple_gets_437) {
  Client& c = allocated();
  EXPECT_TRUE(failed(c.allocate(), 437));
  c.credentials() = {"bob", "builder"};
  EXPECT_TRUE(failed(c.allocate(), 437));
  c.credentials() = {};
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_P(Turn, TURN_032_the_retransmission_of_the_request_repeats_its_success) {
  Client& c = client();
  c.learn();
  const ByteVector request =
      c.signed_message(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17).even_port(true); });
  const Answer first = c.exchange(request);
  ASSERT_TRUE(succeeded(first));
  for (int i = 0; i < 3; ++i) {
    const Answer again = c.exchange(request);
    EXPECT_EQ(again.relayed(), first.relayed());
    EXPECT_EQ(again.u64(Attr::kReservationToken), first.u64(Attr::kReservationToken));
  }
}

TEST_P(Turn, TURN_032_another_users_request_is_no_retransmission) {
  Client& c = client();
  c.learn();
  const Fill transport = [](stun::Builder& m) { m.requested_transport(17); };
  const ByteVector request = c.signed_message(Method::kAllocate, transport);
  ASSERT_TRUE(succeeded(c.exchange(request)));
  c.credentials() = {"bob", "builder"};
  EXPECT_TRUE(failed(c.exchange(make_message(
                         Class::kRequest, Method::kAllocate,
                         [&](stun::Builder& m) {
                           transport(m);
                           c.sign(m);
                         },
                         id_of(request))),
                     437));
}

TEST_P(Turn, TURN_033_requested_transport_must_be_there_and_well_formed) {
  Client& c = client();
  EXPECT_TRUE(failed(c.request(Method::kAllocate), 400));
  for (const std::size_t size : {0U, 1U, 3U, 5U, 8U}) {
    EXPECT_TRUE(failed(
        c.request(Method::kAllocate, [&](stun::Builder& m) { m.raw(Attr::kRequestedTransport, ByteVector(size)); }),
        400));
  }
}

TEST_P(Turn, TURN_034_transports_other_than_udp_and_tcp_get_442) {
  Client& c = client();
  for (const int protocol : {0, 1, 5, 7, 58, 132, 255}) {
    EXPECT_TRUE(failed(c.request(Method::kAllocate,
                                 [&](stun::Builder& m) { m.requested_transport(static_cast<std::uint8_t>(protocol)); }),
                       442))
        << protocol;
  }
}

TEST_P(Turn, TCP_001_NEG_082_tcp_relays_need_a_stream) {
  EXPECT_TRUE(failed(client().request(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(6); }), 400));
}

TEST_P(Turn, TCP_017_connection_bind_needs_a_stream) {
  Client& c = allocated();
  EXPECT_TRUE(failed(c.request(Method::kConnectionBind, [](stun::Builder& m) { m.u32(Attr::kConnectionId, 1); }), 400));
  EXPECT_TRUE(failed(client().exchange(make_message(Class::kRequest, Method::kConnectionBind)), 400));
}

TEST_P(Turn, MOB_003_tickets_are_refused_where_mobility_is_switched_off) {
  Client& c = client();
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.flag(Attr::kMobilityTicket); }), 405));
  ASSERT_TRUE(succeeded(c.allocate()));
  const Fill ticket = [](stun::Builder& m) { m.text(Attr::kMobilityTicket, "ticket"); };
  EXPECT_TRUE(failed(c.refresh(std::nullopt, ticket), 405));
  EXPECT_TRUE(failed(client().refresh(std::nullopt, ticket), 405));
}

TEST_P(Turn, TURN_034_udp_gets_442_where_it_is_switched_off) {
  options.no_udp_relay = true;
  EXPECT_TRUE(failed(client().allocate(), 442));
}

TEST_P(Turn, TURN_035_reserved_bits_of_requested_transport_are_ignored) {
  Client& c = client();
  EXPECT_TRUE(
      succeeded(c.request(Method::kAllocate, [](stun::Builder& m) { m.u32(Attr::kRequestedTransport, 0x11FFFFFF); })));
}

TEST_F(TurnEngine, TURN_036_dont_fragment_is_unknown_where_df_cannot_be_set) {
  options.can_set_dont_fragment = false;
  Client& c = client();
  const Fill dont_fragment = [](stun::Builder& m) { m.flag(Attr::kDontFragment); };
  const Answer answer = c.allocate(dont_fragment);
  ASSERT_TRUE(failed(answer, 420));
  EXPECT_THAT(answer.unknown_attributes(), ElementsAre(Attr::kDontFragment));
  EXPECT_TRUE(failed(c.request(Method::kAllocate,
                               [&](stun::Builder& m) {
                                 m.requested_transport(17).flag(Attr::kDontFragment).even_port(true);
                                 m.u64(Attr::kReservationToken, 1);
                               }),
                     420))
      << "step 4 comes before step 5";
  EXPECT_TRUE(failed(c.request(Method::kAllocate, dont_fragment), 400)) << "step 3 comes before step 4";
}

TEST_P(Turn, TURN_036_dont_fragment_is_taken_where_df_can_be_set) {
  EXPECT_TRUE(succeeded(client().allocate([](stun::Builder& m) { m.flag(Attr::kDontFragment); })));
}

TEST_P(Turn, TURN_037_a_token_excludes_even_port_and_families) {
  REQUIRE_IPV6();
  const Answer reserved = allocated([](stun::Builder& m) { m.even_port(true); }).refresh();
  ASSERT_TRUE(succeeded(reserved));
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.even_port(true); });
  const Fill token = reservation(made);
  Client& c = client();
  const std::vector<Fill> others = {
      [](stun::Builder& m) { m.even_port(false); }, [](stun::Builder& m) { m.even_port(true); },
      family(Attr::kRequestedAddressFamily, Family::kIPv4), family(Attr::kAdditionalAddressFamily, Family::kIPv6)};
  for (const Fill& other : others) {
    EXPECT_TRUE(failed(c.allocate([&](stun::Builder& m) {
      token(m);
      other(m);
    }),
                       400));
  }
  EXPECT_TRUE(succeeded(c.allocate(token))) << "the reservation was not used up";
}

TEST_P(Turn, TURN_038_a_token_that_is_unknown_or_used_gets_508) {
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.even_port(true); });
  EXPECT_TRUE(failed(client().allocate([](stun::Builder& m) { m.u64(Attr::kReservationToken, 42); }), 508));
  EXPECT_TRUE(succeeded(client().allocate(reservation(made))));
  EXPECT_TRUE(failed(client().allocate(reservation(made)), 508));
}

TEST_P(Turn, TURN_039_a_token_serves_another_5_tuple_server_address_and_user) {
  options.listeners = 2;
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.even_port(true); });
  ASSERT_TRUE(succeeded(made));
  Client& second = client({"bob", "builder"}, 1);
  const Answer next = second.allocate(reservation(made));
  ASSERT_TRUE(succeeded(next));
  EXPECT_EQ(next.relayed().ip, made.relayed().ip);
  EXPECT_EQ(next.relayed().port, made.relayed().port + 1);
}

TEST_P(Turn, TURN_040_two_family_attributes_get_400) {
  REQUIRE_IPV6();
  EXPECT_TRUE(failed(client().allocate([](stun::Builder& m) {
    m.address_family(Attr::kRequestedAddressFamily, Family::kIPv4);
    m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6);
  }),
                     400));
}

TEST_P(Turn, TURN_041_a_family_that_is_not_relayed_gets_440) {
  Client& c = client();
  EXPECT_TRUE(failed(c.allocate(family(Attr::kRequestedAddressFamily, Family::kIPv6)), 440));
  EXPECT_TRUE(succeeded(c.allocate(family(Attr::kRequestedAddressFamily, Family::kIPv4))));
}

TEST_P(Turn, TURN_041_the_family_is_looked_at_before_the_quota) {
  options.user_quota = 1;
  allocated();
  EXPECT_TRUE(failed(client().allocate(family(Attr::kRequestedAddressFamily, Family::kIPv6)), 440));
}

TEST_P(Turn, TURN_042_ipv4_is_meant_where_no_family_is_named_and_may_be_missing) {
  REQUIRE_IPV6();
  options.relay_v4 = false;
  Client& c = client_v6();
  EXPECT_TRUE(failed(c.allocate(), 440));
  const Answer answer = c.allocate(family(Attr::kRequestedAddressFamily, Family::kIPv6));
  ASSERT_TRUE(succeeded(answer));
  EXPECT_EQ(answer.relayed().ip.to_string(), "::1");
}

TEST_P(Turn, TURN_043_ipv4_is_relayed_whatever_the_clients_family) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  Socket& p = peer();
  const Answer answer = c.allocate();
  ASSERT_TRUE(succeeded(answer));
  EXPECT_TRUE(answer.relayed().ip.is_v4());
  EXPECT_EQ(answer.xor_address(Attr::kXorMappedAddress), c.local());
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(sends(c, p));
  EXPECT_TRUE(reaches(p, answer.relayed(), c));
}

TEST_P(Turn, TURN_043_the_clients_family_is_kept_where_that_is_configured) {
  REQUIRE_IPV6();
  options.default_family = "keep";
  EXPECT_FALSE(client_v6().allocate().relayed().ip.is_v4());
  EXPECT_TRUE(client().allocate().relayed().ip.is_v4());
}

TEST_P(Turn, TURN_044_a_family_that_does_not_exist_gets_440) {
  Client& c = client();
  for (const std::uint32_t value : {0U, 3U, 255U}) {
    EXPECT_TRUE(failed(c.allocate([&](stun::Builder& m) { m.u32(Attr::kRequestedAddressFamily, value << 24); }), 440));
  }
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.raw(Attr::kRequestedAddressFamily, ByteVector(3)); }), 400));
  EXPECT_TRUE(succeeded(c.allocate([](stun::Builder& m) { m.u32(Attr::kRequestedAddressFamily, 0x01FFFFFF); })))
      << "reserved bits are ignored";
}

TEST_P(Turn, TURN_045_reserving_excludes_an_additional_family) {
  REQUIRE_IPV6();
  EXPECT_TRUE(failed(client().allocate([](stun::Builder& m) {
    m.even_port(true).address_family(Attr::kAdditionalAddressFamily, Family::kIPv6);
  }),
                     400));
}

TEST_P(Turn, TURN_046_even_port_that_cannot_be_met_gets_508) {
  options.min_port = options.max_port = 24001;
  Client& c = client();
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.even_port(false); }), 508));
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.even_port(true); }), 508));
  EXPECT_TRUE(succeeded(c.allocate()));
}

TEST_P(Turn, TURN_046_a_pair_needs_both_ports) {
  options.min_port = options.max_port = 24000;
  Client& c = client();
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.even_port(true); }), 508));
  EXPECT_EQ(c.allocate([](stun::Builder& m) { m.even_port(false); }).relayed().port, 24000);
}

TEST_P(Turn, TURN_047_even_port_gives_an_even_port) {
  for (int i = 0; i < 8; ++i) {
    const Answer answer = client().allocate([](stun::Builder& m) { m.even_port(false); });
    ASSERT_TRUE(succeeded(answer));
    EXPECT_EQ(answer.relayed().port % 2, 0);
    EXPECT_FALSE(answer.has(Attr::kReservationToken));
  }
}

TEST_P(Turn, TURN_048_even_port_can_reserve_the_next_port) {
  options.min_port = 24000;
  options.max_port = 24001;
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.raw(Attr::kEvenPort, ByteVector(1, std::byte{0xFF})); });
  ASSERT_TRUE(succeeded(made)) << "the 7 reserved bits are ignored";
  EXPECT_EQ(made.relayed().port, 24000);
  EXPECT_EQ(made.value(Attr::kReservationToken)->size(), 8U);
  EXPECT_TRUE(failed(client().allocate(), 508)) << "the reserved port is not given away";
  const Answer next = client().allocate(reservation(made));
  ASSERT_TRUE(succeeded(next));
  EXPECT_EQ(next.relayed().port, 24001);
  EXPECT_FALSE(next.has(Attr::kReservationToken));
}

TEST_P(Turn, TURN_048_the_reservation_outlives_the_allocation_that_made_it) {
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.even_port(true); });
  ASSERT_TRUE(succeeded(first.refresh(0)));
  EXPECT_EQ(client().allocate(reservation(made)).relayed().port, made.relayed().port + 1);
}

TEST_F(TurnEngine, TURN_049_a_reservation_lasts_30_seconds) {
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.even_port(true); });
  harness().advance(30s - 1ns);
  EXPECT_TRUE(succeeded(client().allocate(reservation(made))));
  const Answer again = client().allocate([](stun::Builder& m) { m.even_port(true); });
  engine().advance_without_sweep(30s);
  EXPECT_TRUE(failed(client().allocate(reservation(again)), 508));
}

}  // namespace turnkit::conformance
