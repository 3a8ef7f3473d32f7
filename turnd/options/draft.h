// Draft: a configuration in the making, with what only the rules between options need.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "turnd/config.h"
#include "turnd/options/finding.h"
#include "turnd/options/options.h"

namespace turnkit::turnd {

// One option as it was given.
struct Setting {
  const Option* option = nullptr;
  std::string value;
  Place place;
};

struct Draft {
  Config config;
  std::vector<Finding> findings;
  const Environment* environment = nullptr;
  std::vector<Setting> settings;  // in the order in which they took effect

  std::string certificate;  // whose it is and until when; set by check_certificate()

  // Flags that no field of Config keeps as they were given.
  bool lt_cred_mech = false;
  std::optional<bool> use_auth_secret;  // not given: on with any static-auth-secret
  bool no_auth = false;
  bool no_stdout_log = false;
  bool check_config = false;
  bool unauthorized_ratelimit = false;
  std::uint32_t unauthorized_rps = 10;
  std::optional<std::uint16_t> alt_listening_port;
  std::optional<std::uint16_t> alt_tls_listening_port;
  std::string cert;  // file names as they were given
  std::string pkey;
  std::string ca_file;
  std::string dh_file;
  std::string log_file;
  std::string proc_user;
  std::string proc_group;
  std::optional<log::Level> log_level;
  std::optional<unsigned> relay_threads;
  std::optional<unsigned> cpus;

  // Where each option was last given; `shown` is for messages, with the value unless it is a secret:
  // "/etc/turnserver.conf:12: min-port=5" or "--no-auth".
  struct Given {
    std::string shown;
    Place place;
  };
  std::map<std::string_view, Given> given;
  // What was said already about options that are the same in all places.
  std::set<std::string_view> reported;
  // The option under way.
  const Option* here = nullptr;

  [[nodiscard]] bool has(std::string_view name) const { return given.contains(name); }
  // The place of an option that was given; its name otherwise.
  [[nodiscard]] std::string place(std::string_view name) const {
    const auto it = given.find(name);
    return it == given.end() ? std::string(name) : it->second.shown;
  }

  void report(Finding::Kind kind, std::string text) { findings.push_back({kind, std::move(text), {}, {}}); }
  // About an option, given or not.
  void report(Finding::Kind kind, std::string_view name, std::string_view text) {
    const auto it = given.find(name);
    findings.push_back({kind, place(name) + ": " + std::string(text), std::string(name),
                        it == given.end() ? Place{} : it->second.place});
  }
  void ignore_here(std::string_view text) { report(Finding::Kind::kIgnored, here->name, text); }
  void fail(std::string text) { report(Finding::Kind::kError, std::move(text)); }
  void fail(std::string_view name, std::string_view text) { report(Finding::Kind::kError, name, text); }
  [[nodiscard]] bool failed() const {
    return std::any_of(findings.begin(), findings.end(),
                       [](const Finding& finding) { return finding.kind == Finding::Kind::kError; });
  }
};

// The database that coturn reads when none is named, where this host has it; empty otherwise.
std::string default_database(const Environment& environment);

// The rules between options and the values that depend on the host. settle_realm() comes before users are added,
// settle() last.
void settle_realm(Draft& draft, const Environment& environment);
void settle(Draft& draft, const Environment& environment);
// Part of settle(): finds the files of TLS, and says where it cannot be served.
void settle_tls(Draft& draft, const Environment& environment);

}  // namespace turnkit::turnd
