// Malformed and hostile TURN requests: rows NEG-067 to NEG-073, NEG-081 to NEG-092 and NEG-115 to NEG-117.
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/digest.h"
#include "net/fd.h"
#include "net/sockaddr.h"
#include "tests/conformance/harness/binary_harness.h"
#include "tests/conformance/negative_fixture.h"

namespace turnkit::conformance {

namespace {

// A seed's attributes, signed.
Fill attributes_of(std::string_view id) {
  return [bytes = seed(id)](stun::Builder& m) {
    const auto view = stun::MessageView::parse(bytes);
    for (const stun::Attribute& attribute : view.value()) m.raw(attribute.type, attribute.value);
  };
}

}  // namespace

// XOR-PEER-ADDRESS values that are no addresses.
class NegativePeer : public Negative {
 protected:
  void expect_refused(const std::vector<ByteVector>& values) {
    Client& c = allocated();
    Socket& p = peer();
    for (const ByteVector& value : values) {
      EXPECT_TRUE(failed(
          c.request(Method::kCreatePermission, [&](stun::Builder& m) { m.raw(Attr::kXorPeerAddress, value); }), 400))
          << to_hex(value);
      EXPECT_TRUE(
          failed(c.request(Method::kChannelBind,
                           [&](stun::Builder& m) { m.channel_number(kChannel).raw(Attr::kXorPeerAddress, value); }),
                 400))
          << to_hex(value);
      EXPECT_TRUE(c.ignored(make_message(Class::kIndication, Method::kSend, [&](stun::Builder& m) {
        m.raw(Attr::kXorPeerAddress, value).text(Attr::kData, "x");
      })));
    }
    EXPECT_TRUE(silent(c, p));
  }
};

INSTANTIATE_TEST_SUITE_P(Conformance, NegativePeer, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const testing::TestParamInfo<Kind>& kind) {
                           return std::string(kind.param == Kind::kEngine ? "engine" : "binary");
                         });

TEST_P(NegativePeer, NEG_067_a_peer_address_of_another_length) {
  std::vector<ByteVector> values;
  for (const std::size_t size : {0U, 4U, 7U, 9U, 19U, 21U}) {
    ByteVector value(size);
    if (size > 1) value[1] = std::byte{size > 9 ? std::uint8_t{2} : std::uint8_t{1}};
    values.push_back(value);
  }
  expect_refused(values);
  expect_discarded("NEG-067");
}

TEST_P(NegativePeer, NEG_068_a_family_that_does_not_exist) {
  std::vector<ByteVector> values;
  for (const int family : {0, 3, 255}) {
    ByteVector value(8);
    value[1] = static_cast<std::byte>(family);
    values.push_back(value);
  }
  expect_refused(values);
  expect_discarded("NEG-068");
}

TEST_P(NegativePeer, NEG_069_a_family_that_does_not_fit_the_length) {
  ByteVector v4_in_20(20);
  v4_in_20[1] = std::byte{1};
  ByteVector v6_in_8(8);
  v6_in_8[1] = std::byte{2};
  expect_refused({v4_in_20, v6_in_8});
  expect_discarded("NEG-069");
}

TEST_P(Negative, NEG_070_the_first_byte_of_an_address_is_ignored) {
  Client& c = allocated();
  Socket& p = peer();
  ByteVector request = make_message(Class::kRequest, Method::kCreatePermission, [&](stun::Builder& m) {
    m.xor_address(Attr::kXorPeerAddress, p.local());
    c.add_names(m);
  });
  request[24] = std::byte{0xFF};
  request.resize(request.size() + 24);
  fix_length(request);
  std::byte* mac = request.data() + request.size() - 24;
  store_be16(mac, static_cast<std::uint16_t>(Attr::kMessageIntegrity));
  store_be16(mac + 2, 20);
  const Sha1 digest = hmac_sha1(c.key().bytes(), {Bytes(request).first(request.size() - 24)});
  std::copy(digest.begin(), digest.end(), mac + 4);
  EXPECT_TRUE(succeeded(c.exchange(request)));
  EXPECT_TRUE(sends(c, p));
}

TEST_P(Negative, NEG_071_peer_port_0) {
  Client& c = allocated();
  Socket& p = peer();
  EXPECT_TRUE(succeeded(c.permit({Address{p.local().ip, 0}})));
  EXPECT_TRUE(failed(c.bind(kChannel, {p.local().ip, 0}), 400));
  c.send({p.local().ip, 0}, "x");
  EXPECT_TRUE(c.silent());
  EXPECT_TRUE(sends(c, p));
}

TEST_P(Negative, NEG_072_special_peers) {
  REQUIRE_IPV6();
  options.allow_loopback_peers = false;
  Client& c = allocated([](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); });
  for (const char* text : {"0.0.0.0", "127.0.0.1", "::1", "169.254.7.7", "224.0.0.251", "255.255.255.255"}) {
    const Address special{*IpAddress::parse(text), 5353};
    EXPECT_TRUE(failed(c.permit({special}), 403)) << text;
    EXPECT_TRUE(failed(c.bind(kChannel, special), 403)) << text;
    c.send(special, "x");
  }
  EXPECT_TRUE(failed(c.permit({c.server()}), 403));
  EXPECT_TRUE(failed(c.bind(kChannel, c.server()), 403));
  EXPECT_TRUE(c.silent());
}

TEST_P(Negative, NEG_073_ipv4_in_ipv6_peers) {
  REQUIRE_IPV6();
  options.allow_loopback_peers = false;
  Client& c = allocated([](stun::Builder& m) { m.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6); });
  for (const char* text : {"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254",
                           "2002:7f00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "::ffff:0:127.0.0.1"}) {
    const Address peer{*IpAddress::parse(text), 80};
    EXPECT_TRUE(failed(c.permit({peer}), 403)) << text;
    EXPECT_TRUE(failed(c.bind(kChannel, peer), 403)) << text;
    c.send(peer, "x");
  }
  EXPECT_TRUE(c.silent());
}

TEST_P(Negative, NEG_081_requested_transport_of_another_length) { expect_errors("NEG-081", 401, 400); }
TEST_P(Negative, NEG_082_a_transport_that_is_not_udp) { expect_errors("NEG-082", 401, 442); }

TEST_P(Negative, NEG_083_lifetime_ffffffff) {
  EXPECT_TRUE(failed(client().exchange(seed("NEG-083")), 437));
  Client& c = allocated();
  EXPECT_EQ(c.request(Method::kRefresh, attributes_of("NEG-083")).lifetime(), 3600);
  Socket& p = peer();
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(sends(c, p)) << "now + 0xFFFFFFFF must not overflow";
}

TEST_P(Negative, NEG_084_lifetime_of_3_bytes) {
  EXPECT_TRUE(failed(client().exchange(seed("NEG-084")), 437));
  Client& c = allocated();
  EXPECT_TRUE(failed(c.request(Method::kRefresh, attributes_of("NEG-084")), 400));
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_P(Negative, NEG_085_even_port_of_another_length) {
  expect_errors("NEG-085", 401, 400);
  ByteVector four = make_message(Class::kRequest, Method::kAllocate, [](stun::Builder& m) {
    m.requested_transport(17).raw(Attr::kEvenPort, ByteVector(4));
  });
  expect_errors(four, 401, 400);
}

TEST_P(Negative, NEG_086_reservation_token_of_another_length_or_replayed) {
  expect_errors("NEG-086", 401, 400);
  const auto token = [](std::size_t size) {
    return make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17).raw(Attr::kReservationToken, ByteVector(size));
    });
  };
  expect_errors(token(16), 401, 400);
  expect_errors(token(8), 401, 508);
}

TEST_P(Negative, NEG_087_dont_fragment_with_a_value) {
  EXPECT_TRUE(failed(client().exchange(seed("NEG-087")), 401));
  EXPECT_TRUE(succeeded(guest().exchange(seed("NEG-087")))) << "the value is ignored";
}

TEST_P(Negative, NEG_088_channel_numbers_beyond_rfc_8656) {
  options.rfc8656_channels = true;
  EXPECT_TRUE(failed(client().exchange(seed("NEG-088")), 437));
  Client& c = allocated();
  for (const int number : {0x3FFF, 0x5000, 0x7FFF, 0xFFFF}) {
    EXPECT_TRUE(failed(c.bind(static_cast<std::uint16_t>(number), peer().local()), 400)) << number;
  }
}

TEST_P(Negative, NEG_088_channel_numbers_beyond_rfc_5766_by_default) {
  Client& c = allocated();
  for (const int number : {0x3FFF, 0x7FFF, 0xFFFF}) {
    EXPECT_TRUE(failed(c.bind(static_cast<std::uint16_t>(number), peer().local()), 400)) << number;
  }
}

TEST_P(Negative, NEG_089_channel_number_of_2_bytes) {
  EXPECT_TRUE(failed(client().exchange(seed("NEG-089")), 437));
  Client& c = allocated();
  EXPECT_TRUE(failed(c.request(Method::kChannelBind,
                               [&](stun::Builder& m) {
                                 m.raw(Attr::kChannelNumber, *from_hex("4000"));
                                 m.xor_address(Attr::kXorPeerAddress, peer().local());
                               }),
                     400));
}

TEST_P(Negative, NEG_090_1000_peers_of_which_one_is_bad) {
  Client& c = allocated();
  Socket& p = peer();
  const auto request = [&](bool with_bad) {
    return c.request(Method::kCreatePermission, [&](stun::Builder& m) {
      m.xor_address(Attr::kXorPeerAddress, p.local());
      for (int i = 0; i < 998; ++i) {
        const auto high = static_cast<std::uint8_t>(i >> 8);
        m.xor_address(Attr::kXorPeerAddress, {IpAddress::v4(198, 18, high, static_cast<std::uint8_t>(i & 0xFF)), 0});
      }
      if (with_bad) m.raw(Attr::kXorPeerAddress, ByteVector(8));
    });
  };
  EXPECT_TRUE(failed(request(true), 400));
  EXPECT_FALSE(sends(c, p));
}

TEST_P(Negative, NEG_090_more_peers_than_permissions) {
  Client& c = allocated();
  Socket& p = peer();
  EXPECT_TRUE(failed(c.request(Method::kCreatePermission,
                               [&](stun::Builder& m) {
                                 m.xor_address(Attr::kXorPeerAddress, p.local());
                                 for (std::uint32_t i = 0; i < 4000; ++i) {
                                   m.xor_address(Attr::kXorPeerAddress,
                                                 {IpAddress::v4(198, 18, static_cast<std::uint8_t>(i >> 8),
                                                                static_cast<std::uint8_t>(i & 0xFF)),
                                                  0});
                                 }
                               }),
                     508));
  EXPECT_FALSE(sends(c, p));
}

// Over UDP a client cannot send more than fits into a datagram; a peer can send more than fits with TURN's framing.
TEST_P(Negative, NEG_091_data_that_does_not_fit_is_discarded_whole) {
  Client& c = client();
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  const std::string largest(65'507, 'x');
  if (!is_engine()) {
    EXPECT_FALSE(reaches(p, relayed, c, largest));
    EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
    EXPECT_FALSE(reaches(p, relayed, c, largest));
    EXPECT_TRUE(reaches(p, relayed, c, largest.substr(4)));
  }
  const std::string fits(65'400, 'y');
  c.send(p.local(), fits);
  EXPECT_EQ(p.receive()->text(), fits);
}

TEST_P(Negative, NEG_092_a_turn_message_to_ourselves_inside_send) {
  Client& c = allocated();
  EXPECT_TRUE(succeeded(c.permit(c.server().ip)));
  const ByteVector inner =
      make_message(Class::kRequest, Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  c.send(c.server(), as_text(inner));
  EXPECT_TRUE(c.silent());
}

TEST_F(TurnEngine, NEG_115_forged_sources_are_never_answered) {
  const ByteVector request = make_message(Class::kRequest, Method::kBinding);
  EXPECT_TRUE(engine().ask({harness().ip(1), 0}, request).empty());
  EXPECT_EQ(engine().last_drop(), engine::Drop::kForgedSource);
  EXPECT_TRUE(engine().ask(harness().server(), request).empty());
  EXPECT_FALSE(engine().ask({harness().ip(1), 1}, request).empty());
}

// Needs a raw socket. That nothing was sent shows in the server's own count.
class ForgedSource : public TurnBinary {
 protected:
  void SetUp() override {
    raw_ = net::UniqueFd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
    if (!raw_) GTEST_SKIP() << "raw sockets need CAP_NET_RAW";
  }

  void send_binding(const Address& source, const Address& server) {
    const ByteVector request = make_message(Class::kRequest, Method::kBinding);
    ByteVector datagram(8);
    store_be16(datagram.data(), source.port);
    store_be16(datagram.data() + 2, server.port);
    store_be16(datagram.data() + 4, static_cast<std::uint16_t>(8 + request.size()));
    datagram.insert(datagram.end(), request.begin(), request.end());
    net::SockAddr address{};
    socklen_t size = net::to_sockaddr({source.ip, 0}, address);
    EXPECT_EQ(::bind(raw_.get(), &address.base, size), 0);
    size = net::to_sockaddr({server.ip, 0}, address);
    EXPECT_EQ(::sendto(raw_.get(), datagram.data(), datagram.size(), 0, &address.base, size),
              static_cast<ssize_t>(datagram.size()));
  }

 private:
  net::UniqueFd raw_;
};

TEST_F(ForgedSource, NEG_115_port_0_and_our_own_address_are_never_answered) {
  Client& c = client();
  send_binding({harness().ip(1), 0}, c.server());
  send_binding(c.server(), c.server());
  EXPECT_TRUE(c.silent());
  EXPECT_TRUE(stop_and_find("forged_source=2"));
}

TEST_F(ForgedSource, NEG_115_our_own_address_is_known_behind_a_listener_on_all) {
  options.listen_on_all = true;
  Client& c = client();
  const Address own{IpAddress::v4(127, 0, 0, 1), c.server().port};
  send_binding(own, own);
  EXPECT_TRUE(c.silent());
  EXPECT_TRUE(stop_and_find("forged_source=1"));
}

TEST_P(Negative, NEG_116_a_request_100_times) {
  options.user_quota = 1;
  Client& c = client();
  c.learn();
  const ByteVector request = c.signed_message(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  const Answer first = c.exchange(request);
  ASSERT_TRUE(succeeded(first));
  for (int i = 1; i < 100; ++i) {
    const Answer again = c.exchange(request);
    EXPECT_EQ(again.relayed(), first.relayed());
  }
  EXPECT_TRUE(failed(client().allocate(), 486)) << "the one allocation is the whole quota";
  EXPECT_TRUE(succeeded(c.refresh(0)));
  EXPECT_TRUE(succeeded(client().allocate()));
}

TEST_P(Negative, NEG_117_the_same_transaction_id_with_another_body) {
  options.user_quota = 1;
  Client& c = client();
  c.learn();
  const stun::TransactionId id = next_transaction_id();
  const auto send = [&](Method method, const Fill& fill) {
    return c.exchange(make_message(
        Class::kRequest, method,
        [&](stun::Builder& m) {
          fill(m);
          c.sign(m);
        },
        id));
  };
  const Answer first = send(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  ASSERT_TRUE(succeeded(first));
  const Answer second = send(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17).even_port(true); });
  EXPECT_EQ(second.relayed(), first.relayed());
  EXPECT_FALSE(second.has(Attr::kReservationToken)) << "no second allocation, and nothing reserved";
  EXPECT_EQ(send(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 700); }).lifetime(), 700);
  EXPECT_EQ(send(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 800); }).lifetime(), 800);
  c.credentials().password = "wrong";
  EXPECT_TRUE(failed(send(Method::kRefresh, [](stun::Builder& m) { m.u32(Attr::kLifetime, 0); }), 401));
  EXPECT_TRUE(failed(send(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); }), 401));
  c.credentials().password = "wonderland";
  EXPECT_TRUE(succeeded(c.refresh()));
}

}  // namespace turnkit::conformance
