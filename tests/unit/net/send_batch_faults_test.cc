// SendBatch when the kernel refuses: injected errors, partial sendmmsg results, full buffers.
#include <netinet/in.h>
#include <netinet/udp.h>

#include <deque>

#include "net/segment_limits.h"
#include "net/udp_batch.h"
#include "net_test_support.h"

namespace turnkit::net {
namespace {

using testing::bind_loopback;

// Stands in for the kernel: each message takes the next scripted errno (0: sent); after the script all is sent.
struct Kernel {
  std::deque<int> script;
  std::vector<std::string> sent;  // "segments x size" of each message
  int calls = 0;
  bool refuse_segments = false;  // EIO for every UDP_SEGMENT send
};
Kernel* g_kernel = nullptr;

std::uint16_t segment_of(const msghdr& message) {
  msghdr copy = message;
  for (cmsghdr* c = CMSG_FIRSTHDR(&copy); c != nullptr; c = CMSG_NXTHDR(&copy, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT) {
      std::uint16_t size = 0;
      std::memcpy(&size, CMSG_DATA(c), sizeof(size));
      return size;
    }
  }
  return 0;
}

ssize_t one_message(const msghdr& message) {
  const std::uint16_t segment = segment_of(message);
  int error = segment != 0 && g_kernel->refuse_segments ? EIO : 0;
  if (!g_kernel->script.empty()) {
    error = g_kernel->script.front();
    g_kernel->script.pop_front();
  }
  if (error != 0) {
    errno = error;
    return -1;
  }
  std::size_t total = 0;
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) total += message.msg_iov[i].iov_len;
  g_kernel->sent.push_back(std::to_string(total) + (segment != 0 ? "/" + std::to_string(segment) : ""));
  return static_cast<ssize_t>(total);
}

ssize_t fake_sendmsg(int, const msghdr* message, int) {
  ++g_kernel->calls;
  return one_message(*message);
}

int fake_sendmmsg(int, mmsghdr* messages, unsigned count, int) {
  ++g_kernel->calls;
  for (unsigned i = 0; i < count; ++i) {
    if (one_message(messages[i].msg_hdr) < 0) return i == 0 ? -1 : static_cast<int>(i);
  }
  return static_cast<int>(count);
}

class SendBatchFaults : public ::testing::Test {
 protected:
  SendBatchFaults() { g_kernel = &kernel_; }
  ~SendBatchFaults() override { g_kernel = nullptr; }

  void SetUp() override {
    if (!udp_capabilities().segment) GTEST_SKIP() << "this kernel has no UDP_SEGMENT";
  }

  // `count` datagrams of `size` bytes to destination number `to`.
  void add(std::size_t count, std::size_t size, std::uint16_t to = 1) {
    for (std::size_t i = 0; i < count; ++i) {
      batch_.add(
          {.socket = &socket_, .to = {IpAddress::v4(127, 0, 0, 1), to}, .head = {}, .payload = bytes_.first(size)});
    }
  }

  Kernel kernel_;
  UdpSocket socket_ = bind_loopback(Family::kIPv4);
  SendBatch batch_{1024, {.sendmsg = fake_sendmsg, .sendmmsg = fake_sendmmsg}};
  std::string text_ = std::string(3000, 'x');
  Bytes bytes_ = as_bytes(text_);
  using Sent = std::vector<std::string>;
};

TEST_F(SendBatchFaults, RunsHaveAtMost64SegmentsAnd65507Bytes) {
  add(130, 10, 1);
  add(40, 2000, 2);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"640/10", "640/10", "20/10", "64000/2000", "16000/2000"}));
}

TEST_F(SendBatchFaults, OnlyTheLastSegmentOfARunIsShorter) {
  for (const std::size_t size : {100U, 100U, 40U, 40U, 100U, 0U, 0U, 5U}) add(1, size);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"240/100", "40", "100", "0", "0", "5"}));
}

TEST_F(SendBatchFaults, EioTurnsSegmentationOffForGood) {
  kernel_.refuse_segments = true;
  ::testing::internal::CaptureStderr();
  add(3, 100, 1);
  add(2, 50, 2);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"100", "100", "100", "50", "50"}));
  EXPECT_FALSE(socket_.segment());
  EXPECT_EQ(batch_.stats().datagrams, 5U);
  EXPECT_EQ(batch_.stats().segmented, 0U);
  kernel_.sent.clear();
  kernel_.refuse_segments = false;
  add(3, 100);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"100", "100", "100"}));
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("segmentation offload is off"), std::string::npos) << log;
  EXPECT_EQ(log.find("segmentation offload is off"), log.rfind("segmentation offload is off")) << log;
}

TEST_F(SendBatchFaults, EinvalIsRememberedForTheDestinationAndTheSize) {
  kernel_.script = {EINVAL};
  add(3, 1400);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"1400", "1400", "1400"}));
  kernel_.sent.clear();
  add(2, 1400);  // refused size: singly
  add(1, 900);
  add(2, 1400, 2);  // another destination
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"1400", "1400", "900", "2800/1400"}));
  kernel_.sent.clear();
  add(3, 1399);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"4197/1399"}));
  EXPECT_TRUE(socket_.segment());
}

TEST_F(SendBatchFaults, EmsgsizeIsTriedOnceMoreBecauseItMayBeAnOlderPackets) {
  kernel_.script = {EMSGSIZE};
  add(2, 1000);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"2000/1000"}));
  kernel_.sent.clear();
  kernel_.script = {EMSGSIZE, EMSGSIZE};
  add(2, 1000);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"1000", "1000"}));
  EXPECT_EQ(batch_.stats().dropped_error, 0U);
}

TEST_F(SendBatchFaults, AnErrorInTheMiddleCostsOneDatagramOnly) {
  kernel_.script = {0, EPERM, 0};
  for (std::uint16_t to = 1; to <= 4; ++to) add(1, 10U * to, to);
  batch_.flush();
  // sendmmsg stops before the message that failed; the next call reports its error.
  EXPECT_EQ(kernel_.sent, (Sent{"10", "20", "30", "40"}));
  kernel_.sent.clear();
  kernel_.script = {0, EPERM, EPERM, 0};
  for (std::uint16_t to = 1; to <= 4; ++to) add(1, 10U * to, to);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"10", "30", "40"}));
  EXPECT_EQ(batch_.stats().dropped_error, 1U);
}

TEST_F(SendBatchFaults, APendingErrorCostsNothing) {
  kernel_.script = {ECONNREFUSED, 0, EHOSTUNREACH, 0};
  for (std::uint16_t to = 1; to <= 3; ++to) add(1, 10U * to, to);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"10", "20", "30"}));
  EXPECT_EQ(batch_.stats().dropped_error, 0U);
  kernel_.sent.clear();
  kernel_.script = {ENETUNREACH, ENETUNREACH};
  add(1, 10);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{}));
  EXPECT_EQ(batch_.stats().dropped_error, 1U);
}

TEST_F(SendBatchFaults, AFullBufferDropsTheRestOfThatSocketOnly) {
  UdpSocket other = bind_loopback(Family::kIPv4);
  for (const int error : {EAGAIN, ENOBUFS}) {
    kernel_.sent.clear();
    kernel_.script = {0, error, error};
    const std::uint64_t before = batch_.stats().dropped_full;
    for (std::uint16_t to = 1; to <= 100; ++to) add(2, 10, to);
    batch_.add({.socket = &other, .to = {IpAddress::v4(127, 0, 0, 1), 1}, .head = {}, .payload = bytes_.first(7)});
    batch_.flush();
    EXPECT_EQ(kernel_.sent, (Sent{"20/10", "7"}));
    EXPECT_EQ(batch_.stats().dropped_full - before, 198U);
  }
  EXPECT_EQ(batch_.stats().dropped_error, 0U);
}

TEST_F(SendBatchFaults, AFullBufferWhileSendingSinglyCountsTheRest) {
  kernel_.script = {EINVAL, 0, EAGAIN};
  add(4, 100, 1);
  add(3, 100, 2);
  batch_.flush();
  EXPECT_EQ(kernel_.sent, (Sent{"100"}));
  EXPECT_EQ(batch_.stats().datagrams, 1U);
  EXPECT_EQ(batch_.stats().dropped_full, 6U);
}

TEST_F(SendBatchFaults, EveryDatagramIsCountedOnce) {
  SeededRandom random(3);
  const std::array errors = {0, 0, 0, 0, EAGAIN, EINVAL, EMSGSIZE, EPERM, ECONNREFUSED, EINTR, ENOBUFS};
  std::uint64_t added = 0;
  for (int round = 0; round < 2000; ++round) {
    kernel_.script.clear();
    for (int i = 0; i < 20; ++i) kernel_.script.push_back(errors[random.below(errors.size())]);
    const std::uint32_t count = random.below(300);
    for (std::uint32_t i = 0; i < count; ++i) {
      add(1, random.below(3) == 0 ? random.below(3000) : 1000, static_cast<std::uint16_t>(random.below(90)));
    }
    batch_.flush();
    added += count;
    const SendStats& stats = batch_.stats();
    ASSERT_EQ(stats.datagrams + stats.dropped_full + stats.dropped_error, added) << "round " << round;
    kernel_.sent.clear();
  }
}

TEST(SegmentLimits, ForgetsTheOldestDestination) {
  SegmentLimits limits;
  const auto to = [](std::size_t n) { return Address{IpAddress::v4(10, 0, 0, 1), static_cast<std::uint16_t>(n)}; };
  EXPECT_EQ(limits.of(to(1)), SegmentLimits::kNoLimit);
  for (std::size_t n = 0; n < SegmentLimits::kCapacity; ++n) limits.lower(to(n), 1000 + n);
  EXPECT_EQ(limits.of(to(0)), 1000U);
  limits.lower(to(1), 500);
  limits.lower(to(1), 700);
  EXPECT_EQ(limits.of(to(1)), 500U);
  limits.lower(to(5000), 1);
  EXPECT_EQ(limits.of(to(0)), SegmentLimits::kNoLimit);
  EXPECT_EQ(limits.of(to(1)), 500U);
  EXPECT_EQ(limits.of(to(5000)), 1U);
  limits.lower(to(5001), 1);
  EXPECT_EQ(limits.of(to(1)), SegmentLimits::kNoLimit);
}

}  // namespace
}  // namespace turnkit::net
