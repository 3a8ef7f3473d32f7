// From evidence to verdict, row by row, for `turn-probe stun`. What needs sockets is in tests/lab/stun_test.py.
#include "probe/stun/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>

namespace turnkit::probe {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const Address kServer{IpAddress::v4(198, 51, 100, 5), 3478};
const Address kLocal{IpAddress::v4(192, 168, 1, 2), 50000};
const Address kMapped{IpAddress::v4(203, 0, 113, 7), 4500};

BindingOutcome answered(int sends = 1) {
  BindingOutcome out;
  out.to = kServer;
  out.local = kLocal;
  out.sends = out.sends_before_answer = sends;
  out.rtt_ms = 10;
  out.answer.emplace();
  out.answer->source = kServer;
  out.answer->xor_mapped = kMapped;
  return out;
}

BindingOutcome silent(int sends = 4) {
  BindingOutcome out;
  out.to = kServer;
  out.local = kLocal;
  out.sends = sends;
  return out;
}

StunEvidence evidence(std::vector<BindingOutcome> requests, Transport transport = Transport::kUdp) {
  StunEvidence out;
  out.target = {transport, kServer, "stun.example.com", {}};
  out.local = kLocal;
  out.requests = std::move(requests);
  return out;
}

struct Row {
  const char* what;
  std::function<void(StunEvidence&)> change;
  Verdict status;
  const char* reason;
};

TEST(StunVerdict, FollowsTheEvidence) {
  const std::vector<Row> rows = {
      {"answered", [](StunEvidence&) {}, Verdict::kPass, "answered"},
      {"by another address", [](StunEvidence& e) { e.requests[0].answer->source.port = 1; }, Verdict::kWarn,
       "answered-by-another-address"},
      {"MAPPED-ADDRESS alone",
       [](StunEvidence& e) {
         for (BindingOutcome& request : e.requests) std::swap(request.answer->mapped, request.answer->xor_mapped);
       },
       Verdict::kWarn, "mapped-address-only"},
      {"both, alike", [](StunEvidence& e) { e.requests[0].answer->mapped = kMapped; }, Verdict::kPass, "answered"},
      {"both, different", [](StunEvidence& e) { e.requests[0].answer->mapped = kLocal; }, Verdict::kWarn,
       "address-rewritten"},
      {"no address at all",
       [](StunEvidence& e) {
         for (BindingOutcome& request : e.requests) request.answer->xor_mapped.reset();
       },
       Verdict::kFail, "no-mapped-address"},
      {"late", [](StunEvidence& e) { e.requests[1] = answered(2); }, Verdict::kWarn, "retransmissions-needed"},
      {"one lost", [](StunEvidence& e) { e.requests[1] = silent(); }, Verdict::kWarn, "retransmissions-needed"},
      {"nothing", [](StunEvidence& e) { e.requests = {silent()}; }, Verdict::kFail, "no-answer"},
      {"closed",
       [](StunEvidence& e) {
         e.requests = {silent()};
         e.requests[0].icmp = {{Family::kIPv4, 3, 3, kServer.ip, 1}};
       },
       Verdict::kFail, "closed"},
      {"prohibited",
       [](StunEvidence& e) {
         e.requests = {silent()};
         e.requests[0].icmp = {{Family::kIPv4, 3, 13, IpAddress::v4(10, 0, 0, 1), 1}};
       },
       Verdict::kFail, "prohibited"},
      {"an answer outdoes ICMP",
       [](StunEvidence& e) {
         e.requests[0].icmp = {{Family::kIPv4, 3, 3, kServer.ip, 1}};
       },
       Verdict::kPass, "answered"},
      {"junk",
       [](StunEvidence& e) {
         e.requests = {silent()};
         e.requests[0].foreign = {Foreign::kOther, 3, "abc"};
       },
       Verdict::kFail, "not-a-stun-server"},
      {"wrong FINGERPRINT",
       [](StunEvidence& e) {
         e.requests = {silent()};
         e.requests[0].bad_fingerprint = true;
       },
       Verdict::kFail, "bad-fingerprint"},
      {"refused by the own system",
       [](StunEvidence& e) {
         e.requests = {silent(0)};
         e.requests[0].send_errno = EPERM;
       },
       Verdict::kFail, "own-system-refuses"},
      {"no socket",
       [](StunEvidence& e) {
         e.requests.clear();
         e.local_error = "There is no route";
       },
       Verdict::kFail, "own-system-refuses"},
  };
  for (const Row& row : rows) {
    StunEvidence e = evidence({answered(), answered()});
    row.change(e);
    const Check check = judge_stun(e, false);
    EXPECT_EQ(check.status, row.status) << row.what;
    EXPECT_EQ(check.reason, row.reason) << row.what;
    EXPECT_FALSE(check.headline.empty()) << row.what;
    EXPECT_TRUE(row.status == Verdict::kPass || !check.advice.empty()) << row.what;
  }
}

TEST(StunVerdict, ErrorsKeepTheirCode) {
  for (const int code : {300, 400, 401, 420, 500}) {
    BindingOutcome request = answered();
    request.answer->xor_mapped.reset();
    request.answer->error_code = code;
    const Check check = judge_stun(evidence({request}), false);
    EXPECT_EQ(check.status, Verdict::kFail);
    EXPECT_EQ(check.reason, "error-" + std::to_string(code));
  }
}

TEST(StunVerdict, StreamsFailWhereTheyFail) {
  StunEvidence e = evidence({}, Transport::kTls);
  e.connect = Connect::kRefused;
  EXPECT_EQ(judge_stun(e, false).reason, "refused");
  e.connect = Connect::kTimeout;
  EXPECT_EQ(judge_stun(e, false).reason, "no-connection");
  e.connect = Connect::kConnected;
  e.handshake_failure = "certificate has expired";
  EXPECT_EQ(judge_stun(e, false).reason, "handshake-failed");
  EXPECT_THAT(judge_stun(e, false).headline, HasSubstr("certificate has expired"));
  e.handshake_failure.clear();
  e.closed = true;
  e.requests = {silent(1)};
  EXPECT_EQ(judge_stun(e, false).reason, "closed-unanswered");
  EXPECT_EQ(judge_stun(e, false).id, "stun-tls-ipv4");
}

TEST(StunVerdict, SilenceIsNotBlamedOnAnybody) {
  const Check check = judge_stun(evidence({silent()}), false);
  EXPECT_EQ(check.confidence, Confidence::kMedium);
  EXPECT_THAT(check.details, Contains(HasSubstr("cannot be told")));
}

TEST(StunVerdict, RttIsOfRequestsThatWereSentOnce) {
  BindingOutcome late = answered(2);
  late.rtt_ms = 1;  // might belong to the first send: Karn's rule
  const Check check = judge_stun(evidence({answered(), late}), false);
  EXPECT_THAT(check.details, Contains(HasSubstr("10.00 ms at best")));
}

TEST(StunVerdict, AChangingAddressIsTold) {
  BindingOutcome other = answered();
  other.answer->xor_mapped->port = 4501;
  EXPECT_THAT(judge_stun(evidence({answered(), other}), false).details, Contains(HasSubstr("changed while this ran")));
}

TEST(StunVerdict, AFailingSrvTargetIsAWarningWhereAnotherAnswers) {
  StunEvidence dead = evidence({silent()});
  StunEvidence good = evidence({answered()});
  dead.target.srv = good.target.srv = "_stun._udp.example.com";
  std::vector<StunEvidence> all = {dead, good};
  std::vector<Check> checks = {judge_stun(dead, false), judge_stun(good, false)};
  weigh_alternatives(all, checks);
  EXPECT_EQ(checks[0].status, Verdict::kWarn);
  all = {dead, dead};
  checks = {judge_stun(dead, false), judge_stun(dead, false)};
  weigh_alternatives(all, checks);
  EXPECT_EQ(checks[0].status, Verdict::kFail);
}

TEST(StunVerdict, SchedulesAreThoseThatTheManualNames) {
  const auto total = [](Patience patience) {
    client::Retransmission timer(schedule_of(patience), TimePoint());
    TimePoint now;
    while (timer.on_time(now = timer.deadline()) != client::Retransmission::Due::kTimedOut) {
    }
    return std::pair(now - TimePoint(), timer.sends());
  };
  EXPECT_EQ(total(Patience::kFast), std::pair(Duration(std::chrono::milliseconds(2500)), 3));
  EXPECT_EQ(total(Patience::kNormal), std::pair(Duration(std::chrono::milliseconds(5500)), 4));
  EXPECT_EQ(total(Patience::kPatient), std::pair(Duration(std::chrono::milliseconds(39500)), 7));
}

}  // namespace
}  // namespace turnkit::probe
