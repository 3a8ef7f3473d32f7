// The embedded default: where it lives, who may see it, and when it applies.
#include "turnd/options/embedded_default.h"

#include <sys/stat.h>

#include <thread>

#include "tests/unit/turnd/turnd_test_support.h"
#include "turnd/options/config_file.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

using Embedded = CommandLineTest;

TEST_F(Embedded, DirectoryIsChosenInOrder) {
  EXPECT_EQ(*state_directory("/x", environment_), "/x");
  environment_.state_directory = "/var/lib/a:/var/lib/b";
  EXPECT_EQ(*state_directory("", environment_), "/var/lib/a");
  environment_.state_directory.clear();
  environment_.uid = 0;
  EXPECT_EQ(*state_directory("", environment_), "/var/lib/turnd");
  environment_.uid = 1000;
  environment_.xdg_state_home = "/nowhere/u/.state";
  environment_.home = "/nowhere/u";
  EXPECT_EQ(*state_directory("", environment_), "/nowhere/u/.state/turnd");
  environment_.xdg_state_home = "relative";
  EXPECT_EQ(*state_directory("", environment_), "/nowhere/u/.local/state/turnd");
  environment_.home.clear();
  EXPECT_FALSE(state_directory("", environment_));
}

TEST_F(Embedded, IsGeneratedOnceAndKept) {
  const CommandLine first = parse({});
  ASSERT_TRUE(first.run) << ::testing::PrintToString(first.errors);
  EXPECT_THAT(first.warnings, IsEmpty());
  EXPECT_EQ(first.config.origin.kind, Origin::Kind::kEmbeddedDefault);
  EXPECT_TRUE(first.config.origin.created);
  EXPECT_EQ(first.config.origin.path, environment_.state_directory + "/turnd.conf");
  EXPECT_EQ(first.config.state_dir, environment_.state_directory);
  EXPECT_EQ(first.config.listening_port, 3478);
  EXPECT_TRUE(first.config.peers.deny_private);
  EXPECT_EQ(first.config.auth, AuthMode::kLongTerm);
  ASSERT_EQ(first.config.rest_secrets.size(), 1U);
  EXPECT_THAT(first.config.rest_secrets[0], ::testing::MatchesRegex("[0-9a-f]{64}"));
  EXPECT_THAT(first.config.realm, ::testing::MatchesRegex("turnd-[0-9a-f]{8}"));
  EXPECT_EQ(mode_of(environment_.state_directory), 0700U);
  EXPECT_EQ(mode_of(first.config.origin.path), 0600U);

  const CommandLine second = parse({});
  ASSERT_TRUE(second.run);
  EXPECT_FALSE(second.config.origin.created);
  EXPECT_EQ(second.config.rest_secrets, first.config.rest_secrets);
  EXPECT_EQ(second.config.realm, first.config.realm);

  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(environment_.state_directory)) {
    names.push_back(entry.path().filename().string());
  }
  EXPECT_THAT(names, ElementsAre("turnd.conf"));
}

TEST_F(Embedded, DiffersBetweenInstallations) {
  environment_.state_directory = directory_.path() + "/a";
  const Config a = parse({}).config;
  environment_.state_directory = directory_.path() + "/b/c/d";
  const Config b = parse({}).config;
  EXPECT_NE(a.rest_secrets, b.rest_secrets);
  EXPECT_NE(a.realm, b.realm);
}

TEST_F(Embedded, StartsThatRaceAgreeOnOneSecret) {
  std::vector<std::thread> threads;
  std::vector<std::string> texts(8);
  std::vector<int> created(8, 0);
  const std::string directory = directory_.path() + "/race";
  for (std::size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] {
      SystemRandom random;
      const Result<EmbeddedDefault> prepared = prepare_embedded_default(directory, random);
      ASSERT_TRUE(prepared) << prepared.error().text;
      created[i] = prepared->created ? 1 : 0;
      texts[i] = *read_config_file(prepared->path);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) EXPECT_EQ(text, texts[0]);
  EXPECT_EQ(std::count(created.begin(), created.end(), 1), 1);
}

TEST_F(Embedded, FileThatOthersMayUseIsRefused) {
  ASSERT_TRUE(parse({}).run);
  const std::string file = environment_.state_directory + "/turnd.conf";
  for (const mode_t mode : {0640U, 0604U, 0660U, 0602U}) {
    ASSERT_EQ(::chmod(file.c_str(), mode), 0);
    const CommandLine line = parse({});
    EXPECT_FALSE(line.run);
    EXPECT_EQ(line.exit_code, kExitUsage);
    EXPECT_THAT(short_names(line.errors),
                ElementsAre(AllOf(HasSubstr("state/turnd.conf: others may use this file"), HasSubstr("chmod 600"))));
  }
  ASSERT_EQ(::chmod(file.c_str(), 0400), 0);
  EXPECT_TRUE(parse({}).run);
}

TEST_F(Embedded, DirectoryThatOthersMayWriteIsRefused) {
  ASSERT_TRUE(parse({}).run);
  ASSERT_EQ(::chmod(environment_.state_directory.c_str(), 0770), 0);
  EXPECT_THAT(short_names(parse({}).errors),
              ElementsAre(HasSubstr("others may write into the state directory (mode 0770)")));
  ASSERT_EQ(::chmod(environment_.state_directory.c_str(), 0755), 0);  // as systemd makes it
  EXPECT_TRUE(parse({}).run);
}

TEST_F(Embedded, SymbolicLinkAndForeignOwnerAreRefused) {
  const std::string elsewhere = directory_.write("elsewhere.conf", kSecretLines);
  std::filesystem::create_directories(environment_.state_directory);
  ASSERT_EQ(::chmod(environment_.state_directory.c_str(), 0700), 0);
  const std::string file = environment_.state_directory + "/turnd.conf";
  std::filesystem::create_symlink(elsewhere, file);
  EXPECT_THAT(short_names(parse({}).errors), ElementsAre(HasSubstr("expected a regular file")));
  std::filesystem::remove(file);
  if (::geteuid() == 0) {
    ASSERT_TRUE(parse({}).run);
    ASSERT_EQ(::chown(file.c_str(), 1, 1), 0);
    EXPECT_THAT(short_names(parse({}).errors), ElementsAre(HasSubstr("belongs to user id 1, not to 0")));
    ASSERT_EQ(::chown(environment_.state_directory.c_str(), 1, 1), 0);
    EXPECT_THAT(short_names(parse({}).errors), ElementsAre(HasSubstr("state directory belongs to user id 1")));
  }
}

TEST_F(Embedded, DirectoryThatCannotBeMadeIsAnError) {
  directory_.write("file", "");
  environment_.state_directory = directory_.path() + "/file/state";
  const CommandLine line = parse({});
  EXPECT_FALSE(line.run);
  EXPECT_THAT(line.errors, ElementsAre(HasSubstr("--state-dir")));
}

TEST_F(Embedded, OptionsOfTheCommandLineAddToIt) {
  const Config c = parse({"-p", "4000", "--external-ip=192.0.2.1", "--allowed-peer-ip=10.0.0.5:8443",
                          "--state-dir=" + directory_.path() + "/other"})
                       .config;
  EXPECT_EQ(c.origin.path, directory_.path() + "/other/turnd.conf");
  EXPECT_EQ(c.listening_port, 4000);
  EXPECT_EQ(c.external_ips.size(), 1U);
  EXPECT_TRUE(c.peers.deny_private);
  EXPECT_EQ(c.peers.allowed.size(), 1U);
}

TEST_F(Embedded, CredentialsOnTheCommandLineReplaceIt) {
  for (const char* argument : {"--user=a:b", "--static-auth-secret=s", "--no-auth", "--stun-only", "--lt-cred-mech"}) {
    const CommandLine line = parse({argument, "--realm=x"});
    ASSERT_TRUE(line.run) << argument;
    EXPECT_EQ(line.config.origin.kind, Origin::Kind::kCommandLine) << argument;
    EXPECT_FALSE(line.config.peers.deny_private) << argument;
    EXPECT_FALSE(std::filesystem::exists(environment_.state_directory)) << argument;
  }
}

TEST_F(Embedded, CheckingCreatesNothing) {
  const CommandLine line = parse({"--check-config"});
  EXPECT_FALSE(line.run);
  EXPECT_EQ(line.exit_code, kExitOk);
  EXPECT_THAT(line.out, HasSubstr("the embedded default is used"));
  EXPECT_FALSE(std::filesystem::exists(environment_.state_directory));
  EXPECT_FALSE(parse({"--help"}).run);
  EXPECT_FALSE(parse({"--bad-option"}).run);
  EXPECT_FALSE(std::filesystem::exists(environment_.state_directory));
}

TEST_F(Embedded, TheFileMayBeEdited) {
  ASSERT_TRUE(parse({}).run);
  std::ofstream(environment_.state_directory + "/turnd.conf", std::ios::app) << "listening-port=5000\nmin-port=x\n";
  const CommandLine line = parse({});
  EXPECT_THAT(line.errors, ElementsAre(HasSubstr("min-port=x")));
}

TEST_F(Embedded, TextForATerminalHasEverythingToPaste) {
  const Config c = parse({"-p", "4000"}).config;
  const std::string text =
      embedded_default_text(c, *Address::parse("203.0.113.5:4000"), WallTime(std::chrono::seconds(1700000000)));
  EXPECT_THAT(text, HasSubstr(c.origin.path));
  EXPECT_THAT(text, HasSubstr("secret   " + c.rest_secrets[0]));
  EXPECT_THAT(text, HasSubstr("turn:203.0.113.5:4000?transport=udp"));
  EXPECT_THAT(text, HasSubstr("\"username\":\"1700086400:turnd\""));
  EXPECT_THAT(text, HasSubstr("good until 2023-11-15 22:13 UTC"));
  EXPECT_THAT(text, HasSubstr("turn-probe load 203.0.113.5:4000 --user '1700086400:turnd' --password '"));
  EXPECT_THAT(text, HasSubstr("TURN Static Auth Secret      " + c.rest_secrets[0]));
  EXPECT_THAT(embedded_default_text(c, *Address::parse("[2001:db8::1]:4000"), {}),
              HasSubstr("turn:[2001:db8::1]:4000"));
}

}  // namespace
}  // namespace turnkit::turnd
