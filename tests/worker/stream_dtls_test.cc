// Clients on DTLS: no state before the cookie, one record a message, associations that come anew.
#include <unordered_map>

#include "dtls_peer.h"
#include "stream_fixture.h"
#include "turnd/relay/dtls_clients.h"

namespace turnkit::relay {
namespace {

using namespace testing;
using stun::Class;
using State = net::DtlsSession::State;

class DtlsClientTest : public StreamFixture {
 protected:
  void SetUp() override { config_.tls = server_tls(); }
  engine::FiveTuple tuple_of(const DtlsPeer& peer) const { return {peer.local(), udp_, engine::Transport::kDtls}; }
  std::size_t clients() {
    return in_worker(0, [](Worker& w) { return w.dtls().size(); });
  }
  bool has_allocation(const DtlsPeer& peer) {
    return in_worker(0, [t = tuple_of(peer)](Worker& w) { return w.engine().find(t, w.loop().now()) != nullptr; });
  }
};

TEST_F(DtlsClientTest, TURN_156_DatagramRulesHoldOverDtls) {
  start();
  UdpPeer peer;
  net::TlsClientRules rules;
  rules.alpn = {std::string(net::kAlpnTurn)};
  DtlsPeer client(udp_, rules);
  ASSERT_TRUE(client.handshake());
  EXPECT_EQ(client.session().alpn(), net::kAlpnTurn);
  ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
  ASSERT_EQ(client.ask(channel_bind(0x4001, peer.address())), Class::kSuccess);
  for (std::size_t size = 0; size < 1200; size += 133) {
    const Buffer data(size, std::byte{0x5A});
    client.send(channel_data(0x4001, data, false));
    Address relay;
    EXPECT_EQ(peer.receive(&relay), data);
    peer.send(relay, data);
    EXPECT_EQ(client.next(), channel_data(0x4001, data, false)) << size;  // not padded
  }
  // The same port serves plain TURN.
  UdpPeer plain;
  plain.send(udp_, binding());
  EXPECT_TRUE(plain.receive().has_value());
}

TEST_F(DtlsClientTest, NEG_113_StrangersCostNoStateAndAreNotAmplified) {
  start();
  for (int i = 0; i < 20; ++i) {
    DtlsPeer client(udp_);
    const std::size_t asked = client.out().front().size();
    client.send_out();
    ASSERT_TRUE(client.step());
    EXPECT_LE(client.last().size(), asked);
    EXPECT_EQ(clients(), 0U);
  }
  // Garbage that only looks like DTLS gets nothing, and does no harm.
  UdpPeer garbage;
  for (int first = 20; first < 64; ++first) garbage.send(udp_, Buffer(30, static_cast<std::byte>(first)));
  garbage.send(udp_, binding());
  const auto answer = garbage.receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(stun::classify(*answer), stun::PacketKind::kStun);
  EXPECT_EQ(clients(), 0U);
}

TEST_F(DtlsClientTest, NEG_114_BadRecordsLeaveTheSessionAlone) {
  start();
  DtlsPeer client(udp_);
  ASSERT_TRUE(client.handshake());
  ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
  Buffer forged = copy(client.session().protect(binding()));
  forged.back() ^= std::byte{1};
  client.socket().send(udp_, forged);
  // An alert in the clear, of epoch 0.
  const Buffer alert = copy(as_bytes(std::string_view("\x15\xFE\xFD\0\0\0\0\0\0\0\x09\0\x02\x02\x28", 15)));
  client.socket().send(udp_, alert);
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);
  EXPECT_TRUE(has_allocation(client));
}

// RFC 8489, section 11: RFC 3489's requests get 500 over DTLS, its indications nothing.
void check_classic(DtlsPeer& client) {
  Buffer indication = binding();
  store_be32(indication.data() + 4, 0xDEADBEEF);
  Buffer classic = indication;
  store_be16(indication.data(), 0x0011);
  client.send(indication);
  client.send(classic);
  const auto answer = client.next();
  ASSERT_TRUE(answer.has_value());
  const auto parsed = stun::MessageView::parse(*answer, nullptr, stun::Cookie::kAny);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->cls(), Class::kError);
  EXPECT_TRUE(equal(Bytes(*answer).subspan(4, 16), Bytes(classic).subspan(4, 16)));
  const auto error = parsed->find(stun::Attr::kErrorCode);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(stun::decode_error_code(error->value)->code, 500);
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);
}

TEST_F(DtlsClientTest, BC_2_ClassicStunIsRefused) {
  start();
  DtlsPeer client(udp_);
  ASSERT_TRUE(client.handshake());
  check_classic(client);
}

TEST_F(DtlsClientTest, NEG_014_WrongCookieOverDtls) {
  engine_config_.serve_rfc3489 = true;
  start();
  DtlsPeer client(udp_);
  ASSERT_TRUE(client.handshake());
  check_classic(client);
}

// RFC 6347, section 4.2.8: a ClientHello alone does not end the association; a cookie does.
TEST_F(DtlsClientTest, ANewHandshakeReplacesTheAssociationOnlyWithItsCookie) {
  start();
  DtlsPeer client(udp_);
  ASSERT_TRUE(client.handshake());
  ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
  auto stranger = net::DtlsSession::make_client(client_tls());
  net::DtlsSession::Datagrams hello;
  stranger->start(hello);
  client.socket().send(udp_, hello.front());
  ASSERT_TRUE(client.socket().receive().has_value());  // the cookie, which a forger would not see
  EXPECT_TRUE(has_allocation(client));
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);

  client.begin();
  ASSERT_TRUE(client.handshake());
  EXPECT_EQ(clients(), 1U);
  EXPECT_FALSE(has_allocation(client));
  EXPECT_EQ(client.ask(allocate()), Class::kSuccess);
  EXPECT_EQ(observer_.created, 2);
}

TEST_F(DtlsClientTest, ALostFlightIsSentAgain) {
  start();
  DtlsPeer client(udp_);
  client.send_out();
  ASSERT_TRUE(client.step());  // the cookie
  client.send_out();
  Buffer lost = *client.socket().receive();  // the server's flight, or a part of it
  // Now the server's timer runs; the whole flight comes again.
  while (client.session().state() == State::kHandshaking && client.step()) client.send_out();
  EXPECT_EQ(client.session().state(), State::kEstablished);
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);
}

TEST_F(DtlsClientTest, CloseNotifyEndsTheAllocation) {
  start();
  DtlsPeer client(udp_);
  ASSERT_TRUE(client.handshake());
  ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
  client.session().end(client.out());
  client.send_out();
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.engine().allocations() == 0 && w.dtls().size() == 0; }));
}

TEST_F(DtlsClientTest, HandshakesUnderWayAreBoundedAndEndInTime) {
  config_.limits.max_half_open_dtls = 3;
  config_.limits.opening = std::chrono::milliseconds(500);
  start();
  DtlsPeer established(udp_);
  ASSERT_TRUE(established.handshake());
  std::vector<std::unique_ptr<DtlsPeer>> half;
  for (int i = 0; i < 8; ++i) {
    half.push_back(std::make_unique<DtlsPeer>(udp_));
    half.back()->send_out();
    ASSERT_TRUE(half.back()->step());  // the cookie
    half.back()->send_out();
    ASSERT_TRUE(half.back()->step());  // the server's first flight
  }
  EXPECT_LE(in_worker(0, [](Worker& w) { return w.dtls().handshaking(); }), 3U);
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.dtls().handshaking() == 0; }));
  EXPECT_EQ(established.ask(binding()), Class::kSuccess);
}

TEST_F(DtlsClientTest, WithoutAnAllocationAnAssociationEndsInTime) {
  config_.limits.without_allocation = std::chrono::milliseconds(300);
  start();
  DtlsPeer with(udp_);
  DtlsPeer without(udp_);
  ASSERT_TRUE(with.handshake() && without.handshake());
  ASSERT_EQ(with.ask(allocate()), Class::kSuccess);
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.dtls().size() == 1; }));
  EXPECT_EQ(with.ask(binding()), Class::kSuccess);
}

TEST_F(DtlsClientTest, DtlsMayBeSwitchedOff) {
  config_.serve_dtls = false;
  start();
  DtlsPeer client(udp_);
  client.send_out();
  client.socket().send(udp_, binding());
  const auto answer = client.socket().receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(stun::classify(*answer), stun::PacketKind::kStun);  // nothing came before it
}

TEST_F(DtlsClientTest, ANewCertificateLeavesAssociationsAlone) {
  start();
  DtlsPeer before(udp_);
  ASSERT_TRUE(before.handshake());
  ASSERT_EQ(before.ask(allocate()), Class::kSuccess);
  workers_.front()->set_stream_config(std::make_shared<const StreamConfig>(config_));
  DtlsPeer after(udp_);
  ASSERT_TRUE(after.handshake());
  EXPECT_EQ(after.ask(binding()), Class::kSuccess);
  EXPECT_EQ(before.ask(binding()), Class::kSuccess);
}

}  // namespace
}  // namespace turnkit::relay
