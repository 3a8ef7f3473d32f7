// TCP relays (RFC 6062) with real sockets, on one worker and on several, where ConnectionBind may come to another
// worker than the one that has the allocation.
#include <thread>

#include "stream_fixture.h"

namespace turnkit::relay {
namespace {

using namespace testing;
using stun::Attr;
using stun::Class;
using stun::Method;

// A peer that waits for connections.
class PeerListener {
 public:
  PeerListener() : fd_(*net::tcp_listen({kLoopback, 0})), address_(*net::local_address(fd_.get())) {}
  [[nodiscard]] const Address& address() const { return address_; }
  // The next connection, and where it comes from.
  std::unique_ptr<StreamPeer> accept(Address* from = nullptr) {
    if (!wait_for(fd_.get(), POLLIN)) throw std::runtime_error("nobody connects");
    net::Accepted accepted = net::tcp_accept(fd_.get());
    if (from != nullptr) *from = accepted.peer;
    return std::make_unique<StreamPeer>(std::move(accepted.fd), nullptr);
  }

 private:
  net::UniqueFd fd_;
  Address address_;
};

// How many workers.
class TcpRelayTest : public StreamFixture, public ::testing::WithParamInterface<unsigned> {
 protected:
  void SetUp() override { config_.tls = server_tls(); }

  static Buffer allocate_tcp() {
    return request(Method::kAllocate, [](stun::Builder& b) { b.requested_transport(6); });
  }
  static Buffer permission(const Address& peer) {
    return request(Method::kCreatePermission, [&](stun::Builder& b) { b.xor_address(Attr::kXorPeerAddress, peer); });
  }
  static Buffer connect(const Address& peer) {
    return request(Method::kConnect, [&](stun::Builder& b) { b.xor_address(Attr::kXorPeerAddress, peer); });
  }
  static Buffer connection_bind(std::uint32_t id) {
    return request(Method::kConnectionBind, [&](stun::Builder& b) { b.u32(Attr::kConnectionId, id); });
  }
  static std::uint32_t connection_id(const Buffer& message) {
    const auto parsed = stun::MessageView::parse(message);
    const auto attribute = parsed ? parsed->find(Attr::kConnectionId) : std::nullopt;
    return attribute ? stun::decode_u32(attribute->value).value_or(0) : 0;
  }
  static int error_of(const Buffer& message) {
    const auto parsed = stun::MessageView::parse(message);
    const auto attribute = parsed ? parsed->find(Attr::kErrorCode) : std::nullopt;
    return attribute ? stun::decode_error_code(attribute->value)->code : 0;
  }

  Address allocate_on(StreamPeer& control) {
    EXPECT_EQ(control.ask(allocate_tcp()), Class::kSuccess);
    return control.address_in_answer(Attr::kXorRelayedAddress).value_or(Address{});
  }
  static std::uint32_t connect_to(StreamPeer& control, const Address& peer) {
    control.write(connect(peer));
    return connection_id(control.next());
  }
  static bool succeeds(const Buffer& message) {
    const auto parsed = stun::MessageView::parse(message);
    return parsed && parsed->cls() == Class::kSuccess;
  }
  // A data connection for `id`, bound.
  std::unique_ptr<StreamPeer> bound(std::uint32_t id, std::shared_ptr<net::TlsClientContext> tls = nullptr) {
    auto data = std::make_unique<StreamPeer>(tcp_, std::move(tls));
    EXPECT_EQ(data->ask(connection_bind(id)), Class::kSuccess);
    return data;
  }
  [[nodiscard]] std::size_t connections_of(const StreamPeer& control) {
    const engine::FiveTuple tuple{control.local(), tcp_, engine::Transport::kTcp};
    std::size_t found = 0;
    for (unsigned i = 0; i < workers_.size(); ++i) {
      found += in_worker(i, [tuple](Worker& w) {
        engine::Allocation* allocation = w.engine().find(tuple, w.loop().now());
        return allocation != nullptr ? allocation->tcp->size() : std::size_t{0};
      });
    }
    return found;
  }
  bool eventually_without_connections(const StreamPeer& control) {
    for (const auto end = std::chrono::steady_clock::now() + kPatience; std::chrono::steady_clock::now() < end;) {
      if (connections_of(control) == 0) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
};

INSTANTIATE_TEST_SUITE_P(Workers, TcpRelayTest, ::testing::Values(1U, 4U));

TEST_P(TcpRelayTest, TCP_011_TCP_013_TCP_020_ConnectAndBind) {
  start(GetParam());
  PeerListener listener;
  for (int i = 0; i < 12; ++i) {  // each connection comes to some worker
    StreamPeer control(tcp_);
    const Address relayed = allocate_on(control);
    const std::uint32_t id = connect_to(control, listener.address());
    ASSERT_NE(id, 0U);
    Address from;
    const auto peer = listener.accept(&from);
    EXPECT_EQ(from, relayed);
    ASSERT_TRUE(peer->write("sent before anybody listened"));

    StreamPeer data(tcp_);
    ASSERT_TRUE(data.write(connection_bind(id) + copy(as_bytes("right behind"))));
    ASSERT_TRUE(succeeds(data.next()));
    EXPECT_EQ(as_text(data.read(28)), "sent before anybody listened");
    EXPECT_EQ(as_text(peer->read(12)), "right behind");
    // Raw bytes, not messages, even where they look like one.
    const Buffer looks_like_stun = allocate();
    ASSERT_TRUE(data.write(looks_like_stun));
    EXPECT_EQ(peer->read(looks_like_stun.size()), looks_like_stun);
    ASSERT_TRUE(peer->write(looks_like_stun));
    EXPECT_EQ(data.read(looks_like_stun.size()), looks_like_stun);
    EXPECT_EQ(control.ask(binding()), Class::kSuccess);
  }
}

TEST_P(TcpRelayTest, TCP_020_OverTls) {
  start(GetParam());
  PeerListener listener;
  for (int i = 0; i < 4; ++i) {
    StreamPeer control(tcp_, client_tls());
    allocate_on(control);
    const std::uint32_t id = connect_to(control, listener.address());
    const auto peer = listener.accept();
    StreamPeer data(tcp_, client_tls());
    ASSERT_TRUE(data.write(connection_bind(id) + copy(as_bytes("in the same record"))));
    ASSERT_TRUE(succeeds(data.next()));
    EXPECT_EQ(as_text(peer->read(18)), "in the same record");
    ASSERT_TRUE(peer->write("and back"));
    EXPECT_EQ(as_text(data.read(8)), "and back");
  }
}

TEST_P(TcpRelayTest, TCP_012_APeerThatRefuses) {
  start(GetParam());
  Address nobody;
  {
    const PeerListener gone;
    nobody = gone.address();
  }
  StreamPeer control(tcp_);
  allocate_on(control);
  ASSERT_TRUE(control.write(connect(nobody)));
  EXPECT_EQ(error_of(control.next()), 447);
  EXPECT_EQ(connections_of(control), 0U);
  // The answer is of that request, and the next one is answered as well.
  ASSERT_TRUE(control.write(connect(nobody)));
  EXPECT_EQ(error_of(control.next()), 447);
}

TEST_P(TcpRelayTest, TCP_008_OneConnectionToAPeer) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  ASSERT_NE(connect_to(control, listener.address()), 0U);
  ASSERT_TRUE(control.write(connect(listener.address())));
  EXPECT_EQ(error_of(control.next()), 446);
  PeerListener other;
  EXPECT_NE(connect_to(control, other.address()), 0U) << "from the same relayed port";
}

TEST_P(TcpRelayTest, TCP_015_AStrangerIsTurnedAway) {
  start(GetParam());
  StreamPeer control(tcp_);
  const Address relayed = allocate_on(control);
  StreamPeer stranger(relayed);
  EXPECT_TRUE(stranger.is_ended());
  const Buffer question = binding();
  ASSERT_TRUE(control.write(question));
  const Buffer answer = control.next();
  EXPECT_EQ(stun::MessageView::parse(answer)->transaction_id(), stun::MessageView::parse(question)->transaction_id())
      << "nothing came before";
}

TEST_P(TcpRelayTest, TCP_016_APeerThatMayConnect) {
  start(GetParam());
  for (int i = 0; i < 12; ++i) {
    StreamPeer control(tcp_);
    const Address relayed = allocate_on(control);
    ASSERT_EQ(control.ask(permission({kLoopback, 0})), Class::kSuccess);
    StreamPeer peer(relayed);
    ASSERT_TRUE(peer.write("first"));
    const Buffer attempt = control.next();
    const auto parsed = stun::MessageView::parse(attempt);
    ASSERT_TRUE(parsed && parsed->is(Class::kIndication, Method::kConnectionAttempt));
    const auto announced = parsed->find(Attr::kXorPeerAddress);
    ASSERT_TRUE(announced.has_value());
    EXPECT_EQ(stun::decode_xor_address(announced->value, parsed->transaction_id()), peer.local());
    const auto data = bound(connection_id(attempt));
    EXPECT_EQ(as_text(data->read(5)), "first");
    ASSERT_TRUE(data->write("second"));
    EXPECT_EQ(as_text(peer.read(6)), "second");
  }
}

TEST_P(TcpRelayTest, TCP_018_AnIdIsGoodOnce) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const std::uint32_t id = connect_to(control, listener.address());
  const auto data = bound(id);
  StreamPeer second(tcp_);
  ASSERT_TRUE(second.write(connection_bind(id)));
  EXPECT_EQ(error_of(second.next()), 400);
  for (unsigned worker = 0; worker < 6; ++worker) {
    ASSERT_TRUE(second.write(connection_bind((worker << 24) + 1)));
    EXPECT_EQ(error_of(second.next()), 400) << "unknown, or of a worker that there is not";
  }
}

TEST_P(TcpRelayTest, TCP_022_OneSideEnds) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const auto data = bound(connect_to(control, listener.address()));
  const auto peer = listener.accept();
  ASSERT_TRUE(peer->write("last words"));
  peer->stream().end_output();
  EXPECT_EQ(data->read_to_end(), "last words");
  ASSERT_TRUE(data->write("I can still talk"));
  data->stream().end_output();
  EXPECT_EQ(peer->read_to_end(), "I can still talk");
  EXPECT_TRUE(eventually_without_connections(control));
  EXPECT_NE(connect_to(control, listener.address()), 0U) << "the peer is free again";
}

TEST_P(TcpRelayTest, TCP_022_APeerThatResets) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const auto data = bound(connect_to(control, listener.address()));
  {
    const auto peer = listener.accept();
    const linger at_once{1, 0};
    ASSERT_EQ(::setsockopt(peer->stream().fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  }
  EXPECT_TRUE(data->is_ended());
  EXPECT_TRUE(eventually_without_connections(control));
}

TEST_P(TcpRelayTest, TCP_023_AllEndsWithTheControlConnection) {
  start(GetParam());
  PeerListener listener;
  auto control = std::make_unique<StreamPeer>(tcp_);
  const Address relayed = allocate_on(*control);
  const auto data = bound(connect_to(*control, listener.address()));
  const auto peer = listener.accept();
  PeerListener other;
  ASSERT_NE(connect_to(*control, other.address()), 0U);
  const auto unbound = other.accept();
  control.reset();
  EXPECT_TRUE(data->is_ended());
  EXPECT_TRUE(peer->is_ended());
  EXPECT_TRUE(unbound->is_ended());
  const net::UniqueFd late = StreamPeer::connected(relayed);
  ASSERT_TRUE(wait_for(late.get(), POLLOUT));
  EXPECT_NE(net::tcp_connect_error(late.get()), 0) << "nobody listens there any more";
}

TEST_P(TcpRelayTest, TCP_023_AllEndsWithTheAllocation) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const auto data = bound(connect_to(control, listener.address()));
  const auto peer = listener.accept();
  EXPECT_EQ(control.ask(request(Method::kRefresh, [](stun::Builder& b) { b.u32(Attr::kLifetime, 0); })),
            Class::kSuccess);
  EXPECT_TRUE(data->is_ended());
  EXPECT_TRUE(peer->is_ended());
  EXPECT_EQ(control.ask(binding()), Class::kSuccess) << "the connection itself stays";
}

// What can be written until nothing has moved for a while; the relay must have stopped reading.
std::size_t write_until_blocked(StreamPeer& from, const Buffer& chunk) {
  std::size_t written = 0;
  for (;;) {
    const net::StreamIo io = from.stream().write(chunk);
    if (io.state == net::StreamIo::State::kDone) {
      written += io.bytes;
      continue;
    }
    pollfd ready{from.stream().fd(), POLLOUT, 0};
    if (::poll(&ready, 1, 300) != 1) return written;
  }
}

TEST_P(TcpRelayTest, TCP_024_TCP_025_WhatNobodyReadsStaysWithItsSender) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const std::uint32_t id = connect_to(control, listener.address());
  const auto peer = listener.accept();
  const Buffer chunk(64 * 1024, std::byte{0x5A});
  constexpr std::size_t kMuch = 64 * 1024 * 1024;
  // Before the client is bound the relay reads nothing: only the kernel's buffers fill.
  std::size_t written = write_until_blocked(*peer, chunk);
  EXPECT_LT(written, kMuch);
  const auto data = bound(id);
  written += write_until_blocked(*peer, chunk);
  EXPECT_LT(written, kMuch) << "the client does not read";
  // Others are not held up.
  EXPECT_EQ(control.ask(binding()), Class::kSuccess);
  peer->stream().end_output();
  EXPECT_EQ(data->read_to_end().size(), written) << "nothing is lost";
}

TEST_P(TcpRelayTest, BandwidthIsKeptByPacing) {
  constexpr std::size_t kRate = 400'000;
  engine::QuotaLimits limits;
  limits.max_bps = kRate;
  quotas_.set_limits(limits);
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const auto data = bound(connect_to(control, listener.address()));
  const auto peer = listener.accept();
  const Buffer sent(300'000, std::byte{0x5A});
  const auto begin = std::chrono::steady_clock::now();
  std::thread sender([&] { EXPECT_TRUE(peer->write(sent)); });
  EXPECT_EQ(data->read(sent.size()), sent) << "late, but complete";
  sender.join();
  // The burst is at once, the rest at the rate.
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
}

TEST_P(TcpRelayTest, UsageIsCounted) {
  start(GetParam());
  PeerListener listener;
  StreamPeer control(tcp_);
  allocate_on(control);
  const auto data = bound(connect_to(control, listener.address()));
  const auto peer = listener.accept();
  ASSERT_TRUE(data->write(Buffer(1000)));
  EXPECT_EQ(peer->read(1000).size(), 1000U);
  ASSERT_TRUE(peer->write(Buffer(500)));
  EXPECT_EQ(data->read(500).size(), 500U);
  const engine::FiveTuple tuple{control.local(), tcp_, engine::Transport::kTcp};
  std::uint64_t up = 0;
  std::uint64_t down = 0;
  for (unsigned i = 0; i < workers_.size(); ++i) {
    in_worker(i, [&](Worker& w) {
      const engine::Allocation* allocation = w.engine().find(tuple, w.loop().now());
      if (allocation == nullptr) return;
      up = allocation->client_usage.received_bytes;
      down = allocation->client_usage.sent_bytes;
    });
  }
  EXPECT_EQ(up, 1000U);
  EXPECT_EQ(down, 500U);
}

}  // namespace
}  // namespace turnkit::relay
