// The command line of turn-probe as plain values. Only options.cc knows the parser behind it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "probe/load/load.h"
#include "probe/nat/options.h"
#include "probe/stun/options.h"

namespace turnkit::probe {

inline constexpr std::uint16_t kDefaultPort = 8443;  // Mattermost Calls' RTC server port, UDP and TCP

// The ports a check is about. Neither list given on the command line: UDP and TCP, both on kDefaultPort.
struct PortSelection {
  std::vector<std::uint16_t> udp;
  std::vector<std::uint16_t> tcp;
};

// `turn-probe listen`: the far end of a port check.
struct ListenOptions {
  PortSelection ports;
  std::vector<IpAddress> bind;      // local addresses; empty: every address of both families
  std::chrono::seconds run_for{0};  // stop after this long; 0: until Ctrl-C
  bool json = false;                // one JSON document at the end instead of lines
};

// `turn-probe port`: checks from here to a host, UDP and TCP.
struct PortOptions {
  std::string host;
  PortSelection ports;
  std::optional<Family> family;            // only this family; nullopt: each that the host has
  unsigned count = 20;                     // UDP probes per port
  std::chrono::milliseconds interval{25};  // between two UDP probes
  std::chrono::milliseconds wait{3000};    // for the first answer, after the last probe
  bool json = false;
};

enum class Command : std::uint8_t { kListen, kLoad, kNat, kPort, kStun };

// Only the member that `command` names is filled.
struct Options {
  Command command = Command::kPort;
  ListenOptions listen;
  PortOptions port;
  LoadOptions load;
  StunOptions stun;
  NatOptions nat;
};

// Either options, or text to print (help, version or what is wrong with the command line) and the exit code to leave
// with.
struct ParsedCommandLine {
  std::optional<Options> options;
  std::string text;
  int exit_code = 0;
};
ParsedCommandLine parse_command_line(const std::vector<std::string>& arguments);  // without the program's name

// Overwrites the values of --secret and --password in argv once they are read, so that ps(1) does not show them.
void scrub_argv(int argc, char** argv);

// Every option that the parser takes, for the test that compares them with the manual page and the shell completion.
struct OptionName {
  std::string command;  // subcommand; empty: the program's own
  std::string name;     // "--udp"; "HOST" for a positional
};
std::vector<OptionName> option_names();

}  // namespace turnkit::probe
