// RecvBatch: runs that GRO joined, single and empty datagrams, ancillary data, slots.
#include <netinet/in.h>
#include <netinet/udp.h>

#include <array>

#include "net/sockaddr.h"
#include "net/udp_batch.h"
#include "net_test_support.h"

namespace turnkit::net {
namespace {

using testing::bind_loopback;
using testing::family_name;
using testing::receive_some;

class RecvBatchTest : public testing::BothFamilies {};
INSTANTIATE_TEST_SUITE_P(, RecvBatchTest, ::testing::Values(Family::kIPv4, Family::kIPv6), family_name);

// One system call of an ordinary sender; `segment` != 0 asks for UDP_SEGMENT.
void send_text(const UdpSocket& from, const Address& to, std::string_view text, std::uint16_t segment = 0) {
  SockAddr name;
  msghdr message{};
  message.msg_name = &name;
  message.msg_namelen = to_sockaddr(to, name);
  iovec part{const_cast<char*>(text.data()), text.size()};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(segment))> control{};
  if (segment != 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(segment));
    std::memcpy(CMSG_DATA(header), &segment, sizeof(segment));
  }
  ASSERT_EQ(::sendmsg(from.fd(), &message, 0), static_cast<ssize_t>(text.size())) << std::strerror(errno);
}

TEST_P(RecvBatchTest, ReceivesARunAsOneDatagram) {
  if (!udp_capabilities().gro || !udp_capabilities().segment) GTEST_SKIP() << "this kernel has no UDP GRO";
  SeededRandom random(1);
  for (const std::size_t segments : {2U, 3U, 16U, 64U}) {
    for (const std::size_t tail : {0U, 1U, 500U}) {
      const UdpSocket sender = bind_loopback(GetParam());
      const UdpSocket receiver = bind_loopback(GetParam());
      const std::string text = testing::random_text(random, segments * 1000 - (tail == 0 ? 0 : 1000 - tail));
      send_text(sender, receiver.local(), text, 1000);
      RecvBatch batch;
      const auto datagrams = receive_some(batch, receiver);
      ASSERT_EQ(datagrams.size(), 1U) << segments << " segments";
      EXPECT_EQ(datagrams[0].segment_size, 1000U);
      EXPECT_EQ(as_text(datagrams[0].data), text);
      EXPECT_EQ(datagrams[0].source, sender.local());
      EXPECT_EQ(datagrams[0].local, receiver.local());
      std::vector<std::size_t> sizes;
      datagrams[0].for_each_segment([&](Bytes segment) { sizes.push_back(segment.size()); });
      ASSERT_EQ(sizes.size(), segments);
      EXPECT_EQ(sizes.back(), tail == 0 ? 1000 : tail);
      EXPECT_EQ(sizes.front(), 1000U);
    }
  }
}

TEST_P(RecvBatchTest, WithoutGroEachDatagramComesAlone) {
  if (!udp_capabilities().segment) GTEST_SKIP() << "this kernel has no UDP_SEGMENT";
  UdpOptions options;
  options.gro = false;
  const UdpSocket sender = bind_loopback(GetParam());
  const UdpSocket receiver = bind_loopback(GetParam(), options);
  send_text(sender, receiver.local(), std::string(2500, 'x'), 1000);
  RecvBatch batch;
  const auto datagrams = receive_some(batch, receiver);
  ASSERT_EQ(datagrams.size(), 3U);
  EXPECT_EQ(datagrams[0].data.size(), 1000U);
  EXPECT_EQ(datagrams[0].segment_size, 1000U);
  EXPECT_EQ(datagrams[2].data.size(), 500U);
  EXPECT_EQ(datagrams[2].segment_size, 500U);
}

TEST_P(RecvBatchTest, ReceivesSinglesAndEmptyDatagrams) {
  const UdpSocket sender = bind_loopback(GetParam());
  const UdpSocket receiver = bind_loopback(GetParam());
  for (const char* text : {"a", "", "bcd", ""}) send_text(sender, receiver.local(), text);
  RecvBatch batch;
  const auto received = batch.receive(receiver);
  ASSERT_EQ(received.datagrams.size(), 4U);
  EXPECT_TRUE(received.drained);
  std::vector<std::string> texts;
  for (const Datagram& datagram : received.datagrams) {
    EXPECT_EQ(datagram.segment_size, datagram.data.size());
    datagram.for_each_segment([&](Bytes segment) { texts.emplace_back(as_text(segment)); });
  }
  EXPECT_EQ(texts, (std::vector<std::string>{"a", "", "bcd", ""}));
}

TEST_P(RecvBatchTest, ReportsAnEmptySocket) {
  const UdpSocket socket = bind_loopback(GetParam());
  RecvBatch batch(4, 2048);
  for (const std::size_t limit : {1U, 4U}) {
    const auto received = batch.receive(socket, limit);
    EXPECT_TRUE(received.datagrams.empty());
    EXPECT_EQ(received.error, EAGAIN);
    EXPECT_TRUE(received.drained);
  }
}

TEST_P(RecvBatchTest, FillsSlotsUntilCleared) {
  const UdpSocket sender = bind_loopback(GetParam());
  const UdpSocket receiver = bind_loopback(GetParam());
  for (int i = 0; i < 9; ++i) send_text(sender, receiver.local(), std::to_string(i));
  RecvBatch batch(4, 2048);
  auto received = batch.receive(receiver, 1);
  ASSERT_EQ(received.datagrams.size(), 1U);
  EXPECT_EQ(batch.free_slots(), 3U);
  EXPECT_FALSE(received.drained);
  const Datagram& first = received.datagrams[0];

  received = batch.receive(receiver, 64);
  ASSERT_EQ(received.datagrams.size(), 3U);
  EXPECT_FALSE(received.drained);
  EXPECT_EQ(batch.free_slots(), 0U);
  EXPECT_EQ(batch.receive(receiver).error, ENOBUFS);
  EXPECT_EQ(as_text(first.data), "0");
  EXPECT_EQ(as_text(received.datagrams[2].data), "3");

  batch.clear();
  received = batch.receive(receiver, 4);
  ASSERT_EQ(received.datagrams.size(), 4U);
  EXPECT_EQ(as_text(received.datagrams[0].data), "4");
  batch.clear();
  received = batch.receive(receiver, 4);
  ASSERT_EQ(received.datagrams.size(), 1U);
  EXPECT_TRUE(received.drained);
}

TEST_P(RecvBatchTest, LeavesRoomForAHeaderInFrontOfTheData) {
  const UdpSocket sender = bind_loopback(GetParam());
  const UdpSocket receiver = bind_loopback(GetParam());
  RecvBatch batch(3, 64);
  const std::string full(64, 'x');
  for (int i = 0; i < 3; ++i) send_text(sender, receiver.local(), full);
  const auto datagrams = receive_some(batch, receiver);
  ASSERT_EQ(datagrams.size(), 3U);
  for (const Datagram& datagram : datagrams) {
    std::memset(datagram.data.data() - RecvBatch::kHeadroom, 'h', RecvBatch::kHeadroom);
  }
  for (const Datagram& datagram : datagrams) EXPECT_EQ(as_text(datagram.data), full);
}

TEST_P(RecvBatchTest, MarksTruncatedDatagrams) {
  const UdpSocket sender = bind_loopback(GetParam());
  const UdpSocket receiver = bind_loopback(GetParam());
  send_text(sender, receiver.local(), std::string(65, 'x'));
  send_text(sender, receiver.local(), std::string(64, 'x'));
  RecvBatch batch(2, 64);
  const auto datagrams = receive_some(batch, receiver);
  ASSERT_EQ(datagrams.size(), 2U);
  EXPECT_TRUE(datagrams[0].truncated);
  EXPECT_EQ(datagrams[0].data.size(), 64U);
  EXPECT_FALSE(datagrams[1].truncated);
}

TEST_P(RecvBatchTest, ReportsTosAndForgetsItInTheNextTurn) {
  UdpOptions options;
  options.receive_tos = true;
  const UdpSocket sender = bind_loopback(GetParam());
  const UdpSocket receiver = bind_loopback(GetParam(), options);
  RecvBatch batch;
  for (const int tos : {0xB8, 0, 0x02, 0}) {
    const bool v4 = GetParam() == Family::kIPv4;
    ASSERT_EQ(::setsockopt(sender.fd(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos)),
              0);
    send_text(sender, receiver.local(), "x");
    const auto datagrams = receive_some(batch, receiver);
    ASSERT_EQ(datagrams.size(), 1U);
    EXPECT_EQ(datagrams[0].tos, tos);
    batch.clear();
  }
}

TEST_P(RecvBatchTest, AWildcardSocketLearnsWhereItWasAddressed) {
  const auto wildcard = UdpSocket::bind({IpAddress::any(GetParam()), 0});
  ASSERT_TRUE(wildcard) << wildcard.error().text;
  const UdpSocket sender = bind_loopback(GetParam());
  RecvBatch batch;
  const std::vector<IpAddress> targets = GetParam() == Family::kIPv4
                                             ? std::vector{IpAddress::v4(127, 0, 0, 1), IpAddress::v4(127, 0, 0, 2)}
                                             : std::vector{*IpAddress::parse("::1")};
  for (const IpAddress& target : targets) {
    const Address to{target, wildcard->local().port};
    send_text(sender, to, "x");
    const auto datagrams = receive_some(batch, *wildcard);
    ASSERT_EQ(datagrams.size(), 1U);
    EXPECT_EQ(datagrams[0].local, to);
    EXPECT_EQ(datagrams[0].source, sender.local());
    batch.clear();
  }
}

TEST(RecvBatch, ABroadcastIsAnsweredFromTheHostsOwnAddress) {
  const auto wildcard = UdpSocket::bind({IpAddress::any(Family::kIPv4), 0});
  ASSERT_TRUE(wildcard) << wildcard.error().text;
  const UdpSocket sender = bind_loopback(Family::kIPv4);
  const int on = 1;
  ASSERT_EQ(::setsockopt(sender.fd(), SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)), 0);
  send_text(sender, {IpAddress::v4(127, 255, 255, 255), wildcard->local().port}, "x");
  RecvBatch batch;
  const auto datagrams = receive_some(batch, *wildcard);
  ASSERT_EQ(datagrams.size(), 1U);
  EXPECT_EQ(datagrams[0].local.ip, IpAddress::v4(127, 0, 0, 1));
}

// One slot, one socket after the other: nothing of what came before may show.
TEST(RecvBatch, ASlotForgetsWhatItHeld) {
  if (!udp_capabilities().gro || !udp_capabilities().segment) GTEST_SKIP() << "this kernel has no UDP GRO";
  UdpOptions with_tos;
  with_tos.receive_tos = true;
  with_tos.receive_pktinfo = true;
  const int tos = 0xB8;
  RecvBatch batch(1);
  for (int round = 0; round < 2; ++round) {
    for (const Family family : {Family::kIPv4, Family::kIPv6}) {
      const bool v4 = family == Family::kIPv4;
      const UdpSocket sender = bind_loopback(family);
      const UdpSocket plain = bind_loopback(family);
      const UdpSocket rich = bind_loopback(family, with_tos);
      ASSERT_EQ(::setsockopt(sender.fd(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof(tos)),
                0);
      struct Step {
        const UdpSocket& socket;
        std::size_t size;
        std::uint16_t segment;
        int tos;
      };
      for (const Step& step : {Step{plain, 50, 0, 0}, Step{rich, 2500, 1000, tos}, Step{plain, 70, 0, 0},
                               Step{rich, 60, 0, tos}, Step{plain, 2500, 900, 0}}) {
        send_text(sender, step.socket.local(), std::string(step.size, 'x'), step.segment);
        const auto datagrams = receive_some(batch, step.socket);
        ASSERT_EQ(datagrams.size(), 1U);
        EXPECT_EQ(datagrams[0].data.size(), step.size);
        EXPECT_EQ(datagrams[0].segment_size, step.segment != 0 ? step.segment : step.size);
        EXPECT_EQ(datagrams[0].tos, step.tos);
        EXPECT_EQ(datagrams[0].source, sender.local());
        EXPECT_EQ(datagrams[0].local, step.socket.local());
        batch.clear();
      }
    }
  }
}

TEST_P(RecvBatchTest, ReturnsAPendingErrorOnce) {
  UdpOptions options;
  options.receive_errors = true;
  const UdpSocket socket = bind_loopback(GetParam(), options);
  const Address closed = bind_loopback(GetParam()).local();
  send_text(socket, closed, "x");
  ASSERT_TRUE(testing::wait_for(socket.fd(), POLLERR));
  RecvBatch batch;
  auto received = batch.receive(socket);
  EXPECT_EQ(received.error, ECONNREFUSED);
  EXPECT_FALSE(received.drained);
  received = batch.receive(socket);
  EXPECT_EQ(received.error, EAGAIN);
  IcmpError error;
  EXPECT_TRUE(next_icmp_error(socket.fd(), error));
}

}  // namespace
}  // namespace turnkit::net
