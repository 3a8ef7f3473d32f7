#include "probe/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "probe/exit_code.h"

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

TEST(Options, CheckBothProtocolsOn8443UnlessSaid) {
  const Options options = parsed({"port", "calls.example.com"});
  EXPECT_EQ(options.command, Command::kPort);
  EXPECT_EQ(options.port.host, "calls.example.com");
  EXPECT_THAT(options.port.ports.udp, ElementsAre(8443));
  EXPECT_THAT(options.port.ports.tcp, ElementsAre(8443));
  EXPECT_FALSE(options.port.family);
}

TEST(Options, NamingOneProtocolLeavesTheOtherOut) {
  const Options options = parsed({"listen", "--udp"});
  EXPECT_EQ(options.command, Command::kListen);
  EXPECT_THAT(options.listen.ports.udp, ElementsAre(8443));
  EXPECT_THAT(options.listen.ports.tcp, IsEmpty());
}

TEST(Options, PortListsMayFollowAnEqualsSignOrABlank) {
  EXPECT_THAT(parsed({"listen", "--udp=3478,8443"}).listen.ports.udp, ElementsAre(3478, 8443));
  EXPECT_THAT(parsed({"listen", "--udp", "3478,8443"}).listen.ports.udp, ElementsAre(3478, 8443));
  EXPECT_THAT(parsed({"listen", "--tcp=443", "--tcp=80,443"}).listen.ports.tcp, ElementsAre(443, 80));
}

TEST(Options, ABareProtocolDoesNotSwallowTheHost) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"port", "--udp", "calls.example.com", "--json"},
                                                                     {"port", "calls.example.com", "--udp"},
                                                                     {"port", "--udp", "calls.example.com"}}) {
    const Options options = parsed(arguments);
    EXPECT_EQ(options.port.host, "calls.example.com");
    EXPECT_THAT(options.port.ports.udp, ElementsAre(8443));
    EXPECT_THAT(options.port.ports.tcp, IsEmpty());
  }
}

TEST(Options, TakeAtMost64PortsOfAProtocol) {
  std::string list = "1";
  for (int port = 2; port <= 64; ++port) list += "," + std::to_string(port);
  EXPECT_EQ(parsed({"port", "h", "--udp=" + list}).port.ports.udp.size(), 64U);
  EXPECT_EQ(parse_command_line({"port", "h", "--udp=" + list + ",65"}).exit_code, kExitUsage);
}

TEST(Options, PaceAndFamily) {
  const Options options = parsed({"port", "h", "--count", "400", "--interval", "10", "--wait", "0.5", "-6", "--json"});
  EXPECT_EQ(options.port.count, 400U);
  EXPECT_EQ(options.port.interval, std::chrono::milliseconds(10));
  EXPECT_EQ(options.port.wait, std::chrono::milliseconds(500));
  EXPECT_EQ(options.port.family, Family::kIPv6);
  EXPECT_TRUE(options.port.json);
}

TEST(Options, BindTakesAddresses) {
  const Options options = parsed({"listen", "--bind", "192.0.2.1", "--bind", "2001:db8::1", "--for", "60"});
  EXPECT_THAT(options.listen.bind, ElementsAre(*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")));
  EXPECT_EQ(options.listen.run_for, std::chrono::seconds(60));
}

TEST(Options, WrongUsageSaysWhatIsWrongAndExitsWith2) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "subcommand"},
      {{"port"}, "HOST"},
      {{"prot", "h"}, "'prot' is not a command"},
      {{"port", "h", "--udp=0"}, "'0' is not a port"},
      {{"port", "h", "--udp=65536"}, "'65536' is not a port"},
      {{"port", "h", "--udp=8443,x"}, "'x' is not a port"},
      {{"port", "h", "--udp="}, "--udp"},
      {{"port", "h", "-4", "-6"}, "--ipv"},
      {{"port", "h", "--count", "0"}, "--count"},
      {{"port", "h", "--wait", "-1"}, "--wait"},
      {{"listen", "--bind", "localhost"}, "'localhost' is not an IPv4 or IPv6 address"},
      {{"listen", "--nonsense"}, "--nonsense"},
      {{"listen", "extra"}, "extra"},
  };
  for (const auto& [arguments, text] : cases) {
    const ParsedCommandLine result = parse_command_line(arguments);
    EXPECT_FALSE(result.options) << text;
    EXPECT_EQ(result.exit_code, kExitUsage) << text;
    EXPECT_THAT(result.text, HasSubstr(text));
    EXPECT_THAT(result.text, HasSubstr("--help"));
  }
}

TEST(Options, HelpHasExamplesAndExitCodes) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"}, {"listen", "--help"}, {"port", "-h"}}) {
    const ParsedCommandLine result = parse_command_line(arguments);
    EXPECT_FALSE(result.options);
    EXPECT_EQ(result.exit_code, kExitPass);
    EXPECT_THAT(result.text, HasSubstr("Examples:"));
    EXPECT_THAT(result.text, HasSubstr("3 UNCONFIRMED"));
    EXPECT_THAT(result.text, HasSubstr("turn-probe "));
  }
  EXPECT_THAT(parse_command_line({"--version"}).text, HasSubstr("turn-probe " TURNKIT_VERSION));
}

}  // namespace
}  // namespace turnkit::probe
