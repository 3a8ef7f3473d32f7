// The manual page and the shell completion name exactly the options that turn-probe takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "probe/options.h"

namespace turnkit::probe {
namespace {

using OptionSets = std::map<std::string, std::set<std::string>>;

std::string read_source(const std::string& path) {
  std::ifstream in(std::string(TURNKIT_SOURCE_DIR) + "/" + path);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// --help is an option of every command; the page has it once.
OptionSets options_of_the_program() {
  OptionSets out;
  for (const OptionName& option : option_names()) {
    const bool is_help = option.name == "-h" || option.name == "--help";
    if (!is_help || option.command.empty()) out[option.command].insert(option.name);
  }
  return out;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// The words of `text` that are options: one or two dashes and a name, at the start of a word.
std::set<std::string> options_in(std::string_view text) {
  const auto is_name = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-'; };
  std::set<std::string> out;
  for (std::size_t i = text.find('-'); i != std::string_view::npos; i = text.find('-', i)) {
    std::size_t end = i;
    while (end < text.size() && is_name(text[end])) ++end;
    const bool starts_a_word = i == 0 || !is_name(text[i - 1]);
    if (starts_a_word && end - i >= 2 && text.substr(i, end - i) != "--") out.emplace(text.substr(i, end - i));
    i = end;
  }
  return out;
}

// The option names in the tag lines (those after .TP) of the section OPTIONS and of the commands' sections.
OptionSets options_of_the_page() {
  OptionSets out;
  std::istringstream page(read_source("man/turn-probe.1"));
  std::string section;
  std::string line;
  bool is_tag = false;
  while (std::getline(page, line)) {
    if (line.starts_with(".SH ")) section = lower(line.substr(4));
    static const std::set<std::string> kSections = {"options", "listen", "port", "load", "stun", "nat"};
    const bool is_options = kSections.contains(section);
    if (is_tag && is_options) {
      const std::string command = section == "options" ? "" : section;
      if (line.starts_with(".I ")) out[command].insert(line.substr(3));
      std::string plain;  // "\-" is how the page writes a dash
      std::copy_if(line.begin(), line.end(), std::back_inserter(plain), [](char c) { return c != '\\'; });
      out[command].merge(options_in(plain));
    }
    is_tag = line == ".TP";
  }
  return out;
}

TEST(ManPage, NamesTheOptionsOfTheProgramAndNoOthers) { EXPECT_EQ(options_of_the_page(), options_of_the_program()); }

TEST(ManPage, NamesEveryExitCode) {
  const std::string page = read_source("man/turn-probe.1");
  for (const char* code : {"0", "1", "2", "3", "4"}) {
    EXPECT_NE(page.find(std::string("\n.TP\n.B ") + code + "\n"), std::string::npos) << code;
  }
}

TEST(Completion, OffersTheLongOptionsOfEachCommand) {
  const std::string script = read_source("completion/turn-probe.bash");
  std::map<std::string, std::set<std::string>> wanted;
  for (const OptionName& option : option_names()) {
    if (option.name.starts_with("--")) wanted[option.command].insert(option.name);
  }
  // From "port)" or, for the program's own, "*)" to the next ";;".
  for (const auto& [command, names] : wanted) {
    const std::size_t begin = script.find("\n    " + (command.empty() ? "*" : command) + ")");
    ASSERT_NE(begin, std::string::npos) << command;
    const std::string arm = script.substr(begin, script.find(";;", begin) - begin);
    EXPECT_EQ(options_in(arm), names) << command;
  }
}

}  // namespace
}  // namespace turnkit::probe
