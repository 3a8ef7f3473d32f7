// Clients on TCP and TLS: where messages begin and end, what becomes of slow readers, and how connections end.
#include "turnd/relay/stream_client.h"

#include <netinet/in.h>
#include <sys/resource.h>

#include "stream_fixture.h"
#include "turnd/relay/streams.h"

namespace turnkit::relay {
namespace {

using namespace testing;
using stun::Class;

class StreamClientTest : public StreamFixture {};

Buffer numbered(std::uint32_t number, std::size_t size) {
  Buffer out(size);
  store_be32(out.data(), number);
  return out;
}

// RFC 8656, section 12.5: padded to four bytes both ways, the length without padding.
TEST_F(StreamClientTest, TURN_155_ChannelDataIsPaddedBothWays) {
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  set_up(client, peer.address());
  for (std::size_t size = 0; size < 9; ++size) {
    const Buffer data(size, std::byte{0x5A});
    ASSERT_TRUE(client.write(channel_data(0x4001, data)));
    Address relay;
    const auto heard = peer.receive(&relay);
    ASSERT_TRUE(heard.has_value()) << size;
    EXPECT_EQ(*heard, data);
    peer.send(relay, data);
    const Buffer padded = client.read((4 + size + 3) / 4 * 4);
    EXPECT_EQ(padded, channel_data(0x4001, data)) << size;
  }
}

TEST_F(StreamClientTest, TURN_002_TcpAndUdpOfTheSameNumbersAreDifferentAllocations) {
  start();
  StreamPeer client(tcp_);
  EXPECT_EQ(client.ask(allocate()), Class::kSuccess);
  EXPECT_EQ(client.ask(allocate()), Class::kError);  // another transaction on the same 5-tuple
  StreamPeer other(tcp_);
  EXPECT_EQ(other.ask(allocate()), Class::kSuccess);
  EXPECT_EQ(observer_.created, 2);
}

// RFC 8656, section 15: a stream says nothing about single packets, in either direction.
TEST_F(StreamClientTest, TURN_175_177_ClassAndCongestionStayOnTheirSide) {
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  const int expedited = 46 << 2;
  ASSERT_EQ(::setsockopt(client.stream().fd(), IPPROTO_IP, IP_TOS, &expedited, sizeof(expedited)), 0);
  set_up(client, peer.address());
  ASSERT_TRUE(client.write(channel_data(0x4001, as_bytes("out"))));
  Address relay;
  ASSERT_TRUE(peer.receive(&relay).has_value());
  EXPECT_EQ(peer.last_tos(), 0);
  peer.send(relay, as_bytes("in"), static_cast<std::uint8_t>(expedited | 3));
  EXPECT_EQ(client.next(), channel_data(0x4001, as_bytes("in"), false));
}

TEST_F(StreamClientTest, TURN_176_DontFragmentIsForItsDatagramAlone) {
  const net::UniqueFd raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
  if (!raw) GTEST_SKIP() << "raw sockets need CAP_NET_RAW";
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  set_up(client, peer.address());
  const auto has_df = [&](std::string_view text) {
    std::array<std::byte, 65536> packet;
    for (;;) {
      if (!wait_for(raw.get(), POLLIN)) throw std::runtime_error("no such datagram");
      const ssize_t size = ::recv(raw.get(), packet.data(), packet.size(), 0);
      const Bytes whole = Bytes(packet).first(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      if (whole.size() == 28 + text.size() && as_text(whole.subspan(28)) == text) {
        return (load_be16(whole.data() + 6) & 0x4000) != 0;
      }
    }
  };
  const auto send_indication = [&](std::string_view text, bool dont_fragment) {
    std::array<std::byte, 512> space;
    stun::Builder builder(space, Class::kIndication, stun::Method::kSend, new_id());
    builder.xor_address(stun::Attr::kXorPeerAddress, peer.address()).text(stun::Attr::kData, text);
    if (dont_fragment) builder.flag(stun::Attr::kDontFragment);
    return copy(*builder.finish());
  };
  ASSERT_TRUE(client.write(send_indication("tcp-may", false) + send_indication("tcp-may-not", true) +
                           channel_data(0x4001, as_bytes("tcp-channel"))));
  EXPECT_FALSE(has_df("tcp-may"));
  EXPECT_TRUE(has_df("tcp-may-not"));
  EXPECT_FALSE(has_df("tcp-channel"));
}

// Every place where a stream of messages may be cut. The answer to the message in front shows that the server has read
// up to the cut.
TEST_F(StreamClientTest, NEG_103_MessagesSplitAtEveryByte) {
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  set_up(client, peer.address());
  const Buffer data = copy(as_bytes("seven77"));
  const Buffer whole = channel_data(0x4001, data) + binding() + channel_data(0x4001, data);
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    const Buffer first(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut));
    const Buffer second(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
    ASSERT_EQ(client.ask(binding() + first), Class::kSuccess) << cut;
    ASSERT_TRUE(client.write(second));
    ASSERT_FALSE(client.next().empty()) << cut;
    for (int i = 0; i < 2; ++i) EXPECT_EQ(peer.receive(), data) << cut;
  }
}

TEST_F(StreamClientTest, NEG_103_OneByteAtATime) {
  start();
  StreamPeer client(tcp_);
  const Buffer message = allocate();
  for (const std::byte b : message) ASSERT_TRUE(client.write(Bytes(&b, 1)));
  EXPECT_FALSE(client.next().empty());
  EXPECT_EQ(observer_.created, 1);
}

TEST_F(StreamClientTest, NEG_104_ManyMessagesInOneSegment) {
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  set_up(client, peer.address());
  Buffer burst;
  for (std::uint32_t i = 0; i < 400; ++i) burst = burst + channel_data(0x4001, numbered(i, 1100));
  ASSERT_TRUE(client.write(burst));
  for (std::uint32_t i = 0; i < 400; ++i) {
    const auto heard = peer.receive();
    ASSERT_TRUE(heard.has_value()) << i;
    ASSERT_EQ(heard->size(), 1100U);
    EXPECT_EQ(load_be32(heard->data()), i);
  }
}

// Longer than what is read at once, in small pieces.
TEST_F(StreamClientTest, NEG_109_TheLongestChannelDataArrivesOrIsDroppedWhole) {
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  set_up(client, peer.address());
  for (const std::size_t size : {std::size_t{5000}, std::size_t{60000}, std::size_t{65507}}) {
    const Buffer message = channel_data(0x4001, numbered(7, size));
    for (std::size_t at = 0; at < message.size(); at += 1009) {
      ASSERT_TRUE(client.write(Bytes(message).subspan(at, std::min<std::size_t>(1009, message.size() - at))));
    }
    const auto heard = peer.receive();
    ASSERT_TRUE(heard.has_value()) << size;
    EXPECT_EQ(heard->size(), size);
  }
  ASSERT_TRUE(client.write(channel_data(0x4001, Buffer(65535))));  // no datagram is that long
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);
}

TEST_F(StreamClientTest, NEG_106_AStrangerMayNotAnnounceALongMessage) {
  start();
  StreamPeer client(tcp_);
  Buffer message = binding();
  store_be16(message.data() + 2, 0xFFFC);
  ASSERT_TRUE(client.write(message));
  EXPECT_TRUE(client.is_ended());
}

TEST_F(StreamClientTest, NEG_107_BrokenFramingEndsConnectionAndAllocation) {
  start();
  for (const std::string_view garbage : {std::string_view("\x00\x01\x00\x03\x21\x12\xA4\x42", 8),
                                         std::string_view("\x00\x01\x00\x00\xDE\xAD\xBE\xEF", 8),
                                         std::string_view("\xFF\xFF", 2), std::string_view("\x16\x03\x01", 3)}) {
    const int created = observer_.created;
    StreamPeer client(tcp_);
    ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
    ASSERT_TRUE(client.write(garbage));
    EXPECT_TRUE(client.is_ended());
    EXPECT_TRUE(eventually(0, [](Worker& w) { return w.engine().allocations() == 0; }));
    EXPECT_EQ(observer_.created, created + 1);
  }
}

TEST_F(StreamClientTest, NEG_108_WithoutItsPaddingTheNextMessageIsBroken) {
  start();
  UdpPeer peer;
  StreamPeer client(tcp_);
  set_up(client, peer.address());
  ASSERT_TRUE(client.write(channel_data(0x4001, as_bytes("abc"), false) + binding()));
  EXPECT_EQ(peer.receive(), copy(as_bytes("abc")));  // its first byte passes for the padding
  EXPECT_TRUE(client.is_ended());
}

TEST_F(StreamClientTest, NEG_112_FramesOfRfc4571AreNotTurns) {
  start();
  StreamPeer client(tcp_);
  Buffer framed(2);
  store_be16(framed.data(), 20);
  ASSERT_TRUE(client.write(framed + binding()));
  EXPECT_EQ(client.read_to_end(), "");
  EXPECT_TRUE(client.is_ended());
}

TEST_F(StreamClientTest, NEG_105_GarbageOnANewConnectionIsClosedWithoutAnAnswer) {
  start();
  for (const std::string_view garbage :
       {std::string_view("GET / HTTP/1.1\r\n\r\n"), std::string_view("\x16\x03\x01\x00\x05hello", 10),
        std::string_view("\x40\x01\x00\x00", 4), std::string_view("SSH-2.0-x\r\n")}) {
    StreamPeer client(tcp_);
    ASSERT_TRUE(client.write(garbage));
    EXPECT_EQ(client.read_to_end(), "") << garbage;
    EXPECT_TRUE(client.is_ended());
  }
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.streams().sessions() == 0; }));
}

TEST_F(StreamClientTest, NEG_110_HalfClosedAfterTheRequestIsAnsweredThenClosed) {
  start();
  StreamPeer client(tcp_);
  ASSERT_TRUE(client.write(binding() + allocate()));
  client.stream().end_output();
  EXPECT_FALSE(client.next().empty());
  EXPECT_FALSE(client.next().empty());
  EXPECT_TRUE(client.is_ended());
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.engine().allocations() == 0; }));
}

TEST_F(StreamClientTest, AResetEndsTheAllocation) {
  start();
  {
    StreamPeer client(tcp_);
    ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
    const linger now{1, 0};
    ASSERT_EQ(::setsockopt(client.stream().fd(), SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
  }
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.engine().allocations() == 0 && w.streams().sessions() == 0; }));
}

// A client that does not read: its queue stays within its bound, whole messages are dropped, others do not notice, and
// when it reads again, it gets what was queued, in order.
TEST_F(StreamClientTest, NEG_111_ASlowReaderLosesMediaAndNothingElse) {
  config_.limits.queue_bytes = 64 * 1024;
  start(1, {}, 16 * 1024);
  UdpPeer peer;
  StreamPeer slow(StreamPeer::connected_with_small_buffer(tcp_), nullptr);
  set_up(slow, peer.address());
  const engine::FiveTuple tuple{slow.local(), tcp_, engine::Transport::kTcp};
  const auto queued = [tuple](Worker& w) {
    const engine::Allocation* allocation = w.engine().find(tuple, w.loop().now());
    return allocation == nullptr ? std::size_t{0} : static_cast<StreamClient&>(*allocation->path).queued();
  };
  ASSERT_TRUE(slow.write(channel_data(0x4001, as_bytes("hello"))));
  Address relay;
  ASSERT_TRUE(peer.receive(&relay).has_value());

  UdpPeer other_peer;
  StreamPeer other(tcp_);
  set_up(other, other_peer.address());

  std::uint32_t sent = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 25; ++i) peer.send(relay, numbered(sent++, 1101));
    ASSERT_TRUE(other.write(channel_data(0x4001, as_bytes("ping"))));
    ASSERT_TRUE(other_peer.receive().has_value()) << round;
    EXPECT_LE(in_worker(0, queued), config_.limits.queue_bytes);
  }
  EXPECT_GT(in_worker(0, queued), config_.limits.queue_bytes - 1200);
  const int large = 1 << 20;
  ASSERT_EQ(::setsockopt(slow.stream().fd(), SOL_SOCKET, SO_RCVBUF, &large, sizeof(large)), 0);
  // Signalling still fits into the reserve.
  const Buffer question = binding();
  ASSERT_TRUE(slow.write(question));
  std::uint32_t heard = 0;
  std::int64_t last = -1;
  for (;;) {
    const Buffer message = slow.next();
    ASSERT_FALSE(message.empty());
    if (load_be16(message.data()) != 0x4001) break;  // the answer
    ASSERT_EQ(message.size(), 4U + 1101U);
    const std::int64_t number = load_be32(message.data() + 4);
    EXPECT_GT(number, last);
    last = number;
    ++heard;
  }
  EXPECT_LT(heard, sent);
  EXPECT_GE(heard, config_.limits.queue_bytes / 1200);
  EXPECT_TRUE(eventually(0, [&](Worker& w) { return queued(w) == 0; }));
}

TEST_F(StreamClientTest, NEG_111_AClientThatAsksButNeverReadsIsClosed) {
  config_.limits.queue_bytes = 16 * 1024;
  start(1, {}, 8 * 1024);
  StreamPeer client(StreamPeer::connected_with_small_buffer(tcp_), nullptr);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  bool open = true;
  while (open && std::chrono::steady_clock::now() < end) open = client.write(binding());
  EXPECT_FALSE(open);
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.streams().sessions() == 0; }));
}

TEST_F(StreamClientTest, NEG_111_AClientThatTakesNothingForTooLongIsClosed) {
  config_.limits.stalled = std::chrono::milliseconds(500);
  start(1, {}, 16 * 1024);
  UdpPeer peer;
  StreamPeer client(StreamPeer::connected_with_small_buffer(tcp_), nullptr);
  set_up(client, peer.address());
  ASSERT_TRUE(client.write(channel_data(0x4001, as_bytes("hello"))));
  Address relay;
  ASSERT_TRUE(peer.receive(&relay).has_value());
  for (std::uint32_t i = 0; i < 200; ++i) peer.send(relay, numbered(i, 1100));
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.engine().allocations() == 0 && w.streams().sessions() == 0; }));
}

TEST_F(StreamClientTest, WithoutAnAllocationAConnectionEndsInTime) {
  config_.limits.without_allocation = std::chrono::milliseconds(300);
  start();
  StreamPeer with(tcp_);
  ASSERT_EQ(with.ask(allocate()), Class::kSuccess);
  StreamPeer without(tcp_);
  ASSERT_EQ(without.ask(binding()), Class::kSuccess);
  EXPECT_TRUE(without.is_ended());
  EXPECT_EQ(with.ask(binding()), Class::kSuccess);
}

TEST_F(StreamClientTest, SilentConnectionsEndInTimeAndMakeRoomForOthers) {
  config_.limits.opening = std::chrono::milliseconds(300);
  config_.limits.max_half_open = 4;
  start();
  StreamPeer client(tcp_);
  ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
  std::vector<std::unique_ptr<StreamPeer>> silent;
  for (int i = 0; i < 12; ++i) silent.push_back(std::make_unique<StreamPeer>(tcp_));
  StreamPeer honest(tcp_);
  EXPECT_EQ(honest.ask(allocate()), Class::kSuccess);
  EXPECT_LE(in_worker(0, [](Worker& w) { return w.streams().half_open(); }), 4U);
  for (auto& peer : silent) EXPECT_TRUE(peer->is_ended());
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);  // was older, but had an allocation
}

TEST_F(StreamClientTest, ConnectionsOfOneSourceAreCounted) {
  config_.limits.max_connections_per_ip = 3;
  start(2);
  std::vector<std::unique_ptr<StreamPeer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(std::make_unique<StreamPeer>(tcp_));
    ASSERT_EQ(peers.back()->ask(binding()), Class::kSuccess);
  }
  StreamPeer refused(tcp_);
  EXPECT_TRUE(refused.is_ended());
  peers.pop_back();
  // Its place is free as soon as the server has seen the end.
  bool admitted = false;
  for (int i = 0; i < 1000 && !admitted; ++i) {
    StreamPeer next(tcp_);
    admitted = next.ask(binding()) == Class::kSuccess;
  }
  EXPECT_TRUE(admitted);
}

// Out of descriptors: accepting pauses, nothing spins, and goes on when there are some again.
TEST_F(StreamClientTest, AcceptingGoesOnAfterDescriptorsRanOut) {
  start();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  net::UniqueFd second;
  {
    rlimit low = before;
    low.rlim_cur = 200;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    std::vector<net::UniqueFd> hoard;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) hoard.emplace_back(fd);
    if (!hoard.empty()) hoard.pop_back();
    auto connecting = net::tcp_connect(tcp_);
    ASSERT_TRUE(connecting) << connecting.error().text;
    second = *std::move(connecting);
    ASSERT_TRUE(wait_for(second.get(), POLLOUT));
    // The pause shows: with a free descriptor only the sweep takes the connection in.
    EXPECT_EQ(in_worker(0, [](Worker& w) { return w.streams().sessions(); }), 0U);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  }
  StreamPeer client(std::move(second), nullptr);
  EXPECT_EQ(client.ask(binding()), Class::kSuccess);
}

TEST_F(StreamClientTest, TURN_010_TlsClientsRelayInBothVersions) {
  config_.tls = server_tls();
  start();
  for (const net::TlsVersion version : {net::TlsVersion::kTls12, net::TlsVersion::kTls13}) {
    net::TlsClientRules rules;
    rules.maximum = version;
    rules.alpn = {std::string(net::kAlpnTurn)};
    UdpPeer peer;
    StreamPeer client(tcp_, client_tls(rules));
    set_up(client, peer.address());
    EXPECT_EQ(static_cast<net::TlsStream&>(client.stream()).alpn(), net::kAlpnTurn);
    Buffer burst;
    for (std::uint32_t i = 0; i < 300; ++i) burst = burst + channel_data(0x4001, numbered(i, 1100));
    ASSERT_TRUE(client.write(burst));
    Address relay;
    for (std::uint32_t i = 0; i < 300; ++i) {
      const auto heard = peer.receive(&relay);
      ASSERT_TRUE(heard.has_value()) << i;
      EXPECT_EQ(load_be32(heard->data()), i);
    }
    for (std::uint32_t i = 0; i < 100; ++i) {
      peer.send(relay, numbered(i, 1001));
      const Buffer message = client.next();
      ASSERT_EQ(message.size(), 4U + 1001U);
      EXPECT_EQ(load_be32(message.data() + 4), i);
    }
  }
}

// RFC 8016 and RFC 6062 may need a connection on another worker: nothing of it is lost on the way.
TEST_F(StreamClientTest, AConnectionMovesToAnotherWorkerWithItsBytes) {
  config_.tls = server_tls();
  start(2);
  for (const bool tls : {false, true}) {
    StreamPeer client(tcp_, tls ? client_tls() : nullptr);
    ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
    const engine::FiveTuple tuple{client.local(), tcp_, tls ? engine::Transport::kTls : engine::Transport::kTcp};
    const unsigned from =
        in_worker(0, [&](Worker& w) { return w.engine().find(tuple, w.loop().now()) != nullptr; }) ? 0 : 1;
    const Buffer question = binding();
    ASSERT_EQ(client.ask(binding() + Buffer(question.begin(), question.begin() + 7)), Class::kSuccess);
    in_worker(from, [&](Worker& w) {
      auto& moving = static_cast<StreamClient&>(*w.engine().find(tuple, w.loop().now())->path);
      w.engine().on_path_closed(tuple, "test");
      w.hand_over_stream(1 - from, moving.detach(false));
    });
    ASSERT_TRUE(client.write(Buffer(question.begin() + 7, question.end())));
    EXPECT_FALSE(client.next().empty());
    ASSERT_EQ(client.ask(allocate()), Class::kSuccess);
    EXPECT_TRUE(in_worker(1 - from, [&](Worker& w) { return w.engine().find(tuple, w.loop().now()) != nullptr; }));
  }
}

}  // namespace
}  // namespace turnkit::relay
