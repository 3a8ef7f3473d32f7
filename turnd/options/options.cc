// How one option takes effect, and the rules between options.
#include "turnd/options/options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "auth/opaque_string.h"
#include "base/encoding.h"
#include "turnd/options/apply.h"
#include "turnd/options/draft.h"
#include "turnd/options/values.h"

namespace turnkit::turnd {
namespace {

constexpr unsigned kMaxThreads = 128;

using Kind = Finding::Kind;

// True when the value of a flag turns it off; such a key asks for nothing.
bool is_off(const Option& option, std::string_view value) {
  if (option.arg != Arg::kOptional) return false;
  const Result<bool> on = parse_flag(value);
  return on && !*on;
}

// Two options that contradict each other.
void refuse_pair(Draft& draft, std::string_view one, std::string_view other, std::string_view advice) {
  draft.fail(one, fmt::format("cannot go together with {}; {}", draft.place(other), advice));
}

void settle_auth(Draft& draft, const Environment& environment) {
  Config& config = draft.config;
  if (draft.no_auth && draft.lt_cred_mech) refuse_pair(draft, "no-auth", "lt-cred-mech", "remove one of the two");
  if (!draft.use_auth_secret.value_or(true) && !config.rest_secrets.empty()) {
    draft.report(Kind::kIgnored, "static-auth-secret", "not used, because use-auth-secret is off");
    config.rest_secrets.clear();
  }
  const bool by_secrets = draft.use_auth_secret.value_or(!config.rest_secrets.empty());
  if (draft.no_auth && by_secrets) {
    const bool by_secret = draft.has("static-auth-secret");
    refuse_pair(draft, "no-auth", by_secret ? "static-auth-secret" : "use-auth-secret", "remove one of the two");
  }
  config.auth = draft.no_auth ? AuthMode::kNone : AuthMode::kLongTerm;
  if (config.stun_only) return;
  if (draft.no_auth) {
    draft.report(Kind::kUnsafe, "no-auth", "anybody who reaches this server can relay through it");
    if (!config.users.empty()) draft.report(Kind::kIgnored, "user", "not used, because no-auth is on");
    return;
  }
  if (!config.users.empty() || !config.rest_secrets.empty() || config.oauth) return;
  if (const std::string database = default_database(environment); !database.empty()) {
    draft.report(Kind::kIgnored, fmt::format("{}: coturn would read its users and secrets from this database, and this "
                                             "version reads none",
                                             database));
  }
  draft.report(Kind::kAdvice,
               by_secrets
                   ? "use-auth-secret is on without any secret, so nobody can relay: add static-auth-secret=SECRET"
                   : "no credentials are configured, so nobody can relay (Binding requests are answered): add "
                     "static-auth-secret=SECRET or user=NAME:PASSWORD, or no-auth for an open relay");
}

void settle_relay(Draft& draft) {
  Config& config = draft.config;
  if (config.min_port > config.max_port) {
    const bool max_is_given = draft.has("max-port");
    draft.fail(max_is_given ? "max-port" : "min-port",
               fmt::format("min-port {} is above max-port {}; give both so that min-port is not above max-port",
                           config.min_port, config.max_port));
  }
  if (config.no_udp_relay && config.no_tcp_relay) {
    refuse_pair(draft, "no-udp-relay", "no-tcp-relay", "nothing could be relayed; use stun-only for a STUN server");
  }
  if (config.bps_capacity != 0 && config.max_bps == 0) {
    draft.fail("bps-capacity", "needs max-bps, the share of one allocation");
  }
  if (config.no_stun && config.stun_only) {
    draft.report(Kind::kAdvice, "no-stun", "together with stun-only nothing at all is answered");
  }
}

void settle_listeners(Draft& draft) {
  Config& config = draft.config;
  const auto next = [](std::uint16_t port) { return port == 0 || port == 65535 ? port : std::uint16_t(port + 1); };
  config.alt_listening_port = draft.alt_listening_port.value_or(0);
  if (config.alt_listening_port == 0) config.alt_listening_port = next(config.listening_port);
  config.alt_tls_listening_port = draft.alt_tls_listening_port.value_or(0);
  if (config.alt_tls_listening_port == 0) config.alt_tls_listening_port = next(config.tls_listening_port);
  if (config.no_udp && config.no_tcp && config.no_tls && config.no_dtls && config.tcp_proxy_ports.empty()) {
    draft.fail("no-udp", "no-tcp, no-tls and no-dtls are on too, so nothing listens; remove one");
  }
  if (config.udp_self_balance && config.aux_servers.empty()) {
    draft.report(Kind::kIgnored, "udp-self-balance", "ignored, because there is no aux-server");
    config.udp_self_balance = false;
  }
}

void settle_answers(Draft& draft) {
  Config& config = draft.config;
  if (draft.unauthorized_ratelimit) {
    config.unauthorized_rps = draft.unauthorized_rps;
  } else if (draft.has("unauthorized-ratelimit-rps")) {
    draft.report(Kind::kIgnored, "unauthorized-ratelimit-rps", "ignored, because unauthorized-ratelimit is off");
  }
  if (config.server_name.empty()) config.server_name = config.realm;
  if (config.oauth && config.oauth_keys.empty()) {
    draft.report(Kind::kAdvice, "oauth", "there is no oauth-key, so no token can be opened");
  }
  if (!config.oauth && !config.oauth_keys.empty()) {
    draft.report(Kind::kIgnored, "oauth-key", "not used, because oauth is off");
  }
}

void settle_log(Draft& draft) {
  Config& config = draft.config;
  config.log.ident = "turnd";
  config.log.level = draft.log_level.value_or(config.verbose >= 2 ? log::Level::kDebug : log::Level::kInfo);
  config.log.file = draft.log_file == "-" || config.log.to_syslog ? std::string() : draft.log_file;
  config.log.to_stdout = !draft.no_stdout_log;
  if (draft.no_stdout_log && config.log.file.empty() && !config.log.to_syslog) {
    draft.report(Kind::kIgnored, "no-stdout-log", "ignored, because there is no log-file and no syslog to log to");
    config.log.to_stdout = true;
  }
}

}  // namespace

std::string default_database(const Environment& environment) {
  if (!environment.search_system) return {};
  for (const char* path : {"/var/db/turndb", "/usr/local/var/db/turndb", "/var/lib/turn/turndb"}) {
    if (::access(path, F_OK) == 0) return path;
  }
  return {};
}

std::string suggestion(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Option& option : option_table()) names.emplace_back(option.name);
  const std::string_view near = closest(name, names);
  return near.empty() ? std::string() : fmt::format("; did you mean {}?", near);
}

void apply_option(Draft& draft, const Option& option, std::string_view value, const Place& place) {
  const bool shown = !option.secret && !value.empty();
  const std::string named = place.named(option.name);
  draft.here = &option;
  draft.given[option.name] = {shown ? fmt::format("{}={}", named, escaped(value)) : named, place};
  draft.settings.push_back({&option, std::string(value), place});
  switch (option.support) {
    case Support::kLive: {
      if (option.arg == Arg::kRequired && value.empty() && std::string_view(option.name) != "pidfile") {
        return draft.fail(option.name, fmt::format("needs a value, {}", option.metavar));
      }
      if (option.apply == nullptr) return;
      if (const Status applied = option.apply(draft, value); !applied) {
        const bool commented = value.find('#') != std::string_view::npos;
        draft.fail(option.name, fmt::format("{}{}", applied.error().text,
                                            commented ? "; a comment must stand on a line of its own" : ""));
      }
      return;
    }
    case Support::kImplied:
      if (is_off(option, value) && draft.reported.insert(option.name).second) {
        draft.ignore_here(fmt::format("cannot be turned off; ignored ({})", option.help));
      }
      return;
    case Support::kUnsupported:
    case Support::kLegacy:
      if (!is_off(option, value) && draft.reported.insert(option.name).second) draft.ignore_here(option.help);
      return;
    case Support::kRefused:
      if (!is_off(option, value) && draft.reported.insert(option.name).second) draft.fail(option.name, option.help);
      return;
  }
}

void settle_realm(Draft& draft, const Environment& environment) {
  Config& config = draft.config;
  if (!config.realm.empty()) {
    const std::optional<std::string> prepared = auth::opaque_string(config.realm);
    if (!prepared || prepared->size() > 127) {
      draft.fail("realm", "expected at most 127 bytes of UTF-8 text without control characters");
      return;
    }
    config.realm = *prepared;
    return;
  }
  config.realm = environment.host_name.empty() ? "turnd" : environment.host_name;
  if (draft.no_auth || config.stun_only) return;
  draft.report(Kind::kAdvice,
               fmt::format("no realm is set; \"{}\" is used: add realm=NAME, because keys depend on it", config.realm));
}

void settle(Draft& draft, const Environment& environment) {
  settle_auth(draft, environment);
  settle_tls(draft, environment);
  settle_listeners(draft);
  settle_relay(draft);
  settle_answers(draft);
  settle_log(draft);
  const unsigned cpus = draft.cpus.value_or(0) != 0 ? *draft.cpus : environment.cpus;
  draft.config.relay_threads = std::clamp(draft.relay_threads.value_or(cpus), 1U, kMaxThreads);
}

}  // namespace turnkit::turnd
