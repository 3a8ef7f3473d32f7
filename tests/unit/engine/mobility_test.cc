// Mobility (RFC 8016) in the engine. MOB-n are the rows of the conformance list.
#include <set>

#include "tests/unit/engine/engine_test_support.h"

namespace turnkit::engine {
namespace {

constexpr std::uint16_t kChannel = 0x4001;

class MobilityEngine : public EngineTest {
 protected:
  MobilityEngine() { config.mobility = true; }

  Reply allocate_mobile(Client& from, std::uint8_t protocol = 17) {
    return allocate(from, protocol, [](stun::Builder& m) { m.flag(Attr::kMobilityTicket); });
  }
  // A mobile allocation with a permission and a channel for kPeer.
  Client& allocated(Transport transport = Transport::kUdp) {
    Client& made = client(transport);
    const Reply reply = allocate_mobile(made);
    EXPECT_TRUE(reply.ok()) << reply.error();
    ticket = reply.text(Attr::kMobilityTicket);
    EXPECT_TRUE(request(made, Method::kChannelBind, [](stun::Builder& m) {
                  m.channel_number(kChannel).xor_address(Attr::kXorPeerAddress, kPeer);
                }).ok());
    return made;
  }
  Reply move(Client& to, std::string_view with, std::optional<std::uint32_t> lifetime = std::nullopt) {
    return request(to, Method::kRefresh, [&](stun::Builder& m) {
      m.text(Attr::kMobilityTicket, with);
      if (lifetime) m.u32(Attr::kLifetime, *lifetime);
    });
  }
  Reply send(Client& from) {
    return message(from, Class::kIndication, Method::kSend,
                   [](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, kPeer).text(Attr::kData, "x"); });
  }
  // Where data from a peer goes; nullopt: nowhere.
  std::optional<FiveTuple> way_to_client(Allocation& allocation) {
    const ClientRoute route = engine().route_to_client(allocation, kPeer, now.mono);
    if (route.drop != Drop::kNone) return std::nullopt;
    EXPECT_EQ(route.channel, kChannel);
    return allocation.tuple;
  }

  std::string ticket;
};

TEST_F(MobilityEngine, MOB_001_an_empty_ticket_asks_for_one) {
  Client& c = client();
  const Reply first = allocate_mobile(c);
  EXPECT_EQ(first.text(Attr::kMobilityTicket).size(), kTicketSize);
  EXPECT_FALSE(allocate(client(), 17).has(Attr::kMobilityTicket)) << "not asked for";
  // The same request again gets the same answer.
  const Reply again = request(
      c, Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17).flag(Attr::kMobilityTicket); },
      first.view().transaction_id());
  EXPECT_EQ(again.text(Attr::kMobilityTicket), first.text(Attr::kMobilityTicket));
}

TEST_F(MobilityEngine, MOB_002_a_ticket_with_content_in_allocate) {
  const Reply reply = allocate(client(), 17, [](stun::Builder& m) { m.text(Attr::kMobilityTicket, "x"); });
  EXPECT_EQ(reply.error(), 400);
}

TEST_F(MobilityEngine, MOB_003_switched_off) {
  config.mobility = false;
  Client& c = client();
  EXPECT_EQ(allocate_mobile(c).error(), 405);
  ASSERT_TRUE(allocate(c, 17).ok());
  EXPECT_EQ(move(c, std::string(kTicketSize, 'A')).error(), 405);
  EXPECT_EQ(move(client(), std::string(kTicketSize, 'A')).error(), 405);
  EXPECT_TRUE(request(c, Method::kRefresh).ok());
}

TEST_F(MobilityEngine, MOB_004_a_client_that_has_not_moved_gets_an_ordinary_refresh) {
  Client& c = allocated();
  const Reply reply = move(c, ticket);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply.text(Attr::kMobilityTicket), ticket);
  EXPECT_EQ(way_to_client(allocation_of(c)), c.tuple);
  EXPECT_EQ(count(Event::Kind::kAllocationMoved), 0U);
}

TEST_F(MobilityEngine, MOB_005_MOB_008_the_ticket_finds_the_allocation) {
  Client& c = allocated();
  Allocation& allocation = allocation_of(c);
  Client& moved = client(Transport::kUdp);
  EXPECT_EQ(unsigned_request(moved, Method::kRefresh, [&](stun::Builder& m) { m.text(Attr::kMobilityTicket, ticket); })
                .error(),
            401)
      << "a ticket alone opens nothing";
  const Reply reply = move(moved, ticket, 1200);
  ASSERT_TRUE(reply.ok()) << reply.error();
  EXPECT_EQ(reply.text(Attr::kMobilityTicket).size(), kTicketSize);
  EXPECT_NE(reply.text(Attr::kMobilityTicket), ticket);
  EXPECT_EQ(reply.u32(Attr::kLifetime), 1200U);
  EXPECT_EQ(&allocation_of(moved), &allocation);
  EXPECT_EQ(engine().allocations(), 1U) << "moved, not doubled";
}

TEST_F(MobilityEngine, MOB_005_between_transports) {
  Client& c = allocated(Transport::kTls);
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  EXPECT_NE(send(moved).outcome.relay, nullptr);
  EXPECT_EQ(engine().find(c.tuple, now), nullptr);
}

TEST_F(MobilityEngine, MOB_006_another_user) {
  allocated();
  EXPECT_EQ(move(client(Transport::kUdp, "bob"), ticket).error(), 441);
  EXPECT_TRUE(move(client(), ticket).ok()) << "it is still good for its owner";
}

TEST_F(MobilityEngine, MOB_007_tickets_that_are_not_good) {
  Client& c = allocated();
  EXPECT_EQ(move(client(), "").error(), 437);
  EXPECT_EQ(move(client(), "short").error(), 437);
  EXPECT_EQ(move(client(), std::string(kTicketSize, 'A')).error(), 437);
  for (std::size_t i = 0; i < ticket.size(); ++i) {
    std::string altered = ticket;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(move(client(), altered).error(), 437) << i;
  }
  ASSERT_TRUE(request(c, Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0); }).ok());
  EXPECT_EQ(move(client(), ticket).error(), 437) << "the allocation is gone";
  allocated();
  pass_unswept(601s);
  EXPECT_EQ(move(client(), ticket).error(), 437) << "the allocation is over, but not swept";
}

TEST_F(MobilityEngine, MOB_009_data_goes_the_old_way_until_it_comes_on_the_new) {
  Client& c = allocated();
  Allocation& allocation = allocation_of(c);
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  EXPECT_EQ(way_to_client(allocation), c.tuple);
  EXPECT_EQ(allocation.path, &c.path);
  EXPECT_NE(send(c).outcome.relay, nullptr) << "the old way still works";
  EXPECT_TRUE(permit(c, kOtherPeer).ok());
  EXPECT_EQ(way_to_client(allocation), c.tuple);

  EXPECT_NE(send(moved).outcome.relay, nullptr);
  EXPECT_EQ(way_to_client(allocation), moved.tuple);
  EXPECT_EQ(allocation.path, &moved.path);
  EXPECT_EQ(count(Event::Kind::kAllocationMoved), 1U);
  EXPECT_EQ(send(c).outcome.drop, Drop::kNoAllocation) << "the old way is closed";
  EXPECT_EQ(permit(c, kOtherPeer).error(), 437);
}

TEST_F(MobilityEngine, MOB_009_a_request_on_the_new_way_ends_the_hand_over_as_well) {
  Client& c = allocated();
  Allocation& allocation = allocation_of(c);
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  ASSERT_TRUE(move(moved, ticket).ok()) << "the same again proves nothing";
  EXPECT_EQ(way_to_client(allocation), c.tuple);
  EXPECT_TRUE(permit(moved, kOtherPeer).ok());
  EXPECT_EQ(way_to_client(allocation), moved.tuple);
  EXPECT_EQ(permit(c, kOtherPeer).error(), 437);
}

TEST_F(MobilityEngine, MOB_009_channel_data_ends_the_hand_over_as_well) {
  Client& c = allocated();
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  EXPECT_EQ(engine().find_for_data(c.tuple, now)->path, &c.path);
  EXPECT_EQ(engine().find_for_data(moved.tuple, now)->path, &moved.path);
  EXPECT_EQ(engine().find(c.tuple, now), nullptr);
}

TEST_F(MobilityEngine, MOB_009_the_hand_over_ends_after_30_s) {
  Client& c = allocated();
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  pass(29s);
  EXPECT_EQ(allocation_of(c).path, &c.path);
  pass(2s);
  EXPECT_EQ(engine().find(c.tuple, now), nullptr);
  EXPECT_EQ(allocation_of(moved).path, &moved.path);
}

TEST_F(MobilityEngine, MOB_009_a_client_that_comes_back_before_it_has_arrived_stays) {
  Client& c = allocated();
  Client& moved = client(Transport::kUdp);
  const std::string next = move(moved, ticket).text(Attr::kMobilityTicket);
  const Reply back = move(c, next);
  ASSERT_TRUE(back.ok()) << back.error();
  EXPECT_EQ(back.text(Attr::kMobilityTicket), next);
  EXPECT_EQ(engine().find(moved.tuple, now), nullptr);
  pass(31s);
  EXPECT_EQ(engine().find(c.tuple, now)->path, &c.path);
  EXPECT_EQ(count(Event::Kind::kAllocationMoved), 0U);
  EXPECT_TRUE(move(moved, next).ok()) << "and may go again";
}

TEST_F(MobilityEngine, MOB_009_an_old_request_on_the_old_way_does_not_call_back) {
  Client& c = allocated();
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  ASSERT_TRUE(move(c, ticket).ok());
  EXPECT_NE(send(moved).outcome.relay, nullptr);
  EXPECT_EQ(allocation_of(moved).path, &moved.path);
}

TEST_F(MobilityEngine, MOB_009_the_hand_over_ends_when_the_old_path_closes) {
  Client& c = allocated(Transport::kTcp);
  Client& moved = client();
  ASSERT_TRUE(move(moved, ticket).ok());
  engine().on_path_closed(c.tuple, "closed");
  EXPECT_EQ(allocation_of(moved).path, &moved.path);
  EXPECT_EQ(count(Event::Kind::kAllocationDeleted), 0U);
}

TEST_F(MobilityEngine, MOB_009_a_new_path_that_closes_changes_nothing) {
  Client& c = allocated(Transport::kTcp);
  Client& moved = client();
  const std::string next = move(moved, ticket).text(Attr::kMobilityTicket);
  engine().on_path_closed(moved.tuple, "closed");
  EXPECT_EQ(engine().find(moved.tuple, now), nullptr);
  EXPECT_EQ(way_to_client(allocation_of(c)), c.tuple);
  // Whether the answer had arrived or not, the client can try again.
  Client& again = client();
  EXPECT_TRUE(move(again, ticket).ok());
  EXPECT_TRUE(move(client(), next).ok());
}

TEST_F(MobilityEngine, MOB_010_the_same_request_again_gets_the_same_ticket) {
  allocated();
  Client& moved = client(Transport::kUdp);
  const Reply first = move(moved, ticket);
  ASSERT_TRUE(first.ok());
  const Reply again = move(moved, ticket);
  ASSERT_TRUE(again.ok()) << again.error();
  EXPECT_EQ(again.text(Attr::kMobilityTicket), first.text(Attr::kMobilityTicket));
  // Nor does a client that moves on before it got the answer need what it does not have.
  Client& further = client(Transport::kUdp);
  const Reply third = move(further, ticket);
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(third.text(Attr::kMobilityTicket), first.text(Attr::kMobilityTicket));
  EXPECT_EQ(engine().find(moved.tuple, now), nullptr);
}

TEST_F(MobilityEngine, MOB_010_the_previous_ticket_ends_with_the_hand_over) {
  allocated();
  Client& moved = client(Transport::kUdp);
  const std::string next = move(moved, ticket).text(Attr::kMobilityTicket);
  EXPECT_NE(send(moved).outcome.relay, nullptr);
  EXPECT_EQ(move(client(), ticket).error(), 437);
  // By time.
  Client& further = client(Transport::kUdp);
  const std::string third = move(further, next).text(Attr::kMobilityTicket);
  EXPECT_FALSE(third.empty());
  pass_unswept(30s);
  EXPECT_EQ(move(client(), next).error(), 437);
  pass(2s);
  EXPECT_TRUE(move(client(), third).ok());
}

TEST_F(MobilityEngine, MOB_011_tickets_are_random_text_of_their_worker) {
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    allocated();
    EXPECT_TRUE(seen.insert(ticket).second);
    std::array<std::byte, 256> buffer;
    stun::Builder m(buffer, Class::kRequest, Method::kRefresh, {});
    m.text(Attr::kMobilityTicket, ticket);
    EXPECT_EQ(named_worker(*m.finish()), kWorker);
    EXPECT_EQ(ticket.find('\0'), std::string::npos);
  }
  // No two have the same part, apart from the worker's.
  std::set<std::string> parts;
  for (const std::string& text : seen) {
    for (std::size_t at = 4; at < text.size(); at += 4) parts.insert(text.substr(at, 4));
  }
  EXPECT_GT(parts.size(), 340U);  // of 350
}

TEST_F(MobilityEngine, MOB_012_a_client_with_an_allocation_takes_no_other) {
  Client& c = allocated();
  Client& other = client(Transport::kUdp);
  ASSERT_TRUE(allocate(other, 17).ok());
  EXPECT_EQ(move(other, ticket).error(), 437);
  EXPECT_EQ(way_to_client(allocation_of(c)), c.tuple);
  // While an allocation is on its way to a 5-tuple, that takes no new one either.
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok());
  EXPECT_EQ(allocate(moved, 17).error(), 437);
}

TEST_F(MobilityEngine, MOB_013_nothing_but_the_path_changes) {
  limits.per_user = 1;
  Client& c = allocated();
  Allocation& allocation = allocation_of(c);
  const Address relayed = allocation.leg(Family::kIPv4).relay->local();
  const std::uint64_t session = allocation.session_id;
  Client& moved = client(Transport::kUdp);
  ASSERT_TRUE(move(moved, ticket).ok()) << "the quota is not charged twice";
  EXPECT_NE(send(moved).outcome.relay, nullptr);
  Allocation& same = allocation_of(moved);
  EXPECT_EQ(same.leg(Family::kIPv4).relay->local(), relayed);
  EXPECT_EQ(same.session_id, session);
  EXPECT_NE(engine().route_to_peer(same, kChannel, now.mono).relay, nullptr);
  EXPECT_EQ(way_to_client(same), moved.tuple);
  EXPECT_EQ(allocate(client(), 17).error(), 486);
}

TEST_F(MobilityEngine, a_client_whose_stream_closed_may_come_back) {
  Client& c = allocated(Transport::kTcp);
  Allocation& allocation = allocation_of(c);
  engine().on_path_closed(c.tuple, "closed");
  EXPECT_EQ(engine().allocations(), 1U);
  EXPECT_EQ(engine().find(c.tuple, now), nullptr);
  EXPECT_EQ(engine().route_to_client(allocation, kPeer, now.mono).drop, Drop::kClientAway);
  EXPECT_EQ(engine().on_icmp(allocation, kPeer, {3, 3, 0}, now.mono).drop, Drop::kClientAway);
  EXPECT_EQ(count(Event::Kind::kPathLost), 1U);
  // Somebody else may get that 5-tuple meanwhile.
  Client& heir = client();
  heir.tuple = c.tuple;
  ASSERT_TRUE(allocate(heir, 17).ok());
  Client& back = client();
  ASSERT_TRUE(move(back, ticket).ok());
  EXPECT_EQ(way_to_client(allocation), back.tuple) << "at once: there is no old way";
  EXPECT_NE(&allocation_of(heir), &allocation);
}

TEST_F(MobilityEngine, a_client_comes_back_from_the_same_port) {
  Client& c = allocated(Transport::kTcp);
  Allocation& allocation = allocation_of(c);
  engine().on_path_closed(c.tuple, "closed");
  Client& back = client();
  back.tuple = c.tuple;
  ASSERT_TRUE(move(back, ticket).ok());
  EXPECT_EQ(allocation.path, &back.path);
  EXPECT_EQ(&allocation_of(back), &allocation);
}

TEST_F(MobilityEngine, a_client_that_stays_away_loses_its_allocation) {
  Client& c = allocated(Transport::kTcp);
  engine().on_path_closed(c.tuple, "closed");
  pass(602s);
  EXPECT_EQ(engine().allocations(), 0U);
  EXPECT_EQ(move(client(), ticket).error(), 437);
}

TEST_F(MobilityEngine, without_a_ticket_an_allocation_ends_with_its_stream) {
  Client& c = client(Transport::kTcp);
  ASSERT_TRUE(allocate(c, 17).ok());
  engine().on_path_closed(c.tuple, "closed");
  EXPECT_EQ(engine().allocations(), 0U);
}

TEST_F(MobilityEngine, a_moved_client_may_delete) {
  allocated();
  Client& moved = client(Transport::kUdp);
  const Reply reply = move(moved, ticket, 0);
  ASSERT_TRUE(reply.ok());
  EXPECT_FALSE(reply.has(Attr::kMobilityTicket));
  EXPECT_EQ(engine().allocations(), 0U);
  const Reply again = request(
      moved, Method::kRefresh, [&](stun::Builder& m) { m.text(Attr::kMobilityTicket, ticket).u32(Attr::kLifetime, 0); },
      last_id());
  EXPECT_TRUE(again.ok()) << "retransmitted";
}

TEST_F(MobilityEngine, a_request_that_fails_moves_nothing) {
  Client& c = allocated();
  Client& moved = client(Transport::kUdp);
  const Reply reply = request(moved, Method::kRefresh, [&](stun::Builder& m) {
    m.text(Attr::kMobilityTicket, ticket).address_family(Attr::kRequestedAddressFamily, Family::kIPv6);
  });
  EXPECT_EQ(reply.error(), 443);
  EXPECT_EQ(engine().find(moved.tuple, now), nullptr);
  EXPECT_EQ(move(c, ticket).text(Attr::kMobilityTicket), ticket);
}

TEST_F(MobilityEngine, a_tcp_allocation_moves_to_streams_only) {
  Client& c = client(Transport::kTcp);
  ticket = allocate_mobile(c, 6).text(Attr::kMobilityTicket);
  EXPECT_EQ(move(client(Transport::kUdp), ticket).error(), 400);
  Client& moved = client(Transport::kTls);
  ASSERT_TRUE(move(moved, ticket).ok());
  ASSERT_TRUE(request(moved, Method::kConnect, [](stun::Builder& m) {
                m.xor_address(Attr::kXorPeerAddress, kPeer);
              }).outcome.pending);
  EXPECT_EQ(allocation_of(moved).path, &moved.path) << "its Connect shows that the client is there";
  engine().on_path_closed(moved.tuple, "closed");
  EXPECT_EQ(engine().allocations(), 1U);
}

TEST_F(MobilityEngine, a_reload_without_mobility_keeps_allocations_and_refuses_moves) {
  Client& c = allocated();
  auth::StaticUsers users;
  ASSERT_TRUE(users.add("alice", kRealm, "secret"));
  SeededRandom random(2);
  const auth::Authenticator authenticator({.realm = std::string(kRealm)}, users, auth::NonceKey::random(random));
  EngineConfig without = config;
  without.mobility = false;
  const turnd::PeerPolicy policy{turnd::PeerRules{}};
  engine().set_rules(std::make_shared<Rules>(Rules{without, authenticator, policy}));
  EXPECT_EQ(move(client(), ticket).error(), 405);
  EXPECT_NE(send(c).outcome.relay, nullptr);
  engine().clear("before what it refers to ends");
}

}  // namespace
}  // namespace turnkit::engine
