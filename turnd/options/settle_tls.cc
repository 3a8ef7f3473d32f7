// The rules of TLS and DTLS: where it was asked for by name it is served or the start fails; never switched off
// silently.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "net/fd.h"
#include "turnd/file_keeper.h"
#include "turnd/options/config_file.h"
#include "turnd/options/draft.h"

namespace turnkit::turnd {
namespace {

constexpr const char* kDefaultCertificate = "turn_server_cert.pem";  // as in coturn
constexpr const char* kDefaultKey = "turn_server_pkey.pem";

// The first of `names` that was given; empty: none.
std::string_view first_given(const Draft& draft, std::initializer_list<std::string_view> names) {
  const auto it = std::find_if(names.begin(), names.end(), [&](std::string_view name) { return draft.has(name); });
  return it == names.end() ? std::string_view() : *it;
}

// The option with which a configuration asks for TLS or DTLS; empty: none does.
std::string_view asked_by(const Draft& draft) {
  const std::string_view asked =
      first_given(draft, {"cert", "pkey", "pkey-pwd", "CA-file", "tls-listening-port", "alt-tls-listening-port"});
  if (!asked.empty() || draft.config.no_dtls) return asked;
  return first_given(draft, {"dtls", "no-dtls"});
}

// Where the file called `name` is. On a reload it may lie where only the keeper can look: then a full name is taken as
// it is, and another as it was found before (`before`).
std::string located(const std::string& name, const std::string& before, const Environment& environment) {
  std::string path = find_config_file(name, environment);
  if (!path.empty() || environment.files == nullptr || name.empty()) return path;
  if (name.front() == '/') return name;
  return before.ends_with("/" + name) ? before : std::string();
}

// Opens the file for reading: empty, or why that failed.
std::string why_unreadable(const std::string& path, const Environment& environment) {
  if (environment.files != nullptr) {
    const Result<net::UniqueFd> opened = environment.files->open(path);
    return opened ? std::string() : opened.error().text;
  }
  const net::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  return fd ? std::string() : fmt::format("{}: {}", path, std::strerror(errno));
}

// One file of the configuration in force, on a reload.
std::string in_force(const Environment& environment, std::string Config::*file) {
  return environment.running == nullptr ? std::string() : environment.running->*file;
}

// Finds and tries one file; reports what is wrong with it and leaves its name empty then.
void find_file(Draft& draft, const Environment& environment, std::string_view option, const std::string& name,
               std::string Config::*file) {
  const std::string path = located(name, in_force(environment, file), environment);
  const std::string fault = path.empty() ? "no such file" : why_unreadable(path, environment);
  if (!fault.empty()) return draft.fail(option, fault);
  draft.config.*file = path;
}

// Neither cert nor pkey is given: coturn's default names, or else no TLS where nothing asks for it.
void find_default_certificate(Draft& draft, const Environment& environment) {
  Config& config = draft.config;
  const std::string cert = located(kDefaultCertificate, in_force(environment, &Config::cert), environment);
  const std::string pkey = located(kDefaultKey, in_force(environment, &Config::pkey), environment);
  if (!cert.empty() && !pkey.empty()) {
    for (const std::string* path : {&cert, &pkey}) {
      const std::string fault = why_unreadable(*path, environment);
      if (fault.empty()) continue;
      draft.fail(fault +
                 "; coturn looks for it there: make it readable, name another with cert and pkey, or add no-tls and "
                 "no-dtls");
    }
    config.cert = cert;
    config.pkey = pkey;
    return;
  }
  if (const std::string_view asked = asked_by(draft); !asked.empty()) {
    return draft.fail(asked,
                      "TLS needs a certificate: add cert=FILE and pkey=FILE, or no-tls and no-dtls to do without");
  }
  config.no_tls = true;
  config.no_dtls = true;
  constexpr const char* kOff = "no certificate is configured, so TLS and DTLS are off: add cert=FILE and pkey=FILE";
  const std::string_view tuned = first_given(draft, {"cipher-list", "ec-curve-name", "dh-file", "dh566", "dh1066",
                                                     "dh2066", "tlsv1", "tlsv1_1", "no-tlsv1_2"});
  if (tuned.empty()) {
    draft.report(Finding::Kind::kNote, kOff);
  } else {
    draft.report(Finding::Kind::kIgnored, tuned, kOff);
  }
}

void find_certificate(Draft& draft, const Environment& environment) {
  if (draft.cert.empty() && draft.pkey.empty()) return find_default_certificate(draft, environment);
  if (draft.cert.empty() || draft.pkey.empty()) {
    const bool no_key = draft.pkey.empty();
    const std::string found = located(no_key ? kDefaultKey : kDefaultCertificate,
                                      in_force(environment, no_key ? &Config::pkey : &Config::cert), environment);
    if (found.empty()) {
      return draft.fail(no_key ? "cert" : "pkey",
                        no_key ? "needs pkey=FILE, its key, too" : "needs cert=FILE, the certificate, too");
    }
    (no_key ? draft.pkey : draft.cert) = found;
  }
  find_file(draft, environment, "cert", draft.cert, &Config::cert);
  find_file(draft, environment, "pkey", draft.pkey, &Config::pkey);
}

}  // namespace

void settle_tls(Draft& draft, const Environment& environment) {
  Config& config = draft.config;
  if (config.no_tls && config.no_dtls) return;
  find_certificate(draft, environment);
  if (!serves_tls(config)) return;
  if (!draft.ca_file.empty()) find_file(draft, environment, "CA-file", draft.ca_file, &Config::ca_file);
  if (!draft.dh_file.empty()) {
    find_file(draft, environment, "dh-file", draft.dh_file, &Config::dh_file);
    config.dh_bits = 0;
  }
}

}  // namespace turnkit::turnd
