// Several workers on one address, driven from several threads: what they share must hold, under ThreadSanitizer too.
#include "turnd/relay/worker.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <set>
#include <thread>

#include "auth/credentials.h"
#include "base/random.h"
#include "client/blocking_client.h"
#include "client/udp_client.h"

namespace turnkit::relay {
namespace {

constexpr IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);
constexpr std::chrono::seconds kPatience{10};

class CountingObserver final : public engine::Observer {
 public:
  void on_event(const engine::Event& event) override {
    if (event.kind == engine::Event::Kind::kAllocationCreated) ++created;
    if (event.kind == engine::Event::Kind::kAllocationDeleted) ++deleted;
  }
  void on_request(const engine::RequestEvent&) override { ++requests; }

  std::atomic<int> created = 0;
  std::atomic<int> deleted = 0;
  std::atomic<int> requests = 0;
};

turnd::PeerPolicy loopback_policy() {
  turnd::PeerRules rules;
  rules.allow_loopback = true;
  return turnd::PeerPolicy(rules);
}

net::UdpOptions relay_options() {
  net::UdpOptions options;
  options.receive_errors = true;
  return options;
}

// What turnd's Server puts together, on a free port of loopback.
class WorkerTest : public ::testing::Test {
 protected:
  void start(unsigned count, const engine::QuotaLimits& limits = {}, const engine::EngineConfig& config = {}) {
    quotas_ = std::make_unique<engine::Quotas>(limits);
    net::UdpOptions options;
    options.reuse_port = true;
    for (unsigned i = 0; i < count; ++i) {
      workers_.push_back(
          std::make_unique<Worker>(i, std::make_shared<engine::Rules>(engine::Rules{config, authenticator_, policy_}),
                                   WorkerSurroundings{ports_, *quotas_, observer_}));
      auto socket = net::UdpSocket::bind(server_, options);
      ASSERT_TRUE(socket) << socket.error().text;
      server_ = socket->local();
      workers_.back()->add_listener(*std::move(socket));
    }
    for (const auto& worker : workers_) worker->start();
  }
  void stop() {
    for (const auto& worker : workers_) worker->stop();
  }

  client::BlockingTurnClient client(client::SessionOptions session = {}) {
    session.credentials = client::Credentials::from_secret("north", "alice", read_clock().wall + std::chrono::hours(1));
    client::BlockingOptions options;
    options.session = std::move(session);
    auto opened = client::BlockingTurnClient::open(server_, options);
    if (!opened) throw std::runtime_error(opened.error().text);
    return *std::move(opened);
  }

  Address server_{kLoopback, 0};
  auth::RestSecrets secrets_{{"north"}};
  SystemRandom random_;
  auth::Authenticator authenticator_{
      {"worker.test", std::chrono::seconds(600)}, secrets_, auth::NonceKey::random(random_)};
  turnd::PeerPolicy policy_ = loopback_policy();
  PortPool ports_{{{kLoopback}, 49152, 65535, relay_options()}};
  CountingObserver observer_;
  std::unique_ptr<engine::Quotas> quotas_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// A socket that sends everything back until it is told to stop.
class Echo {
 public:
  Echo() : socket_(*net::UdpSocket::bind({kLoopback, 0})), thread_([this] { run(); }) {}
  ~Echo() {
    stopping_ = true;
    const auto wake = net::UdpSocket::bind({kLoopback, 0});
    net::SendBatch batch;
    batch.add({&const_cast<net::UdpSocket&>(*wake), socket_.local(), {}, {}, 0, nullptr});
    batch.flush();
    thread_.join();
  }
  [[nodiscard]] Address address() const { return socket_.local(); }

 private:
  void run() {
    net::RecvBatch received;
    net::SendBatch sending;
    while (!stopping_) {
      pollfd readable{socket_.fd(), POLLIN, 0};
      ::poll(&readable, 1, -1);
      for (const net::Datagram& datagram : received.receive(socket_).datagrams) {
        datagram.for_each_segment([&](Bytes data) { sending.add({&socket_, datagram.source, {}, data, 0, nullptr}); });
      }
      sending.flush();
      received.clear();
    }
  }

  std::atomic<bool> stopping_ = false;
  net::UdpSocket socket_;
  std::thread thread_;
};

TEST_F(WorkerTest, ClientsOnEveryWorkerRelayBothWays) {
  start(3);
  Echo peer;
  std::atomic<int> echoed = 0;
  std::vector<std::thread> clients;
  for (int t = 0; t < 6; ++t) {
    clients.emplace_back([&] {
      for (int i = 0; i < 4; ++i) {
        auto turn = client();
        const auto allocated = turn.allocate();
        ASSERT_TRUE(allocated) << allocated.error().text;
        const Status bound = turn.bind_channel(0x4001, peer.address());
        ASSERT_TRUE(bound) << bound.error().text;
        for (int n = 0; n < 5; ++n) {
          ASSERT_TRUE(turn.send_channel(0x4001, as_bytes("ping")));
          const auto answer = turn.receive(kPatience);
          ASSERT_TRUE(answer.has_value());
          EXPECT_EQ(as_text(answer->data), "ping");
          ++echoed;
        }
        if (i % 2 == 0) {
          const Status closed = turn.close();
          EXPECT_TRUE(closed) << closed.error().text;
        }
      }
    });
  }
  // Changes from outside the workers while they relay.
  for (int i = 0; i < 50; ++i) {
    const engine::ExternalIps ips(
        {{IpAddress::v4(203, 0, 113, static_cast<std::uint8_t>(i + 1)), IpAddress::v4(10, 0, 0, 1)}});
    for (const auto& worker : workers_) worker->set_external_ips(ips);
  }
  for (std::thread& thread : clients) thread.join();
  EXPECT_EQ(echoed, 6 * 4 * 5);
  EXPECT_EQ(observer_.created, 6 * 4);
  EXPECT_EQ(quotas_->total(), 6U * 2U);
  stop();
  EXPECT_EQ(observer_.deleted, 6 * 4);
  EXPECT_EQ(quotas_->total(), 0U);
}

// TURN-039: a reservation is the server's, whichever worker the token reaches.
TEST_F(WorkerTest, TURN_039_TokensWorkOnEveryWorker) {
  start(4);
  for (int i = 0; i < 12; ++i) {
    client::SessionOptions even;
    even.even_port = true;
    auto first = client(even);
    const auto allocated = first.allocate();
    ASSERT_TRUE(allocated) << allocated.error().text;
    ASSERT_TRUE(allocated->reservation_token.has_value());
    EXPECT_EQ(allocated->relayed.port % 2, 0);

    client::SessionOptions token;
    token.reservation_token = allocated->reservation_token;
    auto second = client(token);
    const auto claimed = second.allocate();
    ASSERT_TRUE(claimed) << claimed.error().text;
    EXPECT_EQ(claimed->relayed.port, allocated->relayed.port + 1);
  }
  stop();
}

TEST_F(WorkerTest, QuotaHoldsOverAllWorkers) {
  engine::QuotaLimits limits;
  limits.total = 5;
  start(4, limits);
  std::atomic<int> refused = 0;
  std::vector<std::thread> clients;
  std::vector<client::BlockingTurnClient> kept;
  std::mutex mutex;
  for (int t = 0; t < 12; ++t) {
    clients.emplace_back([&] {
      auto turn = client();
      if (turn.allocate()) {
        const std::lock_guard lock(mutex);
        kept.push_back(std::move(turn));
      } else if (turn.failure() && turn.failure()->code == 486) {
        ++refused;
      }
    });
  }
  for (std::thread& thread : clients) thread.join();
  EXPECT_EQ(kept.size(), 5U);
  EXPECT_EQ(refused, 7);
  stop();
}

TEST_F(WorkerTest, RelayedPortsAreUniqueAndComeBack) {
  start(2);
  std::set<std::uint16_t> ports;
  std::vector<client::BlockingTurnClient> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(client());
    const auto allocated = clients.back().allocate();
    ASSERT_TRUE(allocated) << allocated.error().text;
    EXPECT_GE(allocated->relayed.port, 49152);
    EXPECT_TRUE(ports.insert(allocated->relayed.port).second) << allocated->relayed.port;
  }
  for (auto& turn : clients) EXPECT_TRUE(turn.close());
  EXPECT_EQ(quotas_->total(), 0U);
  // A port that came back can be bound by anybody.
  EXPECT_TRUE(net::UdpSocket::bind({kLoopback, *ports.begin()}));
  stop();
}

// Both ends on the relay, on one worker (handed over in the process) and on several (through the kernel).
TEST_F(WorkerTest, RelayToRelayCarriesDataBothWays) {
  for (const unsigned count : {1U, 4U}) {
    start(count);
    auto alice = client();
    auto bob = client();
    const auto a = alice.allocate();
    const auto b = bob.allocate();
    ASSERT_TRUE(a && b);
    ASSERT_TRUE(alice.bind_channel(0x4001, b->relayed));
    if (count == 1) {
      ASSERT_TRUE(alice.send_channel(0x4001, as_bytes("early")));  // bob has no permission yet: dropped
    }
    ASSERT_TRUE(bob.create_permission(a->relayed));
    ASSERT_TRUE(alice.send_channel(0x4001, as_bytes("hello")));
    const auto heard = bob.receive(kPatience);
    ASSERT_TRUE(heard.has_value());
    EXPECT_EQ(as_text(heard->data), "hello");
    EXPECT_EQ(heard->peer, a->relayed);
    EXPECT_FALSE(heard->channel.has_value());
    ASSERT_TRUE(bob.send(a->relayed, as_bytes("hello yourself")));
    const auto answer = alice.receive(kPatience);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(as_text(answer->data), "hello yourself");
    EXPECT_EQ(answer->channel, 0x4001);
    ASSERT_TRUE(alice.close());
    ASSERT_TRUE(bob.send(a->relayed, as_bytes("anybody there?")));  // its relay is gone
    ASSERT_TRUE(bob.close());
    stop();
    workers_.clear();
    server_.port = 0;
  }
}

// A peer that answers with an ICMP error: the client hears of it (RFC 8656, section 11.5).
TEST_F(WorkerTest, TURN_133_IcmpErrorsReachTheClient) {
  start(1);
  Address closed;
  {
    const auto socket = net::UdpSocket::bind({kLoopback, 0});
    closed = socket->local();
  }
  auto turn = client();
  ASSERT_TRUE(turn.allocate());
  ASSERT_TRUE(turn.bind_channel(0x4001, closed));
  ASSERT_TRUE(turn.send_channel(0x4001, as_bytes("anybody?")));
  const auto icmp = turn.receive_icmp(kPatience);
  ASSERT_TRUE(icmp.has_value());
  EXPECT_EQ(icmp->icmp.type, 3);
  EXPECT_EQ(icmp->icmp.code, 3);
  EXPECT_EQ(icmp->peer, closed);
  stop();
}

}  // namespace
}  // namespace turnkit::relay
