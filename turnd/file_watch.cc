#include "turnd/file_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

namespace turnkit::turnd {

namespace {

constexpr int kMaxLinks = 16;
constexpr std::uint32_t kEvents = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB |
                                  IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The directories in which a change of one name can change what `path` is: its own, and those that links lead to.
void add_directories(std::string path, std::set<std::string>& directories) {
  for (int i = 0; i < kMaxLinks; ++i) {
    const std::string directory = directory_of(path);
    directories.insert(directory);
    std::array<char, 4096> target{};
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size <= 0) return;
    const std::string_view to(target.data(), static_cast<std::size_t>(size));
    path = to.front() == '/' ? std::string(to) : directory + "/" + std::string(to);
  }
}

}  // namespace

FileWatch::FileWatch(std::vector<std::string> paths, const FileKeeper& files)
    : paths_(std::move(paths)), files_(files), known_(stamps()), seen_(known_) {
  watch_directories();
}

FileWatch::~FileWatch() = default;

FileWatch::Stamps FileWatch::stamps() const {
  Stamps out;
  for (const std::string& path : paths_) {
    struct stat info {};
    const Result<net::UniqueFd> fd = files_.open(path);
    if (!fd || ::fstat(fd->get(), &info) != 0) {
      out.emplace_back();
    } else {
      out.emplace_back(Stamp{info.st_dev, info.st_ino, info.st_size, info.st_mtim});
    }
  }
  return out;
}

// Directories that cannot be watched are left to the look every few seconds.
void FileWatch::watch_directories() {
  readable_.reset();
  inotify_ = net::UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify_) return;
  std::set<std::string> directories;
  for (const std::string& path : paths_) add_directories(path, directories);
  for (const std::string& directory : directories) {
    (void)::inotify_add_watch(inotify_.get(), directory.c_str(), kEvents);
  }
  if (loop_ != nullptr) readable_ = std::make_unique<net::IoWatch>(*loop_, inotify_.get(), *this);
}

void FileWatch::start(net::EventLoop& loop, const Timing& timing, std::function<void()> on_change) {
  loop_ = &loop;
  timing_ = timing;
  on_change_ = std::move(on_change);
  if (inotify_) readable_ = std::make_unique<net::IoWatch>(loop, inotify_.get(), *this);
  settled_ = std::make_unique<net::Timer>(loop, [this] {
    looks_soon_ = false;
    look();
  });
  periodic_ = std::make_unique<net::Timer>(loop, [this] { look(); });
  periodic_->every(timing_.look);
}

void FileWatch::follow(std::vector<std::string> paths) {
  paths_ = std::move(paths);
  known_ = seen_ = stamps();
  watch_directories();
}

// Which name changed does not matter: look() knows what does.
void FileWatch::on_readable() {
  std::array<char, 4096> events{};
  while (::read(inotify_.get(), events.data(), events.size()) > 0) {
  }
  look_soon();
}

void FileWatch::look_soon() {
  if (looks_soon_) return;
  looks_soon_ = true;
  settled_->once(timing_.settle);
}

void FileWatch::look() {
  Stamps now = stamps();
  if (now == known_) {
    seen_ = std::move(now);
    return;
  }
  // Certificate and key are written one after the other: both count once neither changes any more.
  if (now != seen_) {
    seen_ = std::move(now);
    return look_soon();
  }
  known_ = std::move(now);
  watch_directories();
  on_change_();
}

}  // namespace turnkit::turnd
