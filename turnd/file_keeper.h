// FileKeeper: reads files that only root may read, after turnd has dropped its privileges. A tiny process forked before
// the drop keeps them and opens the paths fixed at its start, and nothing else; it passes descriptors over a socket
// (SCM_RIGHTS).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/fd.h"

namespace turnkit::turnd {

// Certificates, keys and configuration files are far smaller.
inline constexpr std::size_t kMaxFile = 16 * 1024 * 1024;

class FileKeeper {
 public:
  // Without start() files are simply opened.
  FileKeeper() = default;
  ~FileKeeper();
  FileKeeper(const FileKeeper&) = delete;
  FileKeeper& operator=(const FileKeeper&) = delete;

  // Forks the process that opens `paths` from now on; empty ones count as none. It ends with this object and with this
  // process. Call while this process may still read them, before it has threads.
  Status start(std::vector<std::string> paths);
  [[nodiscard]] pid_t pid() const { return pid_; }  // 0: not started

  // A regular file, for reading. What this process may not open is asked of the keeper, which knows it by the very path
  // that start() was given. The error names the path and why. Not thread-safe.
  [[nodiscard]] Result<net::UniqueFd> open(const std::string& path) const;
  // All of it.
  [[nodiscard]] Result<std::string> read(const std::string& path) const;

 private:
  [[nodiscard]] net::UniqueFd ask(std::size_t index, int& error) const;

  std::vector<std::string> paths_;
  net::UniqueFd socket_;
  pid_t pid_ = 0;
  mutable std::uint32_t requests_ = 0;
};

}  // namespace turnkit::turnd
