// What turnd does to its own process: descriptor limit, pid file, daemon, privileges.
#pragma once

#include <string>

#include "base/result.h"
#include "turnd/config.h"

namespace turnkit::turnd {

// Raises the soft limit of open descriptors to the hard one; returns it.
std::size_t raise_descriptor_limit();

// A pid file that is removed with this object. Tries, as coturn does, /var/run, /var/tmp and /tmp after the path that
// was asked for.
class PidFile {
 public:
  PidFile() = default;
  ~PidFile();
  PidFile(PidFile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  PidFile& operator=(PidFile&&) = delete;

  // An empty `wanted` writes none.
  static PidFile write(const std::string& wanted);

 private:
  std::string path_;
};

// Detaches from the terminal (daemon(3)); call before any thread starts.
Status detach();

// Takes proc_gid and proc_uid for good; supplementary groups go. Call once every port and file is open.
Status drop_privileges(const Config& config);

// The signals of control.h wait from the first call on until the second; threads that start in between never get them.
void block_control_signals();
void unblock_control_signals();

}  // namespace turnkit::turnd
