// What a running server keeps of its configuration, whatever the file says by now.
#include "turnd/reload.h"

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(KeepFixed, WhatIsBoundStaysAndIsNamed) {
  const Config now;
  Config next;
  next.listening_port = 4000;
  next.max_port = 60000;
  next.relay_threads = 7;
  next.proc_user = "turnd";
  next.proc_uid = 12;
  next.user_quota = 3;
  next.realm = "new";
  EXPECT_THAT(keep_fixed(now, next), ElementsAre("listening-port: needs a restart", "max-port: needs a restart",
                                                 "relay-threads: needs a restart", "proc-user: needs a restart"));
  EXPECT_EQ(next.listening_port, now.listening_port);
  EXPECT_EQ(next.relay_threads, now.relay_threads);
  EXPECT_EQ(next.proc_uid, now.proc_uid);
  EXPECT_EQ(next.user_quota, 3U);
  EXPECT_EQ(next.realm, "new");
}

TEST(KeepFixed, NothingIsSaidOfWhatIsTheSame) {
  const Config now;
  Config next;
  EXPECT_THAT(keep_fixed(now, next), IsEmpty());
  next.alt_listening_port = 4001;  // follows from listening-port, and matters with rfc5780 only
  EXPECT_THAT(keep_fixed(now, next), IsEmpty());
}

TEST(KeepFixed, TlsDoesNotComeOrGo) {
  Config without;
  without.no_tls = without.no_dtls = true;
  Config with;
  with.cert = "c.pem";
  with.pkey = "k.pem";
  Config next = with;
  EXPECT_THAT(keep_fixed(without, next), ElementsAre(StartsWith("cert, no-tls, no-dtls")));
  EXPECT_TRUE(next.no_tls && next.no_dtls && next.cert.empty());
  next = without;
  EXPECT_THAT(keep_fixed(with, next), ElementsAre(StartsWith("cert, no-tls, no-dtls")));
  EXPECT_EQ(next.cert, "c.pem");
  EXPECT_FALSE(next.no_tls || next.no_dtls);
  next = with;
  next.cert = "other.pem";
  EXPECT_THAT(keep_fixed(with, next), IsEmpty()) << "another file for a certificate is a reload's daily bread";
  EXPECT_EQ(next.cert, "other.pem");
}

class ReloaderTest : public CommandLineTest {};

TEST_F(ReloaderTest, ReadsTheSameFileAgain) {
  const std::string path = directory_.write("turnd.conf", "realm=one\nuser=a:b\n");
  const char* argv[] = {"turnd", "-c", path.c_str(), "--user-quota=4"};
  const Reloader reloader(4, argv);
  Config running;
  running.origin = {Origin::Kind::kFile, path, false};
  const FileKeeper files;
  CommandLine line = reloader.read(running, files);
  ASSERT_TRUE(line.run);
  EXPECT_EQ(line.config.realm, "one");
  directory_.write("turnd.conf", "realm=two\nuser=a:b\n");
  for (int i = 0; i < 2; ++i) {  // the copy of the command line is not used up
    line = reloader.read(running, files);
    ASSERT_TRUE(line.run);
    EXPECT_EQ(line.config.realm, "two");
    EXPECT_EQ(line.config.user_quota, 4U);
  }
  std::filesystem::remove(path);
  line = reloader.read(running, files);
  EXPECT_FALSE(line.run);
  EXPECT_THAT(line.errors, ElementsAre(StartsWith(path)));
}

}  // namespace
}  // namespace turnkit::turnd
