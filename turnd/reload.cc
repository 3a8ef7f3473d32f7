#include "turnd/reload.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/random.h"

namespace turnkit::turnd {

namespace {

// What is bound to sockets, threads or privileges that are there once.
template <typename Field>
void keep(const Config& now, Config& next, Field Config::*field, std::string_view names,
          std::vector<std::string>& fixed) {
  if (next.*field == now.*field) return;
  next.*field = now.*field;
  const std::string line = fmt::format("{}: needs a restart", names);
  if (fixed.empty() || fixed.back() != line) fixed.push_back(line);
}

}  // namespace

CommandLine Reloader::read(const Config& current, const FileKeeper& files) const {
  std::vector<std::string> arguments = arguments_;  // getopt_long moves the pointers about, so it gets its own
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  SystemRandom random;
  Environment environment = Environment::of_process(argv[0], random);
  environment.running = &current;
  environment.files = &files;
  return parse_command_line(static_cast<int>(arguments.size()), argv.data(), environment);
}

void log_findings(const CommandLine& line) {
  for (const std::string& note : line.notes) log::info("{}", note);
  for (const std::string& warning : line.warnings) log::warning("{}", warning);
}

std::vector<std::string> keep_fixed(const Config& now, Config& next) {
  std::vector<std::string> fixed;
  // Without listeners for it, or without a certificate for them, TLS cannot come or go.
  if (serves_tls(now) != serves_tls(next)) {
    next.cert = now.cert;
    next.pkey = now.pkey;
    next.pkey_pwd = now.pkey_pwd;
    next.ca_file = now.ca_file;
    next.dh_file = now.dh_file;
  }
  if (!now.rfc5780 && !next.rfc5780) {  // they only follow from the others
    next.alt_listening_port = now.alt_listening_port;
    next.alt_tls_listening_port = now.alt_tls_listening_port;
  }
  const auto same = [&](auto field, std::string_view names) { keep(now, next, field, names, fixed); };
  same(&Config::listening_ips, "listening-ip");
  same(&Config::listening_port, "listening-port");
  same(&Config::tls_listening_port, "tls-listening-port");
  same(&Config::alt_listening_port, "alt-listening-port");
  same(&Config::alt_tls_listening_port, "alt-tls-listening-port");
  same(&Config::tcp_proxy_ports, "tcp-proxy-port");
  same(&Config::proxy_protocol, "proxy-protocol");
  same(&Config::aux_servers, "aux-server");
  same(&Config::listening_device, "listening-device");
  same(&Config::sock_buf_size, "sock-buf-size");
  same(&Config::no_udp, "no-udp");
  same(&Config::no_tcp, "no-tcp");
  same(&Config::no_tls, "cert, no-tls, no-dtls (whether TLS and DTLS are served)");
  same(&Config::no_dtls, "cert, no-tls, no-dtls (whether TLS and DTLS are served)");
  same(&Config::rfc5780, "rfc5780");
  same(&Config::relay_ips, "relay-ip");
  same(&Config::relay_device, "relay-device");
  same(&Config::min_port, "min-port");
  same(&Config::max_port, "max-port");
  same(&Config::relay_threads, "relay-threads");
  same(&Config::certificate_watch, "certificate-watch");
  same(&Config::daemon, "daemon");
  same(&Config::pidfile, "pidfile");
  same(&Config::proc_user, "proc-user");
  same(&Config::proc_uid, "proc-user");
  same(&Config::proc_group, "proc-group");
  same(&Config::proc_gid, "proc-group");
  return fixed;
}

}  // namespace turnkit::turnd
