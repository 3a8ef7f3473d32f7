// UdpSocket: binding, its options, and the queue of ICMP errors.
#include "net/udp_socket.h"

#include <fcntl.h>
#include <netinet/in.h>

#include "net/sockaddr.h"
#include "net_test_support.h"

namespace turnkit::net {
namespace {

using testing::bind_loopback;
using testing::family_name;
using testing::loopback;

class UdpSocketTest : public testing::BothFamilies {};
INSTANTIATE_TEST_SUITE_P(, UdpSocketTest, ::testing::Values(Family::kIPv4, Family::kIPv6), family_name);

int int_option(const UdpSocket& socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(::getsockopt(socket.fd(), level, name, &value, &size), 0);
  return value;
}

void send_text(const UdpSocket& from, const Address& to, std::string_view text) {
  SockAddr name;
  const socklen_t size = to_sockaddr(to, name);
  ASSERT_EQ(::sendto(from.fd(), text.data(), text.size(), 0, &name.base, size), static_cast<ssize_t>(text.size()));
}

TEST_P(UdpSocketTest, BindsToAFreePort) {
  const UdpSocket socket = bind_loopback(GetParam());
  EXPECT_EQ(socket.local().ip, loopback(GetParam()));
  EXPECT_NE(socket.local().port, 0);
  EXPECT_EQ(local_address(socket.fd()), socket.local());
  EXPECT_FALSE(socket.is_wildcard());
  EXPECT_EQ(socket.segment(), udp_capabilities().segment);
  EXPECT_EQ(int_option(socket, SOL_SOCKET, SO_DOMAIN), GetParam() == Family::kIPv4 ? AF_INET : AF_INET6);
}

TEST_P(UdpSocketTest, IsNonBlockingAndClosedOnExec) {
  const UdpSocket socket = bind_loopback(GetParam());
  EXPECT_NE(::fcntl(socket.fd(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(::fcntl(socket.fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(UdpSocketTest, SaysWhyAPortCannotBeHad) {
  const UdpSocket first = bind_loopback(GetParam());
  const auto second = UdpSocket::bind(first.local());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().text,
            "cannot bind UDP " + first.local().to_string() + ": Address already in use; another socket has this port");
}

TEST(UdpSocket, SaysWhyAnAddressCannotBeHad) {
  const auto socket = UdpSocket::bind({IpAddress::v4(192, 0, 2, 1), 0});
  ASSERT_FALSE(socket);
  EXPECT_NE(socket.error().text.find("192.0.2.1:0"), std::string::npos) << socket.error().text;
  EXPECT_NE(socket.error().text.find("no interface of this host has this address"), std::string::npos);
}

TEST_P(UdpSocketTest, SharesAPortAmongWorkers) {
  UdpOptions options;
  options.reuse_port = true;
  const UdpSocket first = bind_loopback(GetParam(), options);
  const auto second = UdpSocket::bind(first.local(), options);
  ASSERT_TRUE(second) << second.error().text;
  EXPECT_EQ(second->local(), first.local());
}

TEST(UdpSocket, BothFamiliesShareAPort) {
  const auto v6 = UdpSocket::bind({IpAddress::any(Family::kIPv6), 0});
  ASSERT_TRUE(v6) << v6.error().text;
  const auto v4 = UdpSocket::bind({IpAddress::any(Family::kIPv4), v6->local().port});
  ASSERT_TRUE(v4) << v4.error().text;
  EXPECT_TRUE(v4->is_wildcard());
}

TEST_P(UdpSocketTest, SetsTheBuffersThatWereAskedFor) {
  UdpOptions options;
  options.receive_buffer = 100'000;
  options.send_buffer = 50'000;
  const UdpSocket socket = bind_loopback(GetParam(), options);
  // The kernel doubles the number for its own bookkeeping (socket(7)).
  EXPECT_EQ(int_option(socket, SOL_SOCKET, SO_RCVBUF), 200'000);
  EXPECT_EQ(int_option(socket, SOL_SOCKET, SO_SNDBUF), 100'000);
}

TEST_P(UdpSocketTest, LeavesFragmentationToTheKernelUntilTold) {
  UdpSocket socket = bind_loopback(GetParam());
  if (GetParam() == Family::kIPv4) {
    EXPECT_EQ(int_option(socket, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
    ASSERT_TRUE(socket.set_dont_fragment(true));
    EXPECT_EQ(int_option(socket, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    ASSERT_TRUE(socket.set_dont_fragment(false));
    EXPECT_EQ(int_option(socket, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_OMIT);
  } else {
    EXPECT_EQ(int_option(socket, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
    ASSERT_TRUE(socket.set_dont_fragment(true));
    EXPECT_EQ(int_option(socket, IPPROTO_IPV6, IPV6_DONTFRAG), 1);
    ASSERT_TRUE(socket.set_dont_fragment(false));
    EXPECT_EQ(int_option(socket, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
  }
}

TEST_P(UdpSocketTest, FragmentsAboveTheMtuUnlessToldNotTo) {
  const bool ran = testing::in_namespace(1500, [&] {
    UdpSocket sender = bind_loopback(GetParam());
    const UdpSocket receiver = bind_loopback(GetParam());
    const std::string large(4000, 'x');
    send_text(sender, receiver.local(), large);
    const auto got = testing::receive_datagrams(receiver, 1);
    ASSERT_EQ(got.size(), 1U);
    EXPECT_EQ(got[0].data, large);

    ASSERT_TRUE(sender.set_dont_fragment(true));
    SockAddr name;
    const socklen_t size = to_sockaddr(receiver.local(), name);
    EXPECT_EQ(::sendto(sender.fd(), large.data(), large.size(), 0, &name.base, size), -1);
    EXPECT_EQ(errno, EMSGSIZE);
  });
  if (!ran) GTEST_SKIP() << "needs root, to make a network namespace";
}

TEST_P(UdpSocketTest, BindsToADevice) {
  UdpOptions options;
  options.device = "lo";
  const auto socket = UdpSocket::bind({loopback(GetParam()), 0}, options);
  ASSERT_TRUE(socket) << socket.error().text;
  char device[IFNAMSIZ] = {};
  socklen_t size = sizeof(device);
  ASSERT_EQ(::getsockopt(socket->fd(), SOL_SOCKET, SO_BINDTODEVICE, device, &size), 0);
  EXPECT_STREQ(device, "lo");
}

TEST(UdpSocket, NamesTheDeviceThatIsNotThere) {
  UdpOptions options;
  options.device = "nosuchdev0";
  const auto socket = UdpSocket::bind({loopback(Family::kIPv4), 0}, options);
  ASSERT_FALSE(socket);
  EXPECT_NE(socket.error().text.find("SO_BINDTODEVICE nosuchdev0"), std::string::npos) << socket.error().text;
}

TEST_P(UdpSocketTest, ReportsIcmpErrorsWithTheInnerDestination) {
  UdpOptions options;
  options.receive_errors = true;
  const UdpSocket sender = bind_loopback(GetParam(), options);
  const Address closed = bind_loopback(GetParam()).local();
  send_text(sender, closed, "x");
  ASSERT_TRUE(testing::wait_for(sender.fd(), POLLERR));
  IcmpError error;
  ASSERT_TRUE(next_icmp_error(sender.fd(), error));
  EXPECT_EQ(error.destination, closed);
  if (GetParam() == Family::kIPv4) {
    EXPECT_EQ(error.type, 3);
    EXPECT_EQ(error.code, 3);
  } else {
    EXPECT_EQ(error.type, 1);
    EXPECT_EQ(error.code, 4);
  }
  EXPECT_EQ(error.info, 0U);
  EXPECT_EQ(error.reporter, loopback(GetParam()));
  EXPECT_FALSE(next_icmp_error(sender.fd(), error));
}

TEST_P(UdpSocketTest, KeepsTheOrderOfIcmpErrors) {
  UdpOptions options;
  options.receive_errors = true;
  const UdpSocket sender = bind_loopback(GetParam(), options);
  std::vector<Address> closed;
  for (int i = 0; i < 3; ++i) closed.push_back(bind_loopback(GetParam()).local());
  for (const Address& to : closed) {
    SockAddr name;
    const socklen_t size = to_sockaddr(to, name);
    // The pending error of the packet before is reported once, so a second attempt may be needed.
    for (int attempt = 0; attempt < 2 && ::sendto(sender.fd(), "x", 1, 0, &name.base, size) != 1; ++attempt) {
      EXPECT_EQ(errno, ECONNREFUSED);
    }
  }
  for (const Address& to : closed) {
    ASSERT_TRUE(testing::wait_for(sender.fd(), POLLERR));
    IcmpError error;
    ASSERT_TRUE(next_icmp_error(sender.fd(), error));
    EXPECT_EQ(error.destination, to);
  }
}

TEST(UdpSocket, SkipsErrorsOfLocalOrigin) {
  const bool ran = testing::in_namespace(1500, [&] {
    UdpOptions options;
    options.receive_errors = true;
    UdpSocket sender = bind_loopback(Family::kIPv4, options);
    ASSERT_TRUE(sender.set_dont_fragment(true));
    const std::string large(4000, 'x');
    SockAddr name;
    const socklen_t size = to_sockaddr({loopback(Family::kIPv4), 9}, name);
    ASSERT_EQ(::sendto(sender.fd(), large.data(), large.size(), 0, &name.base, size), -1);
    ASSERT_EQ(errno, EMSGSIZE);
    ASSERT_TRUE(testing::wait_for(sender.fd(), POLLERR));
    IcmpError error;
    EXPECT_FALSE(next_icmp_error(sender.fd(), error));
  });
  if (!ran) GTEST_SKIP() << "needs root, to make a network namespace";
}

TEST_P(UdpSocketTest, HasNoErrorsWithoutAskingForThem) {
  const UdpSocket sender = bind_loopback(GetParam());
  const Address closed = bind_loopback(GetParam()).local();
  send_text(sender, closed, "x");
  send_text(sender, closed, "y");
  IcmpError error;
  EXPECT_FALSE(next_icmp_error(sender.fd(), error));
}

}  // namespace
}  // namespace turnkit::net
