// The command line: getopt_long as coturn uses it, the order of passes, and what ends before the server starts.
#include <set>

#include "tests/unit/turnd/turnd_test_support.h"
#include "turnd/options/values.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class CommandLineFrontEnd : public CommandLineTest {
 protected:
  // With credentials, so that nothing is generated.
  CommandLine with_secret(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-n", "--static-auth-secret=0123456789abcdef", "--realm=example.org"});
    return parse(std::move(arguments));
  }
};

TEST_F(CommandLineFrontEnd, PrintsHelpAndVersion) {
  for (const char* argument : {"-h", "--help", "--hel"}) {
    const CommandLine line = parse({"--listening-port=x", argument});
    EXPECT_FALSE(line.run);
    EXPECT_EQ(line.exit_code, kExitOk);
    EXPECT_THAT(line.out, HasSubstr("Usage: turnd [OPTION]..."));
    EXPECT_THAT(line.errors, IsEmpty());
  }
  const CommandLine version = parse({"--version"});
  EXPECT_FALSE(version.run);
  EXPECT_EQ(version.out, TURNKIT_VERSION "\n");
}

TEST_F(CommandLineFrontEnd, HelpHasEveryOptionAndNoLineIsTooWide) {
  const std::string help = help_text();
  for (const Option& option : option_table()) EXPECT_THAT(help, HasSubstr(option.name));
  for (const char* group : option_groups()) EXPECT_THAT(help, HasSubstr(std::string("\n") + group + ":\n"));
  EXPECT_THAT(help, HasSubstr("\nExamples:\n"));
  for (std::size_t start = 0; start < help.size();) {
    const std::size_t end = help.find('\n', start);
    EXPECT_LE(end - start, 110U) << help.substr(start, end - start);
    start = end + 1;
  }
}

TEST_F(CommandLineFrontEnd, ErrorsNameTheOption) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--listening-port=80000"}, "--listening-port=80000: expected a port, 0 to 65535"},
      {{"-p", "x"}, "--listening-port=x: expected a port, 0 to 65535"},
      {{"--listening-port"}, "--listening-port: needs a value, PORT"},
      {{"-p"}, "--listening-port: needs a value, PORT"},
      {{"--relm=example.org"}, "--relm: unknown option; did you mean realm?; turnd --help lists them"},
      {{"--xyzzy=secret"}, "--xyzzy: unknown option; turnd --help lists them"},
      {{"-G"}, "-G: unknown option; turnd --help lists them"},
      {{"--no-config=1"}, "--no-config: takes no value"},
      {{"--min"}, nullptr},
      {{"--listening=1.2.3.4"},
       "--listening: ambiguous; it may mean --listening-ip --listening-port --listening-device"},
  };
  for (const auto& [arguments, error] : cases) {
    const CommandLine line = parse(arguments);
    EXPECT_FALSE(line.run);
    EXPECT_EQ(line.exit_code, kExitUsage);
    if (error != nullptr) {
      EXPECT_THAT(line.errors, ElementsAre(error));
    }
  }
}

TEST_F(CommandLineFrontEnd, ReportsEveryFault) {
  const CommandLine line = with_secret({"--min-port=0", "--total-quota=many", "--relay-ip=10.0.0.300"});
  EXPECT_THAT(line.errors,
              ElementsAre("--min-port=0: expected a port, 1 to 65535",
                          "--total-quota=many: expected a whole number from 0 to 4294967295",
                          "--relay-ip=10.0.0.300: expected an IPv4 or IPv6 address, without port or prefix "
                          "length"));
}

TEST_F(CommandLineFrontEnd, TakesPrefixesAndBothForms) {
  for (const std::vector<std::string>& form : {std::vector<std::string>{"--total-quota=7"},
                                               {"--total-quota", "7"},
                                               {"--total-q=7"},
                                               {"--tot", "7"},
                                               {"-Q7"},
                                               {"-Q", "7"},
                                               {"-vQ", "7"},
                                               {"-vfQ7"}}) {
    const CommandLine line = with_secret(form);
    EXPECT_TRUE(line.run) << ::testing::PrintToString(form);
    EXPECT_EQ(line.config.total_quota, 7U);
  }
}

TEST_F(CommandLineFrontEnd, ShortLettersAreCoturns) {
  const CommandLine line = with_secret(
      {"-d", "eth0", "-p", "1", "-L", "10.0.0.1", "-E", "10.0.0.2", "-X", "192.0.2.1", "-i", "eth1", "-m", "3",
       "-l", "-",    "-r", "r", "-u", "u:p",      "-B", "9",        "-q", "2",         "-Q", "3",    "-s", "4",
       "-C", "|",    "-K", "1", "-A", "ipv6",     "-v", "-V",       "-o", "-f",        "-a", "-S"});
  ASSERT_TRUE(line.run) << ::testing::PrintToString(line.errors);
  const Config& c = line.config;
  EXPECT_EQ(c.listening_device, "eth0");
  EXPECT_EQ(c.listening_port, 1);
  EXPECT_THAT(c.listening_ips, ElementsAre(IpAddress::v4(10, 0, 0, 1)));
  EXPECT_THAT(c.relay_ips, ElementsAre(IpAddress::v4(10, 0, 0, 2)));
  EXPECT_EQ(c.external_ips.size(), 1U);
  EXPECT_EQ(c.relay_device, "eth1");
  EXPECT_EQ(c.relay_threads, 3U);
  EXPECT_EQ(c.realm, "r");
  EXPECT_THAT(c.users, ElementsAre(StaticUser{"u", "p", "r"}));
  EXPECT_EQ(c.bps_capacity, 9U);
  EXPECT_EQ(c.user_quota, 2U);
  EXPECT_EQ(c.total_quota, 3U);
  EXPECT_EQ(c.max_bps, 4U);
  EXPECT_EQ(c.rest_separator, '|');
  EXPECT_EQ(c.default_family, DefaultFamily::kIPv6);
  EXPECT_EQ(c.verbose, 2);
  EXPECT_TRUE(c.daemon);
  EXPECT_TRUE(c.fingerprint);
  EXPECT_TRUE(c.stun_only);
}

// -K takes an argument as a letter, none as a word.
TEST_F(CommandLineFrontEnd, KeepAddressFamily) {
  EXPECT_EQ(with_secret({"-K", "on"}).config.default_family, DefaultFamily::kKeep);
  EXPECT_EQ(with_secret({"-K", "off"}).config.default_family, DefaultFamily::kIPv4);
  EXPECT_EQ(with_secret({"--keep-address-family"}).config.default_family, DefaultFamily::kKeep);
  EXPECT_EQ(with_secret({"-A", "keep"}).config.default_family, DefaultFamily::kKeep);
}

TEST_F(CommandLineFrontEnd, ShortFormWithEqualsSign) {
  const CommandLine family = with_secret({"-A=ipv6"});
  EXPECT_TRUE(family.run);
  EXPECT_EQ(family.config.default_family, DefaultFamily::kIPv6);
  EXPECT_THAT(family.warnings, ElementsAre("-A: the short form takes its value without \"=\""));
  const CommandLine realm = with_secret({"-r=x"});
  EXPECT_EQ(realm.config.realm, "=x");
  EXPECT_THAT(realm.warnings, ElementsAre("-r: the short form takes its value without \"=\""));
}

TEST_F(CommandLineFrontEnd, FlagsTakeTheirValueBehindAnEqualsSignOnly) {
  const CommandLine line = with_secret({"--fingerprint=off", "--fingerprint", "off"});
  EXPECT_TRUE(line.config.fingerprint);
  EXPECT_THAT(line.warnings,
              ElementsAre("the argument after --fingerprint is ignored, because it belongs to no option; "
                          "write --fingerprint=VALUE"));
}

TEST_F(CommandLineFrontEnd, StrayArgumentsAreWarningsAndNeverShown) {
  const CommandLine line = with_secret({"--use-auth-secret", "hunter2", "turnserver.conf"});
  EXPECT_TRUE(line.run);
  ASSERT_EQ(line.warnings.size(), 2U);
  EXPECT_EQ(line.warnings[1], "turnserver.conf: ignored, it belongs to no option; -c names a configuration file");
  for (const std::string& warning : line.warnings) EXPECT_THAT(warning, Not(HasSubstr("hunter2")));
}

using Passes = CommandLineTest;

TEST_F(Passes, CommandLineOverridesTheFile) {
  const Config c = config_of("realm=file\nlistening-port=1\nfingerprint\nstatic-auth-secret=a\nuser-quota=5\n",
                             {"--realm=line", "-p", "2", "--fingerprint=no"});
  EXPECT_EQ(c.realm, "line");
  EXPECT_EQ(c.listening_port, 2);
  EXPECT_FALSE(c.fingerprint);
  EXPECT_EQ(c.user_quota, 5U);
  EXPECT_EQ(c.origin.kind, Origin::Kind::kFile);
  EXPECT_EQ(c.origin.path, file_);
}

TEST_F(Passes, TheFileOverridesLogOptionsOfTheCommandLine) {
  const Config c = config_of(
      "realm=x\nstatic-auth-secret=a\nlog-file=/tmp/file.log\nlog-min-level=error\nno-stdout-log=off\n",
      {"--log-file=/tmp/line.log", "--log-min-level=debug", "--no-stdout-log", "--syslog-facility=LOG_LOCAL1"});
  EXPECT_EQ(c.log.file, "/tmp/file.log");
  EXPECT_EQ(c.log.level, log::Level::kError);
  EXPECT_TRUE(c.log.to_stdout);
  EXPECT_EQ(c.log.syslog_facility, "LOG_LOCAL1");
}

TEST_F(Passes, ListsAddUp) {
  const Config c = config_of(
      "realm=x\nlistening-ip=10.0.0.1\nlistening-ip=10.0.0.2\nrelay-ip=10.0.0.1\nuser=a:1\nuser=b:2\n"
      "static-auth-secret=s1\ndenied-peer-ip=1.1.1.1\nallowed-peer-ip=2.2.2.2\nexternal-ip=192.0.2.1/10.0.0.1\n",
      {"-L", "10.0.0.3", "-L", "10.0.0.1", "-E", "10.0.0.2", "-u", "c:3", "--static-auth-secret=s2",
       "--denied-peer-ip=3.3.3.3", "--allowed-peer-ip=4.4.4.4", "-X", "192.0.2.2/10.0.0.2"});
  EXPECT_THAT(c.listening_ips,
              ElementsAre(IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), IpAddress::v4(10, 0, 0, 3)));
  EXPECT_EQ(c.relay_ips.size(), 2U);
  EXPECT_THAT(c.users, ElementsAre(StaticUser{"a", "1", "x"}, StaticUser{"b", "2", "x"}, StaticUser{"c", "3", "x"}));
  EXPECT_THAT(c.rest_secrets, ElementsAre("s1", "s2"));
  EXPECT_EQ(c.peers.denied.size(), 2U);
  EXPECT_EQ(c.peers.allowed.size(), 2U);
  EXPECT_EQ(c.external_ips.size(), 2U);
}

TEST_F(Passes, ScalarsTakeTheLastValue) {
  EXPECT_EQ(config_of("realm=a\nrealm=b\nstatic-auth-secret=s\n").realm, "b");
  EXPECT_EQ(config_of("realm=a\nstatic-auth-secret=s\n", {"-r", "b", "-r", "c"}).realm, "c");
}

// A key in the file is checked against the realm of the command line: users come last.
TEST_F(Passes, UsersComeLast) {
  const Config c = config_of("user=a:0xbc807ee29df3c9ffa736523fb2c4e8ee\nuser=a:second\nrealm=file\n", {"-r", "line"});
  EXPECT_EQ(c.realm, "line");
  EXPECT_THAT(c.users, ElementsAre(StaticUser{"a", "second", "line"}));
}

TEST_F(Passes, FileKeysAfterTheCommandLineOnlyForUsers) {
  const Config c = config_of("user=a:file\nrealm=x\n", {"-u", "a:line"});
  EXPECT_THAT(c.users, ElementsAre(StaticUser{"a", "line", "x"}));
}

using Secrets = CommandLineTest;

TEST_F(Secrets, AreWipedFromTheArguments) {
  std::vector<std::string> arguments = {"turnd",
                                        "-v",
                                        "--static-auth-secret=TOPSECRET",
                                        "-u",
                                        "alice:TOPSECRET",
                                        "-fubob:TOPSECRET",
                                        "--static-a",
                                        "TOPSECRET",
                                        "--redis-userdb=ip=TOPSECRET",
                                        "-OTOPSECRET",
                                        "--cli-password",
                                        "TOPSECRET",
                                        "--realm=public"};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  scrub_argv(static_cast<int>(arguments.size()), argv.data());
  bool realm_stays = false;
  for (const std::string& argument : arguments) {
    EXPECT_THAT(argument, Not(HasSubstr("SECRET")));
    realm_stays = realm_stays || argument == "--realm=public";
  }
  EXPECT_TRUE(realm_stays);
  EXPECT_EQ(std::string(arguments[2].c_str()), "--static-auth-secret=***");
}

TEST_F(Secrets, NeverShowInMessages) {
  const char* texts[] = {
      "user=alice:0xTOPSECRET\n",
      "user=TOPSECRET\n",
      "user=alice:TOPSECRET\x01\n",
      "static-auth-secret=TOPSECRET\nno-auth\n",
      "userdb=password=TOPSECRET\n",
      "psql-userdb=\"host=x password=TOPSECRET\"\n",
      "redis-statsdb=\"password=TOPSECRET\"\n",
      "cli-password=TOPSECRET\n",
      "pkey-pwd=TOPSECRET\n",
      "stateless-nonce-secret=TOPSECRET;\n",
      "static-auth-secret=TOPSECRET # x\n",
  };
  for (const char* text : texts) {
    const CommandLine line = parse_file(text);
    EXPECT_FALSE(line.errors.empty() && line.warnings.empty()) << text;
    for (const std::string& message : line.errors) EXPECT_THAT(message, Not(HasSubstr("TOPSECRET")));
    for (const std::string& message : line.warnings) EXPECT_THAT(message, Not(HasSubstr("TOPSECRET")));
  }
  const CommandLine line = parse({"-n", "--user=alice:0xTOPSECRET", "--static-auth-secrets=TOPSECRET"});
  EXPECT_FALSE(line.errors.empty());
  for (const std::string& message : line.errors) EXPECT_THAT(message, Not(HasSubstr("TOPSECRET")));
}

TEST(OptionTable, IsConsistent) {
  std::set<std::string_view> names;
  std::set<char> letters;
  const std::string shorts = "cdpLEXimlrubBeMJNOqQsCKAvVofhznaS";
  for (const Option& option : option_table()) {
    SCOPED_TRACE(option.name);
    EXPECT_TRUE(names.insert(option.name).second) << "twice";
    EXPECT_EQ(find_option(option.name), &option);
    EXPECT_NE(option.help[0], '\0');
    if (option.letter != 0) {
      EXPECT_TRUE(letters.insert(option.letter).second) << "letter twice";
      EXPECT_NE(shorts.find(option.letter), std::string::npos) << "letter unknown to getopt";
    }
    if (option.support == Support::kLive) {
      EXPECT_NE(option.group[0], '\0');
      EXPECT_EQ(option.help[std::string_view(option.help).size() - 1], '.');
      if (option.arg == Arg::kRequired) {
        EXPECT_NE(option.metavar[0], '\0');
      }
      if (option.pass != Pass::kCommandLineOnly) {
        EXPECT_NE(option.apply, nullptr);
      }
    } else {
      EXPECT_EQ(option.apply, nullptr);
    }
  }
  EXPECT_EQ(letters.size(), shorts.size());
}

TEST(Closest, FindsSlipsOfTheHand) {
  const std::vector<std::string_view> names = {"realm", "relay-ip", "min-port", "max-port"};
  EXPECT_EQ(closest("relm", names), "realm");
  EXPECT_EQ(closest("relay_ip", names), "relay-ip");
  EXPECT_EQ(closest("min-prot", names), "min-port");
  EXPECT_EQ(closest("x", names), "");
  EXPECT_EQ(closest("something-else", names), "");
}

}  // namespace
}  // namespace turnkit::turnd
