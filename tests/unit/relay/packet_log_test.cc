// What a worker tells about its datagrams: as much as options ask for, and never a line for each packet of a flood.
#include "turnd/relay/packet_log.h"

#include <sstream>

#include "base/log.h"
#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::relay {
namespace {

using std::chrono::seconds;

class PacketLogTest : public ::testing::Test {
 protected:
  PacketLogTest() {
    log::Config config;
    config.to_stdout = false;
    config.file = directory_.path() + "/log";
    EXPECT_TRUE(log::configure(config));
  }
  ~PacketLogTest() override { EXPECT_TRUE(log::configure({})); }

  // The lines so far that hold `text`.
  std::size_t lines(const std::string& text) {
    log::flush();
    std::ifstream file(directory_.path() + "/log");
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) count += line.find(text) == std::string::npos ? 0U : 1U;
    return count;
  }
  void drop(engine::Drop reason, int times = 1) {
    const std::array<std::byte, 3> message{std::byte{0xff}, std::byte{1}, std::byte{2}};
    for (int i = 0; i < times; ++i) packets_.on_dropped({IpAddress::v4(192, 0, 2, 1), 1000}, message, reason, now_);
  }

  turnd::TempDir directory_;
  PacketLog packets_{7};
  TimePoint now_{seconds(1000)};
  net::SendStats sent_;
};

TEST_F(PacketLogTest, IsSilentUnlessAsked) {
  drop(engine::Drop::kNotTurn);
  for (int i = 0; i < 40; ++i) {
    packets_.on_received(4);
    ++sent_.calls;
    packets_.sweep(sent_, now_ += seconds(1));
  }
  EXPECT_EQ(lines(""), 0U);
}

TEST_F(PacketLogTest, TellsInvalidPacketsAndNoOthers) {
  packets_.set_rules({.invalid = true});
  drop(engine::Drop::kNoPermission);
  EXPECT_EQ(lines(""), 0U);
  drop(engine::Drop::kNotTurn);
  drop(engine::Drop::kMalformedStun);
  drop(engine::Drop::kBadCookie);
  EXPECT_EQ(lines("dropped an invalid packet of 3 bytes from 192.0.2.1:1000"), 3U);
  EXPECT_EQ(lines("first byte 0xff"), 3U);
}

TEST_F(PacketLogTest, AFloodIsAFewLinesAndASum) {
  packets_.set_rules({.invalid = true});
  drop(engine::Drop::kNotTurn, 100);
  EXPECT_EQ(lines("dropped an invalid packet"), PacketLog::kLinesPerSecond);
  packets_.sweep(sent_, now_);
  EXPECT_EQ(lines("more invalid packets"), 0U);
  packets_.sweep(sent_, now_ += seconds(1));
  EXPECT_EQ(lines("dropped 95 more invalid packets"), 1U);
  drop(engine::Drop::kNotTurn, 100);
  EXPECT_EQ(lines("dropped an invalid packet"), 2 * PacketLog::kLinesPerSecond);
  now_ += seconds(5);
  drop(engine::Drop::kNotTurn);
  EXPECT_EQ(lines("dropped 95 more invalid packets"), 2U);
}

TEST_F(PacketLogTest, CountsSystemCallsEveryTenSeconds) {
  packets_.set_rules({.receive = true, .send = true});
  packets_.sweep(sent_, now_);
  packets_.on_received(10);
  packets_.on_received(2);
  sent_ = {.datagrams = 30, .segmented = 20, .calls = 10};
  packets_.sweep(sent_, now_ += seconds(9));
  EXPECT_EQ(lines(""), 0U);
  packets_.sweep(sent_, now_ += seconds(1));
  EXPECT_EQ(lines("receive calls: 2, datagrams or runs of them: 12, 6.00 a call"), 1U);
  EXPECT_EQ(lines("send calls: 10, datagrams: 30 (20 of them segmented), 3.00 a call"), 1U);
  packets_.sweep(sent_, now_ += seconds(10));
  EXPECT_EQ(lines(""), 2U) << "nothing happened since";
}

}  // namespace
}  // namespace turnkit::relay
