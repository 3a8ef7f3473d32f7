// turnd: a TURN relay that takes coturn's place.
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "turnd/embedded_default.h"
#include "turnd/options.h"
#include "turnd/process.h"
#include "turnd/server.h"

namespace {

using namespace turnkit;

int fail(int code, const Error& error) {
  log::error("{}", error.text);
  log::flush();
  return code;
}

int serve(turnd::Config& config, Random& random) {
  turnd::Server server(config, random);
  turnd::forget_passwords(config);
  if (const Status opened = server.open(); !opened) return fail(turnd::kExitStartup, opened.error());
  if (config.daemon) {
    if (const Status detached = turnd::detach(); !detached) return fail(turnd::kExitStartup, detached.error());
  }
  const turnd::PidFile pid_file = turnd::PidFile::write(config.pidfile);
  if (const Status dropped = turnd::drop_privileges(config); !dropped)
    return fail(turnd::kExitStartup, dropped.error());
  if (config.origin.kind == turnd::Origin::Kind::kEmbeddedDefault && ::isatty(STDOUT_FILENO) == 1) {
    std::puts(turnd::embedded_default_text(config, server.public_address(), read_clock().wall).c_str());
  }
  server.run();
  return turnd::kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  SystemRandom random;
  turnd::CommandLine line = turnd::parse_command_line(argc, argv, turnd::Environment::of_process(argv[0], random));
  turnd::scrub_argv(argc, argv);
  if (!line.out.empty()) std::fputs(line.out.c_str(), stdout);
  for (const std::string& error : line.errors) std::fprintf(stderr, "turnd: %s\n", error.c_str());
  if (!line.run) return line.exit_code;
  ::signal(SIGPIPE, SIG_IGN);  // whoever reads the log may go; the service stays
  if (const Status configured = log::configure(line.config.log); !configured) {
    return fail(turnd::kExitStartup, configured.error());
  }
  log::info("{}", turnd::describe(line.config.origin));
  for (const std::string& note : line.notes) log::info("{}", note);
  for (const std::string& warning : line.warnings) log::warning("{}", warning);
  const int code = serve(line.config, random);
  log::flush();
  return code;
}
