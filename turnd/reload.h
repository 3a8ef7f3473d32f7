// Reload: the command line and the configuration file read again, and what a running server cannot change.
#pragma once

#include <string>
#include <vector>

#include "turnd/config.h"
#include "turnd/file_keeper.h"
#include "turnd/options/options.h"

namespace turnkit::turnd {

// The command line as it was at the start, secrets included; the one that ps(1) shows has them overwritten.
class Reloader {
 public:
  Reloader(int argc, const char* const* argv) : arguments_(argv, argv + argc) {}

  // What it says now, of the file that `current` came from. Not thread-safe (getopt_long).
  [[nodiscard]] CommandLine read(const Config& current, const FileKeeper& files) const;

 private:
  std::vector<std::string> arguments_;
};

// Notes and warnings of a command line that was read.
void log_findings(const CommandLine& line);

// Puts the values of `now` back into `next` where only a restart can change them. A sentence for each that differs.
std::vector<std::string> keep_fixed(const Config& now, Config& next);

}  // namespace turnkit::turnd
