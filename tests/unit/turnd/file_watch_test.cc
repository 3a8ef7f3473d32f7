// FileWatch: every way in which certificates get replaced is seen, once.
#include "turnd/file_watch.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

class FileWatchTest : public ::testing::Test {
 protected:
  // `look` far away: what is seen came through inotify.
  void watch(std::vector<std::string> paths, milliseconds look = std::chrono::minutes(10)) {
    watch_ = std::make_unique<FileWatch>(std::move(paths), files_);
    watch_->start(loop_, {milliseconds(30), look}, [this] { ++changes_; });
  }
  bool wait_for(int changes, milliseconds timeout = seconds(10)) {
    const TimePoint end = read_clock().mono + timeout;
    while (changes_ < changes && read_clock().mono < end) loop_.run_for(milliseconds(20));
    return changes_ == changes;
  }
  // Nothing that happened before counts as a change later on.
  void settle() {
    const TimePoint end = read_clock().mono + milliseconds(200);
    while (read_clock().mono < end) loop_.run_for(milliseconds(20));
  }

  TempDir directory_;
  FileKeeper files_;
  net::EventLoop loop_;
  std::unique_ptr<FileWatch> watch_;
  int changes_ = 0;
};

TEST_F(FileWatchTest, AFileThatIsWrittenAnew) {
  const std::string cert = directory_.write("cert.pem", "one");
  watch({cert});
  directory_.write("cert.pem", "other");
  EXPECT_TRUE(wait_for(1));
  directory_.write("cert.pem", "third text");
  EXPECT_TRUE(wait_for(2));
}

TEST_F(FileWatchTest, CertificateAndKeyAreOneChange) {
  const std::string cert = directory_.write("cert.pem", "one");
  const std::string key = directory_.write("key.pem", "one");
  watch({cert, key});
  directory_.write("cert.pem", "other");
  directory_.write("key.pem", "other");
  EXPECT_TRUE(wait_for(1));
  settle();
  EXPECT_EQ(changes_, 1);
}

TEST_F(FileWatchTest, AFileThatIsRenamedOverIt) {
  const std::string cert = directory_.write("cert.pem", "same");
  watch({cert});
  fs::rename(directory_.write("new.pem", "same"), cert);
  EXPECT_TRUE(wait_for(1)) << "another file, even of the same size";
}

// certbot: live/x/cert.pem -> ../../archive/x/cert1.pem, then cert2.pem.
TEST_F(FileWatchTest, ALinkThatIsSwitched) {
  directory_.write("archive/cert1.pem", "one");
  directory_.write("live/README", "");
  const fs::path live = fs::path(directory_.path()) / "live/cert.pem";
  fs::create_symlink("../archive/cert1.pem", live);
  watch({live});
  directory_.write("archive/cert2.pem", "two");
  fs::create_symlink("../archive/cert2.pem", live.string() + ".new");
  fs::rename(live.string() + ".new", live);
  EXPECT_TRUE(wait_for(1));
  directory_.write("archive/cert2.pem", "written in place");
  EXPECT_TRUE(wait_for(2)) << "the new target's directory is watched, too";
}

// Kubernetes: tls.crt -> ..data/tls.crt, ..data -> ..2026_01; the update renames a new ..data over the old one.
TEST_F(FileWatchTest, ADirectoryLinkThatIsSwitched) {
  const fs::path top = directory_.path();
  directory_.write("..2026_01/tls.crt", "one");
  fs::create_directory_symlink("..2026_01", top / "..data");
  fs::create_symlink("..data/tls.crt", top / "tls.crt");
  watch({top / "tls.crt"});
  for (int i = 2; i <= 3; ++i) {
    const std::string name = "..2026_0" + std::to_string(i);
    directory_.write(name + "/tls.crt", "text " + std::string(static_cast<std::size_t>(i), 'x'));
    fs::create_directory_symlink(name, top / "..data_tmp");
    fs::rename(top / "..data_tmp", top / "..data");
    EXPECT_TRUE(wait_for(i - 1)) << i;
  }
}

TEST_F(FileWatchTest, AFileThatGoesAndComesBack) {
  const std::string cert = directory_.write("cert.pem", "one");
  watch({cert});
  fs::remove(cert);
  EXPECT_TRUE(wait_for(1));
  directory_.write("cert.pem", "two");
  EXPECT_TRUE(wait_for(2));
}

TEST_F(FileWatchTest, WithoutInotifyALookFindsIt) {
  const fs::path outer = fs::path(directory_.path()) / "outer";
  directory_.write("a/cert.pem", "one");
  directory_.write("b/cert.pem", "other");
  fs::create_directory_symlink("a", outer);  // switching this is seen in no directory of the file's own
  watch({outer / "cert.pem"}, milliseconds(50));
  fs::create_directory_symlink("b", directory_.path() + "/tmp");
  fs::rename(directory_.path() + "/tmp", outer);
  EXPECT_TRUE(wait_for(1));
}

TEST_F(FileWatchTest, OtherFilesOfTheDirectoryDoNotCount) {
  const std::string cert = directory_.write("cert.pem", "one");
  watch({cert});
  for (int i = 0; i < 20; ++i) directory_.write("other" + std::to_string(i), "x");
  settle();
  EXPECT_EQ(changes_, 0);
}

TEST_F(FileWatchTest, FollowsOtherFiles) {
  const std::string cert = directory_.write("a/cert.pem", "one");
  const std::string other = directory_.write("b/cert.pem", "one");
  watch({cert});
  watch_->follow({other});
  directory_.write("a/cert.pem", "changed");
  settle();
  EXPECT_EQ(changes_, 0);
  directory_.write("b/cert.pem", "changed");
  EXPECT_TRUE(wait_for(1));
}

}  // namespace
}  // namespace turnkit::turnd
