// The manual page and the shell completion name exactly the options that turn-probe takes.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <regex>
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

// The option names in the tag lines (those after .TP) of the sections OPTIONS, LISTEN, PORT and LOAD.
OptionSets options_of_the_page() {
  OptionSets out;
  std::istringstream page(read_source("man/turn-probe.1"));
  std::string section;
  std::string line;
  bool is_tag = false;
  const std::regex name(R"(--?[a-z0-9][a-z0-9-]*)");
  while (std::getline(page, line)) {
    if (line.starts_with(".SH ")) section = lower(line.substr(4));
    const bool is_options = section == "options" || section == "listen" || section == "port" || section == "load";
    if (is_tag && is_options) {
      const std::string command = section == "options" ? "" : section;
      if (line.starts_with(".I ")) out[command].insert(line.substr(3));
      const std::string plain = std::regex_replace(line, std::regex(R"(\\-)"), "-");
      for (std::sregex_iterator it(plain.begin(), plain.end(), name), end; it != end; ++it)
        out[command].insert(it->str());
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
    std::set<std::string> offered;
    const std::regex name(R"(--[a-z0-9][a-z0-9-]*)");
    for (std::sregex_iterator it(arm.begin(), arm.end(), name), end; it != end; ++it) offered.insert(it->str());
    EXPECT_EQ(offered, names) << command;
  }
}

}  // namespace
}  // namespace turnkit::probe
