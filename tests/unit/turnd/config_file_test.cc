// The configuration file: coturn's rules for lines, keys and values, and where it is looked for.
#include "turnd/options/config_file.h"

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct LineCase {
  const char* text;
  const char* key;
  const char* value;
  friend void PrintTo(const LineCase& c, std::ostream* out) { *out << ::testing::PrintToString(std::string(c.text)); }
};

class ConfigLineTest : public ::testing::TestWithParam<LineCase> {};

TEST_P(ConfigLineTest, IsCutAsCoturnDoes) {
  const std::vector<ConfigLine> lines = parse_config_text(GetParam().text);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].fault, "");
  EXPECT_EQ(lines[0].key, GetParam().key);
  EXPECT_EQ(lines[0].value, GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, ConfigLineTest,
    ::testing::Values(LineCase{"key=value", "key", "value"}, LineCase{"key value", "key", "value"},
                      LineCase{"key\tvalue", "key", "value"}, LineCase{"key = value", "key", "value"},
                      LineCase{"key  ==\t= value", "key", "value"}, LineCase{"  key=value", "key", "value"},
                      LineCase{"\t key=value \t ", "key", "value"}, LineCase{"key=value\r\n", "key", "value"},
                      LineCase{"key", "key", ""}, LineCase{"key=", "key", ""}, LineCase{"key =  ", "key", ""},
                      LineCase{"key=a=b", "key", "a=b"}, LineCase{"key=a b  c", "key", "a b  c"},
                      LineCase{"key=\"a b\"", "key", "a b"}, LineCase{"key=\"a b", "key", "a b"},
                      LineCase{"key=a\"", "key", "a\""}, LineCase{"key='a'", "key", "'a'"},
                      LineCase{"key=\"\"a\"\"", "key", "\"a\""}, LineCase{"key=\"", "key", ""},
                      LineCase{"key=\" a\"", "key", " a"}, LineCase{"key=a\\n$HOME", "key", "a\\n$HOME"},
                      LineCase{"key=a;", "key", "a;"}, LineCase{"key=1.2.3.4 # x", "key", "1.2.3.4 # x"},
                      LineCase{"--key=value", "--key", "value"}, LineCase{"\xEF\xBB\xBFkey=value", "key", "value"}));

TEST(ConfigFile, SkipsCommentsAndBlankLinesAndCountsThem) {
  const std::vector<ConfigLine> lines = parse_config_text("# a\n\n   # b\n#key=1\na=1\n\n \t \nb=2");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].key, "a");
  EXPECT_EQ(lines[0].number, 5U);
  EXPECT_EQ(lines[1].key, "b");
  EXPECT_EQ(lines[1].number, 8U);
}

TEST(ConfigFile, MarksSemicolonsAndWhatLooksLikeAComment) {
  const std::vector<ConfigLine> lines = parse_config_text("a=1;\nb=1 # c\nc=\"1 # c\"\nd=a#b");
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_TRUE(lines[0].ends_with_semicolon);
  EXPECT_TRUE(lines[1].looks_commented);
  EXPECT_FALSE(lines[2].looks_commented);
  EXPECT_FALSE(lines[3].looks_commented);
}

TEST(ConfigFile, RefusesLongLinesAndZeroBytes) {
  const std::string longest = "key=" + std::string(kMaxLine - 4, 'x');
  const std::string text = longest + "\n" + longest + "x\n#" + std::string(5000, 'c') + "\n" + std::string("a=\0b", 4);
  const std::vector<ConfigLine> lines = parse_config_text(text);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].fault, "");
  EXPECT_EQ(lines[0].value.size(), kMaxLine - 4);
  EXPECT_EQ(lines[1].fault, "the line is 1025 bytes long; at most 1024 are read");
  EXPECT_THAT(lines[2].fault, HasSubstr("zero byte"));
}

TEST(ConfigFile, RefusesLinesWithoutAKey) {
  for (const char* text : {"=", "=value", "  = value"}) {
    const std::vector<ConfigLine> lines = parse_config_text(text);
    ASSERT_EQ(lines.size(), 1U) << text;
    EXPECT_THAT(lines[0].fault, HasSubstr("no key")) << text;
  }
}

TEST(ConfigFile, EmptyTextHasNoLines) {
  EXPECT_THAT(parse_config_text(""), IsEmpty());
  EXPECT_THAT(parse_config_text("\n\n"), IsEmpty());
}

using ConfigFileErrors = CommandLineTest;

TEST_F(ConfigFileErrors, NameFileLineKeyValueAndWhatWouldBeRight) {
  EXPECT_THAT(errors_of("# comment\nlistening-port=80000\nrealm=x\n\nfingerprint=perhaps\n"),
              ElementsAre("test.conf:2: listening-port=80000: expected a port, 0 to 65535",
                          "test.conf:5: fingerprint=perhaps: expected on or off (also yes/no, true/false, 1/0)"));
  EXPECT_THAT(errors_of(std::string("realm=") + std::string(2000, 'r')),
              ElementsAre("test.conf:1: the line is 2006 bytes long; at most 1024 are read"));
}

TEST_F(ConfigFileErrors, UnknownKeysAreWarnings) {
  EXPECT_THAT(warnings_of(std::string(kSecretLines) + "relm=x\n--realm=x\nL=1.2.3.4\nfrobnicate\n"),
              ElementsAre("test.conf:3: relm: unknown key, ignored; did you mean realm?",
                          "test.conf:4: --realm: unknown key, ignored; write it without dashes",
                          "test.conf:5: L: unknown key, ignored", "test.conf:6: frobnicate: unknown key, ignored"));
}

TEST_F(ConfigFileErrors, KeysOfTheCommandLineAreWarnings) {
  EXPECT_THAT(warnings_of(std::string(kSecretLines) + "config=x\ncheck-config\nstate-dir=/tmp\n"),
              ElementsAre("test.conf:3: config: only for the command line, ignored",
                          "test.conf:4: check-config: only for the command line, ignored",
                          "test.conf:5: state-dir: only for the command line, ignored"));
}

TEST_F(ConfigFileErrors, SemicolonIsAWarningAndStaysInTheValue) {
  EXPECT_THAT(warnings_of("realm=example.org;\nstatic-auth-secret=s\n"),
              ElementsAre("test.conf:1: realm: the value ends with a semicolon, which is part of it"));
  EXPECT_EQ(config_of("realm=example.org;\nstatic-auth-secret=s\n").realm, "example.org;");
}

TEST_F(ConfigFileErrors, TrailingCommentIsExplained) {
  EXPECT_THAT(errors_of("denied-peer-ip=1.2.3.4 # office\n"),
              ElementsAre(AllOf(HasSubstr("test.conf:1: denied-peer-ip=1.2.3.4 # office: expected IP"),
                                HasSubstr("a comment must stand on a line of its own"))));
  EXPECT_THAT(
      warnings_of("realm=example.org # mine\nstatic-auth-secret=s\n"),
      ElementsAre("test.conf:1: realm: the value has a '#', which is part of it; a comment must stand on a line "
                  "of its own"));
}

TEST_F(ConfigFileErrors, MissingValue) {
  EXPECT_THAT(errors_of("static-auth-secret=\nlistening-port\n"),
              ElementsAre("test.conf:1: static-auth-secret: needs a value, SECRET",
                          "test.conf:2: listening-port: needs a value, PORT"));
}

TEST_F(ConfigFileErrors, MissingAndUnreadableFilesAreErrors) {
  CommandLine line = parse({"-c", directory_.path() + "/none.conf"});
  EXPECT_FALSE(line.run);
  EXPECT_EQ(line.exit_code, kExitUsage);
  EXPECT_THAT(short_names(line.errors), ElementsAre("--config=none.conf: no such file"));

  EXPECT_THAT(short_names(parse({"-c", directory_.path()}).errors), ElementsAre(HasSubstr("this is a directory")));
  const Result<std::string> text = read_config_file(directory_.path());
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().text, HasSubstr("this is a directory"));
  EXPECT_FALSE(read_config_file(directory_.path() + "/none"));

  const std::string file = directory_.write("secret.conf", "realm=x\n");
  std::filesystem::permissions(file, std::filesystem::perms::none);
  if (::access(file.c_str(), R_OK) != 0) {
    EXPECT_THAT(short_names(parse({"-c", file}).errors), ElementsAre("secret.conf: Permission denied"));
  }
}

TEST_F(ConfigFileErrors, SecretsThatEverybodyMayReadAreAWarning) {
  const std::string file = directory_.write("open.conf", kSecretLines);
  std::filesystem::permissions(file, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  EXPECT_THAT(short_names(parse({"-c", file}).warnings),
              ElementsAre("open.conf: holds secrets (static-auth-secret) and everybody may read it; chmod 640 it"));
}

using ConfigFileSearch = CommandLineTest;

TEST_F(ConfigFileSearch, FindsTheFirstPlaceThatHasIt) {
  EXPECT_EQ(find_default_config_file(environment_), "");
  const std::string places[] = {
      "../etc/coturn/", "etc/coturn/", "etc/turnserver/", "etc/", "coturn/", "turnserver/", ""};
  environment_.working_directory = directory_.path() + "/cwd";
  std::filesystem::create_directories(environment_.working_directory);
  for (const std::string& place : places) {
    directory_.write("cwd/" + place + "turnserver.conf", "realm=x\n");
    EXPECT_EQ(find_default_config_file(environment_), environment_.working_directory + "/" + place + "turnserver.conf");
  }
  directory_.write("cwd/etc/turnd.conf", "realm=x\n");
  EXPECT_EQ(find_default_config_file(environment_), environment_.working_directory + "/etc/turnd.conf");
  environment_.called_turnserver = true;
  EXPECT_EQ(find_default_config_file(environment_), environment_.working_directory + "/turnserver.conf");
}

TEST_F(ConfigFileSearch, FallsBackToTheProgramsDirectory) {
  environment_.program_directory = directory_.path() + "/bin";
  const std::string file = directory_.write("bin/etc/turnserver.conf", "realm=x\n");
  EXPECT_EQ(find_default_config_file(environment_), file);
}

TEST_F(ConfigFileSearch, TakesAbsoluteAndTildeNamesAsTheyAre) {
  const std::string file = directory_.write("a.conf", "");
  EXPECT_EQ(find_config_file(file, environment_), file);
  EXPECT_EQ(find_config_file("a.conf", environment_), file);
  EXPECT_EQ(find_config_file("~/a.conf", environment_), "");
  EXPECT_EQ(find_config_file("", environment_), "");
}

TEST_F(ConfigFileSearch, TriesNamesUnderEtcWithoutIt) {
  const std::string file = directory_.write("turnserver/a.conf", "");
  EXPECT_EQ(find_config_file("etc/turnserver/a.conf", environment_), file);
}

TEST_F(ConfigFileSearch, ReadsTheDefaultFileUnlessToldNotTo) {
  const std::string file = directory_.write("turnserver.conf", kSecretLines);
  const CommandLine line = parse({});
  EXPECT_TRUE(line.run);
  EXPECT_EQ(line.config.origin.kind, Origin::Kind::kFile);
  EXPECT_EQ(line.config.origin.path, file);
  EXPECT_EQ(line.config.realm, "example.org");
  EXPECT_EQ(parse({"-n"}).config.origin.kind, Origin::Kind::kEmbeddedDefault);
  EXPECT_EQ(parse({"-n", "-c", file}).config.origin.kind, Origin::Kind::kEmbeddedDefault);
}

}  // namespace
}  // namespace turnkit::turnd
