#include "probe/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "probe/exit_code.h"

namespace turnkit::probe {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Check check_with(Verdict status) {
  Check check;
  check.id = "udp-8443-ipv4";
  check.status = status;
  check.headline = "UDP 203.0.113.5:8443: a headline";
  return check;
}

TEST(Report, TheWorstCheckDecides) {
  using V = Verdict;
  EXPECT_EQ(overall({check_with(V::kPass), check_with(V::kFail), check_with(V::kUnconfirmed)}), V::kFail);
  EXPECT_EQ(overall({check_with(V::kPass), check_with(V::kUnconfirmed), check_with(V::kWarn)}), V::kUnconfirmed);
  EXPECT_EQ(overall({check_with(V::kPass), check_with(V::kWarn)}), V::kWarn);
  EXPECT_EQ(overall({check_with(V::kPass), check_with(V::kSkip)}), V::kPass);
  EXPECT_EQ(overall({check_with(V::kSkip)}), V::kUnconfirmed);
  EXPECT_EQ(overall({}), V::kUnconfirmed);
}

TEST(Report, ExitCodesTellFailFromUnconfirmed) {
  EXPECT_EQ(exit_code_of(Verdict::kPass), kExitPass);
  EXPECT_EQ(exit_code_of(Verdict::kWarn), kExitPass);
  EXPECT_EQ(exit_code_of(Verdict::kFail), kExitFail);
  EXPECT_EQ(exit_code_of(Verdict::kUnconfirmed), kExitUnconfirmed);
}

TEST(Report, TextBeginsWithTheVerdict) {
  Report report;
  report.checks = {check_with(Verdict::kFail)};
  report.checks[0].advice = {"Do this:"};
  report.checks[0].next = {"turn-probe listen"};
  EXPECT_EQ(to_text(report, false),
            "FAIL         UDP 203.0.113.5:8443: a headline\n"
            "             -> Do this:\n"
            "                turn-probe listen\n");
  report.checks.push_back(check_with(Verdict::kPass));
  EXPECT_THAT(to_text(report, false), HasSubstr("Verdict: FAIL (1 of 2 checks)\n\n"));
  EXPECT_THAT(to_text(report, false), Not(HasSubstr("\033")));
  EXPECT_THAT(to_text(report, true), HasSubstr("\033[1;31mFAIL\033[0m"));
}

TEST(Report, LongLinesAreWrappedAndIndented) {
  Report report;
  report.checks = {check_with(Verdict::kPass)};
  for (int i = 0; i < 40; ++i) report.checks[0].headline += " word";
  const std::string text = to_text(report, false);
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) {
    EXPECT_LE(end - begin, 110U);
    if (begin != 0) {
      EXPECT_EQ(text.substr(begin, 13), std::string(13, ' '));
    }
  }
}

TEST(Report, JsonNestsEvidenceAndSurvivesBrokenText) {
  Report report;
  report.command = "port";
  report.host = "calls.example.com";
  report.started = WallTime(std::chrono::seconds(1700000000));
  Check check = check_with(Verdict::kFail);
  check.facts = {{"rtt_ms.median", 1.5},
                 {"rtt_ms.min", 1.0},
                 {"sent", std::int64_t{20}},
                 {"nat", true},
                 {"icmp", std::vector<std::string>{"a", "b"}},
                 {"excerpt", std::string("bad \xFF utf-8")}};
  report.checks = {check};
  const std::string json = to_json(report);
  EXPECT_THAT(json, HasSubstr(R"("started": "2023-11-14T22:13:20Z")"));
  EXPECT_THAT(json, HasSubstr(R"("verdict": "FAIL")"));
  EXPECT_THAT(json, HasSubstr(R"("exit_code": 1)"));
  EXPECT_THAT(json, HasSubstr("\"rtt_ms\": {\n          \"median\": 1.5,\n          \"min\": 1.0\n        }"));
  EXPECT_THAT(json, HasSubstr("bad \xEF\xBF\xBD utf-8"));
}

TEST(Report, NoColorIsForTerminalsOnly) {
  EXPECT_FALSE(wants_color(stdin) && std::getenv("NO_COLOR") != nullptr);
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  EXPECT_FALSE(wants_color(file));
  std::fclose(file);
}

}  // namespace
}  // namespace turnkit::probe
