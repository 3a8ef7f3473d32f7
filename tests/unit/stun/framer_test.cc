// Stream framing: the same frames however the stream is cut, and a broken stream is noticed.
#include "stun/framer.h"

#include <functional>

#include "stun_test_util.h"
#include "vectors.h"

namespace turnkit::stun {
namespace {

using Kind = Frame::Kind;

// Feeds a stream in pieces and collects its frames as text: "S:hex", "C:hex", "P:hex", and "broken" at the end.
class Feeder {
 public:
  using Next = std::function<Frame(Bytes)>;
  explicit Feeder(Next next) : next_(std::move(next)) {}

  void feed(Bytes piece) {
    buffered_.insert(buffered_.end(), piece.begin(), piece.end());
    while (!broken_) {
      const Frame frame = next_(buffered_);
      if (frame.kind == Kind::kNeedMore) {
        EXPECT_GT(frame.size, buffered_.size()) << "asks for no more than there is";
        return;
      }
      if (frame.kind == Kind::kBroken) {
        broken_ = true;
        frames_.emplace_back("broken");
        return;
      }
      EXPECT_GT(frame.size, 0U);
      ASSERT_LE(frame.size, buffered_.size());
      const char tag = frame.kind == Kind::kStun ? 'S' : frame.kind == Kind::kChannelData ? 'C' : 'P';
      frames_.push_back(std::string(1, tag) + ':' + to_hex(frame.message));
      buffered_.erase(buffered_.begin(), buffered_.begin() + static_cast<std::ptrdiff_t>(frame.size));
    }
  }
  [[nodiscard]] const std::vector<std::string>& frames() const { return frames_; }
  [[nodiscard]] std::size_t left() const { return buffered_.size(); }

 private:
  Next next_;
  Buffer buffered_;
  std::vector<std::string> frames_;
  bool broken_ = false;
};

Frame turn_frame(Bytes bytes) { return next_frame(bytes, kRfc8656Channels); }
Frame rfc4571_frame(Bytes bytes) { return next_rfc4571_frame(bytes); }

std::vector<std::string> frames_in(Bytes stream, const Feeder::Next& next = turn_frame) {
  Feeder feeder(next);
  feeder.feed(stream);
  return feeder.frames();
}

const std::string kStunHex = "000100002112a442000102030405060708090a0b";

TEST(NextFrame, FindsEachKind) {
  const Buffer stun = hex(vectors::kRequest);
  const Frame frame = turn_frame(stun);
  EXPECT_EQ(frame.kind, Kind::kStun);
  EXPECT_EQ(frame.size, stun.size());
  EXPECT_EQ(frame.message.data(), stun.data());
  EXPECT_EQ(frame.message.size(), stun.size());

  for (std::size_t length = 0; length < 9; ++length) {
    Buffer channel(4 + (length + 3) / 4 * 4);
    write_channel_header(channel.data(), 0x4001, length);
    const Frame data = turn_frame(channel);
    EXPECT_EQ(data.kind, Kind::kChannelData) << length;
    EXPECT_EQ(data.size, channel.size()) << length;
    EXPECT_EQ(data.message.size(), 4 + length) << length;
    if (length % 4 != 0) {
      EXPECT_EQ(turn_frame(Bytes(channel).first(4 + length)).kind, Kind::kNeedMore) << "without padding, " << length;
    }
  }
}

TEST(NextFrame, SaysHowMuchItNeeds) {
  EXPECT_EQ(turn_frame({}).size, 4U);
  EXPECT_EQ(turn_frame(hex("00")).size, 4U);
  EXPECT_EQ(turn_frame(hex("000100")).size, 4U);
  EXPECT_EQ(turn_frame(hex("00010058")).size, 8U);
  EXPECT_EQ(turn_frame(hex("000100582112a442")).size, 108U);
  EXPECT_EQ(turn_frame(hex("40010005")).size, 12U);
  EXPECT_EQ(turn_frame(hex("40010004")).size, 8U);
}

TEST(NextFrame, NEG_103_SplitAtEveryOffset) {
  const Buffer stream = concat({hex(vectors::kRequest), hex("4001000361626300"), hex(vectors::kLongTermRequest),
                                hex("40020000"), hex("4fff000461626364"), hex(kStunHex), hex("4003ffff0000")});
  const auto whole = frames_in(stream);
  ASSERT_EQ(whole.size(), 6U);
  for (std::size_t at = 0; at <= stream.size(); ++at) {
    Feeder feeder(turn_frame);
    feeder.feed(Bytes(stream).first(at));
    feeder.feed(Bytes(stream).subspan(at));
    EXPECT_EQ(feeder.frames(), whole) << at;
    EXPECT_EQ(feeder.left(), 6U);
  }
  Feeder trickle(turn_frame);
  for (const std::byte b : stream) trickle.feed(Bytes(&b, 1));
  EXPECT_EQ(trickle.frames(), whole);
}

TEST(NextFrame, NEG_104_TenMessagesInOneSegment) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += kStunHex;
  EXPECT_EQ(frames_in(hex(text)), std::vector<std::string>(10, "S:" + kStunHex));
}

// A TLS ClientHello, DTLS, RTP and the like are no frames at their first byte. HTTP's "GET " reads as a ChannelData
// header, so that only the absence of that channel can end the connection.
TEST(NextFrame, NEG_105_OtherProtocols) {
  for (const std::string_view other : {"160301", "1603010200010001fc0303", "80", "ff", "0400", "5353482d322e30"}) {
    EXPECT_EQ(turn_frame(hex(other)).kind, Kind::kBroken) << other;
  }
  const Frame http = turn_frame(hex("474554202f20485454502f312e310d0a0d0a"));
  EXPECT_EQ(http.kind, Kind::kNeedMore);
  EXPECT_EQ(http.size, 4U + 0x5420);
  EXPECT_EQ(turn_frame(hex("504f5354202f")).kind, Kind::kBroken);  // POST
}

TEST(NextFrame, NEG_106_HugeLengthIsBounded) {
  const Buffer header = hex("0001fffc2112a442000102030405060708090a0b");
  EXPECT_EQ(turn_frame(header).kind, Kind::kNeedMore);
  EXPECT_EQ(turn_frame(header).size, 65552U);
  EXPECT_EQ(next_frame(header, kRfc8656Channels, 4096).kind, Kind::kBroken);
  const Buffer limit = hex("000100142112a442");
  EXPECT_EQ(next_frame(limit, kRfc8656Channels, 40).kind, Kind::kNeedMore);
  EXPECT_EQ(next_frame(limit, kRfc8656Channels, 39).kind, Kind::kBroken);
}

TEST(NextFrame, NEG_107_LengthNotAMultipleOfFour) {
  EXPECT_EQ(turn_frame(hex("000100052112a442000102030405060708090a0b")).kind, Kind::kBroken);
  EXPECT_EQ(turn_frame(hex("00010001")).kind, Kind::kBroken);
}

TEST(NextFrame, NEG_108_ChannelDataWithoutItsPadding) {
  const auto frames = frames_in(hex("40000003616263 000100002112a442"));
  EXPECT_EQ(frames, (std::vector<std::string>{"C:40000003616263", "broken"}));
}

TEST(NextFrame, NEG_109_LargestChannelData) {
  Buffer stream = hex("4000ffff");
  EXPECT_EQ(turn_frame(stream).size, 65540U);
  EXPECT_EQ(next_frame(stream, kRfc8656Channels, 100).size, 65540U);  // the bound is for STUN
  stream.resize(65540);
  const Buffer next = hex(kStunHex);
  stream.insert(stream.end(), next.begin(), next.end());
  const auto frames = frames_in(stream);
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].size(), 2 + 2 * 65539U);
  EXPECT_EQ(frames[1], "S:" + kStunHex);
}

TEST(NextFrame, NEG_112_Rfc4571OnAPlainPort) {
  EXPECT_EQ(turn_frame(hex("0014000100002112a442000102030405060708090a0b")).kind, Kind::kBroken);
}

TEST(NextFrame, WrongCookieBreaksTheStream) {
  EXPECT_EQ(turn_frame(hex("00010000deadbeef")).kind, Kind::kBroken);
  EXPECT_EQ(turn_frame(hex("00010000deadbe")).kind, Kind::kNeedMore);
}

TEST(NextFrame, ChannelRangeDecidesEveryFirstTwoBytes) {
  for (unsigned first = 0x0400; first <= 0xFFFF; ++first) {
    Buffer frame(4);
    store_be16(frame.data(), static_cast<std::uint16_t>(first));
    EXPECT_EQ(turn_frame(frame).kind == Kind::kChannelData, first >= 0x4000 && first <= 0x4FFF) << first;
    const Frame wide = next_frame(frame, kRfc5766Channels);
    EXPECT_EQ(wide.kind, first >= 0x4000 && first <= 0x7FFE ? Kind::kChannelData : Kind::kBroken) << first;
  }
}

TEST(NextRfc4571Frame, SplitAtEveryOffset) {
  const Buffer stream = hex("0000 0001aa 0004deadbeef 0000 00026162 0005");
  const std::vector<std::string> expected = {"P:", "P:aa", "P:deadbeef", "P:", "P:6162"};
  EXPECT_EQ(frames_in(stream, rfc4571_frame), expected);
  for (std::size_t at = 0; at <= stream.size(); ++at) {
    Feeder feeder(rfc4571_frame);
    feeder.feed(Bytes(stream).first(at));
    feeder.feed(Bytes(stream).subspan(at));
    EXPECT_EQ(feeder.frames(), expected) << at;
  }
}

TEST(NextRfc4571Frame, BoundsThePacket) {
  EXPECT_EQ(next_rfc4571_frame({}).size, 2U);
  EXPECT_EQ(next_rfc4571_frame(hex("ff")).size, 2U);
  EXPECT_EQ(next_rfc4571_frame(hex("ffff")).size, 65537U);
  EXPECT_EQ(next_rfc4571_frame(hex("0100"), 256).kind, Kind::kNeedMore);
  EXPECT_EQ(next_rfc4571_frame(hex("0101"), 256).kind, Kind::kBroken);
}

}  // namespace
}  // namespace turnkit::stun
