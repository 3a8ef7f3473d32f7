#include "probe/listen/proc_net.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/fd.h"
#include "net/udp_socket.h"

namespace turnkit::probe {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// As Linux 6.1 prints them.
constexpr const char* kUdp =
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer "
    "drops            \n"
    " 1234: 00000000:20FB 00000000:0000 07 00000000:00000000 00:00000000 00000000  1001        0 4711 2 "
    "0000000000000000 0         \n"
    " 1300: 0100007F:0035 0202000A:C350 01 00000000:00000000 00:00000000 00000000   101        0 4712 2 "
    "0000000000000000 0         \n";
constexpr const char* kTcp6 =
    "  sl  local_address                         remote_address                        st tx_queue rx_queue tr "
    "tm->when retrnsmt   uid  timeout inode\n"
    "   0: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000 "
    "00:00000000 00000000     0        0 99 1 0000000000000000 100 0 0 10 0\n"
    "   1: B80D0120000000000000000001000000:20FB B80D0120000000000000000002000000:C001 03 00000000:00000000 "
    "01:00000064 00000002     0        0 0 1 0000000000000000\n";

TEST(ProcNet, ReadsIpv4Rows) {
  const std::vector<ProcSocket> sockets = parse_proc_net(kUdp, Family::kIPv4);
  ASSERT_EQ(sockets.size(), 2U);
  EXPECT_EQ(sockets[0].local.to_string(), "0.0.0.0:8443");
  EXPECT_EQ(sockets[0].uid, 1001U);
  EXPECT_EQ(sockets[0].inode, 4711U);
  EXPECT_EQ(sockets[1].local.to_string(), "127.0.0.1:53");
  EXPECT_EQ(sockets[1].remote.to_string(), "10.0.2.2:50000");
  EXPECT_EQ(sockets[1].state, 1U);
}

TEST(ProcNet, ReadsIpv6RowsAndHalfOpenConnections) {
  const std::vector<ProcSocket> sockets = parse_proc_net(kTcp6, Family::kIPv6);
  ASSERT_EQ(sockets.size(), 2U);
  EXPECT_EQ(sockets[0].local.to_string(), "[::]:8443");
  EXPECT_EQ(sockets[0].state, kStateListen);
  EXPECT_EQ(sockets[1].remote.ip.to_string(), "2001:db8::2");
  EXPECT_EQ(sockets[1].state, kStateSynReceived);
  EXPECT_EQ(sockets[1].retransmits, 2U);
  const IpAddress client = *IpAddress::parse("2001:db8::2");
  EXPECT_EQ(count_half_open(sockets, client, 8443), 1U);
  EXPECT_EQ(count_half_open(sockets, client, 443), 0U);
  EXPECT_EQ(count_half_open(sockets, *IpAddress::parse("2001:db8::3"), 8443), 0U);
}

TEST(ProcNet, OldHalfOpenConnectionsAreOfAnotherAttempt) {
  std::vector<ProcSocket> sockets = parse_proc_net(kTcp6, Family::kIPv6);
  sockets[1].retransmits = 4;
  EXPECT_EQ(count_half_open(sockets, *IpAddress::parse("2001:db8::2"), 8443), 0U);
}

TEST(ProcNet, LeavesOutWhatItDoesNotUnderstand) {
  for (const char* row :
       {"", "\n\n", "garbage", " 1: 0100007F", " 1: 0100007F:35 00000000:0000 07 0:0 0:0 0 0 0 1",
        " 1: 0100007G:0035 00000000:0000 07 0:0 0:0 0 0 0 1", " 1: 0100007F:0035 00000000:0000 07 0:0 0:0 0 x 0 1",
        " 1: 0100007F:0035 00000000:0000 07 0:0 0:0 0 0 0",
        " 1: 0100007F:0035 00000000:0000 07 0:0 0:0 0 0 0 99999999999999999999999"}) {
    EXPECT_THAT(parse_proc_net(row, Family::kIPv4), IsEmpty()) << row;
  }
  EXPECT_THAT(parse_proc_net(kUdp, Family::kIPv6), IsEmpty());
}

TEST(PortOwner, FindsThisProcess) {
  const auto socket = net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0});
  ASSERT_TRUE(socket) << socket.error().text;
  const std::vector<PortOwner> owners = find_port_owners(Protocol::kUdp, socket->local().port);
  ASSERT_FALSE(owners.empty());
  EXPECT_EQ(owners[0].pid, ::getpid());
  EXPECT_THAT(describe(owners[0]),
              HasSubstr("(pid " + std::to_string(::getpid()) + "), bound to " + socket->local().to_string()));
  EXPECT_THAT(find_port_owners(Protocol::kTcp, socket->local().port), IsEmpty());
}

// A procfs of our own making.
class FakeProc : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(::testing::TempDir()) / ("proc." + std::to_string(::getpid()));
    std::filesystem::create_directories(root_ / "net");
    std::filesystem::create_directories(root_ / "1234" / "fd");
    std::ofstream(root_ / "net" / "udp") << kUdp;
    std::ofstream(root_ / "net" / "tcp6") << kTcp6;
    std::ofstream(root_ / "1234" / "comm") << "rtcd\n";
    std::filesystem::create_symlink("socket:[4711]", root_ / "1234" / "fd" / "7");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::filesystem::path root_;
};

TEST_F(FakeProc, NamesTheProcess) {
  const std::vector<PortOwner> owners = find_port_owners(Protocol::kUdp, 8443, root_.string());
  ASSERT_EQ(owners.size(), 1U);
  EXPECT_EQ(describe(owners[0]), "UDP 8443 is in use by rtcd (pid 1234), bound to 0.0.0.0:8443");
}

TEST_F(FakeProc, SaysSoWhenTheProcessIsHidden) {
  const std::vector<PortOwner> owners = find_port_owners(Protocol::kTcp, 8443, root_.string());
  ASSERT_EQ(owners.size(), 1U);  // the listener, not the half-open connection
  EXPECT_EQ(describe(owners[0]),
            "TCP 8443 is in use by a process of user id 0 (run as root to see which), bound to [::]:8443");
}

}  // namespace
}  // namespace turnkit::probe
