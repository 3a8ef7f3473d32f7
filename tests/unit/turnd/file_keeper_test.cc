// FileKeeper: what root may read stays readable after privileges are gone, and nothing else.
#include "turnd/file_keeper.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tests/unit/turnd/turnd_test_support.h"

namespace turnkit::turnd {
namespace {

using ::testing::HasSubstr;

constexpr uid_t kNobody = 65534;

TEST(FileKeeper, ReadsWhatItMay) {
  const TempDir directory;
  const std::string path = directory.write("a.pem", "text\n");
  const FileKeeper files;
  EXPECT_EQ(*files.read(path), "text\n");
  EXPECT_EQ(files.pid(), 0);
}

TEST(FileKeeper, ErrorsNameTheFileAndWhy) {
  const TempDir directory;
  const FileKeeper files;
  const auto missing = files.read(directory.path() + "/none.pem");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().text, HasSubstr(directory.path() + "/none.pem: cannot read it: No such file"));
  const auto folder = files.read(directory.path());
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().text, HasSubstr("this is a directory"));
  const std::string fifo = directory.path() + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const auto pipe = files.read(fifo);
  ASSERT_FALSE(pipe) << "it must not wait for a writer";
  EXPECT_THAT(pipe.error().text, HasSubstr("no regular file"));
}

// Runs `test` in a child that then has no privileges; the result is its exit code.
int without_privileges(FileKeeper& files, const std::vector<std::string>& kept,
                       const std::function<int(FileKeeper&)>& test) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 100;
    if (files.start(kept) && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0) code = test(files);
    ::_exit(code);
  }
  int status = 0;
  (void)::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

class Dropped : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to have privileges to drop";
    kept_ = directory_.write("kept.pem", "kept");
    other_ = directory_.write("other.pem", "other");
    ::chmod(directory_.path().c_str(), 0755);
  }
  TempDir directory_;
  std::string kept_;
  std::string other_;
  FileKeeper files_;
};

TEST_F(Dropped, TheFixedFilesStayReadableAndNoOthers) {
  const int code = without_privileges(files_, {kept_, ""}, [&](FileKeeper& files) {
    const auto kept = files.read(kept_);
    if (!kept || *kept != "kept") return 1;
    const auto other = files.read(other_);
    if (other || other.error().text.find("Permission denied") == std::string::npos) return 2;
    // Another spelling of the same file is another path.
    if (files.read(directory_.path() + "/./kept.pem")) return 3;
    return 0;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(Dropped, AFileThatWasReplacedIsReadAnew) {
  const int code = without_privileges(files_, {kept_}, [&](FileKeeper& files) {
    if (!files.read(kept_)) return 1;
    return *files.read(kept_) == "kept" ? 0 : 2;
  });
  EXPECT_EQ(code, 0);
  directory_.write("new.pem", "new");
  ASSERT_EQ(::rename((directory_.path() + "/new.pem").c_str(), kept_.c_str()), 0);
  EXPECT_EQ(*files_.read(kept_), "new");
}

TEST_F(Dropped, ADirectoryThatIsClosedToOthersIsNoHindrance) {
  const std::string path = directory_.write("closed/key.pem", "key");
  ::chmod((directory_.path() + "/closed").c_str(), 0700);
  const int code = without_privileges(files_, {path}, [&](FileKeeper& files) {
    const auto key = files.read(path);
    return key && *key == "key" ? 0 : 1;
  });
  EXPECT_EQ(code, 0);
}

TEST_F(Dropped, TheKeeperHoldsNothingElseOpen) {
  const int marker = ::open("/etc/passwd", O_RDONLY);
  ASSERT_GE(marker, 0);
  ASSERT_TRUE(files_.start({kept_}));
  ASSERT_TRUE(files_.read(kept_));
  int descriptors = 0;
  // After this answer it is past its start.
  const std::string folder = "/proc/" + std::to_string(files_.pid()) + "/fd";
  for (int i = 0; i < 2000; ++i) {
    descriptors = 0;
    DIR* listing = ::opendir(folder.c_str());
    ASSERT_NE(listing, nullptr);
    while (const dirent* entry = ::readdir(listing)) descriptors += entry->d_name[0] == '.' ? 0 : 1;
    ::closedir(listing);
    if (descriptors == 4) break;
    ::usleep(1000);
  }
  EXPECT_EQ(descriptors, 4) << "/dev/null three times, and the socket";
  ::close(marker);
}

// Without root's rights for as long as it lives.
class AsNobody {
 public:
  AsNobody() { EXPECT_EQ(::seteuid(kNobody), 0); }
  ~AsNobody() { EXPECT_EQ(::seteuid(0), 0); }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
};

TEST_F(Dropped, TheKeeperIgnoresTheSignalsOfItsGroup) {
  ASSERT_TRUE(files_.start({kept_}));
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) {
    {
      const AsNobody nobody;
      ASSERT_TRUE(files_.read(kept_)) << "before " << number;
    }
    ASSERT_EQ(::kill(files_.pid(), number), 0);
  }
  const AsNobody nobody;
  EXPECT_EQ(*files_.read(kept_), "kept");
}

TEST_F(Dropped, TheKeeperEndsWithItsOwner) {
  pid_t keeper = 0;
  {
    FileKeeper files;
    ASSERT_TRUE(files.start({kept_}));
    keeper = files.pid();
  }
  EXPECT_EQ(::kill(keeper, 0), -1) << "it is gone once the destructor returns";
}

TEST_F(Dropped, AKeeperThatIsGoneIsAnErrorAndNoHang) {
  ASSERT_TRUE(files_.start({kept_}));
  ASSERT_EQ(::kill(files_.pid(), SIGKILL), 0);
  const AsNobody nobody;
  const auto kept = files_.read(kept_);
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().text, HasSubstr(kept_));
}

}  // namespace
}  // namespace turnkit::turnd
