// The load command's options as values, and the combinations that are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "probe/exit_code.h"
#include "probe/options.h"

namespace turnkit::probe {
namespace {

LoadOptions parsed(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"load", "turn.example.com"});
  const ParsedCommandLine result = parse_command_line(arguments);
  EXPECT_TRUE(result.options) << result.text;
  if (!result.options) return {};
  EXPECT_EQ(result.options->command, Command::kLoad);
  return result.options->load;
}

std::string refused(const std::vector<std::string>& arguments) {
  const ParsedCommandLine result = parse_command_line(arguments);
  EXPECT_FALSE(result.options);
  EXPECT_EQ(result.exit_code, kExitUsage);
  return result.text;
}

TEST(LoadOptions, Defaults) {
  const LoadOptions load = parsed({});
  EXPECT_EQ(load.server, "turn.example.com");
  EXPECT_EQ(load.allocations, 100U);
  EXPECT_EQ(load.peers, 1U);
  EXPECT_EQ(load.direction, Direction::kUp);
  EXPECT_EQ(load.size, 172U);
  EXPECT_EQ(load.run, 1U);
  EXPECT_TRUE(load.segment);
  EXPECT_EQ(load.rate, 0);
  EXPECT_EQ(load.duration, std::chrono::seconds(10));
  EXPECT_EQ(load.warm_up, std::chrono::seconds(1));
  EXPECT_FALSE(load.max_loss);
  EXPECT_FALSE(load.peer_address);
}

TEST(LoadOptions, EverythingIsTaken) {
  const LoadOptions load =
      parsed({"--secret",       "north",     "--user",       "load",   "-n",           "20", "--peers",    "3",
              "--peer-address", "192.0.2.7", "--size",       "1100",   "--run",        "16", "--rate",     "20000",
              "--direction",    "both",      "--for",        "0.5",    "--window",     "64", "--parallel", "8",
              "--max-loss",     "0",         "--algorithms", "legacy", "--server-pid", "77", "--json",     "--quiet",
              "--no-segment"});
  EXPECT_EQ(load.secret, "north");
  EXPECT_EQ(load.user, "load");
  EXPECT_EQ(load.allocations, 20U);
  EXPECT_EQ(load.peers, 3U);
  EXPECT_EQ(load.peer_address, IpAddress::parse("192.0.2.7"));
  EXPECT_EQ(load.size, 1100U);
  EXPECT_EQ(load.run, 16U);
  EXPECT_FALSE(load.segment);
  EXPECT_EQ(load.rate, 20000);
  EXPECT_EQ(load.direction, Direction::kBoth);
  EXPECT_EQ(load.duration, std::chrono::milliseconds(500));
  EXPECT_EQ(load.window, 64U);
  EXPECT_EQ(load.parallel, 8U);
  EXPECT_EQ(load.max_loss, 0.0);
  EXPECT_EQ(load.algorithms, client::AlgorithmPolicy::kLegacy);
  EXPECT_EQ(load.server_pid, 77);
  EXPECT_TRUE(load.json);
  EXPECT_TRUE(load.quiet);
}

TEST(LoadOptions, ProfilesTakeThePlaceOfRatesAndSizes) {
  EXPECT_EQ(parsed({"--profile", "10x50", "--calls", "2"}).calls, 2U);
  for (const char* plain : {"--rate=5", "--size=100", "--run=2", "--direction=up"}) {
    refused({"load", "h", "--profile", "10x50", plain});
  }
  refused({"load", "h", "--calls", "2"});
}

TEST(LoadOptions, TheListOfProfilesNeedsNoServer) {
  const ParsedCommandLine result = parse_command_line({"load", "--profile", "list"});
  ASSERT_TRUE(result.options) << result.text;
  EXPECT_THAT(refused({"load"}), testing::HasSubstr("SERVER"));
}

TEST(LoadOptions, RefusesWhatCannotBe) {
  refused({"load", "h", "--direction", "sideways"});
  refused({"load", "h", "--run", "65"});
  refused({"load", "h", "--run", "0"});
  refused({"load", "h", "--size", "19"});
  refused({"load", "h", "--rate", "-1"});
  refused({"load", "h", "--max-loss", "101"});
  refused({"load", "h", "--allocations", "0"});
  refused({"load", "h", "--peer-address", "localhost"});
  refused({"load", "h", "--password", "p"});                                  // whose?
  refused({"load", "h", "--user", "u", "--password", "p", "--secret", "s"});  // which?
}

}  // namespace
}  // namespace turnkit::probe
