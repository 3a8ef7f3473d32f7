// Options of the log and of the process.
#include <grp.h>
#include <pwd.h>

#include "turnd/options/setters.h"
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

using namespace setters;

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

Status log_format(Draft& draft, std::string_view value) {
  if (value == "native") {
    draft.config.log_format = LogFormat::kNative;
  } else if (value == "json") {
    draft.config.log_format = LogFormat::kJson;
  } else if (value == "coturn") {
    draft.config.log_format = LogFormat::kCoturn;
  } else if (value == "coturn-4.6") {
    draft.config.log_format = LogFormat::kCoturn46;
  } else if (value == "coturn-4.5") {
    draft.config.log_format = LogFormat::kCoturn45;
  } else {
    return Error{"expected native, json, coturn, coturn-4.6 or coturn-4.5"};
  }
  return {};
}

// clang-format off
const Option kRows[] = {
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
  {.name = "log-format", .pass = Pass::kLog, .group = kLog, .metavar = "FORMAT", .default_text = "native",
   .help = "The shape of log lines: native, json, coturn (as 4.17 writes), coturn-4.6 (as 4.6.2 to 4.16) or coturn-4.5 (as before).", .apply = log_format},
  {.name = "new-log-timestamp", .arg = Arg::kOptional, .pass = Pass::kLog, .group = kLog, .default_text = "off",
   .help = "With log-format=coturn-4.6 or coturn-4.5, write date and time instead of the seconds since the start; the other formats always do.", .apply = flag<&Config::new_log_timestamp>},
  {.name = "new-log-timestamp-format", .pass = Pass::kLog, .group = kLog, .metavar = "FORMAT", .default_text = "%FT%T.%f%z",
   .help = "How the time is written: strftime, and %f for milliseconds.", .apply = timestamp_format},
  {.name = "log-anonymize", .arg = Arg::kOptional, .pass = Pass::kLog, .group = kLog, .default_text = "off",
   .help = "Cut the addresses of clients and peers in the log to /24 and /48.", .apply = flag<&Config::log_anonymize>},
  {.name = "log-binding", .arg = Arg::kOptional, .group = kLog, .default_text = "off",
   .help = "Log Binding requests.", .apply = flag<&Config::log_binding>},

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
  {.name = "drain-min-allocations", .group = kProcess, .metavar = "N", .default_text = "0",
   .help = "After SIGUSR1, end when N allocations or fewer are left.", .apply = number<&Config::drain_min_allocations, 0, kMax32>},
  {.name = "drain-timeout", .group = kProcess, .metavar = "SECONDS", .default_text = "0",
   .help = "After SIGUSR1, end by then in any case; 0 waits for the last allocation.", .apply = seconds<&Config::drain_timeout, 0>},
};
// clang-format on

}  // namespace

std::span<const Option> process_options() { return kRows; }

}  // namespace turnkit::turnd
