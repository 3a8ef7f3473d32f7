// TCP: listening, accepting, connecting and moving bytes.
#include <netinet/tcp.h>

#include "net/stream.h"
#include "net_test_support.h"

using namespace turnkit;
using namespace turnkit::net;
using namespace turnkit::net::testing;

namespace {

using State = StreamIo::State;

class Tcp : public BothFamilies {
 protected:
  UniqueFd listen(const TcpListenOptions& options = {}) {
    auto listener = tcp_listen({loopback(GetParam()), 0}, options);
    if (!listener) throw std::runtime_error(listener.error().text);
    return *std::move(listener);
  }
};

TEST_P(Tcp, CarriesBytesAndEndsOneWay) {
  const UniqueFd listener = listen();
  EXPECT_FALSE(tcp_accept(listener.get()).fd);
  EXPECT_EQ(tcp_accept(listener.get()).error, 0);
  auto fd = tcp_connect(*local_address(listener.get()));
  ASSERT_TRUE(fd) << fd.error().text;
  const auto client = make_tcp_stream(*std::move(fd));
  ASSERT_TRUE(wait_for(listener.get()));
  Accepted accepted = tcp_accept(listener.get());
  ASSERT_TRUE(accepted.fd);
  EXPECT_EQ(accepted.peer, *local_address(client->fd()));
  EXPECT_EQ(accepted.local, *local_address(listener.get()));
  EXPECT_EQ(accepted.local, *peer_address(client->fd()));
  int no_delay = 0;
  socklen_t size = sizeof(no_delay);
  ASSERT_EQ(::getsockopt(accepted.fd.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
  EXPECT_NE(no_delay, 0);

  const auto server = make_tcp_stream(std::move(accepted.fd));
  std::array<std::byte, 64> buffer;
  EXPECT_EQ(server->read(buffer).state, State::kWantRead);
  ASSERT_TRUE(wait_for(client->fd(), POLLOUT));
  EXPECT_EQ(tcp_connect_error(client->fd()), 0);
  EXPECT_EQ(client->write(as_bytes("up")).bytes, 2U);
  client->end_output();
  ASSERT_TRUE(wait_for(server->fd()));
  EXPECT_EQ(server->read(buffer).bytes, 2U);
  ASSERT_TRUE(wait_for(server->fd()));
  EXPECT_EQ(server->read(buffer).state, State::kEnd);
  EXPECT_EQ(server->write(as_bytes("down")).bytes, 4U);
  ASSERT_TRUE(wait_for(client->fd()));
  EXPECT_EQ(client->read(buffer).bytes, 4U);
}

TEST_P(Tcp, RefusedConnectionsSaySo) {
  Address nobody;
  {
    const UniqueFd listener = listen();
    nobody = *local_address(listener.get());
  }
  auto fd = tcp_connect(nobody);
  if (!fd) {
    EXPECT_NE(fd.error().text.find("Connection refused"), std::string::npos) << fd.error().text;
    return;
  }
  ASSERT_TRUE(wait_for(fd->get(), POLLOUT));
  EXPECT_EQ(tcp_connect_error(fd->get()), ECONNREFUSED);
}

// A relayed address of RFC 6062 both listens and connects from one port.
TEST_P(Tcp, ConnectsFromAListenersPort) {
  TcpListenOptions shared;
  shared.reuse_port = true;
  const UniqueFd relayed = listen(shared);
  const UniqueFd target = listen();
  auto fd = tcp_connect(*local_address(target.get()), *local_address(relayed.get()));
  ASSERT_TRUE(fd) << fd.error().text;
  ASSERT_TRUE(wait_for(target.get()));
  EXPECT_EQ(tcp_accept(target.get()).peer, *local_address(relayed.get()));
}

TEST_P(Tcp, TakenPortsAreNamed) {
  const UniqueFd first = listen();
  const auto second = tcp_listen(*local_address(first.get()));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().text, "cannot listen on TCP " + local_address(first.get())->to_string() +
                                     ": Address already in use; another socket has this port");
}

TEST_P(Tcp, AFullSocketAsksForWritability) {
  const UniqueFd listener = listen();
  auto fd = tcp_connect(*local_address(listener.get()));
  ASSERT_TRUE(fd);
  ASSERT_TRUE(wait_for(listener.get()));
  const auto server = make_tcp_stream(tcp_accept(listener.get()).fd);
  const std::vector<std::byte> block(1 << 20);
  StreamIo io;
  for (int i = 0; i < 1000 && io.state == State::kDone; ++i) io = server->write(block);
  EXPECT_EQ(io.state, State::kWantWrite);
}

TEST_P(Tcp, AResetIsAFailureWithoutSignal) {
  const UniqueFd listener = listen();
  auto fd = tcp_connect(*local_address(listener.get()));
  ASSERT_TRUE(fd);
  ASSERT_TRUE(wait_for(listener.get()));
  const auto server = make_tcp_stream(tcp_accept(listener.get()).fd);
  const linger hard{1, 0};
  ASSERT_EQ(::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
  fd->reset();
  ASSERT_TRUE(wait_for(server->fd()));
  std::array<std::byte, 64> buffer;
  EXPECT_EQ(server->read(buffer).state, State::kFailed);
  EXPECT_EQ(server->failure(), "Connection reset by peer");
  EXPECT_EQ(server->write(buffer).state, State::kFailed);
}

INSTANTIATE_TEST_SUITE_P(Families, Tcp, ::testing::Values(Family::kIPv4, Family::kIPv6), family_name);

}  // namespace
