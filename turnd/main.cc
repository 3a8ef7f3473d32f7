// turnd: a TURN relay that takes coturn's place.
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/log.h"
#include "turnd/control.h"
#include "turnd/options/embedded_default.h"
#include "turnd/options/options.h"
#include "turnd/process.h"
#include "turnd/reload.h"
#include "turnd/server.h"

namespace {

using namespace turnkit;

int fail(int code, const Error& error) {
  log::error("{}", error.text);
  log::flush();
  return code;
}

int serve(turnd::Config given, turnd::Reloader reloader, Random& random) {
  turnd::Server server(std::move(given), random);
  const turnd::Config& config = server.config();
  if (const Status opened = server.open(); !opened) return fail(turnd::kExitStartup, opened.error());
  if (config.daemon) {
    if (const Status detached = turnd::detach(); !detached) return fail(turnd::kExitStartup, detached.error());
  }
  const turnd::PidFile pid_file = turnd::PidFile::write(config.pidfile);
  if (const Status dropped = server.drop_privileges(); !dropped) return fail(turnd::kExitStartup, dropped.error());
  turnd::show_embedded_default(config, server.public_address());
  turnd::Control(server, std::move(reloader), turnd::Notifier::of_process()).run();
  return turnd::kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  SystemRandom random;
  turnd::Reloader reloader(argc, argv);
  turnd::CommandLine line = turnd::parse_command_line(argc, argv, turnd::Environment::of_process(argv[0], random));
  turnd::scrub_argv(argc, argv);
  if (!line.out.empty()) std::fputs(line.out.c_str(), stdout);
  for (const std::string& error : line.errors) std::fprintf(stderr, "turnd: %s\n", error.c_str());
  if (!line.run) return line.exit_code;
  ::signal(SIGPIPE, SIG_IGN);  // whoever reads the log may go; the service stays
  if (const Status configured = log::configure(turnd::log_config(line.config)); !configured) {
    return fail(turnd::kExitStartup, configured.error());
  }
  log::info("{}", turnd::describe(line.config.origin));
  turnd::log_findings(line);
  const int code = serve(std::move(line.config), std::move(reloader), random);
  log::flush();
  return code;
}
