// What the listener's screen says about each source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "probe/listen/screen.h"
#include "probe/listen/verdict.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr TimePoint kStart{seconds(100)};

Source udp_session(unsigned received, unsigned answers, unsigned confirmed) {
  Source s;
  s.protocol = Protocol::kUdp;
  s.kind = PeerKind::kTurnProbe;
  s.remote = {IpAddress::v4(198, 51, 100, 7), 50000};
  s.local = {IpAddress::v4(192, 0, 2, 1), 8443};
  s.first_seen = s.first_answer = s.last_seen = kStart;
  for (unsigned i = 0; i < received; ++i) s.sequences.add(i);
  s.packets = received;
  s.peer_sent = 20;
  s.answers = answers;
  s.confirmed = confirmed;
  return s;
}

TEST(ListenVerdict, BothDirections) {
  Source s = udp_session(20, 20, 20);
  s.finished = true;
  EXPECT_EQ(judge(s, kStart).status, Verdict::kPass);
  EXPECT_EQ(judge(s, kStart).reason, "both-directions");
}

TEST(ListenVerdict, LossIsAWarning) {
  Source s = udp_session(14, 14, 14);
  EXPECT_EQ(judge(s, kStart).reason, "loss");
  s = udp_session(20, 20, 14);
  EXPECT_EQ(judge(s, kStart).reason, "both-directions");  // answers are still under way
  s.finished = true;
  EXPECT_EQ(judge(s, kStart).reason, "loss");
}

TEST(ListenVerdict, AnswersThatAreNeverConfirmed) {
  Source s = udp_session(20, 20, 0);
  EXPECT_EQ(judge(s, kStart).reason, "in-progress");
  EXPECT_EQ(judge(s, kStart + seconds(5)).reason, "in-progress");  // it stopped sending too early to have confirmed
  s.last_seen = kStart + milliseconds(1200);
  EXPECT_EQ(judge(s, kStart + seconds(5)).reason, "server-to-client-dropped");
  s.last_seen = kStart;
  s.finished = true;
  const SourceVerdict verdict = judge(s, kStart);
  EXPECT_EQ(verdict.status, Verdict::kFail);
  EXPECT_THAT(verdict.sentence, HasSubstr("server->client is dropped"));
}

TEST(ListenVerdict, AFewPacketsProveNothing) {
  Source s = udp_session(2, 2, 0);
  s.finished = true;
  EXPECT_EQ(judge(s, kStart + seconds(9)).status, Verdict::kUnconfirmed);
}

TEST(ListenVerdict, RefusedSends) {
  Source s = udp_session(20, 0, 0);
  s.send_errors = 20;
  s.send_errno = EPERM;
  EXPECT_EQ(judge(s, kStart).reason, "send-refused");
  EXPECT_THAT(judge(s, kStart).sentence, HasSubstr("Operation not permitted"));
}

TEST(ListenVerdict, AskedForWhatNeverArrived) {
  Source s;
  s.protocol = Protocol::kTcp;
  s.kind = PeerKind::kTurnProbe;
  s.missing_port = 8443;
  EXPECT_EQ(judge(s, kStart).reason, "udp-client-to-server-dropped");
  s.protocol = Protocol::kUdp;
  EXPECT_EQ(judge(s, kStart).reason, "tcp-client-to-server-dropped");
}

TEST(ListenVerdict, NetcatOverUdpIsNeverASuccess) {
  Source s = udp_session(0, 0, 0);
  s.kind = PeerKind::kText;
  s.packets = s.bytes = 1;
  EXPECT_EQ(judge(s, kStart).status, Verdict::kUnconfirmed);
  EXPECT_THAT(judge(s, kStart).sentence, HasSubstr("1 packet (1 byte) from netcat"));
  s.answers = 1;
  EXPECT_EQ(judge(s, kStart).reason, "text-echoed");
}

TEST(ListenReport, AStrayPacketDoesNotSpoilAPass) {
  SourceTable table;
  bool is_new = false;
  SeededRandom random(3);
  table.find_or_add({Protocol::kUdp, Nonce::random(random), {}, 0}, kStart, is_new) = udp_session(20, 20, 20);
  Source stray = udp_session(0, 0, 0);
  stray.kind = PeerKind::kOther;
  table.find_or_add({Protocol::kUdp, {}, {IpAddress::v4(203, 0, 113, 9), 4000}, 8443}, kStart, is_new) = stray;
  const Report report = listener_report(table, {}, {{8443}, {8443}}, {}, kStart);
  EXPECT_EQ(report.checks.size(), 2U);
  EXPECT_EQ(verdict_of(report), Verdict::kPass);
}

TEST(ListenReport, HalfOpenConnectionsFail) {
  const Report report =
      listener_report(SourceTable(), {{IpAddress::v4(198, 51, 100, 7), 8443}}, {{8443}, {8443}}, {}, kStart);
  EXPECT_EQ(verdict_of(report), Verdict::kFail);
  EXPECT_EQ(report.checks.front().reason, "server-to-client-dropped");
}

TEST(ListenReport, NothingArrivedIsUnconfirmed) {
  const Report report = listener_report(SourceTable(), {}, {{8443}, {8443}}, {"turn-probe port 192.0.2.1"}, kStart);
  EXPECT_EQ(verdict_of(report), Verdict::kUnconfirmed);
  EXPECT_THAT(report.checks.front().next, ElementsAre("turn-probe port 192.0.2.1"));
}

TEST(Screen, SaysWhatToRunAtTheOtherEnd) {
  const std::vector<net::InterfaceAddress> addresses = {{"lo", *IpAddress::parse("127.0.0.1"), 0},
                                                        {"eth0", *IpAddress::parse("192.0.2.1"), 0},
                                                        {"eth0", *IpAddress::parse("fe80::1"), 2},
                                                        {"eth0", *IpAddress::parse("2001:db8::1"), 0}};
  EXPECT_THAT(client_commands({{8443}, {8443}}, addresses),
              ElementsAre("turn-probe port 192.0.2.1", "turn-probe port 2001:db8::1"));
  EXPECT_THAT(client_commands({{3478, 8443}, {}}, {}), ElementsAre("turn-probe port HOST --udp=3478,8443"));
  EXPECT_EQ(describe(PortSelection{{3478, 8443}, {443}}), "UDP 3478, 8443 and TCP 443");
}

}  // namespace
}  // namespace turnkit::probe
