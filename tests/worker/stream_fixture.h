// What the tests of TCP, TLS and DTLS clients share: workers with stream listeners on free ports of loopback, and
// clients that wait for events, at most kPatience.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/credentials.h"
#include "base/random.h"
#include "net/sockaddr.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/udp_batch.h"
#include "stun/builder.h"
#include "stun/classify.h"
#include "stun/framer.h"
#include "stun/message.h"
#include "tests/support/certificates.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay::testing {

inline constexpr IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
inline constexpr std::chrono::seconds kPatience{10};

using Buffer = std::vector<std::byte>;

inline Buffer copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
inline Buffer operator+(Buffer a, const Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Waits until the descriptor is ready; false after kPatience.
inline bool wait_for(int fd, short events) {
  pollfd ready{fd, events, 0};
  return ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
}

// Messages.

inline stun::TransactionId new_id() {
  static std::atomic<std::uint32_t> next = 1;
  stun::TransactionId id{};
  store_be32(id.bytes.data(), next++);
  return id;
}
inline Buffer request(stun::Method method, const std::function<void(stun::Builder&)>& fill = nullptr) {
  std::array<std::byte, 512> space;
  stun::Builder builder(space, stun::Class::kRequest, method, new_id());
  if (fill) fill(builder);
  return copy(*builder.finish());
}
inline Buffer binding() { return request(stun::Method::kBinding); }
inline Buffer allocate() {
  return request(stun::Method::kAllocate, [](stun::Builder& b) { b.requested_transport(17); });
}
inline Buffer channel_bind(std::uint16_t channel, const Address& peer) {
  return request(stun::Method::kChannelBind,
                 [&](stun::Builder& b) { b.channel_number(channel).xor_address(stun::Attr::kXorPeerAddress, peer); });
}
inline Buffer channel_data(std::uint16_t channel, Bytes data, bool padded = true) {
  Buffer out(4);
  stun::write_channel_header(out.data(), channel, data.size());
  out.insert(out.end(), data.begin(), data.end());
  if (padded) out.resize((out.size() + 3) & ~std::size_t{3});
  return out;
}

// A blocking client of a stream server, plain or under TLS.
class StreamPeer {
 public:
  explicit StreamPeer(const Address& server, std::shared_ptr<net::TlsClientContext> tls = nullptr,
                      const Buffer& before_tls = {})
      : StreamPeer(connected(server), std::move(tls), before_tls) {}
  StreamPeer(net::UniqueFd fd, std::shared_ptr<net::TlsClientContext> tls, const Buffer& before_tls = {}) {
    if (!wait_for(fd.get(), POLLOUT)) throw std::runtime_error("not connected");
    local_ = net::local_address(fd.get()).value();
    stream_ = net::make_tcp_stream(std::move(fd));
    write(before_tls);
    if (tls == nullptr) return;
    net::UniqueFd again(::dup(stream_->fd()));
    stream_ = net::make_tls_client_stream(std::move(again), std::move(tls));
  }

  static net::UniqueFd connected(const Address& server) {
    auto fd = net::tcp_connect(server);
    if (!fd) throw std::runtime_error(fd.error().text);
    return *std::move(fd);
  }

  // With a small receive buffer from the start, so that the window is honest.
  static net::UniqueFd connected_with_small_buffer(const Address& server) {
    net::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int small = 4096;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    net::SockAddr name;
    const socklen_t size = net::to_sockaddr(server, name);
    if (::connect(fd.get(), &name.base, size) != 0 || ::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) {
      throw std::runtime_error("connect");
    }
    return fd;
  }

  [[nodiscard]] const Address& local() const { return local_; }
  [[nodiscard]] net::Stream& stream() { return *stream_; }

  // False: the server has ended the connection.
  bool write(Bytes data) {
    while (!data.empty()) {
      const net::StreamIo io = stream_->write(data);
      if (io.state == net::StreamIo::State::kDone) {
        data = data.subspan(io.bytes);
      } else if (!wait_until_ready(io.state)) {
        return false;
      }
    }
    return true;
  }
  bool write(std::string_view text) { return write(as_bytes(text)); }

  // The next message or ChannelData; empty when the connection has ended.
  Buffer next() {
    for (;;) {
      const stun::Frame frame = stun::next_frame(received_, stun::kRfc5766Channels);
      if (frame.kind == stun::Frame::Kind::kBroken) throw std::runtime_error("broken frame from the server");
      if (frame.kind != stun::Frame::Kind::kNeedMore) {
        Buffer out = copy(frame.message);
        received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(frame.size));
        return out;
      }
      if (!read_some()) return {};
    }
  }
  // Sends a request; its answer's class, or nullopt.
  std::optional<stun::Class> ask(const Buffer& message) {
    if (!write(message)) return std::nullopt;
    answer_ = next();
    const auto parsed = stun::MessageView::parse(answer_);
    return parsed ? std::optional(parsed->cls()) : std::nullopt;
  }
  [[nodiscard]] std::optional<Address> address_in_answer(stun::Attr attribute) const {
    const auto parsed = stun::MessageView::parse(answer_);
    const auto found = parsed ? parsed->find(attribute) : std::nullopt;
    return found ? stun::decode_xor_address(found->value, parsed->transaction_id()) : std::nullopt;
  }
  // Exactly so many bytes, or fewer when the connection ends.
  Buffer read(std::size_t size) {
    while (received_.size() < size && read_some()) {
    }
    const auto end = received_.begin() + static_cast<std::ptrdiff_t>(std::min(size, received_.size()));
    Buffer out(received_.begin(), end);
    received_.erase(received_.begin(), end);
    return out;
  }
  std::string read_to_end() {
    while (read_some()) {
    }
    return std::string(as_text(received_));
  }
  // Whether the server ends the connection in time, whatever it says before.
  bool is_ended() {
    read_to_end();
    return ended_;
  }

 private:
  bool wait_until_ready(net::StreamIo::State state) {
    if (state == net::StreamIo::State::kWantRead) return wait_for(stream_->fd(), POLLIN);
    return state == net::StreamIo::State::kWantWrite && wait_for(stream_->fd(), POLLOUT);
  }
  bool read_some() {
    Buffer space(65536);
    for (;;) {
      const net::StreamIo io = stream_->read(space);
      if (io.state == net::StreamIo::State::kDone) {
        received_.insert(received_.end(), space.begin(), space.begin() + static_cast<std::ptrdiff_t>(io.bytes));
        return true;
      }
      ended_ = io.state == net::StreamIo::State::kEnd || io.state == net::StreamIo::State::kFailed;
      if (ended_ || !wait_until_ready(io.state)) return false;
    }
  }

  Address local_;
  std::unique_ptr<net::Stream> stream_;
  Buffer received_;
  Buffer answer_;
  bool ended_ = false;
};

// A UDP peer, used from one thread.
class UdpPeer {
 public:
  UdpPeer() : socket_(*net::UdpSocket::bind({kLoopback, 0}, options())) {}
  [[nodiscard]] const Address& address() const { return socket_.local(); }
  void send(const Address& to, Bytes data, std::uint8_t tos = 0) {
    sending_.add({&socket_, to, {}, data, tos, nullptr});
    sending_.flush();
  }
  // All at once: where they are of one size, the server gets them as one run.
  void send_run(const Address& to, const std::vector<Buffer>& datagrams) {
    for (const Buffer& data : datagrams) sending_.add({&socket_, to, {}, data, 0, nullptr});
    sending_.flush();
  }
  [[nodiscard]] std::uint8_t last_tos() const { return tos_; }
  // The next datagram's content; nullopt after kPatience.
  std::optional<Buffer> receive(Address* from = nullptr) {
    while (queue_.empty()) {
      if (!wait_for(socket_.fd(), POLLIN)) return std::nullopt;
      for (const net::Datagram& datagram : received_.receive(socket_).datagrams) {
        source_ = datagram.source;
        tos_ = datagram.tos;
        datagram.for_each_segment([&](Bytes segment) { queue_.push_back(copy(segment)); });
      }
      received_.clear();
    }
    Buffer out = std::move(queue_.front());
    queue_.erase(queue_.begin());
    if (from != nullptr) *from = source_;
    return out;
  }

 private:
  static net::UdpOptions options() {
    net::UdpOptions out;
    out.receive_buffer = 4 << 20;
    out.receive_tos = true;
    return out;
  }
  net::UdpSocket socket_;
  net::RecvBatch received_{16};
  net::SendBatch sending_;
  std::vector<Buffer> queue_;
  Address source_;
  std::uint8_t tos_ = 0;
};

class CountingObserver final : public engine::Observer {
 public:
  void on_event(const engine::Event& event) override {
    if (event.kind == engine::Event::Kind::kAllocationCreated) ++created;
    if (event.kind == engine::Event::Kind::kAllocationDeleted) ++deleted;
  }
  void on_request(const engine::RequestEvent&) override {}

  std::atomic<int> created = 0;
  std::atomic<int> deleted = 0;
};

inline std::shared_ptr<const net::TlsContext> server_tls() {
  static const std::shared_ptr<const net::TlsContext> context = [] {
    const turnkit::testing::Certificate certificate;
    net::TlsMaterial material;
    material.certificate = certificate.pem();
    material.key = certificate.key_pem();
    net::TlsRules rules;
    rules.alpn = {std::string(net::kAlpnTurn), std::string(net::kAlpnNatDiscovery)};
    auto made = net::TlsContext::make(material, rules);
    if (!made) throw std::runtime_error(made.error().text);
    return *made;
  }();
  return context;
}

inline std::shared_ptr<net::TlsClientContext> client_tls(const net::TlsClientRules& rules = {}) {
  auto made = net::TlsClientContext::make(rules);
  if (!made) throw std::runtime_error(made.error().text);
  return *made;
}

class StreamFixture : public ::testing::Test {
 protected:
  // `config` may be changed before; the listeners are plain and TLS alike.
  void start(unsigned workers = 1, const StreamListenerOptions& listener = {}, int send_buffer = 0) {
    auto shared = std::make_shared<ConnectionCounts>();
    auto stream_config = std::make_shared<const StreamConfig>(config_);
    std::vector<Worker*> peers;
    for (unsigned i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(
          i, std::make_shared<engine::Rules>(engine::Rules{engine_config_, authenticator_, policy_}),
          WorkerSurroundings{ports_, quotas_, observer_, shared}));
      Worker& worker = *workers_.back();
      peers.push_back(&worker);
      net::TcpListenOptions options;
      options.reuse_port = true;
      options.send_buffer = send_buffer;
      auto listening = net::tcp_listen(tcp_, options);
      ASSERT_TRUE(listening) << listening.error().text;
      tcp_ = net::local_address(listening->get()).value();
      worker.add_stream_listener(*std::move(listening), listener);
      net::UdpOptions udp_options;
      udp_options.reuse_port = true;
      auto socket = net::UdpSocket::bind(udp_, udp_options);
      ASSERT_TRUE(socket) << socket.error().text;
      udp_ = socket->local();
      worker.add_listener(*std::move(socket));
      worker.set_stream_config(stream_config);
    }
    for (Worker* worker : peers) worker->set_peers(peers);
    for (Worker* worker : peers) worker->start();
  }
  void TearDown() override {
    for (const auto& worker : workers_) worker->stop();
    EXPECT_EQ(observer_.created, observer_.deleted);
  }

  // Runs `f` in the worker's thread and waits for it.
  template <typename F>
  auto in_worker(unsigned index, F f) {
    using R = decltype(f(*workers_[index]));
    auto promise = std::make_shared<std::promise<R>>();
    auto future = promise->get_future();
    workers_[index]->loop().post([this, index, f, promise] {
      if constexpr (std::is_void_v<R>) {
        f(*workers_[index]);
        promise->set_value();
      } else {
        promise->set_value(f(*workers_[index]));
      }
    });
    return future.get();
  }
  // Waits until `f` is true in the worker's thread; false after kPatience.
  template <typename F>
  bool eventually(unsigned index, F f) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      if (in_worker(index, f)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
  // A client with an allocation and channel 0x4001 to `peer`.
  void set_up(StreamPeer& client, const Address& peer) {
    ASSERT_EQ(client.ask(allocate()), stun::Class::kSuccess);
    ASSERT_EQ(client.ask(channel_bind(0x4001, peer)), stun::Class::kSuccess);
  }

  StreamConfig config_;
  engine::EngineConfig engine_config_ = [] {
    engine::EngineConfig out;
    out.authenticate = false;
    return out;
  }();
  Address tcp_{kLoopback, 0};
  Address udp_{kLoopback, 0};
  auth::RestSecrets secrets_{{"north"}};
  SystemRandom random_;
  auth::Authenticator authenticator_{
      {"worker.test", std::chrono::seconds(600)}, secrets_, auth::NonceKey::random(random_)};
  turnd::PeerPolicy policy_ = [] {
    turnd::PeerRules rules;
    rules.allow_loopback = true;
    return turnd::PeerPolicy(rules);
  }();
  PortPool ports_{{{kLoopback}, 49152, 65535, {}}};
  CountingObserver observer_;
  engine::Quotas quotas_{engine::QuotaLimits{}};
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace turnkit::relay::testing
