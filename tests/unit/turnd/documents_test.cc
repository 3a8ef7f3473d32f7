// The manual pages and the shell completion list exactly the options that the program has.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <map>
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

// {key: the cells behind it} of the rows "| `key` | ..." between two headings.
std::map<std::string, std::vector<std::string>> rows_between(const std::string& page, const std::string& from,
                                                             const std::string& to) {
  std::map<std::string, std::vector<std::string>> out;
  std::istringstream lines(between(page, from, to));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');) {
      const std::size_t first = cell.find_first_not_of(' ');
      cells.push_back(first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
    }
    const std::string key = cells.front().substr(1, cells.front().size() - 2);
    cells.erase(cells.begin());
    EXPECT_TRUE(out.emplace(key, cells).second) << key << " stands there twice";
  }
  return out;
}

std::set<std::string> statuses_of(Support support) {
  switch (support) {
    case Support::kLive:
      return {"same", "differs", "deprecated"};
    case Support::kImplied:
      return {"always"};
    case Support::kUnsupported:
      return {"ignored"};
    case Support::kLegacy:
      return {"deprecated"};
    case Support::kRefused:
      return {"refused"};
  }
  return {};
}

TEST(Documents, MigrationPageHasEveryKeyOfCoturn) {
  const auto rows = rows_between(read("docs/migrating-from-coturn.md"), "\n## Every key of coturn\n",
                                 "\n## Keys that coturn does not have\n");
  const std::map<std::string, std::string> keys = coturn_key_list();
  for (const auto& [key, generations] : keys) {
    SCOPED_TRACE(key);
    ASSERT_TRUE(rows.contains(key));
    const std::vector<std::string>& cells = rows.at(key);
    ASSERT_GE(cells.size(), 3U);
    const Option* option = find_option(key);
    ASSERT_NE(option, nullptr);
    EXPECT_TRUE(statuses_of(option->support).contains(cells[1])) << cells[1];
    EXPECT_TRUE(cells[1] == "same" || !cells[2].empty()) << "needs a note";
    if (generations == "yes yes") {
      EXPECT_EQ(cells[0], "4.6 and 4.17");
    }
  }
  for (const auto& row : rows) EXPECT_TRUE(keys.contains(row.first)) << row.first;
}

TEST(Documents, MigrationPageHasEveryKeyOfOurs) {
  const auto rows = rows_between(read("docs/migrating-from-coturn.md"), "\n## Keys that coturn does not have\n",
                                 "\n## Accepted, not verified\n");
  const std::map<std::string, std::string> coturns = coturn_key_list();
  std::set<std::string> listed;
  for (const auto& row : rows) listed.insert(row.first);
  std::set<std::string> ours;
  for (const Option& option : option_table()) {
    if (option.pass == Pass::kCommandLineOnly || coturns.contains(option.name)) continue;
    ours.insert(option.name);
    if (!rows.contains(option.name) || option.default_text[0] == '\0') continue;
    const std::string expected = std::string("Default: ") + option.default_text;
    EXPECT_TRUE(rows.at(option.name).front().ends_with(expected)) << option.name << ": " << expected;
  }
  EXPECT_EQ(listed, ours);
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
