// Draft: a configuration in the making, with what only the rules between options need.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "turnd/config.h"
#include "turnd/options.h"

namespace turnkit::turnd {

struct Draft {
  Config config;
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
  std::vector<std::string> notes;  // worth a line in the log, but nothing to change

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

  // Where each option was last given, such as "/etc/turnserver.conf:12: no-auth" or "--no-auth".
  std::map<std::string_view, std::string> places;
  // What was said already about options that are the same in all places.
  std::set<std::string_view> reported;
  // The place under way, with its value where that may be shown; starts every message about it.
  std::string here;

  void warn_here(std::string_view text) { warnings.push_back(here + ": " + std::string(text)); }
  // The place of an option that was given; its name otherwise.
  [[nodiscard]] std::string place(std::string_view name) const {
    const auto it = places.find(name);
    return it == places.end() ? std::string(name) : it->second;
  }
};

// The rules between options and the values that depend on the host. settle_realm() comes before users are added,
// settle() last.
void settle_realm(Draft& draft, const Environment& environment);
void settle(Draft& draft, const Environment& environment);
// Part of settle(): finds the files of TLS, and says where it cannot be served.
void settle_tls(Draft& draft, const Environment& environment);

}  // namespace turnkit::turnd
