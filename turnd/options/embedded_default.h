// The embedded default: what turnd runs on without a configuration file. A generated realm and secret in the state
// directory, private peers denied.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "turnd/config.h"
#include "turnd/options/options.h"

namespace turnkit::turnd {

// `wanted` (--state-dir) or else $STATE_DIRECTORY, /var/lib/turnd for root, $XDG_STATE_HOME/turnd,
// ~/.local/state/turnd.
Result<std::string> state_directory(const std::string& wanted, const Environment& environment);

struct EmbeddedDefault {
  std::string path;      // DIRECTORY/turnd.conf
  bool created = false;  // false: it was there from an earlier start
};

// Finds DIRECTORY/turnd.conf or creates it (directory 0700, file 0600, by rename, so that two starts agree on one
// secret). Refuses a file or directory that others may read or write or that somebody else owns.
Result<EmbeddedDefault> prepare_embedded_default(const std::string& directory, Random& random);

// How to use the server, secret included: for a terminal, never for a log. `server` is where clients reach it.
std::string embedded_default_text(const Config& config, const Address& server, WallTime now);
// Prints it, where turnd runs on the embedded default and standard output is a terminal.
void show_embedded_default(const Config& config, const Address& server);

}  // namespace turnkit::turnd
