// The manual pages and the shell completion list exactly the options that the program has.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

std::string read(const std::string& name) {
  std::ifstream file(std::string(TURNKIT_SOURCE_DIR) + "/" + name);
  EXPECT_TRUE(file) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// troff writes "\-" for '-'.
std::string plain(std::string text) {
  for (std::size_t at; (at = text.find("\\-")) != std::string::npos;) text.erase(at, 1);
  return text;
}

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const std::size_t begin = text.find(from);
  const std::size_t end = text.find(to, begin);
  EXPECT_NE(begin, std::string::npos) << from;
  EXPECT_NE(end, std::string::npos) << to;
  return text.substr(begin, end - begin);
}

// The names in `text` that stand right behind `prefix` and right before `suffix`.
std::set<std::string> names_in(const std::string& text, const std::string& prefix, const std::string& suffix = {}) {
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; };
  std::set<std::string> out;
  for (std::size_t at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at)) {
    at += prefix.size();
    std::size_t end = at;
    while (end < text.size() && is_name(text[end])) ++end;
    if (end != at && text.compare(end, suffix.size(), suffix) == 0) out.insert(text.substr(at, end - at));
  }
  return out;
}

std::set<std::string> names(bool (*wanted)(const Option&)) {
  std::set<std::string> out;
  for (const Option& option : option_table()) {
    if (wanted(option)) out.insert(option.name);
  }
  return out;
}

TEST(Documents, TurndPageHasEveryOption) {
  const std::string options = plain(between(read("man/turnd.8"), ".SH OPTIONS", ".SH SIGNALS"));
  EXPECT_EQ(names_in(options, "\\fB--", "\\fR"), names([](const Option&) { return true; }));
  for (const Option& option : option_table()) {
    if (option.letter == 0) continue;
    const std::string pair = std::string("\\fB-") + option.letter + "\\fR, \\fB--" + option.name + "\\fR";
    EXPECT_NE(options.find(pair), std::string::npos) << pair;
  }
}

TEST(Documents, TurndPageHasTheTablesDefaults) {
  const std::string options = plain(between(read("man/turnd.8"), ".SH OPTIONS", ".SH SIGNALS"));
  for (const Option& option : option_table()) {
    if (option.support != Support::kLive) continue;
    const std::size_t entry = options.find(std::string("--") + option.name + "\\fR");
    ASSERT_NE(entry, std::string::npos) << option.name;
    const std::string text = options.substr(entry, options.find(".TP", entry) - entry);
    const std::string expected =
        option.default_text[0] == '\0' ? "" : std::string("Default: ") + option.default_text + ".";
    EXPECT_EQ(text.find("Default: ") == std::string::npos, expected.empty()) << option.name;
    EXPECT_NE(text.find(expected), std::string::npos) << option.name << ": " << expected;
  }
}

TEST(Documents, ConfigurationPageHasEveryKey) {
  const std::string page = plain(read("man/turnd.conf.5"));
  const std::string prefix = ".TP\n\\fB";
  EXPECT_EQ(names_in(between(page, "\n.SH KEYS\n", "\n.SH KEYS OF COTURN"), prefix, "\\fR"),
            names([](const Option& o) { return o.support == Support::kLive && o.pass != Pass::kCommandLineOnly; }));
  const struct {
    const char* from;
    const char* to;
    bool (*wanted)(const Option&);
  } sections[] = {
      {".SS Always so", ".SS Not supported yet", [](const Option& o) { return o.support == Support::kImplied; }},
      {".SS Not supported yet", ".SS Gone from coturn",
       [](const Option& o) { return o.support == Support::kUnsupported; }},
      {".SS Gone from coturn", ".SS Refused", [](const Option& o) { return o.support == Support::kLegacy; }},
      {".SS Refused", ".SH DIFFERENCES", [](const Option& o) { return o.support == Support::kRefused; }},
  };
  for (const auto& section : sections) {
    EXPECT_EQ(names_in(between(page, section.from, section.to), prefix, "\\fR"), names(section.wanted)) << section.from;
  }
}

TEST(Documents, ExitCodesAreInThePage) {
  const std::string codes = between(read("man/turnd.8"), ".SH EXIT STATUS", ".SH ENVIRONMENT");
  EXPECT_EQ(names_in(codes, ".TP\n.B ", "\n"), (std::set<std::string>{"0", "1", "2", "3"}));
}

TEST(Documents, CompletionHasEveryLiveOption) {
  const std::string list = between(read("completion/turnd.bash"), "local options=\"", "\n  \"\n");
  EXPECT_EQ(names_in(list, "--"), names([](const Option& o) { return o.support == Support::kLive; }));
  for (const Option& option : option_table()) {
    if (option.support != Support::kLive) continue;
    const bool equals = list.find(std::string("--") + option.name + "=") != std::string::npos;
    EXPECT_EQ(equals, option.arg == Arg::kRequired) << option.name;
  }
}

// What bash offers for a command line whose last word is being typed.
std::string completed(const std::string& words) {
  const TempDir directory;
  const std::string script = directory.write(
      "script", "source '" TURNKIT_SOURCE_DIR "/completion/turnd.bash'\nCOMP_WORDS=(" + words +
                    ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_turnd\nprintf '%s ' \"${COMPREPLY[@]}\"\n");
  FILE* pipe = ::popen(("bash " + script).c_str(), "r");
  if (pipe == nullptr) return "no shell";
  std::string out(4096, '\0');
  out.resize(std::fread(out.data(), 1, out.size(), pipe));
  ::pclose(pipe);
  return out;
}

TEST(Documents, CompletionOffersOptionsAndValues) {
  EXPECT_EQ(completed("turnd --listen"), "--listening-ip= --listening-port= --listening-device= ");
  EXPECT_EQ(completed("turnd --check-c"), "--check-config ");
  EXPECT_EQ(completed("turnd --log-format j"), "json ");
  EXPECT_EQ(completed("turnd --log-min-level = w"), "warning ");
  EXPECT_EQ(completed("turnd --log-min-level ="), "debug info warning error ");
  EXPECT_EQ(completed("turnd --log-min-level=w"), "--log-min-level=warning ");
  EXPECT_EQ(completed("turnd -A k"), "keep ");
  EXPECT_EQ(completed("turnd --proc-user = roo"), "root ");
}

}  // namespace
}  // namespace turnkit::turnd
