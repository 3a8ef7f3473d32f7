#include "probe/report.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "probe/exit_code.h"

namespace turnkit::probe {
namespace {

constexpr std::size_t kIndent = 13;  // as wide as "UNCONFIRMED" and two blanks
constexpr std::size_t kWidth = 110;

std::string_view color_of(Verdict status) {
  switch (status) {
    case Verdict::kPass:
      return "\033[1;32m";
    case Verdict::kFail:
      return "\033[1;31m";
    case Verdict::kWarn:
    case Verdict::kUnconfirmed:
      return "\033[1;33m";
    case Verdict::kSkip:
    case Verdict::kNotApplicable:
      break;
  }
  return "\033[2m";
}

// Appends a paragraph whose first line starts with `first` and whose other lines are indented alike.
void append_wrapped(std::string& out, std::string first, std::size_t first_width, std::string_view text) {
  out += first;
  std::size_t column = first_width;
  bool line_start = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line_start && column + 1 + word.size() > kWidth) {
      out += "\n" + std::string(first_width, ' ');
      column = first_width;
      line_start = true;
    }
    if (!line_start) out += ' ';
    out += word;
    column += word.size() + (line_start ? 0 : 1);
    line_start = false;
  }
  out += '\n';
}

void append_check(std::string& out, const Check& check, bool color) {
  const std::string_view name = verdict_name(check.status);
  append_wrapped(out, colored(check.status, color) + std::string(kIndent - name.size(), ' '), kIndent, check.headline);
  for (const std::string& detail : check.details) append_wrapped(out, std::string(kIndent, ' '), kIndent, detail);
  for (const std::string& advice : check.advice)
    append_wrapped(out, std::string(kIndent, ' ') + "-> ", kIndent + 3, advice);
  for (const std::string& command : check.next) out += std::string(kIndent + 3, ' ') + command + "\n";
}

}  // namespace

std::string_view verdict_name(Verdict status) {
  switch (status) {
    case Verdict::kPass:
      return "PASS";
    case Verdict::kWarn:
      return "WARN";
    case Verdict::kFail:
      return "FAIL";
    case Verdict::kUnconfirmed:
      return "UNCONFIRMED";
    case Verdict::kSkip:
      return "SKIP";
    case Verdict::kNotApplicable:
      break;
  }
  return "N/A";
}

std::string_view confidence_name(Confidence confidence) {
  switch (confidence) {
    case Confidence::kHigh:
      return "high";
    case Confidence::kMedium:
      return "medium";
    case Confidence::kLow:
      break;
  }
  return "low";
}

Verdict overall(const std::vector<Check>& checks) {
  const auto has = [&checks](Verdict status) {
    return std::any_of(checks.begin(), checks.end(), [status](const Check& check) { return check.status == status; });
  };
  for (const Verdict status : {Verdict::kFail, Verdict::kUnconfirmed, Verdict::kWarn, Verdict::kPass}) {
    if (has(status)) return status;
  }
  return Verdict::kUnconfirmed;
}

Verdict verdict_of(const Report& report) { return report.verdict.value_or(overall(report.checks)); }

int exit_code_of(Verdict status) {
  if (status == Verdict::kFail) return kExitFail;
  if (status == Verdict::kUnconfirmed) return kExitUnconfirmed;
  return kExitPass;
}

bool wants_color(std::FILE* stream) {
  const char* no_color = std::getenv("NO_COLOR");  // https://no-color.org: any value but the empty one
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* terminal = std::getenv("TERM");
  if (terminal != nullptr && std::string_view(terminal) == "dumb") return false;
  return ::isatty(::fileno(stream)) == 1;
}

std::string colored(Verdict status, bool color) {
  const std::string name(verdict_name(status));
  return color ? std::string(color_of(status)) + name + "\033[0m" : name;
}

std::string to_text(const Report& report, bool color) {
  std::string out;
  if (report.checks.size() > 1) {
    const Verdict status = verdict_of(report);
    const auto same = [status](const Check& check) { return check.status == status; };
    const auto count = std::count_if(report.checks.begin(), report.checks.end(), same);
    out += fmt::format("Verdict: {} ({} of {} checks)\n\n", colored(status, color), count, report.checks.size());
  }
  for (const Check& check : report.checks) append_check(out, check, color);
  return out;
}

}  // namespace turnkit::probe
