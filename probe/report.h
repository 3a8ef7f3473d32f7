// What a command found, apart from how it is printed: a verdict, its evidence, advice and the next command to run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"

namespace turnkit::probe {

enum class Verdict : std::uint8_t { kPass, kWarn, kFail, kUnconfirmed, kSkip, kNotApplicable };
std::string_view verdict_name(Verdict status);  // "PASS", "WARN", "FAIL", "UNCONFIRMED", "SKIP", "N/A"

enum class Confidence : std::uint8_t { kLow, kMedium, kHigh };
std::string_view confidence_name(Confidence confidence);

// One piece of evidence. Dots in `key` nest: "rtt_ms.median" becomes {"rtt_ms": {"median": ...}} in JSON.
struct Fact {
  std::string key;
  std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>> value;
};

struct Check {
  std::string id;        // "udp-8443-ipv4"
  std::string target;    // "203.0.113.5:8443"
  std::string family;    // "IPv4", "IPv6" or empty
  std::string protocol;  // "UDP", "TCP" or empty
  Verdict status = Verdict::kUnconfirmed;
  Confidence confidence = Confidence::kLow;
  std::string reason;                // a stable word for scripts: "server-to-client-dropped"
  std::string headline;              // one sentence: the verdict
  std::vector<std::string> details;  // sentences: what is known
  std::vector<std::string> advice;   // sentences: what to do
  std::vector<std::string> next;     // commands to run
  std::vector<Fact> facts;
};

struct Report {
  std::string command;  // "port", "listen"
  std::string host;     // as typed; may be empty
  WallTime started{};
  std::vector<Check> checks;
  std::optional<Verdict> verdict;  // where it is not overall(checks)
  std::optional<int> exit_code;    // where it is not exit_code_of(verdict)
};

// FAIL where a check failed, else UNCONFIRMED where one is, else WARN, else PASS. SKIP and N/A don't count unless there
// is nothing else.
Verdict overall(const std::vector<Check>& checks);
Verdict verdict_of(const Report& report);
int exit_code_of(Verdict status);

// Colour is for terminals: true when `stream` is one and NO_COLOR is unset or empty.
bool wants_color(std::FILE* stream);
// "PASS" in its colour.
std::string colored(Verdict status, bool color);

std::string to_text(const Report& report, bool color);
// One JSON document and a line end (report_json.cc).
std::string to_json(const Report& report);

}  // namespace turnkit::probe
