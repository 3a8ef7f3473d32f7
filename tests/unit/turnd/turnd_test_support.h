// What the tests of turnd's configuration share: a temporary directory, and a command line that is parsed in it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "turnd/options/options.h"

namespace turnkit::turnd {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "turnd-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  // Creates directories above the file where needed; returns its path.
  std::string write(const std::string& name, const std::string& text) const {
    const std::filesystem::path file = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    std::filesystem::permissions(file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return file.string();
  }

 private:
  std::string path_;
};

// Parses command lines in a directory of their own, without the system's files.
class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    environment_.working_directory = directory_.path();
    environment_.state_directory = directory_.path() + "/state";
    environment_.search_system = false;
    environment_.cpus = 4;
    environment_.host_name = "host.test";
    environment_.uid = 1000;
    environment_.random = &random_;
    environment_.resolve = [](const std::string& host) -> Result<std::vector<IpAddress>> {
      if (host != "two.test") return Error{"cannot resolve " + host};
      return std::vector<IpAddress>{IpAddress::v4(192, 0, 2, 1), *IpAddress::parse("2001:db8::1")};
    };
  }

  CommandLine parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "turnd");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    return parse_command_line(static_cast<int>(arguments.size()), argv.data(), environment_);
  }
  // Parses a file with these lines, named on the command line beside `arguments`.
  CommandLine parse_file(const std::string& text, std::vector<std::string> arguments = {}) {
    file_ = directory_.write("test.conf", text);
    arguments.insert(arguments.end(), {"-c", file_});
    return parse(std::move(arguments));
  }
  // The same for lines that must be right.
  Config config_of(const std::string& text, std::vector<std::string> arguments = {}) {
    const CommandLine line = parse_file(text, std::move(arguments));
    EXPECT_TRUE(line.run) << text << ::testing::PrintToString(line.errors);
    return line.config;
  }
  // The errors of a file, without its path.
  std::vector<std::string> errors_of(const std::string& text, std::vector<std::string> arguments = {}) {
    const CommandLine line = parse_file(text, std::move(arguments));
    EXPECT_EQ(line.run, line.errors.empty());
    EXPECT_EQ(line.exit_code, line.errors.empty() ? kExitOk : kExitUsage);
    return short_names(line.errors);
  }
  std::vector<std::string> warnings_of(const std::string& text, std::vector<std::string> arguments = {}) {
    const CommandLine line = parse_file(text, std::move(arguments));
    EXPECT_TRUE(line.run) << text << ::testing::PrintToString(line.errors);
    return short_names(line.warnings);
  }
  [[nodiscard]] std::vector<std::string> short_names(std::vector<std::string> texts) const {
    for (std::string& text : texts) {
      for (std::size_t at; (at = text.find(directory_.path() + "/")) != std::string::npos;) {
        text.erase(at, directory_.path().size() + 1);
      }
    }
    return texts;
  }

  TempDir directory_;
  SystemRandom random_;
  Environment environment_;
  std::string file_;
};

// Every key that a release of coturn takes: tests/options/coturn_keys.txt. The value: whether 4.6 and 4.17 do.
inline std::map<std::string, std::string> coturn_key_list() {
  std::ifstream file(TURNKIT_SOURCE_DIR "/tests/options/coturn_keys.txt");
  std::map<std::string, std::string> out;
  for (std::string line; std::getline(file, line);) {
    const std::size_t blank = line.find(' ');
    if (!line.starts_with('#') && blank != std::string::npos) out[line.substr(0, blank)] = line.substr(blank + 1);
  }
  return out;
}

// Enough for a configuration without warnings.
inline constexpr const char* kSecretLines = "realm=example.org\nstatic-auth-secret=0123456789abcdef\n";

}  // namespace turnkit::turnd
