// turn-probe: a shell over the library turnkit_probe.
#include <cstdio>
#include <string>
#include <vector>

#include "probe/exit_code.h"
#include "probe/listen/listen.h"
#include "probe/load/load.h"
#include "probe/nat/nat.h"
#include "probe/options.h"
#include "probe/port/port.h"
#include "probe/stun/stun.h"

int main(int argc, char** argv) {
  using namespace turnkit::probe;
  const ParsedCommandLine parsed = parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
  scrub_argv(argc, argv);
  if (!parsed.options) {
    std::fputs(parsed.text.c_str(), parsed.exit_code == kExitPass ? stdout : stderr);
    return parsed.exit_code;
  }
  switch (parsed.options->command) {
    case Command::kListen:
      return run_listen(parsed.options->listen);
    case Command::kLoad:
      return run_load(parsed.options->load);
    case Command::kNat:
      return run_nat(parsed.options->nat);
    case Command::kPort:
      return run_port(parsed.options->port);
    case Command::kStun:
      return run_stun(parsed.options->stun);
  }
  return kExitUsage;
}
