// Options of the command line alone, and of the listeners.
#include "turnd/options/setters.h"
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

using namespace setters;

Status listening_ip(Draft& draft, std::string_view value) {
  return add_unique(draft.config.listening_ips, parse_ip(value));
}

template <auto Member>
Status port_or_next(Draft& draft, std::string_view value) {
  const Result<std::uint16_t> port = parse_port(value);
  if (!port) return port.error();
  draft.*Member = *port;
  return {};
}

Status aux_server(Draft& draft, std::string_view value) {
  const auto address = Address::parse(value);
  if (!address || address->port == 0) {
    return Error{"expected IP:PORT of this host, such as 192.0.2.1:3480 or [2001:db8::1]:3480"};
  }
  std::vector<Address>& list = draft.config.aux_servers;
  if (std::find(list.begin(), list.end(), *address) == list.end()) list.push_back(*address);
  return {};
}

Status tcp_proxy_port(Draft& draft, std::string_view value) {
  const Result<std::uint16_t> port = parse_port(value);
  if (!port) return port.error();
  std::vector<std::uint16_t>& list = draft.config.tcp_proxy_ports;
  if (*port == 0 || std::find(list.begin(), list.end(), *port) == list.end()) list.push_back(*port);
  return {};
}

// clang-format off
const Option kRows[] = {
  {.name = "help", .letter = 'h', .arg = Arg::kNone, .pass = Pass::kCommandLineOnly, .group = kCommand,
   .help = "Print this help and exit."},
  {.name = "version", .arg = Arg::kOptional, .pass = Pass::kCommandLineOnly, .group = kCommand,
   .help = "Print the version and exit."},
  {.name = "config", .letter = 'c', .pass = Pass::kCommandLineOnly, .group = kCommand, .metavar = "FILE",
   .default_text = "the first turnd.conf or turnserver.conf found",
   .help = "Read the configuration from FILE; a relative name is searched for as in coturn."},
  {.name = "no-config", .letter = 'n', .arg = Arg::kNone, .pass = Pass::kCommandLineOnly, .group = kCommand,
   .help = "Read no configuration file."},
  {.name = "check-config", .arg = Arg::kNone, .pass = Pass::kCommandLineOnly, .group = kCommand,
   .help = "Explain command line and configuration file (which may stand behind it without -c), with every fault, what is unsafe and what is ignored, and exit; nothing is opened or written."},
  {.name = "json", .arg = Arg::kNone, .pass = Pass::kCommandLineOnly, .group = kCommand,
   .help = "With --check-config, report as one JSON object."},
  {.name = "state-dir", .pass = Pass::kCommandLineOnly, .group = kCommand, .metavar = "DIR",
   .default_text = "$STATE_DIRECTORY, or /var/lib/turnd for root, else ~/.local/state/turnd",
   .help = "Keep the generated secret of the embedded default in DIR.", .apply = text<&Config::state_dir>},

  {.name = "listening-ip", .letter = 'L', .list = true, .group = kListen, .metavar = "IP",
   .default_text = "every address of the host", .help = "Listen on IP; may be given several times.", .apply = listening_ip},
  {.name = "listening-port", .letter = 'p', .group = kListen, .metavar = "PORT", .default_text = "3478",
   .help = "Listen on PORT, UDP and TCP; 0 picks a free one. DTLS and TLS are recognised here too.", .apply = port<&Config::listening_port, 0>},
  {.name = "tls-listening-port", .group = kListen, .metavar = "PORT", .default_text = "5349",
   .help = "Listen on PORT for TLS and DTLS; plain TURN is recognised here too. Opened only where there is a certificate; 0 picks a free one.", .apply = port<&Config::tls_listening_port, 0>},
  {.name = "alt-listening-port", .group = kListen, .metavar = "PORT", .default_text = "listening-port + 1",
   .help = "The second port of RFC 5780, UDP and TCP; opened with rfc5780 only.", .apply = port_or_next<&Draft::alt_listening_port>},
  {.name = "alt-tls-listening-port", .group = kListen, .metavar = "PORT", .default_text = "tls-listening-port + 1",
   .help = "The second TLS and DTLS port of RFC 5780; opened with rfc5780 only.", .apply = port_or_next<&Draft::alt_tls_listening_port>},
  {.name = "aux-server", .list = true, .group = kListen, .metavar = "IP:PORT",
   .help = "Listen on IP:PORT too, UDP and TCP, without RFC 5780 and redirection. May be given several times.", .apply = aux_server},
  {.name = "tcp-proxy-port", .list = true, .group = kListen, .metavar = "PORT",
   .help = "Listen on TCP PORT for connections that begin with a PROXY protocol header, v1 or v2, as load balancers send it; plain TURN, TLS or HTTP follows. May be given several times.", .apply = tcp_proxy_port},
  {.name = "proxy-protocol", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Ask for a PROXY protocol header on every TCP port, so that only load balancers can connect.", .apply = flag<&Config::proxy_protocol>},
  {.name = "listening-device", .letter = 'd', .group = kListen, .metavar = "DEVICE",
   .help = "Bind the listeners to a network device.", .apply = text<&Config::listening_device>},
  {.name = "sock-buf-size", .group = kListen, .metavar = "BYTES", .default_text = "2097152",
   .help = "Ask for send and receive buffers of BYTES; 0 leaves the system's default.",
   .apply = number<&Config::sock_buf_size, 0, 1 << 30>},
  {.name = "no-udp", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Open no UDP listener but those for DTLS.", .apply = flag<&Config::no_udp>},
  {.name = "no-tcp", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Open no TCP listener but those for TLS.", .apply = flag<&Config::no_tcp>},
  {.name = "no-tls", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Take no TLS, and open no port for it.", .apply = flag<&Config::no_tls>},
  {.name = "dtls", .arg = Arg::kOptional, .group = kListen, .default_text = "on",
   .help = "Take DTLS.", .apply = inverse_flag<&Config::no_dtls>},
  {.name = "no-dtls", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Take no DTLS, and open no port for it.", .apply = flag<&Config::no_dtls>},
  {.name = "drop-invalid-packets-log", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Log datagrams that are neither STUN, channel data nor DTLS, a few a second at most.", .apply = flag<&Config::log_invalid_packets>},
  {.name = "udp-recvmmsg-log", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Log every 10 seconds how many datagrams a receive call brought.", .apply = flag<&Config::udp_recvmmsg_log>},
  {.name = "udp-sendmmsg-log", .arg = Arg::kOptional, .group = kListen, .default_text = "off",
   .help = "Log every 10 seconds how many datagrams a send call took.", .apply = flag<&Config::udp_sendmmsg_log>},
};
// clang-format on

}  // namespace

std::span<const Option> listening_options() { return kRows; }

}  // namespace turnkit::turnd
