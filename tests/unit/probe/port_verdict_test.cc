// From evidence to verdict, row by row: every class of outcome of a port check has a row here.
#include "probe/port/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "probe/port/icmp.h"

namespace turnkit::probe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Address kTarget{IpAddress::v4(203, 0, 113, 5), 8443};
const Address kLocal{IpAddress::v4(192, 168, 1, 2), 50000};
const IpAddress kRouter = IpAddress::v4(198, 51, 100, 1);

std::string fact(const Check& check, std::string_view key) {
  for (const Fact& f : check.facts) {
    if (f.key != key) continue;
    if (const auto* text = std::get_if<std::string>(&f.value)) return *text;
    if (const auto* number = std::get_if<std::int64_t>(&f.value)) return std::to_string(*number);
    if (const auto* real = std::get_if<double>(&f.value)) return std::to_string(*real).substr(0, 4);
    if (const auto* flag = std::get_if<bool>(&f.value)) return *flag ? "true" : "false";
  }
  return "(none)";
}

template <typename Evidence>
struct Row {
  const char* what;
  std::function<void(Evidence&)> change;
  Verdict status;
  const char* reason;
  const char* to_server;  // direction
  const char* to_client;
};

UdpEvidence udp_silence() {
  UdpEvidence e;
  e.target = kTarget;
  e.local = kLocal;
  e.sent = 20;
  e.waited = std::chrono::milliseconds(3000);
  return e;
}

void answer_all(UdpEvidence& e, unsigned received, unsigned sent, unsigned answered) {
  e.answered = answered;
  e.account = {AccountVia::kSamePort, 0, true, received, sent};
  e.mapped = kLocal;
  e.rtt_ms.assign(answered, 1.5);
}

IcmpSeen icmp(std::uint8_t type, std::uint8_t code, const IpAddress& reporter) {
  return {Family::kIPv4, type, code, reporter, 1};
}
ServerAccount told(std::uint32_t received, std::uint32_t sent) {
  return {AccountVia::kOverTcp, 8443, true, received, sent};
}

TEST(UdpVerdict, FollowsTheEvidence) {
  const std::vector<Row<UdpEvidence>> rows = {
      {"silence", [](UdpEvidence&) {}, Verdict::kUnconfirmed, "silence", "unknown", "unknown"},
      {"all answered", [](UdpEvidence& e) { answer_all(e, 20, 20, 20); }, Verdict::kPass, "both-directions", "works",
       "works"},
      {"one of twenty lost", [](UdpEvidence& e) { answer_all(e, 20, 20, 19); }, Verdict::kWarn, "loss", "works",
       "works"},
      {"loss to the server", [](UdpEvidence& e) { answer_all(e, 14, 14, 14); }, Verdict::kWarn, "loss", "works",
       "works"},
      {"loss to the client", [](UdpEvidence& e) { answer_all(e, 20, 20, 14); }, Verdict::kWarn, "loss", "works",
       "works"},
      {"answers and a stray ICMP error",
       [](UdpEvidence& e) {
         answer_all(e, 20, 20, 20);
         e.icmp = {icmp(3, 3, kTarget.ip)};
       },
       Verdict::kPass, "both-directions", "works", "works"},
      {"answered from elsewhere",
       [](UdpEvidence& e) {
         answer_all(e, 20, 20, 20);
         e.answered_by = Address{kRouter, 8443};
       },
       Verdict::kWarn, "answered-by-another-address", "works", "works"},
      {"server received, answers lost", [](UdpEvidence& e) { e.account = told(20, 20); }, Verdict::kFail,
       "server-to-client-dropped", "works", "fails"},
      {"server received some, answers lost", [](UdpEvidence& e) { e.account = told(3, 3); }, Verdict::kFail,
       "server-to-client-dropped", "works", "fails"},
      {"server received none", [](UdpEvidence& e) { e.account = told(0, 0); }, Verdict::kFail,
       "client-to-server-dropped", "fails", "unknown"},
      {"server refuses to send",
       [](UdpEvidence& e) {
         e.account = told(20, 0);
         e.account.send_errors = 20;
         e.account.send_errno = EPERM;
       },
       Verdict::kFail, "server-refuses-to-send", "works", "fails"},
      {"listener has another port",
       [](UdpEvidence& e) {
         e.account = told(0, 0);
         e.account.listening = false;
       },
       Verdict::kUnconfirmed, "listener-on-other-port", "unknown", "unknown"},
      {"port unreachable from the host", [](UdpEvidence& e) { e.icmp = {icmp(3, 3, kTarget.ip)}; }, Verdict::kFail,
       "closed", "fails", "unknown"},
      {"port unreachable from a router", [](UdpEvidence& e) { e.icmp = {icmp(3, 3, kRouter)}; }, Verdict::kFail,
       "rejected", "fails", "unknown"},
      {"prohibited 9", [](UdpEvidence& e) { e.icmp = {icmp(3, 9, kRouter)}; }, Verdict::kFail, "prohibited", "fails",
       "unknown"},
      {"prohibited 10", [](UdpEvidence& e) { e.icmp = {icmp(3, 10, kTarget.ip)}; }, Verdict::kFail, "prohibited",
       "fails", "unknown"},
      {"prohibited 13", [](UdpEvidence& e) { e.icmp = {icmp(3, 13, kRouter)}; }, Verdict::kFail, "prohibited", "fails",
       "unknown"},
      {"host unreachable", [](UdpEvidence& e) { e.icmp = {icmp(3, 1, kRouter)}; }, Verdict::kFail, "host-unreachable",
       "fails", "unknown"},
      {"network unreachable", [](UdpEvidence& e) { e.icmp = {icmp(3, 0, kRouter)}; }, Verdict::kFail,
       "network-unreachable", "fails", "unknown"},
      {"routing loop", [](UdpEvidence& e) { e.icmp = {icmp(11, 0, kRouter)}; }, Verdict::kFail, "network-unreachable",
       "fails", "unknown"},
      {"too big decides nothing", [](UdpEvidence& e) { e.icmp = {icmp(3, 4, kRouter)}; }, Verdict::kUnconfirmed,
       "silence", "unknown", "unknown"},
      {"own firewall",
       [](UdpEvidence& e) {
         e.sent = 0;
         e.send_errors = 20;
         e.send_errno = EPERM;
       },
       Verdict::kFail, "own-system-refuses", "fails", "unknown"},
      {"no route",
       [](UdpEvidence& e) {
         e.sent = 0;
         e.send_errors = 1;
         e.send_errno = ENETUNREACH;
       },
       Verdict::kFail, "no-route", "fails", "unknown"},
      {"echo",
       [](UdpEvidence& e) {
         e.foreign = {Foreign::kEcho, 164, "x"};
       },
       Verdict::kWarn, "echo-service", "works", "works"},
      {"STUN server",
       [](UdpEvidence& e) {
         e.foreign = {Foreign::kStun, 32, "x"};
       },
       Verdict::kWarn, "stun-server", "works", "works"},
      {"DTLS server",
       [](UdpEvidence& e) {
         e.foreign = {Foreign::kDtls, 60, "x"};
       },
       Verdict::kWarn, "dtls-server", "works", "works"},
      {"a person",
       [](UdpEvidence& e) {
         e.foreign = {Foreign::kText, 3, "hi"};
       },
       Verdict::kPass, "text-answer", "works", "works"},
      {"unknown bytes",
       [](UdpEvidence& e) {
         e.foreign = {Foreign::kOther, 3, "x"};
       },
       Verdict::kPass, "other-answer", "works", "works"},
      {"other version", [](UdpEvidence& e) { e.other_version = true; }, Verdict::kWarn, "other-version", "works",
       "works"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    UdpEvidence e = udp_silence();
    row.change(e);
    const Check check = judge_udp(e, "calls.example.com");
    EXPECT_EQ(check.status, row.status);
    EXPECT_EQ(check.reason, row.reason);
    EXPECT_EQ(fact(check, "directions.client_to_server"), row.to_server);
    EXPECT_EQ(fact(check, "directions.server_to_client"), row.to_client);
    EXPECT_EQ(check.id, "udp-8443-ipv4");
    EXPECT_THAT(check.headline, HasSubstr("UDP 203.0.113.5:8443"));
    if (check.status != Verdict::kPass) {
      EXPECT_FALSE(check.advice.empty());
    }
  }
}

TEST(UdpVerdict, LossIsPerDirection) {
  UdpEvidence e = udp_silence();
  answer_all(e, 15, 15, 12);
  const Check check = judge_udp(e, "h");
  EXPECT_EQ(fact(check, "loss_percent.client_to_server"), "25.0");
  EXPECT_EQ(fact(check, "loss_percent.server_to_client"), "20.0");
  EXPECT_THAT(check.details.front(), HasSubstr("15 of 20 arrived (25.0% lost)"));
  EXPECT_THAT(check.details.front(), HasSubstr("12 of 15 arrived (20.0% lost)"));
}

TEST(UdpVerdict, NeverSaysMoreThanAHundredPercent) {
  UdpEvidence e = udp_silence();
  answer_all(e, 25, 25, 20);  // a listener that lies
  const Check check = judge_udp(e, "h");
  EXPECT_EQ(fact(check, "loss_percent.client_to_server"), "0.00");
  EXPECT_THAT(check.details.front(), HasSubstr("20 of 20 arrived"));
}

TEST(UdpVerdict, NamesTheNat) {
  UdpEvidence e = udp_silence();
  answer_all(e, 20, 20, 20);
  EXPECT_EQ(fact(judge_udp(e, "h"), "nat"), "false");
  e.mapped = Address{IpAddress::v4(198, 51, 100, 77), 1234};
  const Check check = judge_udp(e, "h");
  EXPECT_EQ(fact(check, "nat"), "true");
  EXPECT_EQ(fact(check, "observed_address"), "198.51.100.77:1234");
}

TEST(UdpVerdict, NamesWhoReportsAnIcmpError) {
  UdpEvidence e = udp_silence();
  e.icmp = {icmp(3, 13, kRouter)};
  EXPECT_THAT(judge_udp(e, "h").headline, HasSubstr("198.51.100.1, a router or firewall on the way"));
  e.icmp = {icmp(3, 13, kLocal.ip)};
  EXPECT_THAT(judge_udp(e, "h").headline, HasSubstr("this host's own firewall"));
  e.icmp = {icmp(3, 13, kTarget.ip)};
  EXPECT_THAT(judge_udp(e, "h").headline, HasSubstr("the host itself"));
}

TEST(UdpVerdict, SilenceTellsWhatToRun) {
  UdpEvidence e = udp_silence();
  EXPECT_THAT(judge_udp(e, "calls.example.com").next, ElementsAre("turn-probe listen"));
  e.target.port = 3478;
  EXPECT_THAT(judge_udp(e, "calls.example.com").next, ElementsAre("turn-probe listen --udp=3478 --tcp=3478"));
}

TcpEvidence tcp_connected() {
  TcpEvidence e;
  e.target = kTarget;
  e.local = kLocal;
  e.connect = Connect::kConnected;
  e.connect_ms = 12;
  e.sent = 1;
  e.acknowledged = true;
  return e;
}

TEST(TcpVerdict, FollowsTheEvidence) {
  const auto timeout = [](TcpEvidence& e) {
    e.connect = Connect::kTimeout;
    e.acknowledged = false;
    e.sent = 0;
  };
  const auto account = [timeout](AccountVia via, bool listening, unsigned half_open, unsigned accepted) {
    return [=](TcpEvidence& e) {
      timeout(e);
      e.account.via = via;
      e.account.via_port = 8443;
      e.account.listening = listening;
      e.account.half_open = half_open;
      e.account.accepted = accepted;
    };
  };
  const auto refused = [](std::vector<IcmpSeen> seen, int error) {
    return [=](TcpEvidence& e) {
      e.connect = error == ECONNREFUSED ? Connect::kRefused : Connect::kError;
      e.connect_errno = error;
      e.icmp = seen;
    };
  };
  const std::vector<Row<TcpEvidence>> rows = {
      {"silent", [](TcpEvidence&) {}, Verdict::kUnconfirmed, "connected-silent", "unknown", "unknown"},
      {"ours",
       [](TcpEvidence& e) {
         e.sent = e.answered = 5;
         e.mapped = kLocal;
       },
       Verdict::kPass, "both-directions", "works", "works"},
      {"data not acknowledged", [](TcpEvidence& e) { e.acknowledged = false; }, Verdict::kFail, "data-not-acknowledged",
       "unknown", "unknown"},
      {"closed at once", [](TcpEvidence& e) { e.closed_on_frame = true; }, Verdict::kUnconfirmed, "closed-at-once",
       "unknown", "unknown"},
      {"like ICE-TCP", [](TcpEvidence& e) { e.closed_on_text = true; }, Verdict::kPass, "reacts-like-ice-tcp", "works",
       "works"},
      {"TLS",
       [](TcpEvidence& e) {
         e.foreign = {Foreign::kTls, 7, "x"};
       },
       Verdict::kWarn, "tls-server", "works", "works"},
      {"HTTP",
       [](TcpEvidence& e) {
         e.foreign = {Foreign::kHttp, 7, "x"};
       },
       Verdict::kWarn, "http-server", "works", "works"},
      {"SSH",
       [](TcpEvidence& e) {
         e.foreign = {Foreign::kSsh, 7, "x"};
       },
       Verdict::kWarn, "ssh-server", "works", "works"},
      {"a person",
       [](TcpEvidence& e) {
         e.foreign = {Foreign::kText, 3, "hi"};
       },
       Verdict::kPass, "text-answer", "works", "works"},
      {"other version", [](TcpEvidence& e) { e.other_version = true; }, Verdict::kWarn, "other-version", "works",
       "works"},
      {"refused", refused({}, ECONNREFUSED), Verdict::kFail, "refused", "works", "works"},
      {"refused by ICMP from the host", refused({icmp(3, 3, kTarget.ip)}, ECONNREFUSED), Verdict::kFail, "closed",
       "fails", "unknown"},
      {"refused by ICMP from a router", refused({icmp(3, 3, kRouter)}, ECONNREFUSED), Verdict::kFail, "rejected",
       "fails", "unknown"},
      {"prohibited", refused({icmp(3, 13, kRouter)}, EHOSTUNREACH), Verdict::kFail, "prohibited", "fails", "unknown"},
      {"no route", refused({}, ENETUNREACH), Verdict::kFail, "no-route", "fails", "unknown"},
      {"no answer", timeout, Verdict::kFail, "no-answer", "unknown", "unknown"},
      {"half open at the server", account(AccountVia::kOverUdp, true, 1, 0), Verdict::kFail, "server-to-client-dropped",
       "works", "fails"},
      {"accepted at the server", account(AccountVia::kOverUdp, true, 0, 1), Verdict::kFail, "server-to-client-dropped",
       "works", "fails"},
      {"never seen at the server", account(AccountVia::kOverUdp, true, 0, 0), Verdict::kFail,
       "client-to-server-dropped", "fails", "unknown"},
      {"the listener has no such port", account(AccountVia::kOverUdp, false, 0, 0), Verdict::kFail, "no-answer",
       "unknown", "unknown"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    TcpEvidence e = tcp_connected();
    row.change(e);
    const Check check = judge_tcp(e, "calls.example.com");
    EXPECT_EQ(check.status, row.status);
    EXPECT_EQ(check.reason, row.reason);
    EXPECT_EQ(fact(check, "directions.client_to_server"), row.to_server);
    EXPECT_EQ(fact(check, "directions.server_to_client"), row.to_client);
    EXPECT_EQ(check.id, "tcp-8443-ipv4");
    if (check.status != Verdict::kPass) {
      EXPECT_FALSE(check.advice.empty());
    }
  }
}

TEST(Icmp, TheMostTellingErrorDecides) {
  const std::vector<IcmpSeen> seen = {icmp(3, 4, kRouter), icmp(3, 1, kRouter), icmp(3, 13, kRouter)};
  ASSERT_NE(deciding(seen), nullptr);
  EXPECT_EQ(deciding(seen)->code, 13);
  EXPECT_EQ(deciding({}), nullptr);
}

TEST(Icmp, KnowsBothFamilies) {
  EXPECT_EQ(explain({Family::kIPv6, 1, 4, kRouter, 1}).meaning, IcmpMeaning::kPortClosed);
  EXPECT_EQ(explain({Family::kIPv6, 1, 1, kRouter, 1}).meaning, IcmpMeaning::kProhibited);
  EXPECT_EQ(explain({Family::kIPv6, 1, 0, kRouter, 1}).meaning, IcmpMeaning::kNetUnreachable);
  EXPECT_EQ(explain({Family::kIPv4, 1, 4, kRouter, 1}).meaning, IcmpMeaning::kOther);
  EXPECT_EQ(explain({Family::kIPv4, 200, 7, kRouter, 1}).name, "ICMP 200/7");
}

TEST(ForeignData, IsToldByItsContent) {
  const std::vector<Bytes> sent = {as_bytes("our own message")};
  const auto kind = [&sent](std::string_view text) { return classify_foreign(as_bytes(text), sent).kind; };
  EXPECT_EQ(kind(""), Foreign::kNone);
  EXPECT_EQ(kind("our own message"), Foreign::kEcho);
  EXPECT_EQ(kind("our own message and more"), Foreign::kEcho);
  EXPECT_EQ(kind("yes\n"), Foreign::kText);
  EXPECT_EQ(kind("HTTP/1.1 400 Bad Request\r\n"), Foreign::kHttp);
  EXPECT_EQ(kind("SSH-2.0-OpenSSH_9.2\r\n"), Foreign::kSsh);
  EXPECT_EQ(kind(std::string_view("\x15\x03\x01\x00\x02\x02\x0A", 7)), Foreign::kTls);
  EXPECT_EQ(kind(std::string_view("\x16\xFE\xFF\x00\x00", 5)), Foreign::kDtls);
  EXPECT_EQ(kind(std::string_view("\x01\x01\x00\x00\x21\x12\xA4\x42"
                                  "abcdefghijkl",
                                  20)),
            Foreign::kStun);
  EXPECT_EQ(kind(std::string_view("\xFF\x00\x01", 3)), Foreign::kOther);
  EXPECT_EQ(classify_foreign(as_bytes("a\x1b[2Jb"), {}).excerpt.find('\x1b'), std::string::npos);
}

TEST(Quantiles, AreNearestRank) {
  std::vector<double> samples;
  for (int i = 100; i >= 1; --i) samples.push_back(i);
  EXPECT_EQ(quantiles(samples).min, 1);
  EXPECT_EQ(quantiles(samples).median, 50);
  EXPECT_EQ(quantiles(samples).p95, 95);
  EXPECT_EQ(quantiles({7}).p95, 7);
  EXPECT_EQ(quantiles({}).median, 0);
}

}  // namespace
}  // namespace turnkit::probe
