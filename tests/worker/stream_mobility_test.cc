// Mobility (RFC 8016) with real sockets and four workers: a client's new 5-tuple comes to any of them.
#include "dtls_peer.h"
#include "stream_fixture.h"

namespace turnkit::relay {
namespace {

using namespace testing;
using stun::Attr;
using stun::Class;
using stun::Method;

constexpr std::uint16_t kChannel = 0x4001;

Buffer allocate_mobile() {
  return request(Method::kAllocate, [](stun::Builder& b) { b.requested_transport(17).flag(Attr::kMobilityTicket); });
}
Buffer refresh(std::string_view ticket, std::optional<std::uint32_t> lifetime = std::nullopt) {
  return request(Method::kRefresh, [&](stun::Builder& b) {
    if (!ticket.empty()) b.text(Attr::kMobilityTicket, ticket);
    if (lifetime) b.u32(Attr::kLifetime, *lifetime);
  });
}
std::string ticket_in(const Buffer& message) {
  const auto parsed = stun::MessageView::parse(message);
  const auto attribute =
      parsed && parsed->cls() == Class::kSuccess ? parsed->find(Attr::kMobilityTicket) : std::nullopt;
  return attribute ? std::string(as_text(attribute->value)) : std::string();
}

// A client on any transport: one message out, one in.
class Client {
 public:
  virtual ~Client() = default;
  virtual void send(const Buffer& message) = 0;
  virtual Buffer next() = 0;  // empty: nothing came
  Buffer ask(const Buffer& message) {
    send(message);
    return next();
  }
  bool succeeds(const Buffer& message) {
    const Buffer answer = ask(message);
    const auto parsed = stun::MessageView::parse(answer);
    return parsed && parsed->cls() == Class::kSuccess;
  }
  void say(std::string_view text) { send(channel_data(kChannel, as_bytes(text))); }
  std::string hear() {
    const Buffer message = next();
    const auto data = stun::parse_channel_data(message);
    return data ? std::string(as_text(data->data)) : std::string();
  }
};

class UdpClient final : public Client {
 public:
  explicit UdpClient(const Address& server) : server_(server) {}
  void send(const Buffer& message) override { socket_.send(server_, message); }
  Buffer next() override {
    Address from;
    const auto datagram = socket_.receive(&from);
    if (datagram) {
      EXPECT_EQ(from, server_) << "whichever worker answers";
    }
    return datagram.value_or(Buffer{});
  }

 private:
  Address server_;
  UdpPeer socket_;
};

class StreamClientOf final : public Client {
 public:
  StreamClientOf(const Address& server, std::shared_ptr<net::TlsClientContext> tls) : peer_(server, std::move(tls)) {}
  void send(const Buffer& message) override { peer_.write(message); }
  Buffer next() override { return peer_.next(); }

 private:
  StreamPeer peer_;
};

class DtlsClientOf final : public Client {
 public:
  explicit DtlsClientOf(const Address& server) : peer_(server) { EXPECT_TRUE(peer_.handshake()); }
  void send(const Buffer& message) override { peer_.send(message); }
  Buffer next() override { return peer_.next().value_or(Buffer{}); }

 private:
  DtlsPeer peer_;
};

enum class How : std::uint8_t { kUdp, kTcp, kTls, kDtls };

class MobilityTest : public StreamFixture, public ::testing::WithParamInterface<How> {
 protected:
  void SetUp() override {
    config_.tls = server_tls();
    engine_config_.mobility = true;
  }
  std::unique_ptr<Client> client(How how) {
    switch (how) {
      case How::kUdp:
        return std::make_unique<UdpClient>(udp_);
      case How::kTcp:
        return std::make_unique<StreamClientOf>(tcp_, nullptr);
      case How::kTls:
        return std::make_unique<StreamClientOf>(tcp_, client_tls());
      case How::kDtls:
        break;
    }
    return std::make_unique<DtlsClientOf>(udp_);
  }
  // A client with a channel to `peer`; `ticket_` and `relayed_` are its.
  std::unique_ptr<Client> allocated(How how, const UdpPeer& peer) {
    auto made = client(how);
    const Buffer answer = made->ask(allocate_mobile());
    ticket_ = ticket_in(answer);
    EXPECT_FALSE(ticket_.empty());
    const auto parsed = stun::MessageView::parse(answer);
    const auto relayed = parsed ? parsed->find(Attr::kXorRelayedAddress) : std::nullopt;
    if (relayed) relayed_ = stun::decode_xor_address(relayed->value, parsed->transaction_id()).value_or(Address{});
    EXPECT_TRUE(made->succeeds(channel_bind(kChannel, peer.address())));
    return made;
  }
  static void expect_both_ways(Client& client, UdpPeer& peer, const Address& relayed) {
    client.say("ping");
    Address from;
    const auto heard = peer.receive(&from);
    ASSERT_TRUE(heard.has_value());
    EXPECT_EQ(as_text(*heard), "ping");
    EXPECT_EQ(from, relayed);
    peer.send(relayed, as_bytes("pong"));
    EXPECT_EQ(client.hear(), "pong");
  }
  std::size_t guests() {
    std::size_t sum = 0;
    for (unsigned i = 0; i < workers_.size(); ++i) {
      sum += in_worker(i, [](Worker& w) { return w.forwarding().guests(); });
    }
    return sum;
  }
  std::size_t allocations() {
    std::size_t sum = 0;
    for (unsigned i = 0; i < workers_.size(); ++i) {
      sum += in_worker(i, [](Worker& w) { return w.engine().allocations(); });
    }
    return sum;
  }

  std::string ticket_;
  Address relayed_;
};

INSTANTIATE_TEST_SUITE_P(Transports, MobilityTest, ::testing::Values(How::kUdp, How::kTcp, How::kTls, How::kDtls));

TEST_P(MobilityTest, MOB_005_MOB_008_MOB_013_AClientMovesFromWorkerToWorker) {
  start(4);
  UdpPeer peer;
  auto current = allocated(GetParam(), peer);
  expect_both_ways(*current, peer, relayed_);
  for (int i = 0; i < 12; ++i) {
    auto moved = client(GetParam());
    const std::string next = ticket_in(moved->ask(refresh(ticket_)));
    ASSERT_FALSE(next.empty()) << i;
    EXPECT_NE(next, ticket_);
    ticket_ = next;
    // Make before break: the old way holds until data comes on the new one.
    peer.send(relayed_, as_bytes("still there?"));
    EXPECT_EQ(current->hear(), "still there?");
    expect_both_ways(*moved, peer, relayed_);
    EXPECT_TRUE(moved->succeeds(channel_bind(kChannel, peer.address()))) << "requests on the new path";
    for (int n = 0; n < 3; ++n) expect_both_ways(*moved, peer, relayed_);
    current = std::move(moved);
  }
  EXPECT_EQ(allocations(), 1U);
  EXPECT_TRUE(current->succeeds(refresh("", 0)));
  EXPECT_EQ(allocations(), 0U);
  current.reset();
  // What was passed on between workers ends with the allocation.
  for (const auto end = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < end;) {
    if (GetParam() == How::kDtls || guests() == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (GetParam() != How::kDtls) {
    EXPECT_EQ(guests(), 0U);
  }
}

TEST_P(MobilityTest, MOB_009_AClientComesBackOnAnyTransport) {
  start(4);
  UdpPeer peer;
  for (const How to : {How::kUdp, How::kTcp, How::kTls, How::kDtls}) {
    auto first = allocated(GetParam(), peer);
    auto second = client(to);
    ASSERT_FALSE(ticket_in(second->ask(refresh(ticket_))).empty());
    expect_both_ways(*second, peer, relayed_);
    EXPECT_TRUE(second->succeeds(refresh("", 0)));
  }
}

TEST_P(MobilityTest, MOB_010_TheSameRequestAgain) {
  start(4);
  UdpPeer peer;
  const auto first = allocated(GetParam(), peer);
  for (int i = 0; i < 4; ++i) {
    const auto second = client(GetParam());
    const Buffer message = refresh(ticket_);
    const std::string next = ticket_in(second->ask(message));
    ASSERT_FALSE(next.empty());
    EXPECT_EQ(ticket_in(second->ask(message)), next);
    expect_both_ways(*second, peer, relayed_);
    ticket_ = next;
  }
}

TEST_P(MobilityTest, MOB_007_TicketsOfNobody) {
  start(4);
  for (int i = 0; i < 4; ++i) {
    const auto stranger = client(GetParam());
    // The first byte names the worker; 0xFF is none.
    for (const char* ticket : {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                               "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "/wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "no"}) {
      const Buffer answer = stranger->ask(refresh(ticket));
      const auto parsed = stun::MessageView::parse(answer);
      const auto error = parsed ? parsed->find(Attr::kErrorCode) : std::nullopt;
      ASSERT_TRUE(error.has_value()) << ticket;
      EXPECT_EQ(stun::decode_error_code(error->value)->code, 437);
    }
    EXPECT_TRUE(stranger->succeeds(allocate())) << "wherever its requests went";
  }
}

class MobileWorkersTest : public StreamFixture {
 protected:
  MobileWorkersTest() {
    config_.tls = server_tls();
    engine_config_.mobility = true;
  }
  // A request with nobody's ticket, which names this worker.
  static Buffer named(unsigned worker) {
    return refresh(worker == 0 ? "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" : "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  }
  std::size_t sessions(unsigned worker) {
    return in_worker(worker, [](Worker& w) { return w.streams().sessions(); });
  }
};

// UDP and DTLS from one port: a run of datagrams may end, in its middle, the allocation that its first ones used.
TEST_F(MobileWorkersTest, ADtlsRefreshEndsTheUdpAllocationWithinARun) {
  start();
  UdpPeer peer;
  DtlsPeer client(udp_);
  client.socket().send(udp_, allocate_mobile());
  const std::string ticket = ticket_in(client.socket().receive().value_or(Buffer{}));
  ASSERT_FALSE(ticket.empty());
  client.socket().send(udp_, channel_bind(kChannel, peer.address()));
  ASSERT_TRUE(client.socket().receive().has_value());
  ASSERT_TRUE(client.handshake());

  const Buffer ends = copy(client.session().protect(refresh(ticket, 0)));
  const Buffer text(ends.size() - 4, std::byte{'a'});
  const Buffer data = channel_data(kChannel, text, false);
  client.socket().send_run(udp_, {data, ends, data});
  EXPECT_TRUE(client.next().has_value());
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);
  EXPECT_EQ(in_worker(0, [](Worker& w) { return w.engine().allocations(); }), 0U);
  EXPECT_EQ(peer.receive(), text);
  peer.send(peer.address(), as_bytes("nothing else"));
  EXPECT_EQ(as_text(peer.receive().value_or(Buffer{})), "nothing else");
}

TEST_F(MobileWorkersTest, WhatABusyWorkerDoesNotGetLeavesNothingBehind) {
  start(2);
  std::promise<void> free;
  workers_[1]->loop().post([until = free.get_future().share()] { until.wait(); });
  const std::size_t entered = in_worker(0, [this](Worker& w) {
    const Buffer large(60000, std::byte{0xFF});
    for (std::uint16_t i = 0; i < 100; ++i) {
      const Address from{kLoopback, static_cast<std::uint16_t>(20000 + i)};
      w.forwarding().pass_on(1, {from, udp_, engine::Transport::kUdp}, large, 0);
    }
    return w.forwarding().owners();
  });
  EXPECT_GT(entered, 10U);
  free.set_value();
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.forwarding().owners() == 0; }));
}

TEST_F(MobileWorkersTest, AStrangersConnectionDoesNotMoveForEver) {
  start(2);
  StreamPeer stranger(tcp_);
  for (unsigned i = 0; i < 20; ++i) ASSERT_EQ(stranger.ask(named(i % 2)), Class::kError);
  const std::size_t here = sessions(0);
  EXPECT_EQ(here + sessions(1), 1U);
  for (unsigned i = 0; i < 4; ++i) {
    ASSERT_EQ(stranger.ask(named(i % 2)), Class::kError);
    EXPECT_EQ(sessions(0), here) << i;
  }
}

// Anybody may write the client's address on a datagram.
TEST_F(MobileWorkersTest, AForgedRefreshOverUdpDoesNotTakeADtlsClientAway) {
  start(2);
  for (int i = 0; i < 8; ++i) {
    DtlsPeer client(udp_);
    ASSERT_TRUE(client.handshake());
    ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
    client.socket().send_run(udp_, {named(0), named(1), copy(client.session().protect(binding()))});
    ASSERT_TRUE(client.next().has_value()) << i;
  }
}

TEST_F(MobileWorkersTest, WithoutMobilityARefreshLeavesAConnectionWhereItIs) {
  engine_config_.mobility = false;
  start(2);
  StreamPeer stranger(tcp_);
  ASSERT_EQ(stranger.ask(named(0)), Class::kError);
  const std::size_t here = sessions(0);
  ASSERT_EQ(stranger.ask(named(1)), Class::kError);
  EXPECT_EQ(sessions(0), here);
}

class StreamMobilityTest : public MobilityTest {};
INSTANTIATE_TEST_SUITE_P(Streams, StreamMobilityTest, ::testing::Values(How::kTcp, How::kTls));

TEST_P(StreamMobilityTest, AClientWhoseConnectionBrokeGoesOn) {
  start(4);
  UdpPeer peer;
  for (int i = 0; i < 6; ++i) {
    auto first = allocated(GetParam(), peer);
    expect_both_ways(*first, peer, relayed_);
    first.reset();
    auto second = client(GetParam());
    ASSERT_FALSE(ticket_in(second->ask(refresh(ticket_))).empty());
    expect_both_ways(*second, peer, relayed_);
    EXPECT_TRUE(second->succeeds(refresh("", 0)));
  }
}

}  // namespace
}  // namespace turnkit::relay
