// The options that turnd acts upon: one row each. coturn_keys.cc has coturn's others.
#include "turnd/option_table.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <limits>

#include "turnd/draft.h"
#include "turnd/option_values.h"

namespace turnkit::turnd {
namespace {

constexpr std::uint64_t kMaxSeconds = 10ULL * 366 * 24 * 3600;

// Stores what `parsed` holds, or passes its error on.
template <typename T, typename Field>
Status store(const Result<T>& parsed, Field& field) {
  if (!parsed) return parsed.error();
  field = Field(*parsed);
  return {};
}

template <auto Member>
Status flag(Draft& draft, std::string_view value) {
  return store(parse_flag(value), draft.config.*Member);
}
template <auto Member>
Status draft_flag(Draft& draft, std::string_view value) {
  return store(parse_flag(value), draft.*Member);
}
template <auto Member>
Status inverse_flag(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  draft.config.*Member = !*on;
  return {};
}
template <auto Member>
Status peer_flag(Draft& draft, std::string_view value) {
  return store(parse_flag(value), draft.config.peers.*Member);
}
template <auto Member>
Status text(Draft& draft, std::string_view value) {
  draft.config.*Member = value;
  return {};
}
template <auto Member>
Status draft_text(Draft& draft, std::string_view value) {
  draft.*Member = value;
  return {};
}
template <auto Member, std::uint64_t Min, std::uint64_t Max>
Status number(Draft& draft, std::string_view value) {
  return store(parse_number(value, Min, Max), draft.config.*Member);
}
template <auto Member, std::uint64_t Min>
Status seconds(Draft& draft, std::string_view value) {
  const Result<std::uint64_t> number = parse_number(value, Min, kMaxSeconds);
  if (!number) return Error{fmt::format("expected a whole number of seconds, at least {}", Min)};
  draft.config.*Member = std::chrono::seconds(*number);
  return {};
}
template <auto Member, std::uint16_t Min>
Status port(Draft& draft, std::string_view value) {
  return store(parse_port(value, Min), draft.config.*Member);
}
template <auto Member>
Status add_peer_rule(Draft& draft, std::string_view value) {
  Result<PeerRule> rule = PeerRule::parse(value);
  if (!rule) return rule.error();
  (draft.config.peers.*Member).push_back(*rule);
  return {};
}
template <auto Member>
Status thread_count(Draft& draft, std::string_view value) {
  const Result<std::uint64_t> count = parse_number(value, 0, 128);
  if (!count) return count.error();
  draft.*Member = static_cast<unsigned>(*count);
  return {};
}
template <int Level>
Status verbosity(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  draft.config.verbose = *on ? std::max(draft.config.verbose, Level) : std::min(draft.config.verbose, Level - 1);
  return {};
}

Status add_unique(std::vector<IpAddress>& list, const Result<IpAddress>& ip) {
  if (!ip) return ip.error();
  if (std::find(list.begin(), list.end(), *ip) == list.end()) list.push_back(*ip);
  return {};
}

Status listening_ip(Draft& draft, std::string_view value) {
  return add_unique(draft.config.listening_ips, parse_ip(value));
}

Status relay_ip(Draft& draft, std::string_view value) {
  const Result<IpAddress> ip = parse_ip(value);
  if (ip && ip->is_unspecified()) {
    draft.warn_here(
        "clients cannot be told an unspecified address; relay addresses are chosen as if it were not there");
    return {};
  }
  return add_unique(draft.config.relay_ips, ip);
}

// As in coturn the first plain form of a family stays; a second one is reported.
Status external_ip(Draft& draft, std::string_view value) {
  const Result<ExternalIp> added = parse_external_ip(value);
  if (!added) return added.error();
  const auto clashes = [&](const ExternalIp& other) {
    if (added->local || other.local) return added->local == other.local;
    return added->kind == other.kind &&
           (added->kind != ExternalIp::Kind::kAddress || added->address.family() == other.address.family());
  };
  std::vector<ExternalIp>& list = draft.config.external_ips;
  if (std::any_of(list.begin(), list.end(), clashes)) {
    draft.warn_here("ignored, because an earlier external-ip line says it already for the same relay addresses");
    return {};
  }
  list.push_back(*added);
  return {};
}

Status default_family(Draft& draft, std::string_view value) {
  if (value == "ipv4" || value == "IPv4") {
    draft.config.default_family = DefaultFamily::kIPv4;
  } else if (value == "ipv6" || value == "IPv6") {
    draft.config.default_family = DefaultFamily::kIPv6;
  } else if (value == "keep") {
    draft.config.default_family = DefaultFamily::kKeep;
  } else {
    return Error{"expected ipv4, ipv6 or keep"};
  }
  return {};
}

Status keep_family(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  if (*on) draft.config.default_family = DefaultFamily::kKeep;
  return {};
}

template <bool Wide>
Status channel_numbers(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  draft.config.max_channel_number = *on == Wide ? 0x7FFE : 0x4FFF;
  return {};
}

// On whatever its value, as in coturn.
Status use_auth_secret(Draft& draft, std::string_view value) {
  if (const Result<bool> on = parse_flag(value); on && !*on) {
    draft.warn_here("on whatever its value, as in coturn; remove the line to turn it off");
  }
  draft.use_auth_secret = true;
  return {};
}

Status static_auth_secret(Draft& draft, std::string_view value) {
  std::vector<std::string>& secrets = draft.config.rest_secrets;
  if (std::find(secrets.begin(), secrets.end(), value) == secrets.end()) secrets.emplace_back(value);
  draft.use_auth_secret = true;
  return {};
}

Status user(Draft& draft, std::string_view value) {
  const Result<StaticUser> added = parse_user(value, draft.config.realm);
  if (!added) return added.error();
  std::erase_if(draft.config.users, [&](const StaticUser& other) { return other.name == added->name; });
  draft.config.users.push_back(*added);
  return {};
}

Status rest_separator(Draft& draft, std::string_view value) {
  draft.config.rest_separator = value.front();
  return {};
}

// The old flag form without a value means coturn's default.
Status stale_nonce(Draft& draft, std::string_view value) {
  return value.empty() ? Status{} : seconds<&Config::nonce_lifetime, 0>(draft, value);
}

Status log_level(Draft& draft, std::string_view value) {
  const Result<log::Level> level = parse_log_level(value);
  if (!level) return level.error();
  draft.log_level = *level;
  return {};
}

Status log_file(Draft& draft, std::string_view value) {
  if (value == "syslog") {
    draft.config.log.to_syslog = true;
    return {};
  }
  draft.log_file = value == "stdout" || value == "-" ? std::string_view("-") : value;
  return {};
}

Status syslog(Draft& draft, std::string_view value) { return store(parse_flag(value), draft.config.log.to_syslog); }

Status syslog_facility(Draft& draft, std::string_view value) {
  static constexpr std::string_view kNames[] = {"LOG_AUTH",   "LOG_AUTHPRIV", "LOG_CRON",   "LOG_DAEMON", "LOG_FTP",
                                                "LOG_KERN",   "LOG_LOCAL0",   "LOG_LOCAL1", "LOG_LOCAL2", "LOG_LOCAL3",
                                                "LOG_LOCAL4", "LOG_LOCAL5",   "LOG_LOCAL6", "LOG_LOCAL7", "LOG_LPR",
                                                "LOG_MAIL",   "LOG_NEWS",     "LOG_SYSLOG", "LOG_USER",   "LOG_UUCP"};
  if (std::find(std::begin(kNames), std::end(kNames), value) == std::end(kNames)) {
    return Error{"expected a syslog facility such as LOG_DAEMON or LOG_LOCAL1"};
  }
  draft.config.log.syslog_facility = value;
  return {};
}

Status timestamp_format(Draft& draft, std::string_view value) {
  if (value.size() >= 48) return Error{"expected a strftime format of at most 47 characters"};
  draft.config.log.timestamp_format = value;
  return {};
}

Status proc_user(Draft& draft, std::string_view value) {
  const std::string name(value);
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) return Error{"expected a user of this system"};
  draft.config.proc_user = name;
  draft.config.proc_uid = entry->pw_uid;
  if (draft.config.proc_group.empty()) draft.config.proc_gid = entry->pw_gid;
  return {};
}

Status proc_group(Draft& draft, std::string_view value) {
  const std::string name(value);
  const group* entry = getgrnam(name.c_str());
  if (entry == nullptr) return Error{"expected a group of this system"};
  draft.config.proc_group = name;
  draft.config.proc_gid = entry->gr_gid;
  return {};
}

constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();

constexpr const char* kCommand = "Command line only";
constexpr const char* kListen = "Listening";
constexpr const char* kRelay = "Relaying";
constexpr const char* kAuth = "Authentication";
constexpr const char* kLimit = "Limits";
constexpr const char* kPeer = "Peers";
constexpr const char* kAnswer = "Answers";
constexpr const char* kLog = "Logging";
constexpr const char* kProcess = "Process";

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
   .help = "Check command line and configuration file, report every fault, and exit; nothing is opened or written."},
  {.name = "state-dir", .pass = Pass::kCommandLineOnly, .group = kCommand, .metavar = "DIR",
   .default_text = "$STATE_DIRECTORY, or /var/lib/turnd for root, else ~/.local/state/turnd",
   .help = "Keep the generated secret of the embedded default in DIR.", .apply = text<&Config::state_dir>},

  {.name = "listening-ip", .letter = 'L', .list = true, .group = kListen, .metavar = "IP",
   .default_text = "every address of the host", .help = "Listen on IP; may be given several times.", .apply = listening_ip},
  {.name = "listening-port", .letter = 'p', .group = kListen, .metavar = "PORT", .default_text = "3478",
   .help = "Listen on UDP PORT; 0 picks a free one.", .apply = port<&Config::listening_port, 0>},
  {.name = "listening-device", .letter = 'd', .group = kListen, .metavar = "DEVICE",
   .help = "Bind the listeners to a network device.", .apply = text<&Config::listening_device>},
  {.name = "sock-buf-size", .group = kListen, .metavar = "BYTES", .default_text = "2097152",
   .help = "Ask for send and receive buffers of BYTES; 0 leaves the system's default.",
   .apply = number<&Config::sock_buf_size, 0, 1 << 30>},

  {.name = "relay-ip", .letter = 'E', .list = true, .group = kRelay, .metavar = "IP",
   .default_text = "the listening addresses", .help = "Give out relayed addresses on IP; may be given several times.", .apply = relay_ip},
  {.name = "relay-device", .letter = 'i', .group = kRelay, .metavar = "DEVICE",
   .help = "Bind the relayed sockets to a network device.", .apply = text<&Config::relay_device>},
  {.name = "external-ip", .letter = 'X', .list = true, .group = kRelay, .metavar = "PUBLIC[/PRIVATE]",
   .help = "Behind 1:1 NAT, tell clients PUBLIC instead of the relay address (PRIVATE): an address, a host name, or auto[:STUN-SERVER]; the last two are followed when they change.",
   .apply = external_ip},
  {.name = "min-port", .group = kRelay, .metavar = "PORT", .default_text = "49152", .help = "Relay on no port below PORT.",
   .apply = port<&Config::min_port, 1>},
  {.name = "max-port", .group = kRelay, .metavar = "PORT", .default_text = "65535", .help = "Relay on no port above PORT.",
   .apply = port<&Config::max_port, 1>},
  {.name = "no-udp-relay", .arg = Arg::kOptional, .group = kRelay, .default_text = "off", .help = "Refuse UDP allocations.",
   .apply = flag<&Config::no_udp_relay>},
  {.name = "no-tcp-relay", .arg = Arg::kOptional, .group = kRelay, .default_text = "off", .help = "Refuse TCP allocations.",
   .apply = flag<&Config::no_tcp_relay>},
  {.name = "allocation-default-address-family", .letter = 'A', .group = kRelay, .metavar = "FAMILY", .default_text = "ipv4",
   .help = "Relay in this family when the client names none: ipv4, ipv6, or keep for the client's own.", .apply = default_family},
  {.name = "keep-address-family", .letter = 'K', .arg = Arg::kOptional, .group = kRelay, .default_text = "off",
   .help = "The same as allocation-default-address-family=keep.", .apply = keep_family},
  {.name = "rfc5766-channel-numbers", .arg = Arg::kOptional, .group = kRelay, .default_text = "on",
   .help = "Accept channel numbers 0x4000 to 0x7FFE (RFC 5766).", .apply = channel_numbers<true>},
  {.name = "rfc8656-channel-numbers", .arg = Arg::kOptional, .group = kRelay, .default_text = "off",
   .help = "Accept channel numbers 0x4000 to 0x4FFF only (RFC 8656).", .apply = channel_numbers<false>},

  {.name = "realm", .letter = 'r', .group = kAuth, .metavar = "REALM", .default_text = "the NIS domain or host name",
   .help = "The realm of all credentials.", .apply = text<&Config::realm>},
  {.name = "lt-cred-mech", .letter = 'a', .arg = Arg::kOptional, .group = kAuth, .default_text = "on",
   .help = "Ask for long-term credentials; the default unless no-auth is given.", .apply = draft_flag<&Draft::lt_cred_mech>},
  {.name = "user", .letter = 'u', .pass = Pass::kUser, .list = true, .secret = true, .group = kAuth, .metavar = "NAME:PASSWORD",
   .help = "Accept this user; NAME:0xKEY takes the key that turnadmin -k prints. May be given several times.", .apply = user},
  {.name = "use-auth-secret", .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Accept time-limited credentials made with a shared secret (TURN REST API).", .apply = use_auth_secret},
  {.name = "static-auth-secret", .list = true, .secret = true, .group = kAuth, .metavar = "SECRET",
   .help = "A shared secret for them; turns use-auth-secret on. May be given several times. Users and secrets work side by side.",
   .apply = static_auth_secret},
  {.name = "rest-api-separator", .letter = 'C', .group = kAuth, .metavar = "CHAR", .default_text = ":",
   .help = "What stands between time and name in their user names.", .apply = rest_separator},
  {.name = "no-auth", .letter = 'z', .arg = Arg::kOptional, .group = kAuth, .default_text = "off",
   .help = "Let anybody relay. Dangerous on a public address.", .apply = draft_flag<&Draft::no_auth>},
  {.name = "stale-nonce", .arg = Arg::kOptional, .group = kAuth, .metavar = "SECONDS", .default_text = "600",
   .help = "How long a nonce is fresh; 0 is for ever.", .apply = stale_nonce},
  {.name = "stateless-nonce-secret", .secret = true, .group = kAuth, .metavar = "SECRET", .default_text = "a random key",
   .help = "Servers with the same secret accept each other's nonces.", .apply = text<&Config::nonce_secret>},

  {.name = "max-allocate-lifetime", .group = kLimit, .metavar = "SECONDS", .default_text = "3600",
   .help = "The longest lifetime of an allocation before it must be refreshed.", .apply = seconds<&Config::max_allocate_lifetime, 1>},
  {.name = "channel-lifetime", .group = kLimit, .metavar = "SECONDS", .default_text = "600",
   .help = "The lifetime of a channel; for tests.", .apply = seconds<&Config::channel_lifetime, 1>},
  {.name = "permission-lifetime", .group = kLimit, .metavar = "SECONDS", .default_text = "300",
   .help = "The lifetime of a permission; for tests.", .apply = seconds<&Config::permission_lifetime, 1>},
  {.name = "max-permissions", .group = kLimit, .metavar = "N", .default_text = "1024",
   .help = "The most permissions of an allocation.", .apply = number<&Config::max_permissions, 1, 65535>},
  {.name = "max-channels", .group = kLimit, .metavar = "N", .default_text = "1024",
   .help = "The most channels of an allocation.", .apply = number<&Config::max_channels, 1, 16383>},
  {.name = "user-quota", .letter = 'q', .group = kLimit, .metavar = "N", .default_text = "0",
   .help = "The most allocations of a user at a time; 0 is no limit.", .apply = number<&Config::user_quota, 0, kMax32>},
  {.name = "total-quota", .letter = 'Q', .group = kLimit, .metavar = "N", .default_text = "0",
   .help = "The most allocations at a time; 0 is no limit.", .apply = number<&Config::total_quota, 0, kMax32>},
  {.name = "max-bps", .letter = 's', .group = kLimit, .metavar = "BYTES", .default_text = "0",
   .help = "The most bytes a second of an allocation in each direction; 0 is no limit.", .apply = number<&Config::max_bps, 0, kMax64>},
  {.name = "bps-capacity", .letter = 'B', .group = kLimit, .metavar = "BYTES", .default_text = "0",
   .help = "The bytes a second that all allocations share, max-bps for each; 0 is no limit.",
   .apply = number<&Config::bps_capacity, 0, kMax64>},

  {.name = "denied-peer-ip", .list = true, .group = kPeer, .metavar = "RANGE[:PORTS]",
   .help = "Relay to none of these peers: IP, IP-IP or IP/LENGTH, and :PORT or :PORT-PORT. May be given several times.",
   .apply = add_peer_rule<&PeerRules::denied>},
  {.name = "allowed-peer-ip", .list = true, .group = kPeer, .metavar = "RANGE[:PORTS]",
   .help = "Relay to these peers even where denied-peer-ip has them; a special address must be named narrowly. May be given several times.",
   .apply = add_peer_rule<&PeerRules::allowed>},
  {.name = "only-peer-ip", .list = true, .group = kPeer, .metavar = "RANGE[:PORTS]",
   .help = "Relay to these peers and to no others, such as only-peer-ip=10.0.0.5:8443 for one SFU. May be given several times.",
   .apply = add_peer_rule<&PeerRules::only>},
  {.name = "no-private-peers", .arg = Arg::kOptional, .group = kPeer, .default_text = "off",
   .help = "Relay neither to private addresses nor to other ports of this host, unless allowed-peer-ip has them.",
   .apply = peer_flag<&PeerRules::deny_private>},
  {.name = "no-multicast-peers", .arg = Arg::kOptional, .group = kPeer, .default_text = "on",
   .help = "Relay to no multicast, reserved or broadcast address.", .apply = peer_flag<&PeerRules::deny_multicast>},
  {.name = "allow-loopback-peers", .arg = Arg::kOptional, .group = kPeer, .default_text = "off",
   .help = "Relay to loopback addresses; for tests.", .apply = peer_flag<&PeerRules::allow_loopback>},

  {.name = "fingerprint", .letter = 'f', .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Add FINGERPRINT to every answer.", .apply = flag<&Config::fingerprint>},
  {.name = "software-attribute", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Add SOFTWARE, with the version, to every answer to an authenticated client.", .apply = flag<&Config::software_attribute>},
  {.name = "no-software-attribute", .arg = Arg::kOptional, .group = kAnswer, .default_text = "on",
   .help = "The inverse of software-attribute.", .apply = inverse_flag<&Config::software_attribute>},
  {.name = "no-stun", .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Drop Binding requests.", .apply = flag<&Config::no_stun>},
  {.name = "stun-only", .letter = 'S', .arg = Arg::kOptional, .group = kAnswer, .default_text = "off",
   .help = "Drop everything but Binding requests.", .apply = flag<&Config::stun_only>},

  {.name = "verbose", .letter = 'v', .arg = Arg::kOptional, .group = kLog, .default_text = "off",
   .help = "Log what happens to sessions.", .apply = verbosity<1>},
  {.name = "Verbose", .letter = 'V', .arg = Arg::kOptional, .group = kLog, .default_text = "off",
   .help = "Log debug messages too.", .apply = verbosity<2>},
  {.name = "log-min-level", .pass = Pass::kLog, .group = kLog, .metavar = "LEVEL", .default_text = "info; debug with -V",
   .help = "Log nothing below debug, info, warning or error.", .apply = log_level},
  {.name = "log-file", .letter = 'l', .pass = Pass::kLog, .group = kLog, .metavar = "FILE", .default_text = "none",
   .help = "Log to FILE besides standard output; stdout and - mean only there, syslog means syslog.", .apply = log_file},
  {.name = "no-stdout-log", .arg = Arg::kOptional, .pass = Pass::kLog, .group = kLog, .default_text = "off",
   .help = "Do not log to standard output.", .apply = draft_flag<&Draft::no_stdout_log>},
  {.name = "syslog", .arg = Arg::kOptional, .pass = Pass::kLog, .group = kLog, .default_text = "off",
   .help = "Log to syslog instead of a file.", .apply = syslog},
  {.name = "syslog-facility", .pass = Pass::kLog, .group = kLog, .metavar = "FACILITY", .default_text = "LOG_DAEMON",
   .help = "The syslog facility, LOG_DAEMON or another.", .apply = syslog_facility},
  {.name = "new-log-timestamp-format", .pass = Pass::kLog, .group = kLog, .metavar = "FORMAT", .default_text = "%FT%T.%f%z",
   .help = "How the time is written: strftime, and %f for milliseconds.", .apply = timestamp_format},

  {.name = "daemon", .letter = 'o', .arg = Arg::kOptional, .group = kProcess, .default_text = "off",
   .help = "Run in the background.", .apply = flag<&Config::daemon>},
  {.name = "pidfile", .group = kProcess, .metavar = "FILE", .default_text = "none",
   .help = "Write the process id to FILE; an empty value writes none.", .apply = text<&Config::pidfile>},
  {.name = "proc-user", .group = kProcess, .metavar = "NAME", .help = "Become this user once all ports are open.", .apply = proc_user},
  {.name = "proc-group", .group = kProcess, .metavar = "NAME", .default_text = "the group of proc-user",
   .help = "Become this group once all ports are open.", .apply = proc_group},
  {.name = "relay-threads", .letter = 'm', .group = kProcess, .metavar = "N", .default_text = "the number of CPUs",
   .help = "The number of worker threads, at most 128; 0 is one.", .apply = thread_count<&Draft::relay_threads>},
  {.name = "cpus", .group = kProcess, .metavar = "N", .default_text = "detected",
   .help = "Count N CPUs instead of what the system says.", .apply = thread_count<&Draft::cpus>},
};
// clang-format on

constexpr const char* kGroups[] = {kCommand, kListen, kRelay, kAuth, kLimit, kPeer, kAnswer, kLog, kProcess};

}  // namespace

std::span<const Option> live_options() { return kRows; }

std::span<const char* const> option_groups() { return kGroups; }

}  // namespace turnkit::turnd
