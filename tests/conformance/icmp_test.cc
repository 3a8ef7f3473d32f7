// RFC 8656, section 11.5: ICMP errors that a peer's network sends.
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

#include "net/fd.h"
#include "net/sockaddr.h"
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

std::uint16_t checksum(Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += load_be16(bytes.data() + i);
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

struct Quote {
  std::uint8_t type = 3;
  std::uint8_t code = 3;
  std::uint16_t mtu = 0;
  std::uint8_t protocol = IPPROTO_UDP;
  Address inner_source;
  Address inner_destination;
  std::size_t cut = 28;  // bytes of the quoted packet: IPv4 and UDP headers
};

// An ICMPv4 message as a router or host sends it.
ByteVector icmp_message(const Quote& quote) {
  ByteVector message(8 + 28);
  message[0] = std::byte{quote.type};
  message[1] = std::byte{quote.code};
  store_be16(message.data() + 6, quote.mtu);
  std::byte* ip = message.data() + 8;
  ip[0] = std::byte{0x45};
  store_be16(ip + 2, 28 + 100);
  ip[8] = std::byte{64};
  ip[9] = std::byte{quote.protocol};
  std::copy_n(quote.inner_source.ip.bytes().begin(), 4, ip + 12);
  std::copy_n(quote.inner_destination.ip.bytes().begin(), 4, ip + 16);
  store_be16(ip + 10, checksum(Bytes(ip, 20)));
  store_be16(ip + 20, quote.inner_source.port);
  store_be16(ip + 22, quote.inner_destination.port);
  store_be16(ip + 24, 108);
  message.resize(8 + quote.cut);
  store_be16(message.data() + 2, checksum(message));
  return message;
}

}  // namespace

// Sends ICMP messages as a peer's host would; needs a raw socket.
class TurnIcmp : public TurnBinary {
 protected:
  void SetUp() override {
    raw_ = net::UniqueFd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
    if (!raw_) GTEST_SKIP() << "raw sockets need CAP_NET_RAW";
    client_ = &client();
    peer_ = &peer(2);
    relayed_ = relay_for(*client_, *peer_);
    const SockLen bound = to_sockaddr(peer_->local().ip);
    ASSERT_EQ(::bind(raw_.get(), &bound.address.base, bound.size), 0);
  }

  Quote quote(std::uint8_t type, std::uint8_t code) const {
    return {.type = type, .code = code, .inner_source = relayed_, .inner_destination = peer_->local()};
  }
  // What the client hears of it.
  std::optional<Data> report(const Quote& quote) {
    const ByteVector message = icmp_message(quote);
    const SockLen to = to_sockaddr(relayed_.ip);
    EXPECT_EQ(::sendto(raw_.get(), message.data(), message.size(), 0, &to.address.base, to.size),
              static_cast<ssize_t>(message.size()));
    return client_->data_so_far();
  }

  Client* client_ = nullptr;
  Socket* peer_ = nullptr;
  Address relayed_;

 private:
  struct SockLen {
    net::SockAddr address{};
    socklen_t size = 0;
  };
  static SockLen to_sockaddr(const IpAddress& ip) {
    SockLen out;
    out.size = net::to_sockaddr({ip, 0}, out.address);
    return out;
  }
  net::UniqueFd raw_;
};

TEST_F(TurnEngine, TURN_130_other_icmp_types_are_dropped) {
  REQUIRE_IPV6();
  Client& c = client();
  ASSERT_TRUE(
      succeeded(c.allocate([](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); })));
  for (const bool v4 : {true, false}) {
    Socket& p = v4 ? peer() : peer_v6();
    EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
    c.send(p.local(), "x");
    const Address relayed = p.receive()->from;
    for (int type = 0; type < 256; ++type) {
      const bool relevant = v4 ? type == 3 || type == 11 : type >= 1 && type <= 3;
      EXPECT_EQ(engine().icmp_error(relayed, p.local(), {static_cast<std::uint8_t>(type), 0, 0}), relevant) << type;
    }
  }
}

TEST_F(TurnIcmp, TURN_130_other_icmp_types_are_dropped) {
  EXPECT_FALSE(report(quote(4, 0))) << "source quench";
  EXPECT_FALSE(report(quote(5, 0))) << "redirect";
  EXPECT_FALSE(report(quote(12, 0))) << "parameter problem";
  EXPECT_TRUE(report(quote(3, 3)));
  EXPECT_TRUE(report(quote(11, 0)));
}

TEST_F(TurnIcmp, TURN_131_a_quoted_packet_that_is_not_ours_is_dropped) {
  Quote tcp = quote(3, 3);
  tcp.protocol = IPPROTO_TCP;
  EXPECT_FALSE(report(tcp));
  Quote other_port = quote(3, 3);
  other_port.inner_source.port = static_cast<std::uint16_t>(relayed_.port ^ 1);
  EXPECT_FALSE(report(other_port));
  EXPECT_TRUE(report(quote(3, 3)));
}

TEST_F(TurnIcmp, TURN_132_the_quoted_destination_must_have_a_permission) {
  Quote stranger = quote(3, 3);  // comes from an address that has a permission
  stranger.inner_destination = {harness().ip(3), 1000};
  EXPECT_FALSE(report(stranger));
  EXPECT_TRUE(succeeded(client_->permit(harness().ip(3))));
  const std::optional<Data> data = report(stranger);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->peer, stranger.inner_destination);
}

TEST_F(TurnEngine, TURN_132_the_peer_must_have_a_permission) {
  Client& c = client();
  Socket& p = peer(2);
  const Address relayed = relay_for(c, p);
  EXPECT_FALSE(engine().icmp_error(relayed, {harness().ip(3), 1000}, {3, 3, 0}));
  EXPECT_TRUE(engine().icmp_error(relayed, {harness().ip(2), 1000}, {3, 3, 0}));
  harness().advance(300s);
  EXPECT_FALSE(engine().icmp_error(relayed, {harness().ip(2), 1000}, {3, 3, 0}));
}

TEST_P(Turn, TURN_133_a_closed_port_is_reported_to_the_client) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  Address closed;
  {
    const std::unique_ptr<Socket> gone = harness().open({harness().ip(2), 0});
    closed = gone->local();
  }
  EXPECT_TRUE(succeeded(c.bind(kChannel, closed)));
  for (const bool channel : {false, true}) {
    if (channel) {
      c.send_channel(kChannel, "anybody there?");
    } else {
      c.send(closed, "anybody there?");
    }
    const std::optional<Data> got = c.receive_data();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->peer, closed);
    EXPECT_FALSE(got->channel) << "never as ChannelData";
    EXPECT_FALSE(got->has_data);
    ASSERT_TRUE(got->icmp);
    EXPECT_EQ(got->icmp->type, 3);
    EXPECT_EQ(got->icmp->code, 3);
    EXPECT_EQ(got->icmp->error_data, 0U);
  }
  EXPECT_TRUE(sends(c, p)) << "the relayed address goes on working";
}

TEST_P(Turn, TURN_133_a_closed_port_is_reported_over_ipv6) {
  REQUIRE_IPV6();
  Client& c = client_v6();
  Socket& p = peer_v6();
  relay_for(c, p);
  Address closed;
  {
    const std::unique_ptr<Socket> gone = harness().open({p.local().ip, 0});
    closed = gone->local();
  }
  c.send(closed, "anybody there?");
  const std::optional<Data> got = c.receive_data();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->peer, closed);
  ASSERT_TRUE(got->icmp);
  EXPECT_EQ(got->icmp->type, 1);
  EXPECT_EQ(got->icmp->code, 4);
}

TEST_F(TurnEngine, TURN_134_error_data_is_the_mtu_or_0) {
  REQUIRE_IPV6();
  Client& c = client();
  ASSERT_TRUE(
      succeeded(c.allocate([](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); })));
  Socket& p4 = peer();
  Socket& p6 = peer_v6();
  EXPECT_TRUE(succeeded(c.permit({p4.local(), p6.local()})));
  c.send(p4.local(), "x");
  const Address relayed4 = p4.receive()->from;
  c.send(p6.local(), "x");
  const Address relayed6 = p6.receive()->from;
  const auto error_data = [&](const Address& relayed, const Address& peer, std::uint8_t type, std::uint8_t code) {
    EXPECT_TRUE(engine().icmp_error(relayed, peer, {type, code, 1280}));
    const std::optional<Data> got = c.receive_data();
    EXPECT_TRUE(got && got->icmp && got->icmp->type == type && got->icmp->code == code);
    return got->icmp->error_data;
  };
  EXPECT_EQ(error_data(relayed4, p4.local(), 3, 4), 1280U);
  EXPECT_EQ(error_data(relayed4, p4.local(), 3, 1), 0U);
  EXPECT_EQ(error_data(relayed4, p4.local(), 11, 0), 0U);
  EXPECT_EQ(error_data(relayed6, p6.local(), 2, 0), 1280U);
  EXPECT_EQ(error_data(relayed6, p6.local(), 1, 4), 0U);
  EXPECT_EQ(error_data(relayed6, p6.local(), 3, 0), 0U);
}

TEST_F(TurnIcmp, TURN_134_error_data_is_the_mtu_or_0) {
  Quote too_big = quote(3, 4);
  too_big.mtu = 1400;
  const std::optional<Data> big = report(too_big);
  ASSERT_TRUE(big && big->icmp);
  EXPECT_EQ(big->icmp->type, 3);
  EXPECT_EQ(big->icmp->code, 4);
  EXPECT_EQ(big->icmp->error_data, 1400U);
  const std::optional<Data> host = report(quote(3, 1));
  ASSERT_TRUE(host && host->icmp);
  EXPECT_EQ(host->icmp->error_data, 0U);
}

TEST_F(TurnIcmp, NEG_093_a_quote_that_is_cut_before_the_ports_is_dropped) {
  for (const std::size_t cut : {0U, 12U, 20U, 22U, 24U, 27U}) {
    Quote cut_quote = quote(3, 3);
    cut_quote.cut = cut;
    EXPECT_FALSE(report(cut_quote)) << cut;
  }
}

}  // namespace turnkit::conformance
