// FileWatch: tells when files have changed, however they are replaced: written in place, renamed over, or by switching
// symbolic links as certbot and Kubernetes do. inotify on their directories makes it quick; a look every few seconds
// makes it certain (network file systems, directories that turnd may no longer read).
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/event_loop.h"
#include "net/fd.h"
#include "turnd/file_keeper.h"

namespace turnkit::turnd {

class FileWatch final : public net::IoHandler {
 public:
  struct Timing {
    Duration settle = std::chrono::seconds(1);  // how long files must stay as they are before the change counts
    Duration look = std::chrono::seconds(5);
  };

  // Notes how the files are now. Requires: `files` outlives this.
  FileWatch(std::vector<std::string> paths, const FileKeeper& files);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // From now on `on_change` is called in the loop's thread, once for each change. It may call follow().
  void start(net::EventLoop& loop, const Timing& timing, std::function<void()> on_change);
  // Other files instead, as they are now.
  void follow(std::vector<std::string> paths);

  void on_readable() override;

 private:
  // What tells one state of a file from another; nothing where it cannot be opened.
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    friend bool operator==(const Stamp& a, const Stamp& b) {
      return a.device == b.device && a.inode == b.inode && a.size == b.size && a.modified.tv_sec == b.modified.tv_sec &&
             a.modified.tv_nsec == b.modified.tv_nsec;
    }
  };
  using Stamps = std::vector<std::optional<Stamp>>;

  [[nodiscard]] Stamps stamps() const;
  void watch_directories();
  void look();
  void look_soon();

  std::vector<std::string> paths_;
  const FileKeeper& files_;
  Stamps known_;  // as reported
  Stamps seen_;   // at the last look
  Timing timing_;
  net::EventLoop* loop_ = nullptr;
  std::function<void()> on_change_;
  net::UniqueFd inotify_;
  std::unique_ptr<net::IoWatch> readable_;
  std::unique_ptr<net::Timer> settled_;
  std::unique_ptr<net::Timer> periodic_;
  bool looks_soon_ = false;
};

}  // namespace turnkit::turnd
