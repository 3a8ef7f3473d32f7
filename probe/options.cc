// The command line of turn-probe. The only file of the probe that includes CLI11, whose headers take seconds to
// compile.
#include "probe/options.h"

#include <CLI/CLI.hpp>
#include <cstring>
#include <string_view>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <memory>
#include <utility>

#include "probe/exit_code.h"

namespace turnkit::probe {
namespace {

constexpr std::size_t kMaxPorts = 64;  // of a protocol

constexpr const char* kExitCodes =
    "Exit codes: 0 PASS (warnings included), 1 FAIL, 2 wrong usage, 3 UNCONFIRMED (silence proves nothing),\n"
    "            4 cannot start.";

// Text of the ports as typed; validated into PortSelection after parsing.
struct PortTexts {
  std::vector<std::string> udp;
  std::vector<std::string> tcp;
};

struct Parser {
  CLI::App app{
      "Checks whether calls can work: ports from both ends, the address that others see, and what the NAT does."};
  Options options;
  PortTexts listen_ports;
  PortTexts port_ports;
  std::vector<std::string> bind_texts;
  unsigned listen_seconds = 0;
  unsigned interval_ms = 25;
  double wait_seconds = 3;
  bool only_v4 = false;
  bool only_v6 = false;

  Parser();
  void add_listen();
  void add_port();
  void add_load();
  void add_stun();
  void add_nat();
  // -4 and -6, for whichever command is given.
  void add_family(CLI::App& command);

  // As typed, for finished() to convert.
  struct LoadTexts {
    std::string peer_address;
    std::string local_address;
    std::string direction = "up";
    std::string algorithms = "best";
    double seconds = 10;
    double warm_up_seconds = 1;
    double max_loss = -1;
  } load_texts;
  struct StunTexts {
    std::vector<std::string> transports;
    std::string local;
    unsigned interval_ms = 200;
    bool fast = false;
    bool patient = false;
  } stun_texts;
  struct NatTexts {
    std::string local;
    unsigned lifetime_seconds = 0;
  } nat_texts;
  void add_load_traffic(CLI::App& command);
  void add_load_measurement(CLI::App& command);
};

std::string check_ports(const std::string& text) {
  const bool digits = !text.empty() && text.size() <= 5 &&
                      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  const unsigned long port = digits ? std::stoul(text) : 0;
  if (port >= 1 && port <= std::numeric_limits<std::uint16_t>::max()) return {};
  return "'" + text + "' is not a port; ports are 1 to 65535, several as 8443,443";
}

std::string check_address(const std::string& text) {
  return IpAddress::parse(text) ? std::string() : "'" + text + "' is not an IPv4 or IPv6 address of this host";
}

std::string check_local(const std::string& text) {
  return Address::parse(text, 0) ? std::string() : "'" + text + "' is not ADDRESS or ADDRESS:PORT of this host";
}

void add_port_options(CLI::App& command, PortTexts& texts) {
  command.add_option("--udp", texts.udp, "Use UDP, on these ports (8443 unless said)")
      ->option_text("[=PORT,...]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Validator(check_ports, ""));
  command.add_option("--tcp", texts.tcp, "Use TCP, on these ports (8443 unless said)")
      ->option_text("[=PORT,...]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Validator(check_ports, ""));
}

Parser::Parser() {
  app.name("turn-probe");
  app.set_version_flag("--version", "turn-probe " TURNKIT_VERSION);
  app.require_subcommand(1);
  app.footer(
      std::string("Examples:\n"
                  "  turn-probe listen                 on the server: the far end of a check, UDP and TCP 8443\n"
                  "  turn-probe port calls.example.com on the client: is it reachable, and which direction fails?\n"
                  "  turn-probe stun stun.example.com  which address do others see, and how fast is the answer?\n"
                  "  turn-probe nat stun.example.com   what kind of NAT is this, and what does that mean for calls?\n\n"
                  "'turn-probe COMMAND --help' tells more.\n\n") +
      kExitCodes);
  add_listen();
  add_port();
  add_load();
  add_stun();
  add_nat();
}

void Parser::add_family(CLI::App& command) {
  CLI::Option* v4 = command.add_flag("-4,--ipv4", only_v4, "Only over IPv4");
  CLI::Option* v6 = command.add_flag("-6,--ipv6", only_v6, "Only over IPv6");
  v4->excludes(v6);
}

void Parser::add_listen() {
  CLI::App* command = app.add_subcommand("listen", "Answer port checks, and show live what arrives from whom");
  add_port_options(*command, listen_ports);
  command->add_option("--bind", bind_texts, "Listen on this address only; may be given again (default: all)")
      ->option_text("ADDRESS")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Validator(check_address, ""));
  command->add_option("--for", listen_seconds, "Stop by itself after this many seconds")->option_text("SECONDS");
  command->add_flag("--json", options.listen.json, "Print one JSON document at the end instead of lines");
  command->callback([this] { options.command = Command::kListen; });
  command->footer(
      std::string(
          "Neither --udp nor --tcp: both, on 8443. Ctrl-C ends it with a summary. Answers are never larger than what\n"
          "came in. A plain netcat may be the other end: nc -v -u HOST 8443, then type a line.\n\n"
          "Examples:\n"
          "  turn-probe listen\n"
          "  turn-probe listen --udp=8443,3478 --for 60\n"
          "  turn-probe listen --tcp=443 --bind 203.0.113.5\n\n") +
      kExitCodes);
}

void Parser::add_port() {
  CLI::App* command =
      app.add_subcommand("port", "Check UDP and TCP ports of a host; best against 'turn-probe listen' there");
  command->add_option("HOST", options.port.host, "Name or address of the host")->required();
  add_port_options(*command, port_ports);
  add_family(*command);
  command->add_option("--count", options.port.count, "UDP probes per port (default 20)")
      ->option_text("N")
      ->check(CLI::Range(1U, 10000U));
  command->add_option("--interval", interval_ms, "Milliseconds between two UDP probes (default 25)")
      ->option_text("MS")
      ->check(CLI::Range(5U, 10000U));
  command->add_option("--wait", wait_seconds, "How long to wait for answers, and for a person at a netcat (default 3)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.2, 600.0));
  command->add_flag("--json", options.port.json, "Print one JSON document instead of text");
  command->callback([this] { options.command = Command::kPort; });
  command->footer(
      std::string("Neither --udp nor --tcp: both, on 8443. Run 'turn-probe listen' on HOST for a verdict about each "
                  "direction;\n"
                  "without it silence is UNCONFIRMED, never 'succeeded'. 'nc -l -u -p 8443' on HOST works too.\n\n"
                  "Examples:\n"
                  "  turn-probe port calls.example.com\n"
                  "  turn-probe port 203.0.113.5 --udp=8443,3478\n"
                  "  turn-probe port calls.example.com --tcp=443 --json\n"
                  "  turn-probe port 203.0.113.5 --udp --wait 60     with 'nc -l -u -p 8443' at the other end\n\n") +
      kExitCodes);
}

void Parser::add_load() {
  CLI::App* command =
      app.add_subcommand("load", "Load a TURN server, and measure what it delivers and what that costs it");
  LoadOptions& load = options.load;
  command->add_option("SERVER", load.server, "Name or address of the TURN server, port 3478 unless HOST:PORT");
  CLI::Option* user = command->add_option("--user", load.user, "User name; with --secret: the id in the user name");
  CLI::Option* password =
      command->add_option("--password", load.password, "The user's password")->envname("TURN_PROBE_PASSWORD");
  CLI::Option* secret =
      command->add_option("--secret", load.secret, "The server's static-auth-secret (TURN REST) instead of a user")
          ->envname("TURN_PROBE_SECRET");
  password->needs(user)->excludes(secret);
  command
      ->add_option("--algorithms", load_texts.algorithms,
                   "Password algorithms: best (SHA-256 where offered), sha256 (nothing else), legacy (MD5)")
      ->option_text("NAME")
      ->check(CLI::IsMember({"best", "sha256", "legacy"}));
  command->add_option("-n,--allocations", load.allocations, "Allocations, with a channel each (default 100)")
      ->option_text("N")
      ->check(CLI::Range(1U, 60000U));
  command->add_option("--peers", load.peers, "Peer sockets; allocations are dealt out to them (default 1)")
      ->option_text("N")
      ->check(CLI::Range(1U, 10000U));
  command
      ->add_option("--peer-address", load_texts.peer_address,
                   "Local address of the peer sockets (default: the one towards the server)")
      ->option_text("ADDRESS")
      ->check(CLI::Validator(check_address, ""));
  command->add_option("--local-address", load_texts.local_address, "Local address of the client sockets")
      ->option_text("ADDRESS")
      ->check(CLI::Validator(check_address, ""));
  command->add_option("--parallel", load.parallel, "Allocations in the making at a time (default 64)")
      ->option_text("N")
      ->check(CLI::Range(1U, 10000U));
  add_load_traffic(*command);
  add_load_measurement(*command);
  command->callback([this] {
    options.command = Command::kLoad;
    if (options.load.server.empty() && options.load.profile != "list") throw CLI::RequiredError("SERVER");
  });
  command->footer(
      "The clients and the peers are sockets of this process: packets go from here through the relay and back here.\n"
      "Without --rate it sends as fast as packets come out again, with at most --window under way, so that the "
      "relay's\n"
      "capacity shows and not its queue. Give the generator and the server a core each (taskset).\n\n"
      "Examples:\n"
      "  turn-probe load turn.example.com --secret north -n 200 --rate 20000\n"
      "  turn-probe load 127.0.0.1 --secret north --direction down --size 1100 --run 16 --server-pid $(pidof turnd)\n"
      "  turn-probe load turn.example.com --secret north --profile 10x50-screen --max-loss 0.1 --json\n\n"
      "Exit codes: 0 measured, 1 no load could be made, 2 wrong usage, 3 loss above --max-loss, 4 cannot start.");
}

void Parser::add_load_traffic(CLI::App& command) {
  LoadOptions& load = options.load;
  CLI::Option* direction =
      command
          .add_option("--direction", load_texts.direction,
                      "up (client to peer, default), down, both, or echo (up, and the peer sends it back)")
          ->option_text("NAME")
          ->check(CLI::IsMember({"up", "down", "both", "echo"}));
  CLI::Option* size = command.add_option("--size", load.size, "Bytes of a packet, without TURN's header (default 172)")
                          ->option_text("BYTES")
                          ->check(CLI::Range(20U, 65000U));
  CLI::Option* run =
      command.add_option("--run", load.run, "Packets of one flow in a row, sent with UDP_SEGMENT (default 1)")
          ->option_text("K")
          ->check(CLI::Range(1U, 64U));
  command.add_flag("!--no-segment", load.segment,
                   "Send the packets of a run one by one, as senders without UDP_SEGMENT do");
  CLI::Option* rate =
      command.add_option("--rate", load.rate, "Packets a second over all flows, each direction (default: flat out)")
          ->option_text("PPS")
          ->check(CLI::PositiveNumber);
  command.add_option("--window", load.window, "Flat out: packets under way at most, 0 for open loop (default 256)")
      ->option_text("N");
  CLI::Option* profile =
      command
          .add_option("--profile", load.profile,
                      "A row of the Calls deployment guide's benchmark table as traffic; 'list' shows them")
          ->option_text("NAME");
  for (CLI::Option* plain : {direction, size, run, rate}) profile->excludes(plain);
  command.add_option("--calls", load.calls, "With --profile: so many calls instead of the row's")
      ->option_text("N")
      ->needs(profile)
      ->check(CLI::Range(1U, 10000U));
}

void Parser::add_load_measurement(CLI::App& command) {
  LoadOptions& load = options.load;
  command.add_option("--for", load_texts.seconds, "Seconds to measure (default 10)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.1, 86400.0));
  command.add_option("--warm-up", load_texts.warm_up_seconds, "Seconds of load before it is measured (default 1)")
      ->option_text("SECONDS")
      ->check(CLI::Range(0.0, 3600.0));
  command
      .add_option("--server-pid", load.server_pid,
                  "Process id of the server on this host: its CPU time per packet and memory per allocation")
      ->option_text("PID")
      ->check(CLI::PositiveNumber);
  command.add_option("--max-loss", load_texts.max_loss, "Percent of packets that may be lost; more is exit code 3")
      ->option_text("PERCENT")
      ->check(CLI::Range(0.0, 100.0));
  command.add_flag("--json", load.json, "Print one JSON document instead of text");
  command.add_flag("--quiet", load.quiet, "No progress lines");
}

void Parser::add_stun() {
  CLI::App* command = app.add_subcommand("stun", "Ask a STUN server which address it sees, and check its answers");
  StunOptions& stun = options.stun;
  command->add_option("SERVER", stun.server, "HOST, HOST:PORT or a URI: stun:HOST, stuns:HOST")->required();
  command->add_option("--transport", stun_texts.transports, "udp, tcp, tls, dtls or all (default: udp; for stuns: tls)")
      ->option_text("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"udp", "tcp", "tls", "dtls", "all"}));
  add_family(*command);
  command->add_option("-n,--count", stun.count, "Requests of each check (default 5)")
      ->option_text("N")
      ->check(CLI::Range(1U, 1000U));
  command->add_option("--interval", stun_texts.interval_ms, "Milliseconds between two of them (default 200)")
      ->option_text("MS")
      ->check(CLI::Range(100U, 60000U));
  CLI::Option* fast = command->add_flag("--fast", stun_texts.fast, "Give up after 3 sends and 2.5 s");
  command->add_flag("--patient", stun_texts.patient, "Give up after 7 sends and 39.5 s, as RFC 8489 has it")
      ->excludes(fast);
  command->add_option("--local", stun_texts.local, "Send from this address, and port if given")
      ->option_text("ADDRESS[:PORT]")
      ->check(CLI::Validator(check_local, ""));
  command->add_flag("--attributes", stun.attributes, "Show every attribute of the answer");
  command->add_option("--ca-file", stun.ca_file, "PEM file of the issuers to trust (default: the system's)")
      ->option_text("FILE");
  command->add_flag("!--insecure", stun.verify, "Take any certificate");
  command->add_flag("--json", stun.json, "Print one JSON document instead of text");
  command->callback([this] { options.command = Command::kStun; });
  command->footer(
      std::string("A URI without a port is looked up as SRV first. Ports are 3478, and 5349 for tls and dtls.\n\n"
                  "Examples:\n"
                  "  turn-probe stun stun.example.com\n"
                  "  turn-probe stun stun:example.com --transport all --attributes\n"
                  "  turn-probe stun stun.example.com --local 192.0.2.10:8443    as rtcd asks\n\n") +
      kExitCodes);
}

void Parser::add_nat() {
  CLI::App* command = app.add_subcommand("nat", "Find out what the NAT does, and what that means for calls");
  NatOptions& nat = options.nat;
  command
      ->add_option("SERVER", nat.servers,
                   "STUN server, best one with two addresses (RFC 5780); more are compared with it")
      ->required()
      ->expected(1, 8);
  add_family(*command);
  command->add_option("--local", nat_texts.local, "Send from this address of this host")
      ->option_text("ADDRESS")
      ->check(CLI::Validator(check_address, ""));
  command->add_option("--lifetime", nat_texts.lifetime_seconds, "Measure how long mappings last, up to this long")
      ->option_text("SECONDS")
      ->check(CLI::Range(2U, 3600U));
  command->add_flag("--hairpin", nat.hairpin,
                    "Also send to the own public address; some firewalls take that for an attack");
  command->add_flag("--json", nat.json, "Print one JSON document instead of text");
  command->add_flag("--quiet", nat.quiet, "No progress lines");
  command->callback([this] { options.command = Command::kNat; });
  command->footer(
      std::string("Asks only the servers that are named. With 'stund' or coturn on two addresses it tells mapping and\n"
                  "filtering; with several servers of one address each, mapping only; with one, neither.\n\n"
                  "Examples:\n"
                  "  turn-probe nat stun.example.com\n"
                  "  turn-probe nat stun.example.com --lifetime 180 --hairpin\n"
                  "  turn-probe nat stun1.example.com stun2.example.net --json\n\n") +
      kExitCodes);
}

// GNU style optional values: "--udp" alone means 8443, "--udp 443" and "--udp=443" are the same, "--udp HOST" leaves
// HOST alone.
std::vector<std::string> with_default_ports(const std::vector<std::string>& arguments) {
  const auto is_port_list = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789,") == std::string::npos;
  };
  std::vector<std::string> out;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument != "--udp" && argument != "--tcp") {
      out.push_back(argument);
    } else if (i + 1 < arguments.size() && is_port_list(arguments[i + 1])) {
      out.push_back(argument + "=" + arguments[++i]);
    } else {
      out.push_back(argument + "=" + std::to_string(kDefaultPort));
    }
  }
  return out;
}

// CLI11 says no more than that a command is missing.
std::string unknown_command(const CLI::App& app, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front().starts_with('-')) return {};
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == arguments.front()) return {};
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  return "'" + arguments.front() + "' is not a command; commands are " + names;
}

std::vector<std::uint16_t> to_ports(const char* option, const std::vector<std::string>& texts) {
  std::vector<std::uint16_t> out;
  for (const std::string& text : texts) {
    const auto port = static_cast<std::uint16_t>(std::stoul(text));
    if (std::find(out.begin(), out.end(), port) == out.end()) out.push_back(port);
  }
  if (out.size() > kMaxPorts)
    throw CLI::ValidationError(option, "at most " + std::to_string(kMaxPorts) + " ports at a time");
  return out;
}

PortSelection to_selection(const PortTexts& texts) {
  if (texts.udp.empty() && texts.tcp.empty()) return {{kDefaultPort}, {kDefaultPort}};
  return {to_ports("--udp", texts.udp), to_ports("--tcp", texts.tcp)};
}

void finish_load(const Parser::LoadTexts& texts, LoadOptions& load) {
  const auto milliseconds = [](double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  };
  load.peer_address = IpAddress::parse(texts.peer_address);
  load.local_address = IpAddress::parse(texts.local_address);
  load.duration = milliseconds(texts.seconds);
  load.warm_up = milliseconds(texts.warm_up_seconds);
  if (texts.max_loss >= 0) load.max_loss = texts.max_loss;
  if (texts.direction == "down") load.direction = Direction::kDown;
  if (texts.direction == "both") load.direction = Direction::kBoth;
  if (texts.direction == "echo") load.direction = Direction::kEcho;
  if (texts.algorithms == "sha256") load.algorithms = client::AlgorithmPolicy::kSha256Only;
  if (texts.algorithms == "legacy") load.algorithms = client::AlgorithmPolicy::kLegacy;
}

void finish_stun(const Parser::StunTexts& texts, StunOptions& stun) {
  constexpr std::array kAll = {Transport::kUdp, Transport::kTcp, Transport::kTls, Transport::kDtls};
  for (const std::string& name : texts.transports) {
    for (const Transport transport : kAll) {
      const bool wanted = name == "all" || CLI::detail::to_lower(std::string(transport_name(transport))) == name;
      const bool known = std::find(stun.transports.begin(), stun.transports.end(), transport) != stun.transports.end();
      if (wanted && !known) stun.transports.push_back(transport);
    }
  }
  stun.local = Address::parse(texts.local, 0);
  stun.interval = std::chrono::milliseconds(texts.interval_ms);
  if (texts.fast) stun.patience = Patience::kFast;
  if (texts.patient) stun.patience = Patience::kPatient;
}

Options finished(Parser& parser) {
  Options& options = parser.options;
  options.listen.ports = to_selection(parser.listen_ports);
  for (const std::string& text : parser.bind_texts) options.listen.bind.push_back(*IpAddress::parse(text));
  options.listen.run_for = std::chrono::seconds(parser.listen_seconds);
  options.port.ports = to_selection(parser.port_ports);
  std::optional<Family> family;
  if (parser.only_v4) family = Family::kIPv4;
  if (parser.only_v6) family = Family::kIPv6;
  options.port.family = options.stun.family = options.nat.family = family;
  finish_stun(parser.stun_texts, options.stun);
  options.nat.local = IpAddress::parse(parser.nat_texts.local);
  options.nat.lifetime = std::chrono::seconds(parser.nat_texts.lifetime_seconds);
  finish_load(parser.load_texts, options.load);
  options.port.interval = std::chrono::milliseconds(parser.interval_ms);
  options.port.wait = std::chrono::milliseconds(static_cast<std::int64_t>(parser.wait_seconds * 1000));
  return options;
}

}  // namespace

ParsedCommandLine parse_command_line(const std::vector<std::string>& arguments) {
  Parser parser;
  if (const std::string wrong = unknown_command(parser.app, arguments); !wrong.empty()) {
    return {std::nullopt, "turn-probe: " + wrong + ".\nTry 'turn-probe --help'.\n", kExitUsage};
  }
  std::vector<std::string> reversed = with_default_ports(arguments);
  std::reverse(reversed.begin(), reversed.end());  // what CLI::App::parse(vector) asks for
  try {
    parser.app.parse(std::move(reversed));
    return {finished(parser), {}, kExitPass};
  } catch (const CLI::CallForHelp&) {
    const auto chosen = parser.app.get_subcommands();
    return {std::nullopt, chosen.empty() ? parser.app.help() : chosen.front()->help("turn-probe"), kExitPass};
  } catch (const CLI::CallForVersion& version) {
    return {std::nullopt, std::string(version.what()) + "\n", kExitPass};
  } catch (const CLI::ParseError& error) {
    const auto chosen = parser.app.get_subcommands();
    const std::string help =
        chosen.empty() ? "turn-probe --help" : "turn-probe " + chosen.front()->get_name() + " --help";
    return {std::nullopt, std::string("turn-probe: ") + error.what() + "\nTry '" + help + "'.\n", kExitUsage};
  }
}

void scrub_argv(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    for (const std::string_view option : {"--secret", "--password"}) {
      const std::string_view argument = argv[i];
      if (!argument.starts_with(option)) continue;
      char* value = nullptr;
      if (argument.size() == option.size() && i + 1 < argc) value = argv[++i];
      if (argument.size() > option.size() && argument[option.size()] == '=') value = argv[i] + option.size() + 1;
      if (value != nullptr) std::fill_n(value, std::strlen(value), '*');
      break;
    }
  }
}

std::vector<OptionName> option_names() {
  Parser parser;
  std::vector<OptionName> out;
  const auto collect = [&out](const std::string& command, const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_snames()) out.push_back({command, "-" + name});
      for (const std::string& name : option->get_lnames()) out.push_back({command, "--" + name});
      if (option->get_positional()) out.push_back({command, option->get_name(true)});
    }
  };
  collect("", parser.app);
  for (const CLI::App* command : parser.app.get_subcommands({})) collect(command->get_name(), *command);
  return out;
}

}  // namespace turnkit::probe
