// TCP allocations (RFC 6062) in the engine. TCP-n are the rows of the conformance list.
#include "tests/unit/engine/engine_test_support.h"

namespace turnkit::engine {
namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

class TcpEngine : public EngineTest {
 protected:
  using FakeRelay = conformance::FakePorts::TcpEndpoint;

  Client& allocated(std::string user = "alice") {
    Client& made = client(Transport::kTcp, std::move(user));
    const Reply reply = allocate(made, kTcp);
    EXPECT_TRUE(reply.ok()) << reply.error();
    return made;
  }
  FakeRelay& relay_of(Client& of, Family family = Family::kIPv4) {
    return *ports.find_tcp(allocation_of(of).leg(family).relay->local());
  }
  Reply connect(Client& from, const Address& peer) {
    return request(from, Method::kConnect, [&](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, peer); });
  }
  Reply bind(Client& from, std::uint32_t id) {
    return request(from, Method::kConnectionBind, [&](stun::Builder& m) { m.u32(Attr::kConnectionId, id); });
  }
  // The outcome of the attempt that the relay was asked for last.
  Reply finish_connect(Client& of, bool connected = true, Family family = Family::kIPv4) {
    const ConnectionId id = relay_of(of, family).connecting.back().first;
    return keep(engine().on_connect_result(allocation_of(of), id, connected, now));
  }
  std::uint32_t connected(Client& of, const Address& peer = kPeer) {
    EXPECT_TRUE(connect(of, peer).outcome.pending);
    return finish_connect(of, true, peer.family()).u32(Attr::kConnectionId);
  }
};

TEST_F(TcpEngine, TCP_001_NEG_082_tcp_relays_need_a_stream) {
  EXPECT_EQ(allocate(client(Transport::kUdp), kTcp).error(), 400);
  EXPECT_EQ(allocate(client(Transport::kDtls), kTcp).error(), 400);
  EXPECT_TRUE(allocate(client(Transport::kTls), kTcp).ok());
}

TEST_F(TcpEngine, TCP_002_other_protocols_get_442) {
  Client& c = client();
  for (const int protocol : {0, 1, 5, 7, 58, 132, 255}) {
    EXPECT_EQ(allocate(c, static_cast<std::uint8_t>(protocol)).error(), 442) << protocol;
  }
}

TEST_F(TcpEngine, tcp_gets_442_where_it_is_switched_off) {
  config.serve_tcp_relay = false;
  EXPECT_EQ(allocate(client(), kTcp).error(), 442);
  EXPECT_EQ(allocate(client(Transport::kUdp), kTcp).error(), 442);
  EXPECT_TRUE(allocate(client(), kUdp).ok());
}

TEST_F(TcpEngine, TCP_003_udp_where_only_tcp_is_allowed) {
  config.serve_udp_relay = false;
  EXPECT_EQ(allocate(client(), kUdp).error(), 403);
  EXPECT_EQ(allocate(client(Transport::kUdp), kUdp).error(), 442);
}

TEST_F(TcpEngine, TCP_003_udp_over_a_stream_is_an_ordinary_allocation) {
  Client& c = client();
  EXPECT_TRUE(allocate(c, kUdp).ok());
  EXPECT_EQ(allocation_of(c).tcp, nullptr);
  EXPECT_EQ(connect(c, kPeer).error(), 400);
}

TEST_F(TcpEngine, TCP_004_attributes_that_only_udp_has) {
  Client& c = client();
  EXPECT_EQ(allocate(c, kTcp, [](stun::Builder& m) { m.flag(Attr::kDontFragment); }).error(), 400);
  EXPECT_EQ(allocate(c, kTcp, [](stun::Builder& m) { m.even_port(false); }).error(), 400);
  EXPECT_EQ(allocate(c, kTcp, [](stun::Builder& m) { m.u64(Attr::kReservationToken, 1); }).error(), 400);
}

TEST_F(TcpEngine, TCP_005_success_names_a_tcp_relayed_address) {
  Client& c = client();
  const Reply reply = allocate(c, kTcp);
  ASSERT_TRUE(reply.ok());
  EXPECT_NE(ports.find_tcp(reply.address(Attr::kXorRelayedAddress)), nullptr);
  EXPECT_EQ(reply.address(Attr::kXorMappedAddress), c.tuple.client);
  EXPECT_EQ(reply.u32(Attr::kLifetime), 600U);
  EXPECT_FALSE(reply.has(Attr::kReservationToken));
}

TEST_F(TcpEngine, TCP_005_each_family_has_a_relayed_address_of_its_own) {
  Client& c = client();
  ASSERT_TRUE(allocate(c, kTcp, [](stun::Builder& m) {
                m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6);
              }).ok());
  const Address v6{*IpAddress::parse("2001:db8::64"), 7000};
  connected(c);
  connected(c, v6);
  EXPECT_EQ(relay_of(c, Family::kIPv6).connecting.size(), 1U);
  // Deleting one half closes what goes through it.
  ASSERT_TRUE(request(c, Method::kRefresh, [](stun::Builder& m) {
                m.u32(Attr::kLifetime, 0).address_family(Attr::kRequestedAddressFamily, Family::kIPv6);
              }).ok());
  EXPECT_EQ(count(Event::Kind::kPeerDisconnected), 1U);
  EXPECT_EQ(connect(c, v6).error(), 443);
  EXPECT_EQ(connect(c, kPeer).error(), 446);
}

TEST_F(TcpEngine, TCP_006_TCP_007_requests_go_on_the_control_connection) {
  allocated();
  Client& other = client();
  EXPECT_EQ(connect(other, kPeer).error(), 437);
  EXPECT_EQ(permit(other, kPeer).error(), 437);
  EXPECT_EQ(request(other, Method::kRefresh).error(), 437);
}

TEST_F(TcpEngine, TCP_008_one_connection_a_peer) {
  Client& c = allocated();
  EXPECT_TRUE(connect(c, kPeer).outcome.pending);
  EXPECT_EQ(connect(c, kPeer).error(), 446) << "under way";
  EXPECT_TRUE(connect(c, kOtherPeer).outcome.pending);
  const std::uint32_t id = relay_of(c).connecting.front().first;
  EXPECT_TRUE(keep(engine().on_connect_result(allocation_of(c), id, true, now)).ok());
  EXPECT_EQ(connect(c, kPeer).error(), 446) << "pending";
  EXPECT_TRUE(bind(client(), id).ok());
  EXPECT_EQ(connect(c, kPeer).error(), 446) << "active";
  engine().on_connection_closed(allocation_of(c), id, "test");
  EXPECT_TRUE(connect(c, kPeer).outcome.pending) << "closed";
}

TEST_F(TcpEngine, TCP_009_connect_needs_a_peer) {
  Client& c = allocated();
  EXPECT_EQ(request(c, Method::kConnect).error(), 400);
  EXPECT_EQ(request(c, Method::kConnect, [](stun::Builder& m) { m.u32(Attr::kXorPeerAddress, 1); }).error(), 400);
  EXPECT_EQ(connect(c, {kPeer.ip, 0}).error(), 400);
}

TEST_F(TcpEngine, TCP_010_peers_that_are_denied) {
  Client& c = allocated();
  EXPECT_EQ(connect(c, kDeniedPeer).error(), 403);
  EXPECT_EQ(connect(c, {*IpAddress::parse("2001:db8::1"), 80}).error(), 443);
  EXPECT_TRUE(relay_of(c).connecting.empty());
}

TEST_F(TcpEngine, TCP_011_connect_asks_the_relayed_address_and_answers_later) {
  Client& c = allocated();
  const std::size_t before = answers;
  const Reply reply = connect(c, kPeer);
  EXPECT_TRUE(reply.outcome.pending);
  EXPECT_FALSE(reply.arrived());
  EXPECT_EQ(reply.outcome.drop, Drop::kNone);
  EXPECT_EQ(answers, before);
  const stun::TransactionId id = last_id();
  ASSERT_EQ(relay_of(c).connecting.size(), 1U);
  EXPECT_EQ(relay_of(c).connecting[0].second, kPeer);
  EXPECT_TRUE(request(c, Method::kRefresh).ok()) << "other requests go on meanwhile";
  const Reply answer = finish_connect(c);
  EXPECT_EQ(answers, before + 2);
  EXPECT_TRUE(answer.ok());
  EXPECT_EQ(answer.view().transaction_id(), id);
  EXPECT_EQ(answer.view().method(), Method::kConnect);
  EXPECT_TRUE(answer.has(Attr::kMessageIntegrity));
}

TEST_F(TcpEngine, TCP_012_a_connection_that_fails) {
  Client& c = allocated();
  EXPECT_TRUE(connect(c, kPeer).outcome.pending);
  const Reply answer = finish_connect(c, false);
  EXPECT_EQ(answer.error(), 447);
  EXPECT_TRUE(answer.has(Attr::kMessageIntegrity));
  relay_of(c).refuses = true;
  EXPECT_EQ(connect(c, kPeer).error(), 447) << "failed at once";
  EXPECT_TRUE(allocation_of(c).tcp->empty());
  EXPECT_EQ(count(Event::Kind::kPeerConnected), 0U);
}

TEST_F(TcpEngine, TCP_012_connecting_ends_after_30_s) {
  Client& c = allocated();
  EXPECT_TRUE(connect(c, kPeer).outcome.pending);
  pass(29s);
  EXPECT_TRUE(relay_of(c).given_up.empty());
  pass(2100ms);
  ASSERT_FALSE(relay_of(c).given_up.empty());
  EXPECT_EQ(relay_of(c).given_up[0], relay_of(c).connecting[0].first);
  EXPECT_EQ(finish_connect(c, false).error(), 447);
  EXPECT_FALSE(finish_connect(c, true).arrived()) << "too late";
}

TEST_F(TcpEngine, TCP_013_connection_ids_name_one_connection_and_its_worker) {
  Client& c = allocated();
  const std::uint32_t first = connected(c);
  const std::uint32_t second = connected(c, kOtherPeer);
  EXPECT_NE(first, second);
  EXPECT_EQ(worker_of(first), kWorker);
  EXPECT_EQ(worker_of(second), kWorker);
  EXPECT_NE(first & 0xFFFFFF, 0U);
}

TEST_F(TcpEngine, TCP_014_an_unbound_connection_ends_after_30_s) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  pass(29s);
  EXPECT_TRUE(relay_of(c).closed.empty());
  pass_unswept(1s);
  EXPECT_EQ(bind(client(), id).error(), 400) << "the sweep has not come yet";
  pass(1200ms);
  ASSERT_EQ(relay_of(c).closed.size(), 1U);
  EXPECT_EQ(relay_of(c).closed[0], id);
  EXPECT_EQ(bind(client(), id).error(), 400);
  EXPECT_TRUE(connect(c, kPeer).outcome.pending);
}

TEST_F(TcpEngine, TCP_014_a_bound_connection_stays) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  ASSERT_TRUE(bind(client(), id).ok());
  pass(60s);
  EXPECT_TRUE(relay_of(c).closed.empty());
  EXPECT_EQ(count(Event::Kind::kPeerDisconnected), 0U);
}

TEST_F(TcpEngine, TCP_015_a_peer_without_permission_is_turned_away) {
  Client& c = allocated();
  const Outcome outcome = engine().on_peer_connected(allocation_of(c), kPeer, now);
  EXPECT_EQ(outcome.drop, Drop::kPeerNoPermission);
  EXPECT_TRUE(outcome.answer.empty());
  EXPECT_EQ(outcome.connection, 0U);
  ASSERT_TRUE(permit(c, kPeer).ok());
  pass(301s);
  EXPECT_EQ(engine().on_peer_connected(allocation_of(c), kPeer, now).drop, Drop::kPeerNoPermission) << "it is over";
}

TEST_F(TcpEngine, TCP_016_a_peer_with_permission_is_announced) {
  Client& c = allocated();
  ASSERT_TRUE(permit(c, {kPeer.ip, 0}).ok());
  const Reply attempt = keep(engine().on_peer_connected(allocation_of(c), kPeer, now));
  ASSERT_TRUE(attempt.arrived());
  EXPECT_TRUE(attempt.view().is(Class::kIndication, Method::kConnectionAttempt));
  EXPECT_EQ(attempt.address(Attr::kXorPeerAddress), kPeer);
  const std::uint32_t id = attempt.u32(Attr::kConnectionId);
  EXPECT_EQ(id, attempt.outcome.connection);
  EXPECT_EQ(connect(c, kPeer).error(), 446);
  const Reply bound = bind(client(), id);
  EXPECT_TRUE(bound.ok());
  EXPECT_EQ(bound.outcome.connection, id);
  EXPECT_EQ(bound.outcome.allocation, &allocation_of(c));
}

TEST_F(TcpEngine, TCP_016_an_unbound_attempt_ends_after_30_s) {
  Client& c = allocated();
  ASSERT_TRUE(permit(c, kPeer).ok());
  const ConnectionId id = engine().on_peer_connected(allocation_of(c), kPeer, now).connection;
  pass(31s);
  ASSERT_EQ(relay_of(c).closed.size(), 1U);
  EXPECT_EQ(relay_of(c).closed[0], id);
}

TEST_F(TcpEngine, TCP_017_connection_bind_needs_a_stream) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  for (const Transport transport : {Transport::kUdp, Transport::kDtls}) {
    EXPECT_EQ(bind(client(transport), id).error(), 400);
    EXPECT_EQ(unsigned_request(client(transport), Method::kConnectionBind).error(), 400) << "no challenge";
  }
  EXPECT_TRUE(bind(client(Transport::kTls), id).ok());
}

TEST_F(TcpEngine, TCP_018_connection_bind_needs_a_pending_id) {
  Client& c = allocated();
  Client& data = client();
  EXPECT_EQ(unsigned_request(data, Method::kConnectionBind).error(), 401);
  EXPECT_EQ(request(data, Method::kConnectionBind).error(), 400) << "no id";
  EXPECT_EQ(request(data, Method::kConnectionBind, [](stun::Builder& m) { m.u64(Attr::kConnectionId, 1); }).error(),
            400);
  EXPECT_EQ(bind(data, 0).error(), 400);
  EXPECT_EQ(bind(data, 12345).error(), 400) << "unknown";
  EXPECT_TRUE(connect(c, kPeer).outcome.pending);
  EXPECT_EQ(bind(data, relay_of(c).connecting[0].first).error(), 400) << "still connecting";
  const std::uint32_t id = finish_connect(c).u32(Attr::kConnectionId);
  EXPECT_TRUE(bind(data, id).ok());
  EXPECT_EQ(bind(client(), id).error(), 400) << "bound already";
}

TEST_F(TcpEngine, TCP_019_only_the_owner_binds) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  EXPECT_EQ(bind(client(Transport::kTcp, "bob"), id).error(), 441);
  EXPECT_EQ(
      unsigned_request(client(), Method::kConnectionBind, [&](stun::Builder& m) { m.u32(Attr::kConnectionId, id); })
          .error(),
      401);
  EXPECT_TRUE(bind(client(), id).ok()) << "it is still there for its owner";
}

TEST_F(TcpEngine, TCP_019_the_nonce_of_the_control_connection_serves) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  const Fill fill = [&](stun::Builder& m) { m.u32(Attr::kConnectionId, id); };
  Client& elsewhere = client();
  elsewhere.tuple.client.ip = IpAddress::v4(192, 0, 2, 99);
  EXPECT_EQ(request(elsewhere, Method::kConnectionBind, fill, {}, &c).error(), 438) << "of another host";
  EXPECT_EQ(request(client(), Method::kConnectionBind, fill, {}, &elsewhere).error(), 438) << "somebody else's";
  EXPECT_TRUE(request(client(), Method::kConnectionBind, fill, {}, &c).ok());
}

TEST_F(TcpEngine, TCP_023_all_ends_with_the_allocation) {
  for (const int how : {0, 1, 2}) {
    Client& c = allocated();
    const std::uint32_t bound = connected(c);
    ASSERT_TRUE(bind(client(), bound).ok());
    const std::uint32_t unbound = connected(c, kOtherPeer);
    const std::size_t before = count(Event::Kind::kPeerDisconnected);
    if (how == 0) {
      EXPECT_TRUE(request(c, Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0); }).ok());
    }
    if (how == 1) engine().on_path_closed(c.tuple, "control connection closed");
    if (how == 2) pass(602s);
    EXPECT_EQ(ports.live(), 0U);
    EXPECT_EQ(count(Event::Kind::kPeerDisconnected), before + 2);
    EXPECT_EQ(bind(client(), unbound).error(), 400);
  }
}

TEST_F(TcpEngine, TCP_024_connections_are_limited) {
  config.max_tcp_connections = 2;
  Client& c = allocated();
  ASSERT_TRUE(permit(c, kPeer).ok());
  const ConnectionId first = engine().on_peer_connected(allocation_of(c), kPeer, now).connection;
  EXPECT_TRUE(connect(c, kOtherPeer).outcome.pending);
  EXPECT_EQ(connect(c, {kOtherPeer.ip, 7001}).error(), 508);
  EXPECT_EQ(engine().on_peer_connected(allocation_of(c), {kPeer.ip, 7001}, now).drop, Drop::kTooManyConnections);
  engine().on_connection_closed(allocation_of(c), first, "test");
  EXPECT_NE(engine().on_peer_connected(allocation_of(c), {kPeer.ip, 7001}, now).connection, 0U);
}

TEST_F(TcpEngine, TCP_026_no_datagrams_on_a_tcp_allocation) {
  Client& c = allocated();
  ASSERT_TRUE(permit(c, kPeer).ok());
  const Reply sent = message(c, Class::kIndication, Method::kSend, [](stun::Builder& m) {
    m.xor_address(Attr::kXorPeerAddress, kPeer).text(Attr::kData, "x");
  });
  EXPECT_EQ(sent.outcome.drop, Drop::kTcpAllocation);
  EXPECT_EQ(sent.outcome.relay, nullptr);
  EXPECT_EQ(request(c, Method::kChannelBind,
                    [](stun::Builder& m) { m.channel_number(0x4000).xor_address(Attr::kXorPeerAddress, kPeer); })
                .error(),
            400);
}

TEST_F(TcpEngine, TCP_028_a_control_connection_binds_nothing) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  EXPECT_EQ(bind(c, id).error(), 400);
  EXPECT_EQ(bind(allocated(), id).error(), 400);
  EXPECT_TRUE(bind(client(), id).ok());
}

TEST_F(TcpEngine, a_reload_that_denies_a_peer_ends_its_connection) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  ASSERT_TRUE(bind(client(), id).ok());
  connected(c, kOtherPeer);
  turnd::PeerRules rules;
  rules.denied = {*turnd::PeerRule::parse(kPeer.ip.to_string())};
  const turnd::PeerPolicy stricter(rules);
  auth::StaticUsers users;
  ASSERT_TRUE(users.add("alice", kRealm, "secret"));
  SeededRandom random(2);
  const auth::Authenticator authenticator({.realm = std::string(kRealm)}, users, auth::NonceKey::random(random));
  engine().set_rules(std::make_shared<Rules>(Rules{config, authenticator, stricter}));
  ASSERT_EQ(relay_of(c).closed.size(), 1U);
  EXPECT_EQ(relay_of(c).closed[0], id);
  EXPECT_EQ(allocation_of(c).tcp->size(), 1U);
  engine().clear("before what it refers to ends");
}

TEST_F(TcpEngine, the_worker_that_a_message_names) {
  Client& c = allocated();
  const std::uint32_t id = connected(c);
  const auto named = [](Class cls, Method method, const Fill& fill) {
    std::array<std::byte, 512> buffer;
    stun::Builder m(buffer, cls, method, {});
    fill(m);
    return named_worker(*m.finish());
  };
  EXPECT_EQ(named(Class::kRequest, Method::kConnectionBind, [&](auto& m) { m.u32(Attr::kConnectionId, id); }), kWorker);
  EXPECT_EQ(named(Class::kRequest, Method::kConnectionBind, [](auto&) {}), std::nullopt);
  EXPECT_EQ(named(Class::kRequest, Method::kConnectionBind, [](auto& m) { m.u64(Attr::kConnectionId, 1); }),
            std::nullopt);
  EXPECT_EQ(named(Class::kIndication, Method::kConnectionBind, [&](auto& m) { m.u32(Attr::kConnectionId, id); }),
            std::nullopt);
  EXPECT_EQ(named(Class::kRequest, Method::kRefresh, [&](auto& m) { m.u32(Attr::kConnectionId, id); }), std::nullopt);
  EXPECT_EQ(named_worker(Bytes{}), std::nullopt);
}

}  // namespace
}  // namespace turnkit::engine
