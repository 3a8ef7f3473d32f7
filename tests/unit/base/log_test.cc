// The log: its line format, its sinks, and that a message stays one line.
#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

namespace turnkit::log {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;

// A log file in a directory of its own; leaves the log quiet behind it.
class LogTest : public testing::Test {
 protected:
  LogTest() {
    std::string name = testing::TempDir() + "turnkit-log-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    path_ = (directory_ / "x.log").string();
  }
  ~LogTest() override {
    (void)configure({.level = Level::kOff, .to_stdout = false});
    std::filesystem::remove_all(directory_);
  }
  LogTest(const LogTest&) = delete;
  LogTest& operator=(const LogTest&) = delete;

  void start(Config config = {}) {
    config.to_stdout = false;
    config.file = path_;
    const Status status = configure(config);
    ASSERT_TRUE(status) << status.error().text;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }

  std::filesystem::path directory_;
  std::string path_;
};

TEST_F(LogTest, LineFormat) {
  start({.level = Level::kDebug});
  debug("one {}", 1);
  info("two {}", "x");
  warning("three");
  error("four");
  const std::string stamp = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}[+-][0-9]{2}:[0-9]{2} ";
  EXPECT_THAT(lines(), ElementsAre(MatchesRegex(stamp + "DEBUG one 1"), MatchesRegex(stamp + "INFO two x"),
                                   MatchesRegex(stamp + "WARNING three"), MatchesRegex(stamp + "ERROR four")));
}

TEST_F(LogTest, LevelFilters) {
  start({.level = Level::kWarning});
  EXPECT_FALSE(enabled(Level::kInfo));
  EXPECT_TRUE(enabled(Level::kWarning));
  info("no");
  write(Level::kInfo, "no");
  write(Level::kOff, "no");
  error("yes");
  EXPECT_THAT(lines(), ElementsAre(EndsWith(" ERROR yes")));
  ASSERT_TRUE(configure({.level = Level::kOff, .to_stdout = false, .file = path_}));
  error("no");
  EXPECT_FALSE(enabled(Level::kOff));
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(LogTest, AMessageIsOneLine) {
  start();
  info("a\nb\r\nc\td\x1b[2J{}e\n\n", '\0');
  EXPECT_THAT(lines(), ElementsAre(EndsWith(" INFO a b  c d?[2J?e")));
  write(Level::kInfo, "braces {} stay {");
  EXPECT_THAT(lines().back(), EndsWith(" INFO braces {} stay {"));
}

TEST_F(LogTest, ALineIsBounded) {
  start();
  info("{}", std::string(5000, 'x'));
  std::string umlauts;
  for (int i = 0; i < 600; ++i) umlauts += "\xC3\xA4";
  info("a{}", umlauts);
  info("{}", umlauts);
  const auto all = lines();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].size(), 1022U);
  for (const std::string& line : {all[1], all[2]}) {
    EXPECT_LE(line.size(), 1022U);
    EXPECT_GE(line.size(), 1021U);
    EXPECT_EQ(line.substr(line.size() - 2), "\xC3\xA4") << "a character was cut in two";
  }
}

TEST_F(LogTest, TimestampFormat) {
  start({.timestamp_format = "<%Y> %f %% %f"});
  info("x");
  EXPECT_THAT(lines(), ElementsAre(MatchesRegex("<[0-9]{4}> [0-9]{3} % [0-9]{3} INFO x")));
  const std::string line = lines()[0];
  EXPECT_EQ(line.substr(7, 3), line.substr(13, 3));
  start({.timestamp_format = std::string(2000, '-')});
  info("long");  // too long to render: the line itself must still be bounded
  EXPECT_LE(lines().back().size(), 1022U);
}

TEST_F(LogTest, LinesAreThereAtOnce) {
  start();
  for (int i = 0; i < 5; ++i) {
    info("line {}", i);
    EXPECT_EQ(lines().size(), static_cast<std::size_t>(i) + 1);
  }
}

TEST_F(LogTest, ReopenFollowsTheName) {
  start();
  info("before");
  const std::string rotated = path_ + ".1";
  std::filesystem::rename(path_, rotated);
  info("still there");
  reopen();
  info("after");
  EXPECT_THAT(lines(), ElementsAre(EndsWith(" INFO after")));
  EXPECT_THAT(read(rotated), AllOf(HasSubstr("before"), HasSubstr("still there"), testing::Not(HasSubstr("after"))));
}

TEST_F(LogTest, ReopenKeepsTheFileWhenThePathIsGone) {
  start();
  const std::filesystem::path moved = directory_.string() + "-moved";
  std::filesystem::rename(directory_, moved);
  reopen();
  info("kept");
  EXPECT_THAT(read((moved / "x.log").string()),
              AllOf(HasSubstr("WARNING Cannot reopen the log file"), HasSubstr("INFO kept")));
  std::filesystem::remove_all(moved);
}

TEST_F(LogTest, ConfiguringAgainKeepsTheFileWhenThePathIsGone) {
  start();
  const std::filesystem::path moved = directory_.string() + "-moved";
  std::filesystem::rename(directory_, moved);
  start({.level = Level::kWarning});
  warning("kept");
  EXPECT_THAT(read((moved / "x.log").string()), HasSubstr("WARNING kept"));
  EXPECT_FALSE(configure({.to_stdout = false, .file = path_ + ".other"})) << "another path is another matter";
  std::filesystem::remove_all(moved);
}

TEST_F(LogTest, ThreadsAndReopensLoseNothing) {
  start();
  constexpr int kThreads = 4;
  constexpr int kLines = 500;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < kLines; ++i) info("thread {} line {} {}", t, i, std::string(50, '.'));
    });
  }
  for (int i = 0; i < 50; ++i) reopen();
  for (std::thread& thread : threads) thread.join();
  const auto all = lines();
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kThreads * kLines));
  for (const std::string& line : all) EXPECT_THAT(line, EndsWith(std::string(50, '.')));
}

TEST_F(LogTest, BadConfigurationSaysWhy) {
  const Status no_path = configure({.to_stdout = false, .file = "/nonexistent/directory/x.log"});
  ASSERT_FALSE(no_path);
  EXPECT_THAT(no_path.error().text, AllOf(HasSubstr("/nonexistent/directory/x.log"), HasSubstr("No such file")));
  const Status no_facility = configure({.to_stdout = false, .to_syslog = true, .syslog_facility = "LOG_NONSENSE"});
  ASSERT_FALSE(no_facility);
  EXPECT_THAT(no_facility.error().text, HasSubstr("LOG_NONSENSE"));
  EXPECT_TRUE(
      configure({.to_stdout = false, .to_syslog = true, .syslog_facility = "LOG_LOCAL3", .ident = "turnkit-test"}));
}

// Reading a configuration anew must not lose the sinks that stay.
TEST_F(LogTest, ConfiguresAgain) {
  for (int round = 0; round < 3; ++round) {
    start({.to_syslog = true, .syslog_facility = "LOG_LOCAL3", .ident = "turnkit-test"});
    info("round {}", round);
  }
  EXPECT_THAT(lines(), ElementsAre(EndsWith("round 0"), EndsWith("round 1"), EndsWith("round 2")));
}

TEST_F(LogTest, CoturnShape) {
  start({.shape = Shape::kCoturn});
  warning("three");
  const std::string stamp = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}[+-][0-9]{4} ";
  EXPECT_THAT(lines(), ElementsAre(MatchesRegex(stamp + "WARNING three")));
}

TEST_F(LogTest, ShapeOfOlderCoturns) {
  start({.shape = Shape::kCoturn46});
  info("two");
  error("four");
  start({.timestamp_format = "%Y", .shape = Shape::kCoturn46});
  info("five");
  start({.shape = Shape::kCoturn45});
  info("six");
  error("seven");
  EXPECT_THAT(lines(), ElementsAre(MatchesRegex("[0-9]+: \\([0-9]+\\): INFO: two"),
                                   MatchesRegex("[0-9]+: \\([0-9]+\\): ERROR: four"),
                                   MatchesRegex("[0-9]{4}: \\([0-9]+\\): INFO: five"),
                                   MatchesRegex("[0-9]+: : six"), MatchesRegex("[0-9]+: : ERROR: seven")));
}

TEST_F(LogTest, JsonIsOneObjectALine) {
  start({.shape = Shape::kJson});
  const Field fields[] = {{"user", "a\"b\\c\nd\xFF"}, {"lifetime", 600U}};
  write(Level::kInfo, "one \"two\"\nthree", fields);
  EXPECT_THAT(lines(), ElementsAre(MatchesRegex(
                           "\\{\"time\":\"[-0-9T:.+]+\",\"level\":\"info\",\"message\":\"one \\\\\"two\\\\\" three\","
                           "\"user\":\"a\\\\\"b\\\\\\\\c\\\\u000ad\xEF\xBF\xBD\",\"lifetime\":600\\}")));
}

TEST_F(LogTest, FieldsAreForJsonOnly) {
  start();
  const Field fields[] = {{"user", "alice"}};
  write(Level::kInfo, "text", fields);
  EXPECT_THAT(lines(), ElementsAre(EndsWith(" INFO text")));
}

TEST_F(LogTest, AJsonLineIsBounded) {
  start({.shape = Shape::kJson});
  const std::string long_text(5000, 'x');
  const Field fields[] = {{"user", long_text}};
  write(Level::kInfo, long_text, fields);
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_LT(lines()[0].size(), 2000U);
  EXPECT_THAT(lines()[0], EndsWith("xx\"}"));
}

TEST_F(LogTest, AddressesAreCutWhereThatIsAskedFor) {
  const Address v4 = *Address::parse("203.0.113.77:4321");
  const Address v6 = *Address::parse("[2001:db8:1:2:3::4]:4321");
  start();
  EXPECT_EQ(shown(v4), "203.0.113.77:4321");
  EXPECT_EQ(shown(v6.ip), "2001:db8:1:2:3::4");
  start({.anonymize = true});
  EXPECT_EQ(shown(v4), "203.0.113.0:0");
  EXPECT_EQ(shown(v6), "[2001:db8:1::]:0");
  EXPECT_EQ(shown(v4.ip), "203.0.113.0");
}

TEST_F(LogTest, ConfiguresWhileThreadsWrite) {
  start();
  std::thread writer([] {
    for (int i = 0; i < 2000; ++i) info("line {}", i);
  });
  for (int i = 0; i < 50; ++i) start({.shape = i % 2 == 0 ? Shape::kJson : Shape::kText});
  writer.join();
  EXPECT_EQ(lines().size(), 2000U);
}

// Standard output is usually a pipe that a script reads for a start-up line.
TEST_F(LogTest, StandardOutputIsNotHeldBack) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const int saved = ::dup(STDOUT_FILENO);
  ASSERT_EQ(::dup2(pipe_ends[1], STDOUT_FILENO), STDOUT_FILENO);
  ASSERT_TRUE(configure({.to_stdout = true}));
  info("ready");
  std::array<char, 200> buffer{};
  const ssize_t n = ::read(pipe_ends[0], buffer.data(), buffer.size());
  ::dup2(saved, STDOUT_FILENO);
  for (const int fd : {saved, pipe_ends[0], pipe_ends[1]}) ::close(fd);
  ASSERT_GT(n, 0);
  EXPECT_THAT(std::string(buffer.data(), static_cast<std::size_t>(n)), EndsWith(" INFO ready\n"));
}

}  // namespace
}  // namespace turnkit::log
