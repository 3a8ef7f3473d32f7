// IP headers across a real router: the server and its client in one network namespace, the peer in another, a router
// between them in a third. Needs root and ip(8).
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "net/fd.h"
#include "tests/conformance/fixture.h"
#include "tests/conformance/harness/binary_harness.h"
#include "tests/conformance/harness/udp_peer.h"

namespace turnkit::conformance {

namespace {

constexpr int kPeerMtu = 1300;  // of the link between router and peer

bool ip_command(const std::string& arguments) { return std::system(("ip " + arguments + " 2>/dev/null").c_str()) == 0; }

void write_setting(const std::string& name, std::string_view value) {
  const net::UniqueFd file(::open(("/proc/sys/net/" + name).c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(::write(file.get(), value.data(), value.size()), static_cast<ssize_t>(value.size())) << name;
}

// Three network namespaces in a row; they go with it.
class Lab {
 public:
  Lab() : prefix_(fmt::format("tk{}", ::getpid())) {
    ok_ = ::geteuid() == 0;
    for (const char* name : {"server", "router", "peer"}) {
      ok_ = ok_ && ip_command("netns add " + netns(name));
      in(name, [] { write_setting("ipv6/conf/default/accept_dad", "0"); });  // addresses work at once
    }
    link("server", "router", 1);
    link("peer", "router", 2);
    route("server", 1, 2);
    route("peer", 2, 1);
    ok_ = ok_ && ip_command(fmt::format("-n {} link set dev to2 mtu {}", netns("router"), kPeerMtu)) &&
          ip_command(fmt::format("-n {} link set dev eth0 mtu {}", netns("peer"), kPeerMtu));
    in("router", [] {
      write_setting("ipv4/ip_forward", "1");
      write_setting("ipv6/conf/all/forwarding", "1");
    });
  }
  ~Lab() {
    for (const char* name : {"server", "router", "peer"}) ip_command("netns del " + netns(name));
  }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  explicit operator bool() const { return ok_; }
  [[nodiscard]] std::string netns(std::string_view name) const { return fmt::format("{}{}", prefix_, name); }

  // Runs `body` in a namespace; sockets that it opens stay there.
  void in(std::string_view name, const std::function<void()>& body) const {
    if (!ok_) return;
    std::thread([&] {
      const net::UniqueFd space(::open(("/run/netns/" + netns(name)).c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_EQ(::setns(space.get(), CLONE_NEWNET), 0);
      body();
    }).join();
  }

 private:
  // Host x.x.n.2 and router x.x.n.1.
  void link(const std::string& host, const std::string& router, int n) {
    const std::string h = netns(host);
    const std::string r = netns(router);
    ok_ = ok_ && ip_command(fmt::format("-n {} link add eth0 type veth peer name to{} netns {}", h, n, r)) &&
          ip_command(fmt::format("-n {} addr add 10.77.{}.2/24 dev eth0", h, n)) &&
          ip_command(fmt::format("-n {} addr add fd77:{}::2/64 dev eth0 nodad", h, n)) &&
          ip_command(fmt::format("-n {} addr add 10.77.{}.1/24 dev to{}", r, n, n)) &&
          ip_command(fmt::format("-n {} addr add fd77:{}::1/64 dev to{} nodad", r, n, n)) &&
          ip_command(fmt::format("-n {} link set dev lo up", h)) &&
          ip_command(fmt::format("-n {} link set dev eth0 up", h)) &&
          ip_command(fmt::format("-n {} link set dev to{} up", r, n));
  }
  void route(const std::string& host, int n, int other) {
    ok_ = ok_ && ip_command(fmt::format("-n {} route add 10.77.{}.0/24 via 10.77.{}.1", netns(host), other, n)) &&
          ip_command(fmt::format("-n {} route add fd77:{}::/64 via fd77:{}::1", netns(host), other, n));
  }

  const std::string prefix_;
  bool ok_ = false;
};

class LabHarness final : public Harness {
 public:
  explicit LabHarness(const Lab& lab) : Harness(Options{}), lab_(lab) {
    turnd_ = start_turnd({"ip", "netns", "exec", lab.netns("server")},
                         {"-L", "10.77.1.2", "-L", "fd77:1::2", "--realm=example.org", "--user=alice:wonderland",
                          "--allowed-peer-ip=fd77:2::/64"},
                         servers_);
    servers_.resize(2);
  }
  [[nodiscard]] bool is_virtual() const override { return false; }
  [[nodiscard]] IpAddress ip(unsigned) const override { return {}; }
  std::unique_ptr<Socket> open(const Address& local) override {
    std::unique_ptr<Socket> socket;
    const bool at_peer = local.ip == *IpAddress::parse("10.77.2.2") || local.ip == *IpAddress::parse("fd77:2::2");
    lab_.in(at_peer ? "peer" : "server", [&] { socket = std::make_unique<UdpPeer>(local); });
    return socket;
  }
  void advance(Duration duration) override { std::this_thread::sleep_for(duration); }
  [[nodiscard]] Now now() const override { return read_clock(); }

 private:
  const Lab& lab_;
  std::unique_ptr<Child> turnd_;
};

}  // namespace

class TurnRouter : public testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    lab_ = std::make_unique<Lab>();
    if (!*lab_) GTEST_SKIP() << "network namespaces need root and ip(8)";
    harness_ = std::make_unique<LabHarness>(*lab_);
    const bool v4 = GetParam() == Family::kIPv4;
    const IpAddress here = *IpAddress::parse(v4 ? "10.77.1.2" : "fd77:1::2");
    const IpAddress there = *IpAddress::parse(v4 ? "10.77.2.2" : "fd77:2::2");
    client_ = std::make_unique<Client>(*harness_, Credentials{}, Address{here, 0}, harness_->server(v4 ? 0 : 1));
    peer_ = harness_->open({there, 0});
    const Answer answer =
        client_->allocate([](stun::Builder& m) { m.address_family(Attr::kRequestedAddressFamily, GetParam()); });
    ASSERT_TRUE(succeeded(answer));
    relayed_ = answer.relayed();
    ASSERT_TRUE(succeeded(client_->permit(there)));
  }

  std::unique_ptr<Lab> lab_;
  std::unique_ptr<LabHarness> harness_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Socket> peer_;
  Address relayed_;
};

INSTANTIATE_TEST_SUITE_P(Lab, TurnRouter, testing::Values(Family::kIPv4, Family::kIPv6),
                         [](const testing::TestParamInfo<Family>& family) {
                           return std::string(family.param == Family::kIPv4 ? "IPv4" : "IPv6");
                         });

// The router takes 1 off; a packet that left with what came in, less one, would die there.
TEST_P(TurnRouter, TURN_174_TURN_180_packets_leave_with_the_systems_ttl_however_little_was_left) {
  for (const int ttl : {1, 2, 64}) {
    client_->send(peer_->local(), "sent", {.ttl = ttl});
    const std::optional<Datagram> got = peer_->receive();
    ASSERT_TRUE(got) << ttl;
    EXPECT_EQ(got->ttl, 63);
  }
  for (const int ttl : {2, 3, 64}) {  // 1 is left of 2 when it reaches the relay
    peer_->send(relayed_, as_bytes(std::string_view("back")), {.ttl = ttl});
    const std::optional<Data> got = client_->receive_data();
    ASSERT_TRUE(got) << ttl;
    EXPECT_EQ(got->ttl, 64);
  }
}

TEST_P(TurnRouter, TURN_170_TURN_171_dscp_and_ecn_cross_the_router) {
  client_->send(peer_->local(), "sent", {.tos = (46 << 2) | 2});
  EXPECT_EQ(peer_->receive()->tos, (46 << 2) | 2);
  peer_->send(relayed_, as_bytes(std::string_view("back")), {.tos = (34 << 2) | 3});
  EXPECT_EQ(client_->receive_data()->tos, (34 << 2) | 3);
}

// Fragments are put together before they are relayed, and made anew where the next link wants them (rows TURN-173 and
// TURN-182).
TEST_P(TurnRouter, TURN_173_TURN_182_large_datagrams_cross_small_links) {
  const std::string large(5000, 'x');
  client_->send(peer_->local(), large);
  if (GetParam() == Family::kIPv6) {
    // IPv6 routers do not fragment: the first datagram teaches the server the link's MTU.
    const std::optional<Data> report = client_->receive_data();
    ASSERT_TRUE(report && report->icmp);
    client_->send(peer_->local(), large);
  }
  const std::optional<Datagram> got = peer_->receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->text(), large);
  peer_->send(relayed_, large);
  const std::optional<Data> back = client_->receive_data();
  ASSERT_TRUE(back);
  EXPECT_EQ(back->text, large);
}

TEST_P(TurnRouter, TURN_134_TURN_172_a_datagram_that_must_not_be_fragmented_is_reported_with_the_mtu) {
  const std::string too_large(kPeerMtu, 'x');
  client_->send(peer_->local(), too_large, {}, true);
  const std::optional<Data> report = client_->receive_data();
  ASSERT_TRUE(report);
  ASSERT_TRUE(report->icmp);
  const bool v4 = GetParam() == Family::kIPv4;
  EXPECT_EQ(report->icmp->type, v4 ? 3 : 2);
  EXPECT_EQ(report->icmp->code, v4 ? 4 : 0);
  EXPECT_EQ(report->icmp->error_data, static_cast<std::uint32_t>(kPeerMtu));
  EXPECT_EQ(report->peer, peer_->local());
  EXPECT_FALSE(peer_->poll());
}

}  // namespace turnkit::conformance
