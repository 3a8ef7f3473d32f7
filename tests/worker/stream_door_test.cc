// The front door of TCP connections: PROXY headers, TLS or plain on one port, backends for what is not TURN.
#include <thread>

#include "net/proxy_protocol.h"
#include "stream_fixture.h"
#include "turnd/relay/streams.h"

namespace turnkit::relay {
namespace {

using namespace testing;
using stun::Class;

const Address kFar{IpAddress::v4(198, 51, 100, 7), 40000};
const Address kFront{IpAddress::v4(203, 0, 113, 9), 443};

// A listening socket that takes one connection at a time.
class Backend {
 public:
  Backend() : listening_(*net::tcp_listen({kLoopback, 0})) {}
  [[nodiscard]] Address address() const { return net::local_address(listening_.get()).value(); }
  net::UniqueFd accept() {
    if (!wait_for(listening_.get(), POLLIN)) throw std::runtime_error("nobody came to the backend");
    return std::move(net::tcp_accept(listening_.get()).fd);
  }

 private:
  net::UniqueFd listening_;
};

class StreamDoorTest : public StreamFixture {
 protected:
  static StreamListenerOptions behind_proxy() {
    StreamListenerOptions out;
    out.proxy_protocol = true;
    return out;
  }
  bool door_is_empty() {
    return eventually(0, [](Worker& w) { return w.streams().sessions() == 0; });
  }
};

TEST_F(StreamDoorTest, PlainAndTlsShareAPort) {
  config_.tls = server_tls();
  start();
  StreamPeer plain(tcp_);
  EXPECT_EQ(plain.ask(binding()), Class::kSuccess);
  EXPECT_EQ(plain.address_in_answer(stun::Attr::kXorMappedAddress), plain.local());
  StreamPeer tls(tcp_, client_tls());
  EXPECT_EQ(tls.ask(binding()), Class::kSuccess);
  EXPECT_EQ(tls.address_in_answer(stun::Attr::kXorMappedAddress), tls.local());
}

TEST_F(StreamDoorTest, APortMayBeForTlsOrForPlainOnly) {
  config_.tls = server_tls();
  StreamListenerOptions tls_only;
  tls_only.accept_plain = false;
  start(1, tls_only);
  StreamPeer plain(tcp_);
  EXPECT_EQ(plain.ask(binding()), std::nullopt);
  StreamPeer tls(tcp_, client_tls());
  EXPECT_EQ(tls.ask(binding()), Class::kSuccess);

  StreamListenerOptions plain_only;
  plain_only.accept_tls = false;
  tcp_.port = udp_.port = 0;
  workers_.front()->stop();
  workers_.clear();
  start(1, plain_only);
  StreamPeer refused(tcp_, client_tls());
  EXPECT_EQ(refused.ask(binding()), std::nullopt);
  StreamPeer taken(tcp_);
  EXPECT_EQ(taken.ask(binding()), Class::kSuccess);
}

// More than one turn begins: the others wait their turn, and none is forgotten.
TEST_F(StreamDoorTest, ManyHandshakesAtOnceAllSucceed) {
  config_.tls = server_tls();
  start();
  constexpr std::size_t kClients = 40;
  const auto context = client_tls();
  std::vector<std::unique_ptr<net::TlsStream>> clients;
  in_worker(0, [&](Worker&) {
    // While the worker is busy with this, all of them say hello.
    for (std::size_t i = 0; i < kClients; ++i) {
      net::UniqueFd fd = StreamPeer::connected(tcp_);
      if (!wait_for(fd.get(), POLLOUT)) throw std::runtime_error("not connected");
      clients.push_back(net::make_tls_client_stream(std::move(fd), context));
      clients.back()->handshake();
    }
    return true;
  });
  for (const auto& client : clients) {
    net::StreamIo io{};
    while ((io = client->handshake()).state == net::StreamIo::State::kWantRead) {
      ASSERT_TRUE(wait_for(client->fd(), POLLIN));
    }
    EXPECT_EQ(io.state, net::StreamIo::State::kDone);
  }
}

TEST_F(StreamDoorTest, ANewConfigurationHoldsForNewConnections) {
  start();
  StreamPeer before(tcp_);
  ASSERT_EQ(before.ask(binding()), Class::kSuccess);
  StreamPeer refused(tcp_, client_tls());
  EXPECT_EQ(refused.ask(binding()), std::nullopt);
  config_.tls = server_tls();
  workers_.front()->set_stream_config(std::make_shared<const StreamConfig>(config_));
  StreamPeer after(tcp_, client_tls());
  EXPECT_EQ(after.ask(binding()), Class::kSuccess);
  EXPECT_EQ(before.ask(binding()), Class::kSuccess);
}

TEST_F(StreamDoorTest, ProxyHeadersGiveTheAddressesAndMayComeInPieces) {
  config_.tls = server_tls();
  start(1, behind_proxy());
  const Buffer v1 = copy(as_bytes(net::proxy_header_v1(kFar, kFront)));
  for (const Buffer& header : {v1, net::proxy_header_v2(kFar, kFront)}) {
    for (const bool with_tls : {false, true}) {
      StreamPeer client(tcp_, with_tls ? client_tls() : nullptr, header);
      EXPECT_EQ(client.ask(binding()), Class::kSuccess);
      EXPECT_EQ(client.address_in_answer(stun::Attr::kXorMappedAddress), kFar);
    }
    StreamPeer slow(tcp_);
    for (const std::byte b : header) ASSERT_TRUE(slow.write(Bytes(&b, 1)));
    EXPECT_EQ(slow.ask(binding()), Class::kSuccess);
    EXPECT_EQ(slow.address_in_answer(stun::Attr::kXorMappedAddress), kFar);
  }
  // LOCAL: a health check of the proxy itself.
  Buffer local = net::proxy_header_v2(kFar, kFront);
  local[12] = std::byte{0x20};
  StreamPeer check(tcp_, nullptr, local);
  EXPECT_EQ(check.ask(binding()), Class::kSuccess);
  EXPECT_EQ(check.address_in_answer(stun::Attr::kXorMappedAddress), check.local());
}

TEST_F(StreamDoorTest, WithoutItsProxyHeaderAConnectionIsClosed) {
  start(1, behind_proxy());
  StreamPeer client(tcp_);
  EXPECT_EQ(client.ask(binding()), std::nullopt);
  EXPECT_TRUE(door_is_empty());
}

TEST_F(StreamDoorTest, AHeaderAloneEndsInTimeAndAHalfOneAtItsEnd) {
  config_.limits.opening = std::chrono::milliseconds(300);
  start(1, behind_proxy());
  const Buffer header = net::proxy_header_v2(kFar, kFront);
  StreamPeer silent(tcp_, nullptr, header);
  {
    StreamPeer half(tcp_, nullptr, Buffer(header.begin(), header.begin() + 14));
    ASSERT_TRUE(eventually(0, [](Worker& w) { return w.streams().sessions() == 2; }));
  }
  EXPECT_TRUE(eventually(0, [](Worker& w) { return w.streams().sessions() == 1; }));
  EXPECT_TRUE(silent.is_ended());
}

// RFC 7443: what asks for another protocol, or another host, goes to the web server as it came.
TEST_F(StreamDoorTest, TlsForOthersGoesToTheBackendUntouched) {
  Backend backend;
  config_.tls = server_tls();
  config_.tls_backend = backend.address();
  config_.turn_names = {"turn.example.org"};
  start();
  const auto connect = [&](const std::string& name, const std::vector<std::string>& alpn) {
    net::TlsClientRules rules;
    rules.server_name = name;
    rules.alpn = alpn;
    return StreamPeer(tcp_, client_tls(rules));
  };
  StreamPeer by_name = connect("turn.example.org", {});
  EXPECT_EQ(by_name.ask(binding()), Class::kSuccess);
  StreamPeer by_protocol = connect("www.example.org", {"stun.turn"});
  EXPECT_EQ(by_protocol.ask(binding()), Class::kSuccess);
  StreamPeer anonymous = connect("", {});
  EXPECT_EQ(anonymous.ask(binding()), Class::kSuccess);

  for (const auto& [name, alpn] : {std::pair<std::string, std::vector<std::string>>{"www.example.org", {}},
                                   {"turn.example.org", {"h2", "http/1.1"}}}) {
    std::thread server([&] {
      // The backend makes its own handshake with the client: not a byte was lost.
      auto stream = net::make_tls_server_stream(backend.accept(), server_tls());
      net::StreamIo io = stream->handshake();
      while (io.state == net::StreamIo::State::kWantRead && wait_for(stream->fd(), POLLIN)) io = stream->handshake();
      ASSERT_EQ(io.state, net::StreamIo::State::kDone);
      Buffer space(100);
      while ((io = stream->read(space)).state == net::StreamIo::State::kWantRead)
        ASSERT_TRUE(wait_for(stream->fd(), POLLIN));
      EXPECT_EQ(as_text(Bytes(space).first(io.bytes)), "GET / HTTP/1.1\r\n\r\n");
      stream->write(as_bytes("HTTP/1.1 200 OK\r\n\r\nfrom the backend"));
      stream->end_output();
      while ((io = stream->read(space)).state != net::StreamIo::State::kEnd &&
             io.state != net::StreamIo::State::kFailed) {
        ASSERT_TRUE(wait_for(stream->fd(), POLLIN));
      }
    });
    StreamPeer web = connect(name, alpn);
    ASSERT_TRUE(web.write("GET / HTTP/1.1\r\n\r\n"));
    EXPECT_EQ(web.read_to_end(), "HTTP/1.1 200 OK\r\n\r\nfrom the backend");
    web.stream().end_output();
    server.join();
  }
}

// Plain HTTP and HTTP inside our own TLS; the backend may want to know from whom.
TEST_F(StreamDoorTest, HttpGoesToItsBackend) {
  Backend backend;
  config_.tls = server_tls();
  config_.http_backend = backend.address();
  for (const bool with_header : {false, true}) {
    config_.backend_proxy_header = with_header;
    start();
    for (const bool with_tls : {false, true}) {
      StreamPeer web(tcp_, with_tls ? client_tls() : nullptr);
      const std::string text = "POST /api HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
      ASSERT_TRUE(web.write(text));
      StreamPeer server(backend.accept(), nullptr);
      if (with_header) {
        const Buffer header = net::proxy_header_v2(web.local(), tcp_);
        EXPECT_EQ(server.read(header.size()), header);
      }
      EXPECT_EQ(as_text(server.read(text.size())), text);
      ASSERT_TRUE(server.write("HTTP/1.1 204 No Content\r\n\r\n"));
      server.stream().end_output();
      EXPECT_EQ(web.read_to_end(), "HTTP/1.1 204 No Content\r\n\r\n");
      // The other direction is still open.
      ASSERT_TRUE(web.write("more"));
      web.stream().end_output();
      EXPECT_EQ(server.read_to_end(), "more");
    }
    EXPECT_TRUE(door_is_empty());
    workers_.front()->stop();
    workers_.clear();
    tcp_.port = udp_.port = 0;
  }
}

TEST_F(StreamDoorTest, ABackendThatRefusesEndsTheConnection) {
  {
    Backend gone;
    config_.http_backend = gone.address();
  }
  start();
  StreamPeer web(tcp_);
  ASSERT_TRUE(web.write("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(web.is_ended());
  EXPECT_TRUE(door_is_empty());
}

TEST_F(StreamDoorTest, AcmeChallengesAreRedirectedPlainAndInTls) {
  config_.tls = server_tls();
  config_.acme_redirect = "http://acme.example.org/challenge/";
  start();
  for (const bool with_tls : {false, true}) {
    StreamPeer web(tcp_, with_tls ? client_tls() : nullptr);
    ASSERT_TRUE(web.write("GET /.well-known/acme-chal"));
    ASSERT_TRUE(web.write("lenge/tok-EN_1 HTTP/1.1\r\nHost: turn.example.org\r\n\r\n"));
    EXPECT_EQ(web.read_to_end(),
              "HTTP/1.1 301 Moved Permanently\r\nLocation: http://acme.example.org/challenge/tok-EN_1\r\n"
              "Content-Length: 0\r\nConnection: close\r\n\r\n");
  }
  StreamPeer other(tcp_);
  ASSERT_TRUE(other.write("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(other.read_to_end(), "");
}

TEST_F(StreamDoorTest, OtherHttpGetsAShortAnswerWhereThatIsWanted) {
  config_.respond_http = true;
  start();
  StreamPeer web(tcp_);
  ASSERT_TRUE(web.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string answer = web.read_to_end();
  EXPECT_EQ(answer.rfind("HTTP/1.1 400 ", 0), 0U) << answer;
  EXPECT_NE(answer.find("\r\n\r\n"), std::string::npos);
  web.stream().end_output();
  EXPECT_TRUE(door_is_empty());
}

// Much more than all buffers, into a reader that begins late: the tunnel waits, and nothing is lost.
TEST_F(StreamDoorTest, ATunnelHoldsBackWhatItsOtherEndDoesNotTake) {
  Backend backend;
  config_.tls = server_tls();
  config_.http_backend = backend.address();
  start();
  for (const bool with_tls : {false, true}) {
    StreamPeer web(tcp_, with_tls ? client_tls() : nullptr);
    ASSERT_TRUE(web.write("GET / HTTP/1.1\r\n\r\n"));
    StreamPeer server(backend.accept(), nullptr);
    ASSERT_EQ(server.read(18).size(), 18U);
    constexpr std::size_t kSize = 16 << 20;
    std::thread sender([&] {
      Buffer block(64 * 1024);
      for (std::size_t at = 0; at < kSize; at += block.size()) {
        store_be64(block.data(), at);
        ASSERT_TRUE(server.write(block));
      }
      server.stream().end_output();
    });
    std::size_t got = 0;
    for (Buffer block = web.read(64 * 1024); !block.empty(); block = web.read(64 * 1024)) {
      ASSERT_EQ(load_be64(block.data()), got);
      got += block.size();
    }
    EXPECT_EQ(got, kSize);
    sender.join();
    web.stream().end_output();
  }
  EXPECT_TRUE(door_is_empty());
}

TEST_F(StreamDoorTest, IdleAndHalfClosedTunnelsEndInTime) {
  Backend backend;
  config_.http_backend = backend.address();
  config_.limits.backend_half_closed = std::chrono::milliseconds(200);
  start();
  StreamPeer web(tcp_);
  ASSERT_TRUE(web.write("GET / HTTP/1.1\r\n\r\n"));
  StreamPeer server(backend.accept(), nullptr);
  web.stream().end_output();
  EXPECT_EQ(server.read_to_end(), "GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(web.is_ended());
  EXPECT_TRUE(door_is_empty());
}

}  // namespace
}  // namespace turnkit::relay
