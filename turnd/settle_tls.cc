// The rules of TLS and DTLS: where it was asked for by name it is served or the start fails; never switched off
// silently.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "net/fd.h"
#include "turnd/config_file.h"
#include "turnd/draft.h"

namespace turnkit::turnd {
namespace {

constexpr const char* kDefaultCertificate = "turn_server_cert.pem";  // as in coturn
constexpr const char* kDefaultKey = "turn_server_pkey.pem";

// The first of `names` that was given; empty: none.
std::string_view first_given(const Draft& draft, std::initializer_list<std::string_view> names) {
  const auto it =
      std::find_if(names.begin(), names.end(), [&](std::string_view name) { return draft.places.contains(name); });
  return it == names.end() ? std::string_view() : *it;
}

// The option with which a configuration asks for TLS or DTLS; empty: none does.
std::string_view asked_by(const Draft& draft) {
  const std::string_view asked =
      first_given(draft, {"cert", "pkey", "pkey-pwd", "CA-file", "tls-listening-port", "alt-tls-listening-port"});
  if (!asked.empty() || draft.config.no_dtls) return asked;
  return first_given(draft, {"dtls", "no-dtls"});
}

// Opens the file for reading: empty, or why that failed.
std::string why_unreadable(const std::string& path) {
  const net::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  return fd ? std::string() : std::string(std::strerror(errno));
}

// Finds and tries one file; reports what is wrong with it and returns an empty name then.
std::string readable_file(Draft& draft, const Environment& environment, std::string_view option,
                          const std::string& name) {
  const std::string path = find_config_file(name, environment);
  const std::string fault = path.empty() ? "no such file" : why_unreadable(path);
  if (fault.empty()) return path;
  draft.errors.push_back(
      fmt::format("{}: {}", draft.place(option), path.empty() || path == name ? fault : path + ": " + fault));
  return {};
}

void without_tls(Draft& draft) {
  draft.config.no_tls = true;
  draft.config.no_dtls = true;
}

void find_certificate(Draft& draft, const Environment& environment) {
  Config& config = draft.config;
  const std::string_view asked = asked_by(draft);
  if (draft.cert.empty() && draft.pkey.empty()) {
    config.cert = find_config_file(kDefaultCertificate, environment);
    config.pkey = find_config_file(kDefaultKey, environment);
    if (config.cert.empty() || config.pkey.empty()) {
      config.cert.clear();
      config.pkey.clear();
      if (asked.empty()) {
        without_tls(draft);
        constexpr const char* kOff =
            "no certificate is configured, so TLS and DTLS are off: add cert=FILE and pkey=FILE";
        const std::string_view tuned = first_given(
            draft, {"cipher-list", "ec-curve-name", "dh-file", "dh566", "dh1066", "tlsv1", "tlsv1_1", "no-tlsv1_2"});
        if (tuned.empty()) {
          draft.notes.emplace_back(kOff);
        } else {
          draft.warnings.push_back(fmt::format("{}: {}", draft.place(tuned), kOff));
        }
        return;
      }
      draft.errors.push_back(
          fmt::format("{}: TLS needs a certificate: add cert=FILE and pkey=FILE, or no-tls and no-dtls to do without",
                      draft.place(asked)));
      return;
    }
    for (const std::string* path : {&config.cert, &config.pkey}) {
      const std::string fault = why_unreadable(*path);
      if (fault.empty()) continue;
      draft.errors.push_back(
          fmt::format("{}: {}: found where coturn looks for it; make it readable, or name another "
                      "with cert and pkey, or add no-tls and no-dtls",
                      *path, fault));
    }
    return;
  }
  if (draft.cert.empty() || draft.pkey.empty()) {
    const bool no_key = draft.pkey.empty();
    const std::string found = find_config_file(no_key ? kDefaultKey : kDefaultCertificate, environment);
    if (found.empty()) {
      draft.errors.push_back(fmt::format("{}: needs {} too", draft.place(no_key ? "cert" : "pkey"),
                                         no_key ? "pkey=FILE, its key," : "cert=FILE, the certificate,"));
      return;
    }
    (no_key ? draft.pkey : draft.cert) = found;
  }
  config.cert = readable_file(draft, environment, "cert", draft.cert);
  config.pkey = readable_file(draft, environment, "pkey", draft.pkey);
}

}  // namespace

void settle_tls(Draft& draft, const Environment& environment) {
  Config& config = draft.config;
  if (config.no_tls && config.no_dtls) return;
  find_certificate(draft, environment);
  if (!serves_tls(config)) return;
  if (!draft.ca_file.empty()) config.ca_file = readable_file(draft, environment, "CA-file", draft.ca_file);
  if (!draft.dh_file.empty()) {
    config.dh_file = readable_file(draft, environment, "dh-file", draft.dh_file);
    config.dh_bits = 0;
  }
}

}  // namespace turnkit::turnd
