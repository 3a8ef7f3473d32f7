// RFC 8656, sections 13 and 14: what becomes of IP headers. Only real sockets have them.
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "net/fd.h"
#include "net/sockaddr.h"
#include "tests/conformance/fixture.h"
#include "tests/conformance/harness/udp_peer.h"

namespace turnkit::conformance {

namespace {

constexpr std::uint8_t kExpedited = 46 << 2;  // DSCP EF
constexpr std::uint8_t kAf41 = 34 << 2;
constexpr std::uint8_t kEct0 = 2;
constexpr std::uint8_t kCe = 3;
constexpr int kDefaultTtl = 64;

// The IPv4 headers of UDP datagrams that come to an address; needs CAP_NET_RAW.
class Headers {
 public:
  explicit Headers(const IpAddress& at) : fd_(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP)) {
    net::SockAddr address{};
    const socklen_t size = net::to_sockaddr({at, 0}, address);
    if (fd_) {
      EXPECT_EQ(::bind(fd_.get(), &address.base, size), 0);
    }
  }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  // Of the next datagram whose payload is `text`.
  std::optional<iphdr> of(std::string_view text) {
    timeval patience{10, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ByteVector packet(65536);
    for (;;) {
      const ssize_t size = ::recv(fd_.get(), packet.data(), packet.size(), 0);
      if (size < 0) return std::nullopt;
      iphdr header{};
      std::memcpy(&header, packet.data(), sizeof header);
      const std::size_t front = header.ihl * 4U + 8U;
      const Bytes payload = Bytes(packet).first(static_cast<std::size_t>(size)).subspan(front);
      if (as_text(payload) == text) return header;
    }
  }

 private:
  net::UniqueFd fd_;
};

bool has_df(const iphdr& header) { return (ntohs(header.frag_off) & 0x4000) != 0; }

}  // namespace

TEST_F(TurnBinary, TURN_170_dscp_is_copied_both_ways) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  for (const std::uint8_t dscp : {kExpedited, kAf41, std::uint8_t{0}}) {
    c.send(p.local(), "sent", {.tos = dscp});
    EXPECT_EQ(p.receive()->tos, dscp);
    c.send_channel(kChannel, "on the channel", {.tos = dscp});
    EXPECT_EQ(p.receive()->tos, dscp);
    p.send(relayed, as_bytes(std::string_view("back")), {.tos = dscp});
    EXPECT_EQ(c.receive_data()->tos, dscp);
  }
}

TEST_F(TurnBinary, TURN_170_dscp_is_copied_over_ipv6) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  Socket& p = peer_v6();
  const Address relayed = relay_for(c, p);
  c.send(p.local(), "sent", {.tos = kExpedited});
  EXPECT_EQ(p.receive()->tos, kExpedited);
  p.send(relayed, as_bytes(std::string_view("back")), {.tos = kAf41});
  EXPECT_EQ(c.receive_data()->tos, kAf41);
}

TEST_F(TurnBinary, TURN_171_ecn_is_copied_both_ways) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  for (const std::uint8_t ecn : {std::uint8_t{0}, std::uint8_t{1}, kEct0, kCe}) {
    c.send(p.local(), "sent", {.tos = ecn});
    EXPECT_EQ(p.receive()->tos, ecn);
    p.send(relayed, as_bytes(std::string_view("back")), {.tos = static_cast<std::uint8_t>(kExpedited | ecn)});
    EXPECT_EQ(c.receive_data()->tos, kExpedited | ecn);
  }
}

TEST_F(TurnBinary, TURN_172_df_is_set_for_dont_fragment_and_only_for_it) {
  Client& c = client();
  Socket& p = peer();
  Headers headers(p.local().ip);
  if (!headers) GTEST_SKIP() << "raw sockets need CAP_NET_RAW";
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  c.send(p.local(), "plain");
  c.send(p.local(), "unfragmented", {}, true);
  c.send(p.local(), "plain again");
  c.send_channel(kChannel, "on the channel");
  const auto plain = headers.of("plain");
  const auto unfragmented = headers.of("unfragmented");
  const auto again = headers.of("plain again");
  const auto channel = headers.of("on the channel");
  ASSERT_TRUE(plain && unfragmented && again && channel);
  EXPECT_FALSE(has_df(*plain));
  EXPECT_TRUE(has_df(*unfragmented));
  EXPECT_FALSE(has_df(*again)) << "DONT-FRAGMENT is for one datagram";
  EXPECT_FALSE(has_df(*channel));
}

TEST_F(TurnBinary, TURN_173_ip_options_and_fragment_fields_are_the_systems) {
  Client& c = client();
  Socket& p = peer();
  Headers headers(p.local().ip);
  if (!headers) GTEST_SKIP() << "raw sockets need CAP_NET_RAW";
  relay_for(c, p);
  // Four "no operation" options on what the client sends.
  const std::array<unsigned char, 4> options_in{1, 1, 1, 1};
  const int fd = static_cast<UdpPeer&>(c.socket()).fd();
  ASSERT_EQ(::setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options_in.data(), options_in.size()), 0) << std::strerror(errno);
  c.send(p.local(), "with options");
  const auto header = headers.of("with options");
  ASSERT_TRUE(header);
  EXPECT_EQ(header->ihl, 5) << "no options go out";
  EXPECT_EQ(ntohs(header->frag_off) & 0x3FFF, 0) << "neither MF nor an offset";
}

// 64 is Linux's default. An incoming TTL of 1 must not reach the peer as 0 or 1.
TEST_F(TurnBinary, TURN_174_the_ttl_is_the_systems_whatever_came_in) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  for (const int ttl : {1, 2, 255}) {
    c.send(p.local(), "sent", {.ttl = ttl});
    EXPECT_EQ(p.receive()->ttl, kDefaultTtl);
    p.send(relayed, as_bytes(std::string_view("back")), {.ttl = ttl});
    EXPECT_EQ(c.receive_data()->ttl, kDefaultTtl);
  }
}

TEST_F(TurnBinary, TURN_178_ipv4_to_ipv6_uses_the_systems_hop_limit_and_keeps_the_traffic_class) {
  REQUIRE_IPV6();
  Client& c = client();
  Socket& p = peer_v6();
  relay_for(c, p);
  c.send(p.local(), "sent", {.tos = kExpedited, .ttl = 1});
  const std::optional<Datagram> got = p.receive();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ttl, kDefaultTtl);
  EXPECT_EQ(got->tos, kExpedited);
}

TEST_F(TurnBinary, TURN_179_ipv6_to_ipv4_uses_the_systems_ttl_and_keeps_the_tos) {
  REQUIRE_IPV6();
  Client& c = client();
  Socket& p = peer_v6();
  const Address relayed = relay_for(c, p);
  p.send(relayed, as_bytes(std::string_view("back")), {.tos = kAf41, .ttl = 1});
  const std::optional<Data> got = c.receive_data();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->ttl, kDefaultTtl);
  EXPECT_EQ(got->tos, kAf41);

  Client& c6 = client_v6();
  Socket& p4 = peer();
  EXPECT_TRUE(succeeded(c6.allocate()));
  EXPECT_TRUE(succeeded(c6.permit(p4.local().ip)));
  c6.send(p4.local(), "sent", {.tos = kExpedited, .ttl = 1});
  const std::optional<Datagram> sent = p4.receive();
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->ttl, kDefaultTtl);
  EXPECT_EQ(sent->tos, kExpedited);
}

TEST_F(TurnBinary, TURN_180_ipv6_to_ipv6_uses_the_systems_hop_limit) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  Socket& p = peer_v6();
  const Address relayed = relay_for(c, p);
  for (const int hops : {1, 255}) {
    c.send(p.local(), "sent", {.ttl = hops});
    EXPECT_EQ(p.receive()->ttl, kDefaultTtl);
    p.send(relayed, as_bytes(std::string_view("back")), {.ttl = hops});
    EXPECT_EQ(c.receive_data()->ttl, kDefaultTtl);
  }
}

TEST_F(TurnBinary, TURN_181_the_flow_label_is_not_copied) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  Socket& p = peer_v6();
  const Address relayed = relay_for(c, p);
  // A flow label of the peer's own, on what it sends to the relay and, for comparison, to itself.
  // The kernel keeps labels for a while, so each process takes another.
  const std::uint32_t label = 1 + static_cast<std::uint32_t>(::getpid()) % 0xFFFFE;
  struct LabelRequest {  // in6_flowlabel_req of linux/in6.h
    in6_addr destination;
    std::uint32_t label;
    std::uint8_t action;
    std::uint8_t share;
    std::uint16_t flags;
    std::uint16_t expires;
    std::uint16_t linger;
    std::uint32_t padding;
  };
  constexpr int kIpv6FlowLabelMgr = 32;
  constexpr int kIpv6FlowInfoSend = 33;
  LabelRequest request{};
  request.destination = in6addr_loopback;
  request.label = htonl(label);
  request.flags = 1;  // IPV6_FL_F_CREATE
  request.share = 1;  // IPV6_FL_S_EXCL
  auto& labelled = static_cast<UdpPeer&>(p);
  const int on = 1;
  if (::setsockopt(labelled.fd(), IPPROTO_IPV6, kIpv6FlowLabelMgr, &request, sizeof request) != 0 ||
      ::setsockopt(labelled.fd(), IPPROTO_IPV6, kIpv6FlowInfoSend, &on, sizeof on) != 0) {
    GTEST_SKIP() << "this kernel lets no flow label be set: " << std::strerror(errno);
  }
  const auto send_labelled = [&](const Address& to) {
    net::SockAddr address{};
    const socklen_t size = net::to_sockaddr(to, address);
    address.v6.sin6_flowinfo = htonl(label);
    EXPECT_EQ(::sendto(labelled.fd(), "x", 1, 0, &address.base, size), 1) << std::strerror(errno);
  };
  send_labelled(p.local());
  EXPECT_EQ(p.receive()->flow, label) << "the test itself must work";
  send_labelled(relayed);
  const std::optional<Datagram> got = c.socket().receive();
  ASSERT_TRUE(got);
  EXPECT_NE(got->flow, label);
}

TEST_F(TurnEngine, TURN_183_dont_fragment_is_ignored_between_families) {
  REQUIRE_IPV6();
  options.can_set_dont_fragment = false;
  Client& c = client();
  Socket& p = peer_v6();
  relay_for(c, p);
  c.send(p.local(), "x", {}, true);
  EXPECT_FALSE(engine().last_outcome().dont_fragment);
  EXPECT_EQ(p.receive()->text(), "x") << "not even where DF could not be set";
}

TEST_P(Turn, TURN_183_dont_fragment_between_families_does_no_harm) {
  REQUIRE_IPV6();
  Client& c = client();
  Socket& p = peer_v6();
  relay_for(c, p);
  c.send(p.local(), "x", {}, true);
  EXPECT_EQ(p.receive()->text(), "x");
}

}  // namespace turnkit::conformance
