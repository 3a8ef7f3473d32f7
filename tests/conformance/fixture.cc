// The fixtures of the conformance tests.
#include "tests/conformance/fixture.h"

#include "tests/conformance/harness/binary_harness.h"

namespace turnkit::conformance {

namespace {

std::string kind_name(const testing::TestParamInfo<Kind>& kind) {
  return kind.param == Kind::kEngine ? "engine" : "binary";
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Conformance, Turn, testing::Values(Kind::kEngine, Kind::kBinary), kind_name);

Harness& Fixture::harness() {
  if (harness_ == nullptr) harness_ = make_harness(kind_, options);
  return *harness_;
}

void Fixture::outlive(Duration lifetime) { harness().advance(is_engine() ? lifetime : lifetime + 50ms); }

void Fixture::wait_until_shortly_before(TimePoint end) {
  const Duration margin = is_engine() ? Duration(1) : Duration(400ms);
  const Duration left = end - harness().now().mono - margin;
  if (left > Duration::zero()) harness().advance(left);
}

Client& Fixture::client(const Credentials& credentials, std::size_t server) {
  clients_.push_back(
      std::make_unique<Client>(harness(), credentials, Address{harness().ip(1), 0}, harness().server(server)));
  return *clients_.back();
}

Client& Fixture::client_v6(const Credentials& credentials) {
  clients_.push_back(
      std::make_unique<Client>(harness(), credentials, Address{*IpAddress::parse("::1"), 0}, harness().server_v6()));
  return *clients_.back();
}

Client& Fixture::allocated(const Fill& more) {
  Client& made = client();
  EXPECT_TRUE(succeeded(made.allocate(more)));
  return made;
}

Socket& Fixture::open(const Address& local) {
  sockets_.push_back(harness().open(local));
  return *sockets_.back();
}

Address Fixture::relay_for(Client& client, const Socket& peer) {
  const Answer answer = client.allocate([&](stun::Builder& m) {
    if (!peer.local().ip.is_v4()) m.address_family(Attr::kRequestedAddressFamily, Family::kIPv6);
  });
  EXPECT_TRUE(succeeded(answer));
  EXPECT_TRUE(succeeded(client.permit(peer.local().ip)));
  return answer.relayed();
}

std::string Fixture::unique_text() { return "text " + std::to_string(++texts_); }

testing::AssertionResult Fixture::came_through(Client& client, Socket& peer, std::string_view text) {
  client.barrier();
  const std::optional<Datagram> datagram = peer.poll();
  if (!datagram) return testing::AssertionFailure() << "nothing came to the peer";
  if (datagram->text() == text) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the peer got \"" << datagram->text() << "\" instead of \"" << text << '"';
}

testing::AssertionResult Fixture::sends(Client& client, Socket& peer) {
  const std::string text = unique_text();
  client.send(peer.local(), text);
  return came_through(client, peer, text);
}

testing::AssertionResult Fixture::sends_on(Client& client, std::uint16_t channel, Socket& peer) {
  const std::string text = unique_text();
  client.send_channel(channel, text);
  return came_through(client, peer, text);
}

testing::AssertionResult Fixture::reaches(Socket& peer, const Address& relayed, Client& client, std::string text) {
  if (text.empty()) text = unique_text();
  peer.send(relayed, text);
  const std::optional<Data> data = client.data_so_far();
  if (!data) return testing::AssertionFailure() << "nothing came to the client";
  if (data->text == text) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the client got \"" << data->text << "\" instead of \"" << text << '"';
}

testing::AssertionResult Fixture::silent(Client& client, Socket& peer) {
  client.barrier();
  const std::optional<Datagram> datagram = peer.poll();
  if (!datagram) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "the peer got \"" << datagram->text() << '"';
}

bool TurnBinary::stop_and_find(std::string_view text) {
  return static_cast<BinaryHarness&>(harness()).child().stop_and_find(text);
}

}  // namespace turnkit::conformance
