// The blocking client over TCP, TLS and DTLS: a whole round, messages in pieces, servers that hang up or talk nonsense.
#include "client/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "client/blocking_client.h"
#include "stream_fake_server.h"

namespace turnkit::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

std::shared_ptr<net::TlsClientContext> any_certificate() {
  net::TlsClientRules rules;
  rules.alpn = {std::string(net::kAlpnTurn)};
  return *net::TlsClientContext::make(rules);
}

BlockingOptions options_for(TransportKind kind) {
  BlockingOptions options;
  options.session.credentials = {"alice", "wonderland"};
  options.transport = kind;
  options.tls = any_certificate();
  return options;
}

class Transports : public ::testing::TestWithParam<TransportKind> {};

TEST_P(Transports, DoTheWholeRound) {
  StreamFakeServer server(GetParam());
  server.start();
  auto client = BlockingTurnClient::open(server.address(), options_for(GetParam()));
  ASSERT_TRUE(client) << client.error().text;
  const auto allocated = client->allocate();
  ASSERT_TRUE(allocated) << allocated.error().text;
  EXPECT_EQ(allocated->relayed, kRelayedAddress);
  ASSERT_TRUE(client->bind_channel(0x4000, kPeerAddress));
  for (const std::size_t size : {0U, 1U, 2U, 3U, 4U, 1100U, 4001U}) {
    const std::string text(size, 'x');
    ASSERT_TRUE(client->send_channel(0x4000, as_bytes(text)));
    const auto got = client->receive(seconds(10));
    ASSERT_TRUE(got) << size;
    EXPECT_EQ(as_text(got->data), text);
  }
  ASSERT_TRUE(client->close());
  const bool secure = GetParam() != TransportKind::kTcp;
  EXPECT_EQ(client->transport().protection().empty(), !secure);
  EXPECT_EQ(client->transport().alpn(), secure ? "stun.turn" : "");
  EXPECT_EQ(client->server(), server.address());
  EXPECT_EQ(client->local().ip, IpAddress::v4(127, 0, 0, 1));
}

INSTANTIATE_TEST_SUITE_P(All, Transports,
                         ::testing::Values(TransportKind::kTcp, TransportKind::kTls, TransportKind::kDtls),
                         [](const auto& kind) { return std::string(transport_name(kind.param)); });

class Streams : public ::testing::TestWithParam<TransportKind> {};

TEST_P(Streams, MessagesMayComeByteByByte) {
  StreamFakeServer server(GetParam());
  server.piece = 1;
  server.start();
  auto client = BlockingTurnClient::open(server.address(), options_for(GetParam()));
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_TRUE(client->allocate());
}

TEST_P(Streams, AServerThatHangsUpFailsAtOnce) {
  StreamFakeServer server(GetParam());
  server.hang_up = true;
  server.start();
  auto client = BlockingTurnClient::open(server.address(), options_for(GetParam()));
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_FALSE(client->allocate());
  ASSERT_TRUE(client->failure());
  EXPECT_EQ(client->failure()->kind, Failure::Kind::kUnreachable);
  EXPECT_TRUE(client->transport().is_closed());
  EXPECT_FALSE(client->receive(seconds(30)));  // returns at once
}

TEST_P(Streams, NonsenseEndsTheConnection) {
  StreamFakeServer server(GetParam());
  server.greeting = "220 mail.example ESMTP\r\n";
  server.start();
  TransportOptions options;
  options.kind = GetParam();
  options.tls = any_certificate();
  auto transport = open_transport(server.address(), options);
  ASSERT_TRUE(transport) << transport.error().text;
  const auto got = (*transport)->receive(read_clock().mono + seconds(30));
  EXPECT_TRUE(got.message.empty());
  EXPECT_EQ(got.error, EPROTO);
  EXPECT_TRUE((*transport)->is_closed());
}

TEST_P(Streams, ASilentServerTimesOutWithoutRetransmissions) {
  StreamFakeServer server(GetParam());
  server.server.mangle = [](Datagram) { return Datagram(); };
  server.start();
  BlockingOptions options = options_for(GetParam());
  options.session.retransmit = {.rto = milliseconds(10), .sends = 3, .last_wait = 2};  // 50 ms in all
  {
    auto client = BlockingTurnClient::open(server.address(), options);
    ASSERT_TRUE(client) << client.error().text;
    EXPECT_FALSE(client->allocate());
    EXPECT_EQ(client->failure()->kind, Failure::Kind::kTimeout);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Streams, ::testing::Values(TransportKind::kTcp, TransportKind::kTls),
                         [](const auto& kind) { return std::string(transport_name(kind.param)); });

TEST(RetransmitConfig, OnceWaitsAsLong) {
  const TimePoint start;
  Retransmission timer(RetransmitConfig{}.once(), start);
  EXPECT_EQ(timer.deadline() - start, milliseconds(39'500));
  EXPECT_EQ(timer.on_time(timer.deadline()), Retransmission::Due::kTimedOut);
}

TEST(OpenTransport, ChecksCertificatesWhereAsked) {
  StreamFakeServer server(TransportKind::kTls);
  server.start();
  std::string name = (std::filesystem::temp_directory_path() / "turnkit-ca-XXXXXX").string();
  const net::UniqueFd file(::mkstemp(name.data()));
  std::ofstream(name) << server.authority.pem();
  const auto error = [&](const std::string& server_name, const std::string& ca) -> std::string {
    net::TlsClientRules rules;
    rules.verify = true;
    rules.server_name = server_name;
    rules.ca_file = ca;
    TransportOptions options;
    options.kind = TransportKind::kTls;
    options.tls = *net::TlsClientContext::make(rules);
    const auto transport = open_transport(server.address(), options);
    return transport ? "" : transport.error().text;
  };
  EXPECT_EQ(error("turn.test", name), "");
  EXPECT_THAT(error("other.test", name), HasSubstr("certificate verify failed: hostname mismatch"));
  EXPECT_THAT(error("turn.test", ""), HasSubstr("certificate verify failed"));
  std::filesystem::remove(name);
}

TEST(OpenTransport, SaysWhatWentWrong) {
  Address nobody;
  {
    const auto listener = net::tcp_listen({IpAddress::v4(127, 0, 0, 1), 0});
    nobody = *net::local_address(listener->get());
  }
  TransportOptions options;
  options.kind = TransportKind::kTcp;
  auto transport = open_transport(nobody, options);
  ASSERT_FALSE(transport);
  EXPECT_THAT(transport.error().text, HasSubstr(nobody.to_string()));
  EXPECT_THAT(transport.error().text, HasSubstr("Connection refused"));

  options.kind = TransportKind::kDtls;
  EXPECT_FALSE(open_transport(nobody, options)) << "no TLS context";
  options.tls = any_certificate();
  transport = open_transport(nobody, options);
  ASSERT_FALSE(transport);
  EXPECT_THAT(transport.error().text, HasSubstr("Connection refused"));

  const auto silent = net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0});
  options.timeout = milliseconds(50);
  transport = open_transport(silent->local(), options);
  ASSERT_FALSE(transport);
  EXPECT_THAT(transport.error().text, HasSubstr("did not end in time"));
}

}  // namespace
}  // namespace turnkit::client
