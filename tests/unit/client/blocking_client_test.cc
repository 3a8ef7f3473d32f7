// The blocking client and the public-address discovery over real sockets on loopback.
#include "client/blocking_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/binding.h"
#include "client/route.h"
#include "udp_fake_server.h"

namespace turnkit::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Fast enough for a test, slow enough for a busy machine where the server does answer.
constexpr RetransmitConfig kFast{.rto = milliseconds(20), .sends = 3, .last_wait = 2};

BlockingOptions with_credentials() {
  BlockingOptions options;
  options.session.credentials = {"alice", "wonderland"};
  return options;
}

Address closed_port() { return net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0})->local(); }

TEST(BlockingTurnClient, DoesTheWholeRound) {
  UdpFakeServer server;
  server.start();
  auto client = BlockingTurnClient::open(server.address(), with_credentials());
  ASSERT_TRUE(client) << client.error().text;
  const auto allocated = client->allocate();
  ASSERT_TRUE(allocated) << allocated.error().text;
  EXPECT_EQ(allocated->relayed, kRelayedAddress);
  EXPECT_TRUE(client->create_permission(kPeerAddress));
  EXPECT_TRUE(client->bind_channel(0x4000, kPeerAddress));

  EXPECT_TRUE(client->send_channel(0x4000, as_bytes("by channel")));
  auto got = client->receive(seconds(10));
  ASSERT_TRUE(got);
  EXPECT_EQ(as_text(got->data), "by channel");
  EXPECT_EQ(got->channel, 0x4000);
  EXPECT_EQ(got->peer, kPeerAddress);

  EXPECT_TRUE(client->send(kPeerAddress, as_bytes("by indication")));
  got = client->receive(seconds(10));
  ASSERT_TRUE(got);
  EXPECT_EQ(as_text(got->data), "by indication");
  EXPECT_EQ(got->channel, std::nullopt);

  const auto refreshed = client->refresh(seconds(300));
  ASSERT_TRUE(refreshed);
  EXPECT_EQ(*refreshed, seconds(300));
  EXPECT_TRUE(client->close());
  EXPECT_FALSE(client->session().allocated());
}

TEST(BlockingTurnClient, ErrorsNameTheCode) {
  UdpFakeServer server;
  server.server.override_answer = [](const stun::MessageView&, stun::Class& cls, auto& extra) {
    cls = stun::Class::kError;
    extra.push_back([](stun::Builder& b) { b.error_code(stun::Code::kAllocationQuotaReached, "Too many"); });
    return true;
  };
  server.start();
  auto client = BlockingTurnClient::open(server.address(), with_credentials());
  ASSERT_TRUE(client);
  const auto allocated = client->allocate();
  ASSERT_FALSE(allocated);
  ASSERT_TRUE(client->failure());
  EXPECT_EQ(client->failure()->code, 486);
  EXPECT_THAT(allocated.error().text, testing::HasSubstr("486 (Too many)"));
}

TEST(BlockingTurnClient, TURN_190_TriesThreeLocalPortsOn437) {
  UdpFakeServer server;
  server.server.override_answer = [](const stun::MessageView&, stun::Class& cls, auto& extra) {
    cls = stun::Class::kError;
    extra.push_back([](stun::Builder& b) { b.error_code(stun::Code::kAllocationMismatch, ""); });
    return true;
  };
  server.start();
  auto client = BlockingTurnClient::open(server.address(), with_credentials());
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->allocate());
  EXPECT_EQ(server.sources(), 3u);
}

TEST(BlockingTurnClient, FollowsARedirect) {
  UdpFakeServer first;
  UdpFakeServer second;
  first.server.override_answer = [&](const stun::MessageView&, stun::Class& cls, auto& extra) {
    cls = stun::Class::kError;
    extra.push_back([&](stun::Builder& b) {
      b.error_code(stun::Code::kTryAlternate, "").address(stun::Attr::kAlternateServer, second.address());
    });
    return true;
  };
  first.start();
  second.start();
  auto client = BlockingTurnClient::open(first.address(), with_credentials());
  ASSERT_TRUE(client);
  EXPECT_TRUE(client->allocate());
  EXPECT_EQ(client->server(), second.address());
}

TEST(BlockingTurnClient, NEG_079_StopsAtARedirectLoop) {
  UdpFakeServer first;
  UdpFakeServer second;
  const auto redirect_to = [](const Address& to) {
    return [to](const stun::MessageView&, stun::Class& cls, auto& extra) {
      cls = stun::Class::kError;
      extra.push_back([to](stun::Builder& b) {
        b.error_code(stun::Code::kTryAlternate, "").address(stun::Attr::kAlternateServer, to);
      });
      return true;
    };
  };
  first.server.override_answer = redirect_to(second.address());
  second.server.override_answer = redirect_to(first.address());
  first.start();
  second.start();
  auto client = BlockingTurnClient::open(first.address(), with_credentials());
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->allocate());
  EXPECT_EQ(client->failure()->code, 300);
  EXPECT_EQ(first.sources(), 1u);
  EXPECT_EQ(second.sources(), 1u);
}

TEST(BlockingTurnClient, AClosedPortFailsAtOnce) {
  auto client = BlockingTurnClient::open(closed_port(), with_credentials());
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->allocate());
  ASSERT_TRUE(client->failure());
  EXPECT_EQ(client->failure()->kind, Failure::Kind::kUnreachable);
}

TEST(BlockingTurnClient, ASilentServerTimesOut) {
  const auto silent = net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0});
  ASSERT_TRUE(silent);
  BlockingOptions options = with_credentials();
  options.session.retransmit = kFast;
  auto client = BlockingTurnClient::open(silent->local(), options);
  ASSERT_TRUE(client);
  EXPECT_FALSE(client->allocate());
  EXPECT_EQ(client->failure()->kind, Failure::Kind::kTimeout);
  EXPECT_FALSE(client->receive(milliseconds(10)));
}

TEST(BlockingTurnClient, RawAccess) {
  UdpFakeServer server;
  server.start();
  auto client = BlockingTurnClient::open(server.address(), {});
  ASSERT_TRUE(client);
  std::array<std::byte, 64> buffer;
  stun::TransactionId id;
  client->random().fill(id.bytes);
  stun::Builder b(buffer, stun::Class::kRequest, stun::Method::kAllocate, id);
  b.requested_transport(17);
  const auto answer = client->transact_raw(*b.finish(), seconds(10));
  ASSERT_TRUE(answer);
  const auto message = stun::MessageView::parse(*answer);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->transaction_id(), id);
  EXPECT_TRUE(message->is(stun::Class::kError, stun::Method::kAllocate));
  EXPECT_FALSE(client->receive_raw(milliseconds(1)));
}

TEST(BlockingTurnClient, FamiliesMustMatch) {
  BlockingOptions options;
  options.local = *Address::parse("[::1]:0");
  const auto client = BlockingTurnClient::open({IpAddress::v4(127, 0, 0, 1), 3478}, options);
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().text, testing::HasSubstr("families"));
}

TEST(DiscoverPublicAddress, ReadsTheMappedAddress) {
  UdpFakeServer server;
  server.server.authenticate = false;
  server.start();
  const auto address = discover_public_address(server.address());
  ASSERT_TRUE(address) << address.error().text;
  EXPECT_EQ(*address, kClientAddress);
}

TEST(DiscoverPublicAddress, SendsAgainWhenTheFirstIsLost) {
  UdpFakeServer server;
  server.server.authenticate = false;
  int count = 0;
  server.server.mangle = [&](Datagram d) { return ++count < 3 ? Datagram() : std::move(d); };
  server.start();
  DiscoverOptions options;
  options.retransmit = {.rto = milliseconds(10), .sends = 7, .last_wait = 1000};
  EXPECT_TRUE(discover_public_address(server.address(), options));
}

TEST(DiscoverPublicAddress, SaysThatNothingListens) {
  const auto address = discover_public_address(closed_port());
  ASSERT_FALSE(address);
  EXPECT_THAT(address.error().text, testing::HasSubstr("Nothing listens"));
}

TEST(DiscoverPublicAddress, SaysThatNobodyAnswered) {
  const auto silent = net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0});
  DiscoverOptions options;
  options.retransmit = kFast;
  const auto address = discover_public_address(silent->local(), options);
  ASSERT_FALSE(address);
  EXPECT_THAT(address.error().text, testing::HasSubstr("did not answer 3 Binding requests"));
}

TEST(SourceAddressFor, LoopbackLeavesFromLoopback) {
  const auto ip = source_address_for({IpAddress::v4(127, 0, 0, 1), 0});
  ASSERT_TRUE(ip);
  EXPECT_TRUE(ip->is_loopback());
}

}  // namespace
}  // namespace turnkit::client
