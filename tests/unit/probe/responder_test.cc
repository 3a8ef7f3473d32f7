// What a listener answers and counts: echoes, reports, lines of text; and that it never amplifies, loops or grows.
#include "probe/listen/responder.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "stun/builder.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Address kLocal{IpAddress::v4(192, 0, 2, 1), 8443};
const Address kClient{IpAddress::v4(198, 51, 100, 7), 50000};

class ResponderTest : public ::testing::Test {
 protected:
  Packet request(Kind kind, std::uint32_t sequence) {
    Packet packet;
    packet.kind = kind;
    packet.nonce = nonce_;
    packet.sequence = sequence;
    packet.sent = sequence + 1;
    packet.subject_port = 8443;
    return packet;
  }
  // Sends over UDP; the answer is decoded into answer_. False when there was none.
  bool exchange(const Packet& packet, const Address& from = kClient) {
    RequestBuffer buffer;
    const Bytes bytes = encode_request(packet, buffer);
    const Responder::Reply reply = responder_.on_datagram(bytes, from, kLocal, now_);
    EXPECT_NE(reply.source, nullptr);
    EXPECT_LE(reply.answer.size(), bytes.size());
    if (reply.answer.empty()) return false;
    EXPECT_EQ(decode_answer(reply.answer, answer_), Decoded::kOk);
    responder_.sent(reply, 0, now_);
    return true;
  }
  bool exchange_tcp(const Packet& packet, const Address& from) {
    RequestBuffer buffer;
    const Responder::Reply reply = responder_.on_frame(encode_request(packet, buffer), from, kLocal, now_);
    if (reply.answer.empty()) return false;
    EXPECT_EQ(decode_answer(reply.answer, answer_), Decoded::kOk);
    responder_.sent(reply, 0, now_);
    return true;
  }
  std::string echo(std::string_view text, const Address& from = kClient) {
    const Responder::Reply reply = responder_.on_datagram(as_bytes(text), from, kLocal, now_);
    EXPECT_LE(reply.answer.size(), text.size());
    const std::string out(as_text(reply.answer));
    if (!reply.answer.empty()) responder_.sent(reply, 0, now_);
    return out;
  }

  SeededRandom random_{1};
  unsigned half_open_ = 0;
  Responder responder_{
      {{8443, 3478}, {8443}, 8}, random_, [this](const IpAddress&, std::uint16_t) { return half_open_; }};
  Nonce nonce_ = Nonce::random(random_);
  Packet answer_;
  TimePoint now_{seconds(1000)};
};

TEST_F(ResponderTest, EchoesProbesWithCountersAndTheObservedAddress) {
  for (std::uint32_t i = 0; i < 5; ++i) {
    ASSERT_TRUE(exchange(request(Kind::kProbe, i)));
    EXPECT_EQ(answer_.kind, Kind::kEcho);
    EXPECT_EQ(answer_.sequence, i);
    EXPECT_EQ(answer_.received, i + 1);
    EXPECT_EQ(answer_.sent, i + 1);
    EXPECT_EQ(answer_.mapped, kClient);
    EXPECT_NE(answer_.token, 0U);
  }
}

TEST_F(ResponderTest, CountsDuplicatesOnce) {
  exchange(request(Kind::kProbe, 0));
  exchange(request(Kind::kProbe, 0));
  exchange(request(Kind::kProbe, 1));
  EXPECT_EQ(answer_.received, 2U);
  EXPECT_EQ(answer_.sent, 3U);
}

TEST_F(ResponderTest, BelievesConfirmationsOnlyWithTheToken) {
  exchange(request(Kind::kProbe, 0));
  Packet next = request(Kind::kProbe, 1);
  next.received = 1;
  exchange(next);
  EXPECT_EQ(responder_.sources().all().begin()->second.confirmed, 0U);
  next.sequence = 2;
  next.token = answer_.token;
  exchange(next);
  EXPECT_EQ(responder_.sources().all().begin()->second.confirmed, 1U);
}

TEST_F(ResponderTest, ReportsASessionOverTheOtherProtocol) {
  for (std::uint32_t i = 0; i < 4; ++i) exchange(request(Kind::kProbe, i));
  const Address tcp_client{kClient.ip, 60000};
  responder_.on_connection(tcp_client, kLocal, now_);
  ASSERT_TRUE(exchange_tcp(request(Kind::kAsk, 0), tcp_client));
  EXPECT_EQ(answer_.kind, Kind::kReport);
  EXPECT_EQ(answer_.received, 4U);
  EXPECT_EQ(answer_.sent, 4U);
  EXPECT_EQ(answer_.observed, kClient);
  EXPECT_EQ(answer_.mapped, tcp_client);
  EXPECT_EQ(answer_.flags, kFlagSessionKnown | kFlagListening);
}

TEST_F(ResponderTest, ReportsThatNothingArrived) {
  const Address tcp_client{kClient.ip, 60000};
  responder_.on_connection(tcp_client, kLocal, now_);
  ASSERT_TRUE(exchange_tcp(request(Kind::kAsk, 0), tcp_client));
  EXPECT_EQ(answer_.flags, kFlagListening);
  EXPECT_EQ(answer_.received, 0U);
  EXPECT_FALSE(answer_.observed);
  EXPECT_EQ(responder_.sources().all().begin()->second.missing_port, 8443);

  Packet elsewhere = request(Kind::kAsk, 1);
  elsewhere.subject_port = 9999;
  ASSERT_TRUE(exchange_tcp(elsewhere, tcp_client));
  EXPECT_EQ(answer_.flags, 0);
}

TEST_F(ResponderTest, ReportsHalfOpenAndRecentConnections) {
  half_open_ = 3;
  Packet ask = request(Kind::kAsk, 0);
  ask.subject_protocol = Protocol::kTcp;
  ASSERT_TRUE(exchange(ask));
  EXPECT_EQ(answer_.half_open, 3);
  EXPECT_EQ(answer_.accepted, 0);

  responder_.on_connection({kClient.ip, 60000}, kLocal, now_);
  now_ += seconds(5);
  ask.sequence = 1;
  ASSERT_TRUE(exchange(ask));
  EXPECT_EQ(answer_.accepted, 1);
  now_ += seconds(6);  // that was another attempt
  ask.sequence = 2;
  ASSERT_TRUE(exchange(ask));
  EXPECT_EQ(answer_.accepted, 0);
}

TEST_F(ResponderTest, ReportsRefusedSends) {
  RequestBuffer buffer;
  for (std::uint32_t i = 0; i < 3; ++i) {
    const Responder::Reply reply =
        responder_.on_datagram(encode_request(request(Kind::kProbe, i), buffer), kClient, kLocal, now_);
    responder_.sent(reply, 1, now_);
  }
  const Address tcp_client{kClient.ip, 60000};
  ASSERT_TRUE(exchange_tcp(request(Kind::kAsk, 0), tcp_client));
  EXPECT_EQ(answer_.received, 3U);
  EXPECT_EQ(answer_.sent, 0U);
  EXPECT_EQ(answer_.send_errors, 3U);
  EXPECT_EQ(answer_.send_errno, 1);
}

TEST_F(ResponderTest, SendsLinesBackAsTheyCame) {
  EXPECT_EQ(echo("hello\n"), "hello\n");
  EXPECT_EQ(responder_.sources().all().begin()->second.text, "hello");
  EXPECT_EQ(responder_.sources().all().begin()->second.kind, PeerKind::kText);
}

TEST_F(ResponderTest, AnswersNothingElse) {
  EXPECT_EQ(echo("X"), "");  // netcat's test byte
  EXPECT_EQ(echo(""), "");
  EXPECT_EQ(echo("no line end"), "");
  EXPECT_EQ(echo(std::string(600, 'a') + "\n"), "");
  EXPECT_EQ(echo(std::string("\x16\xFE\xFD bin\n", 8)), "");
  EXPECT_EQ(echo("turn-probe checks UDP 8443 (0badcafe). ...\n"), "");
  EXPECT_EQ(echo("\nturn-probe checks UDP 8443 (0badcafe). ...\n"), "");
  std::vector<std::byte> buffer(100);
  stun::Builder binding(buffer, stun::Class::kRequest, stun::Method::kBinding, {});
  EXPECT_EQ(echo(as_text(*binding.finish())), "");  // an answer would be larger than the request
}

TEST_F(ResponderTest, DoesNotLoopWithOtherServices) {
  EXPECT_EQ(echo("hello\n", {kClient.ip, 7}), "");     // echo
  EXPECT_EQ(echo("hello\n", {kClient.ip, 8443}), "");  // another listener
  std::size_t answered = 0;
  for (int i = 0; i < 10000; ++i) {
    now_ += milliseconds(200);
    if (!echo("ping\n").empty()) ++answered;
  }
  EXPECT_EQ(answered, 200U);
}

TEST_F(ResponderTest, LimitsAnswersForEachSource) {
  std::size_t answered = 0;
  for (std::uint32_t i = 0; i < 5000; ++i) answered += exchange(request(Kind::kProbe, i)) ? 1 : 0;
  EXPECT_EQ(answered, 2000U);
  nonce_ = Nonce::random(random_);
  EXPECT_TRUE(exchange(request(Kind::kProbe, 0), {IpAddress::v4(198, 51, 100, 8), 50000}));
  now_ += seconds(1);
  EXPECT_TRUE(exchange(request(Kind::kProbe, 1)));
}

TEST_F(ResponderTest, LimitsLinesForEachSource) {
  std::size_t answered = 0;
  for (int i = 0; i < 100; ++i) answered += echo("hi\n").empty() ? 0 : 1;
  EXPECT_EQ(answered, 20U);
}

TEST_F(ResponderTest, KeepsProvenSourcesWhenStrangersFillTheTable) {
  exchange(request(Kind::kProbe, 0));
  Packet next = request(Kind::kProbe, 1);
  next.token = answer_.token;
  next.received = 1;
  exchange(next);
  for (std::uint16_t port = 1024; port < 3000; ++port) echo("X", {IpAddress::v4(203, 0, 113, 1), port});
  EXPECT_EQ(responder_.sources().all().size(), 8U);
  EXPECT_NE(responder_.sources().find({Protocol::kUdp, nonce_, {}, 0}), nullptr);
  EXPECT_EQ(responder_.sources().forgotten(), 3000U - 1024 - 7);
}

TEST_F(ResponderTest, OwnLineOfTextBelongsToTheSession) {
  exchange(request(Kind::kProbe, 0));
  echo("\nturn-probe checks UDP 8443 (0badcafe). If you read this, type a line and press Enter.\n");
  ASSERT_EQ(responder_.sources().all().size(), 1U);
  EXPECT_EQ(responder_.sources().all().begin()->second.kind, PeerKind::kTurnProbe);
  EXPECT_EQ(responder_.sources().all().begin()->second.packets, 2U);
}

TEST_F(ResponderTest, SurvivesRandomBytes) {
  std::vector<std::byte> bytes;
  for (int i = 0; i < 20000; ++i) {
    bytes.resize(random_.below(400));
    random_.fill(bytes);
    const Address from{IpAddress::v4(203, 0, 113, static_cast<std::uint8_t>(i)),
                       static_cast<std::uint16_t>(2000 + i % 1000)};
    EXPECT_LE(responder_.on_datagram(bytes, from, kLocal, now_).answer.size(), bytes.size());
    EXPECT_LE(responder_.on_frame(bytes, from, kLocal, now_).answer.size(), bytes.size());
    EXPECT_LE(responder_.on_stream_bytes(bytes, from, kLocal, now_).answer.size(), bytes.size());
  }
  EXPECT_LE(responder_.sources().all().size(), 8U);
}

TEST(SequenceCounter, CountsDifferentNumbersWithinItsWindow) {
  SequenceCounter counter;
  for (const std::uint32_t sequence : {5U, 3U, 4U, 3U, 5U, 100U, 99U, 99U}) counter.add(sequence);
  EXPECT_EQ(counter.distinct(), 5U);
  EXPECT_FALSE(counter.add(36));  // 64 behind: cannot be told
  EXPECT_TRUE(counter.add(37));
  EXPECT_TRUE(counter.add(0xFFFFFFFF));
  EXPECT_FALSE(counter.add(0xFFFFFFFF));
  EXPECT_EQ(counter.distinct(), 7U);
}

TEST(RateLimiter, RefillsWithTimeAndSharesIpv6Prefixes) {
  RateLimiter limiter(10, 3);
  TimePoint now{seconds(5)};
  const IpAddress a = *IpAddress::parse("2001:db8::1");
  const IpAddress b = *IpAddress::parse("2001:db8::ffff");
  const IpAddress c = *IpAddress::parse("2001:db8:0:1::1");
  EXPECT_TRUE(limiter.allow(a, now));
  EXPECT_TRUE(limiter.allow(b, now));
  EXPECT_TRUE(limiter.allow(a, now));
  EXPECT_FALSE(limiter.allow(b, now));
  EXPECT_TRUE(limiter.allow(c, now));
  now += milliseconds(100);
  EXPECT_TRUE(limiter.allow(a, now));
  EXPECT_FALSE(limiter.allow(a, now));
}

TEST(RateLimiter, ManySourcesShareOneBucket) {
  RateLimiter limiter(1, 2, 4);
  TimePoint now{seconds(5)};
  for (std::uint8_t i = 0; i < 4; ++i) EXPECT_TRUE(limiter.allow(IpAddress::v4(10, 0, 0, i), now));
  std::size_t allowed = 0;
  for (std::uint8_t i = 10; i < 200; ++i) allowed += limiter.allow(IpAddress::v4(10, 0, 1, i), now) ? 1 : 0;
  EXPECT_EQ(allowed, 2U);
  now += seconds(2);  // all four buckets are full again and carry no memory
  for (std::uint8_t i = 10; i < 14; ++i) allowed += limiter.allow(IpAddress::v4(10, 0, 2, i), now) ? 1 : 0;
  EXPECT_EQ(allowed, 6U);
}

}  // namespace
}  // namespace turnkit::probe
