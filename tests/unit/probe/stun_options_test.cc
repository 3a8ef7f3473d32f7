// The command lines of `turn-probe stun` and `turn-probe nat`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "probe/exit_code.h"
#include "probe/options.h"

namespace turnkit::probe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Options parsed(const std::vector<std::string>& arguments) {
  const ParsedCommandLine result = parse_command_line(arguments);
  EXPECT_TRUE(result.options) << result.text;
  return result.options.value_or(Options{});
}

TEST(StunCommandLine, Defaults) {
  const Options options = parsed({"stun", "stun.example.com"});
  EXPECT_EQ(options.command, Command::kStun);
  EXPECT_EQ(options.stun.server, "stun.example.com");
  EXPECT_THAT(options.stun.transports, IsEmpty());
  EXPECT_EQ(options.stun.count, 5U);
  EXPECT_EQ(options.stun.patience, Patience::kNormal);
  EXPECT_TRUE(options.stun.verify);
  EXPECT_FALSE(options.stun.local || options.stun.family || options.stun.attributes || options.stun.json);
}

TEST(StunCommandLine, Everything) {
  const Options options = parsed({"stun", "stun:example.com", "--transport", "tcp,udp,tcp", "-4", "-n", "9",
                                  "--interval", "150", "--patient", "--local", "192.0.2.10:8443", "--attributes",
                                  "--ca-file", "ca.pem", "--insecure", "--json"});
  EXPECT_THAT(options.stun.transports, ElementsAre(Transport::kTcp, Transport::kUdp));
  EXPECT_EQ(options.stun.family, Family::kIPv4);
  EXPECT_EQ(options.stun.count, 9U);
  EXPECT_EQ(options.stun.interval, std::chrono::milliseconds(150));
  EXPECT_EQ(options.stun.patience, Patience::kPatient);
  EXPECT_EQ(options.stun.local, Address::parse("192.0.2.10:8443"));
  EXPECT_EQ(options.stun.ca_file, "ca.pem");
  EXPECT_FALSE(options.stun.verify);
  EXPECT_TRUE(options.stun.attributes && options.stun.json);
}

TEST(StunCommandLine, AllTransports) {
  EXPECT_THAT(parsed({"stun", "h", "--transport", "all"}).stun.transports,
              ElementsAre(Transport::kUdp, Transport::kTcp, Transport::kTls, Transport::kDtls));
  EXPECT_EQ(parsed({"stun", "h", "--fast", "--local", "2001:db8::1"}).stun.local,
            (Address{*IpAddress::parse("2001:db8::1"), 0}));
  EXPECT_EQ(parsed({"stun", "h", "--fast"}).stun.patience, Patience::kFast);
}

TEST(NatCommandLine, ServersAndTests) {
  const Options options = parsed({"nat", "a", "b:3479", "-6", "--lifetime", "180", "--hairpin", "--quiet", "--json"});
  EXPECT_EQ(options.command, Command::kNat);
  EXPECT_THAT(options.nat.servers, ElementsAre("a", "b:3479"));
  EXPECT_EQ(options.nat.family, Family::kIPv6);
  EXPECT_EQ(options.nat.lifetime, std::chrono::seconds(180));
  EXPECT_TRUE(options.nat.hairpin && options.nat.quiet && options.nat.json);
  const Options plain = parsed({"nat", "a", "--local", "192.0.2.1"});
  EXPECT_EQ(plain.nat.local, IpAddress::parse("192.0.2.1"));
  EXPECT_EQ(plain.nat.lifetime, std::chrono::seconds(0));
  EXPECT_FALSE(plain.nat.hairpin);
}

TEST(StunAndNatCommandLine, WrongUsageSaysWhatIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"stun"}, "SERVER"},
      {{"stun", "a", "b"}, "b"},
      {{"stun", "a", "--transport", "sctp"}, "sctp"},
      {{"stun", "a", "--fast", "--patient"}, "--fast"},
      {{"stun", "a", "--interval", "50"}, "--interval"},
      {{"stun", "a", "--local", "nowhere"}, "ADDRESS:PORT"},
      {{"nat"}, "SERVER"},
      {{"nat", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, "9"},
      {{"nat", "a", "--lifetime", "1"}, "--lifetime"},
      {{"nat", "a", "--local", "192.0.2.1:5"}, "192.0.2.1:5"},
  };
  for (const auto& [arguments, text] : cases) {
    const ParsedCommandLine result = parse_command_line(arguments);
    EXPECT_FALSE(result.options) << text;
    EXPECT_EQ(result.exit_code, kExitUsage) << text;
    EXPECT_THAT(result.text, HasSubstr(text));
  }
}

}  // namespace
}  // namespace turnkit::probe
