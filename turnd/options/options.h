// turnd's options: one table for the command line (getopt_long) and the configuration file, with coturn's spellings.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "turnd/config.h"

namespace turnkit::turnd {

class FileKeeper;
struct Draft;

// How an option takes its value.
enum class Arg : std::uint8_t { kNone, kOptional, kRequired };

// What an option is worth in this version.
enum class Support : std::uint8_t {
  kLive,
  kImplied,      // turnd always does it (or never needs it): accepted in silence
  kUnsupported,  // a coturn key without effect yet: one warning
  kLegacy,       // a key of older coturn releases without effect: one warning
  kRefused,      // ignoring it would be unsafe or misleading: an error
};

// When an option takes effect. Log options come first; users last, because keys depend on the final realm.
enum class Pass : std::uint8_t { kCommandLineOnly, kLog, kMain, kUser };

struct Option {
  const char* name;
  char letter = 0;  // 0: no short form
  Arg arg = Arg::kRequired;
  Pass pass = Pass::kMain;
  Support support = Support::kLive;
  bool list = false;    // repeats add up; otherwise the last one counts
  bool secret = false;  // the value never shows in messages or in the process list
  const char* group = "";
  const char* metavar = "";
  const char* default_text = "";
  const char* help = "";
  // Takes the value into the draft; nullptr: no effect. The error says what would be right, without key and place.
  Status (*apply)(Draft&, std::string_view value) = nullptr;
};

// Every option, grouped. Names are unique.
std::span<const Option> option_table();
const Option* find_option(std::string_view name);
// The groups in the order of --help.
std::span<const char* const> option_groups();

// What the process finds around it; tests make their own.
struct Environment {
  std::string state_directory;        // $STATE_DIRECTORY
  std::string xdg_state_home;         // $XDG_STATE_HOME
  std::string home;                   // $HOME
  std::string working_directory;      // what relative file names start from; empty: the process's own
  std::string credentials_directory;  // $CREDENTIALS_DIRECTORY: searched first for relative file names
  std::string program_directory;      // where the program file is; searched after the working directory
  bool called_turnserver = false;     // the program's name is turnserver
  bool search_system = true;          // look into /etc and /usr/local/etc too
  uid_t uid = 0;
  unsigned cpus = 1;
  std::string host_name;  // the realm when none is given
  // Addresses of host names that options give; empty: the system's resolver. Its error names the host.
  std::function<Result<std::vector<IpAddress>>(const std::string&)> resolve;
  Random* random = nullptr;           // for generated secrets
  const Config* running = nullptr;    // of a reload: the configuration in force, whose file is read again
  const FileKeeper* files = nullptr;  // of a reload: opens what turnd may no longer open itself

  // Requires: `random` outlives the result.
  static Environment of_process(const char* program, Random& random);
};

// What to do after the command line was read.
struct CommandLine {
  bool run = false;  // false: `out` and `errors` are all; exit with `exit_code`
  int exit_code = kExitOk;
  std::string out;                    // for standard output: help, version, the report of --check-config
  std::vector<std::string> errors;    // for standard error, a line each
  std::vector<std::string> warnings;  // for the log, once it is configured
  std::vector<std::string> notes;     // the same, of level info
  Config config;
};

// Reads the command line and the configuration file it leads to, and generates the embedded default where that is
// called for. May reorder argv (as getopt_long does). Not thread-safe (getopt_long).
CommandLine parse_command_line(int argc, char** argv, const Environment& environment);

// Overwrites the values of secret options in argv, so that ps(1) does not show them.
void scrub_argv(int argc, char** argv);

std::string help_text();

}  // namespace turnkit::turnd
