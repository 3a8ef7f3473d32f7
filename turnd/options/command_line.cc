// The front ends: getopt_long for the command line, the configuration file, and the order in which the two take effect.
#include <fmt/format.h>
#include <getopt.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "base/encoding.h"
#include "turnd/file_keeper.h"
#include "turnd/options/apply.h"
#include "turnd/options/audit.h"
#include "turnd/options/check_report.h"
#include "turnd/options/config_file.h"
#include "turnd/options/embedded_default.h"
#include "turnd/options/options.h"

namespace turnkit::turnd {
namespace {

// coturn's string: -K and -A take an argument although the long keep-address-family is a flag.
constexpr const char* kShortOptions = ":c:d:p:L:E:X:i:m:l:r:u:b:B:e:M:J:N:O:q:Q:s:C:K:A:vVofhznaS";
constexpr int kFirstLong = 1000;

// One option as it stands on the command line. `value` points into argv.
struct Occurrence {
  const Option* option;
  char* value;  // nullptr: none
  bool by_letter;
};

struct Scan {
  std::vector<Occurrence> options;
  std::vector<std::string> errors;
  std::vector<std::string> strays;  // where arguments that belong to no option stand
};

std::vector<option> long_options() {
  std::vector<option> out;
  const std::span<const Option> table = option_table();
  for (std::size_t i = 0; i < table.size(); ++i) {
    const int takes = table[i].arg == Arg::kNone       ? no_argument
                      : table[i].arg == Arg::kOptional ? optional_argument
                                                       : required_argument;
    out.push_back({table[i].name, takes, nullptr, kFirstLong + static_cast<int>(i)});
  }
  out.push_back({nullptr, 0, nullptr, 0});
  return out;
}

const Option* option_of(int code) {
  const std::span<const Option> table = option_table();
  if (code >= kFirstLong) return &table[static_cast<std::size_t>(code - kFirstLong)];
  const auto it = std::find_if(table.begin(), table.end(), [&](const Option& o) { return o.letter == code; });
  return it == table.end() ? nullptr : &*it;
}

// The option name in "--name=value", without the value: it may be a secret.
std::string_view long_name(std::string_view argument) {
  argument.remove_prefix(std::min<std::size_t>(2, argument.size()));
  return argument.substr(0, argument.find('='));
}

std::string unknown_option(std::string_view argument) {
  if (optopt != 0 && optopt < kFirstLong) {
    return fmt::format("-{}: unknown option; turnd --help lists them",
                       escaped({std::string(1, static_cast<char>(optopt))}));
  }
  if (optopt >= kFirstLong) {
    const Option* option = option_of(optopt);
    return fmt::format("--{}: takes no value", option->name);
  }
  const std::string_view name = long_name(argument);
  std::string matches;
  for (const Option& option : option_table()) {
    if (!name.empty() && std::string_view(option.name).starts_with(name)) matches += fmt::format(" --{}", option.name);
  }
  if (!matches.empty()) return fmt::format("--{}: ambiguous; it may mean{}", escaped(name), matches);
  return fmt::format("--{}: unknown option{}; turnd --help lists them", escaped(name), suggestion(name));
}

// The argument itself may be a secret whose option takes its value only behind '='; so it is named by its neighbour.
std::string describe_stray(const std::vector<char*>& arguments, const char* stray) {
  if (std::string_view(stray).ends_with(".conf")) {
    return fmt::format("{}: ignored, it belongs to no option; -c names a configuration file", escaped(stray));
  }
  const auto it = std::find(arguments.begin(), arguments.end(), stray);
  if (it == arguments.begin() || it == arguments.end() || !std::string_view(it[-1]).starts_with("--")) {
    return "an argument is ignored, because it belongs to no option; turnd --help lists them";
  }
  const std::string name = escaped(long_name(it[-1]));
  return fmt::format("the argument after --{} is ignored, because it belongs to no option; write --{}=VALUE", name,
                     name);
}

const Occurrence* last_of(const Scan& scan, std::string_view name) {
  const auto it = std::find_if(scan.options.rbegin(), scan.options.rend(),
                               [&](const Occurrence& occurrence) { return occurrence.option->name == name; });
  return it == scan.options.rend() ? nullptr : &*it;
}

Scan scan(int argc, char** argv) {
  Scan out;
  const std::vector<char*> given(argv + 1, argv + std::max(argc, 1));  // getopt_long moves them about
  const std::vector<option> longs = long_options();
  optind = 0;  // glibc: start anew
  opterr = 0;
  for (;;) {
    const int code = getopt_long(argc, argv, kShortOptions, longs.data(), nullptr);
    if (code == -1) break;
    if (code == ':') {
      const Option* option = option_of(optopt);
      out.errors.push_back(
          fmt::format("--{}: needs a value, {}", option->name, option->metavar[0] == '\0' ? "VALUE" : option->metavar));
    } else if (code == '?') {
      out.errors.push_back(unknown_option(argv[optind - 1]));
    } else {
      out.options.push_back({option_of(code), optarg, code < kFirstLong});
    }
  }
  // turnd --check-config FILE
  if (last_of(out, "check-config") != nullptr && last_of(out, "config") == nullptr && optind + 1 == argc) {
    out.options.push_back({find_option("config"), argv[optind++], false});
  }
  for (int i = optind; i < argc; ++i) out.strays.push_back(describe_stray(given, argv[i]));
  return out;
}

// With any of these the command line says itself who may relay, and no secret is generated.
bool names_credentials(const Scan& scan) {
  static constexpr const char* kNames[] = {"user",
                                           "realm-user",
                                           "oauth-key",
                                           "lt-cred-mech",
                                           "use-auth-secret",
                                           "static-auth-secret",
                                           "no-auth",
                                           "stun-only",
                                           "oauth",
                                           "userdb",
                                           "db",
                                           "psql-userdb",
                                           "sql-userdb",
                                           "mysql-userdb",
                                           "mongo-userdb",
                                           "redis-userdb"};
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](const char* name) { return last_of(scan, name) != nullptr; });
}

// A file that is read, cut into options.
struct FileOption {
  const Option* option;
  std::string value;
  Place place;
};

// Unknown keys and stray semicolons are warnings; lines that are no lines are errors.
std::vector<FileOption> file_options(const std::string& path, std::string_view text, Draft& draft) {
  std::vector<FileOption> out;
  for (ConfigLine& line : parse_config_text(text)) {
    const Place place{path, line.number};
    const auto report = [&](Finding::Kind kind, std::string_view what) {
      const std::string key = escaped(line.key);
      draft.findings.push_back({kind, fmt::format("{}: {}", place.named(key), what), key, place});
    };
    if (!line.fault.empty()) {
      draft.findings.push_back(
          {Finding::Kind::kError, fmt::format("{}:{}: {}", path, line.number, line.fault), {}, place});
      continue;
    }
    const Option* option = find_option(line.key);
    if (option == nullptr) {
      const std::string_view bare =
          std::string_view(line.key).substr(std::min(line.key.find_first_not_of('-'), line.key.size()));
      const bool dashed = bare.size() < line.key.size() && find_option(bare) != nullptr;
      report(Finding::Kind::kIgnored,
             fmt::format("unknown key, ignored{}", dashed ? "; write it without dashes" : suggestion(line.key)));
      continue;
    }
    if (option->pass == Pass::kCommandLineOnly) {
      report(Finding::Kind::kIgnored, "only for the command line, ignored");
      continue;
    }
    if (line.ends_with_semicolon) {
      report(Finding::Kind::kAdvice, "the value ends with a semicolon, which is part of it");
    }
    if (line.looks_commented && option->support == Support::kLive) {
      report(Finding::Kind::kAdvice,
             "the value has a '#', which is part of it; a comment must stand on a line of its own");
    }
    out.push_back({option, std::move(line.value), place});
  }
  return out;
}

void warn_if_readable(const std::string& path, const std::vector<FileOption>& options, Draft& draft) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & S_IROTH) == 0) return;
  const auto secret =
      std::find_if(options.begin(), options.end(), [](const FileOption& o) { return o.option->secret; });
  if (secret == options.end()) return;
  draft.report(Finding::Kind::kUnsafe, fmt::format("{}: holds secrets ({}) and everybody may read it; chmod 640 it",
                                                   path, secret->option->name));
}

void apply_command_line(const Scan& scan, Pass pass, Draft& draft) {
  for (const Occurrence& occurrence : scan.options) {
    if (occurrence.option->pass != pass) continue;
    std::string_view value = occurrence.value == nullptr ? std::string_view() : occurrence.value;
    if (occurrence.by_letter && value.starts_with('=')) {
      draft.report(Finding::Kind::kAdvice,
                   fmt::format("-{}: the short form takes its value without \"=\"", occurrence.option->letter));
      if (occurrence.option->letter == 'A') value.remove_prefix(1);
    }
    apply_option(draft, *occurrence.option, value, {});
  }
}

void apply_file(const std::vector<FileOption>& options, Pass pass, Draft& draft) {
  for (const FileOption& entry : options) {
    if (entry.option->pass == pass) apply_option(draft, *entry.option, entry.value, entry.place);
  }
}

// Which file to read, if any; may create the embedded default's.
Origin find_origin(const Scan& scan, const Environment& environment, Draft& draft) {
  Origin origin;
  if (environment.running != nullptr) {  // a reload reads the same file again
    origin = environment.running->origin;
    origin.created = false;
    draft.config.state_dir = environment.running->state_dir;
    return origin;
  }
  const Occurrence* config = last_of(scan, "config");
  if (last_of(scan, "no-config") == nullptr) {
    origin.path =
        config != nullptr ? find_config_file(config->value, environment) : find_default_config_file(environment);
    if (!origin.path.empty()) {
      origin.kind = Origin::Kind::kFile;
      return origin;
    }
    if (config != nullptr) {
      struct stat info {};
      const bool directory = ::stat(config->value, &info) == 0 && S_ISDIR(info.st_mode);
      draft.fail(fmt::format("--config={}: {}", escaped(config->value),
                             directory ? "this is a directory; name a file" : "no such file"));
      return origin;
    }
  }
  if (names_credentials(scan)) return origin;

  const Occurrence* wanted = last_of(scan, "state-dir");
  const Result<std::string> directory = state_directory(wanted == nullptr ? "" : wanted->value, environment);
  if (!directory) {
    draft.fail(directory.error().text);
    return origin;
  }
  draft.config.state_dir = *directory;
  origin.kind = Origin::Kind::kEmbeddedDefault;
  if (last_of(scan, "check-config") != nullptr) {
    origin.path = find_config_file(*directory + "/turnd.conf", environment);
    return origin;
  }
  const Result<EmbeddedDefault> prepared = prepare_embedded_default(*directory, *environment.random);
  if (!prepared) {
    draft.fail(prepared.error().text);
    return origin;
  }
  origin.path = prepared->path;
  origin.created = prepared->created;
  return origin;
}

// The passes, in coturn's order: log options of the command line, then of the file; the file; the command line; users
// last, because their keys depend on the final realm.
void apply_all(const Scan& scan, const Environment& environment, Draft& draft) {
  std::vector<FileOption> file;
  if (const Origin& origin = draft.config.origin; !origin.path.empty()) {
    const Result<std::string> text =
        environment.files == nullptr ? read_config_file(origin.path) : environment.files->read(origin.path);
    if (!text) {
      draft.fail(text.error().text);
    } else {
      file = file_options(origin.path, *text, draft);
      warn_if_readable(origin.path, file, draft);
    }
  }
  apply_command_line(scan, Pass::kCommandLineOnly, draft);
  apply_command_line(scan, Pass::kLog, draft);
  apply_file(file, Pass::kLog, draft);
  apply_file(file, Pass::kMain, draft);
  apply_command_line(scan, Pass::kMain, draft);
  settle_realm(draft, environment);
  apply_file(file, Pass::kUser, draft);
  apply_command_line(scan, Pass::kUser, draft);
  settle(draft, environment);
}

// What --check-config prints.
std::string checked(const Scan& scan, const Environment& environment, Draft& draft) {
  if (!draft.failed()) check_certificate(draft);
  audit(draft, environment);
  return last_of(scan, "json") != nullptr ? check_json(draft) : check_text(draft);
}

// Splits what there is to say by where it goes.
void hand_over(const Draft& draft, CommandLine& out) {
  for (const Finding& finding : draft.findings) {
    switch (finding.kind) {
      case Finding::Kind::kError:
        out.errors.push_back(finding.text);
        break;
      case Finding::Kind::kUnsafe:
      case Finding::Kind::kIgnored:
      case Finding::Kind::kAdvice:
        out.warnings.push_back(finding.text);
        break;
      case Finding::Kind::kNote:
        out.notes.push_back(finding.text);
        break;
    }
  }
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv, const Environment& environment) {
  CommandLine out;
  const Scan scanned = scan(argc, argv);
  if (last_of(scanned, "help") != nullptr) {
    out.out = help_text();
    return out;
  }
  if (last_of(scanned, "version") != nullptr) {
    out.out = TURNKIT_VERSION "\n";
    return out;
  }
  Draft draft;
  draft.environment = &environment;
  for (const std::string& error : scanned.errors) draft.fail(error);
  if (!draft.failed()) draft.config.origin = find_origin(scanned, environment, draft);
  for (const std::string& stray : scanned.strays) draft.report(Finding::Kind::kIgnored, stray);
  if (!draft.failed()) apply_all(scanned, environment, draft);

  const bool check = last_of(scanned, "check-config") != nullptr;
  if (check) {
    out.out = checked(scanned, environment, draft);
  } else if (last_of(scanned, "json") != nullptr) {
    draft.report(Finding::Kind::kIgnored, "json", "ignored, because it is for --check-config");
  }
  hand_over(draft, out);
  out.run = out.errors.empty() && !check;
  out.exit_code = out.errors.empty() ? kExitOk : kExitUsage;
  out.config = std::move(draft.config);
  return out;
}

void scrub_argv(int argc, char** argv) {
  for (const Occurrence& occurrence : scan(argc, argv).options) {
    if (!occurrence.option->secret || occurrence.value == nullptr) continue;
    const std::size_t length = std::strlen(occurrence.value);
    std::memset(occurrence.value, 0, length);
    std::memset(occurrence.value, '*', std::min<std::size_t>(length, 3));
  }
}

}  // namespace turnkit::turnd
