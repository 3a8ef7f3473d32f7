// What --check-config looks at beyond what a start needs.
#include "turnd/options/audit.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/clock.h"
#include "turnd/certificates.h"

namespace turnkit::turnd {
namespace {

using Kind = Finding::Kind;

constexpr std::size_t kShortSecret = 16;
constexpr std::size_t kShortPassword = 8;

bool covers(const IpRange& outer, const IpRange& inner) {
  return outer.first.family() == inner.first.family() && outer.contains(inner.first) && outer.contains(inner.last);
}

// Every address of a family, or nearly.
bool is_everything(const PeerRule& rule) {
  static const IpRange kRanges[] = {*IpRange::parse("1.0.0.0-223.255.255.255"), *IpRange::parse("2000::/3")};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const IpRange& range) { return rule.any_port() && covers(rule.range, range); });
}

void audit_peers(Draft& draft) {
  const PeerRules& peers = draft.config.peers;
  if (draft.config.stun_only) return;
  if (peers.allow_loopback) {
    draft.report(Kind::kUnsafe, "allow-loopback-peers",
                 "clients reach whatever listens on this host's loopback addresses; it is for tests");
  }
  if (!peers.deny_multicast) {
    draft.report(Kind::kUnsafe, "no-multicast-peers", "clients can send to multicast and reserved addresses");
  }
  if (std::any_of(peers.allowed.begin(), peers.allowed.end(), is_everything)) {
    draft.report(Kind::kUnsafe, "allowed-peer-ip", "a line allows every address, so no denied-peer-ip line has effect");
  }
  if (peers.deny_private || !peers.only.empty()) return;
  std::string open;
  for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"}) {
    const IpRange range = *IpRange::parse(text);
    const bool denied = std::any_of(peers.denied.begin(), peers.denied.end(),
                                    [&](const PeerRule& rule) { return rule.any_port() && covers(rule.range, range); });
    if (!denied) open += (open.empty() ? "" : ", ") + std::string(text);
  }
  if (open.empty()) return;
  draft.report(Kind::kUnsafe, fmt::format("clients reach private addresses behind this server ({}): add "
                                          "no-private-peers, and an allowed-peer-ip line for what they should reach",
                                          open));
}

// Secrets of examples and guides; whoever has read them knows them.
bool is_from_an_example(std::string_view secret) {
  static constexpr std::string_view kKnown[] = {"north",
                                                "south",
                                                "logen",
                                                "secret",
                                                "password",
                                                "changeme",
                                                "change-me",
                                                "mysecret",
                                                "supersecret",
                                                "turn",
                                                "coturn",
                                                "test",
                                                "123456",
                                                "12345678",
                                                "admin",
                                                "guest",
                                                "user",
                                                "your_secret",
                                                "yoursecret",
                                                "your-secret",
                                                "your-auth-secret",
                                                "<random-secret-key>",
                                                "secretkey",
                                                "youhavetochangethis"};
  return std::find(std::begin(kKnown), std::end(kKnown), secret) != std::end(kKnown);
}

void audit_secrets(Draft& draft) {
  for (const Setting& setting : draft.settings) {
    const std::string_view name = setting.option->name;
    const auto report = [&](std::string text) {
      draft.findings.push_back({Kind::kUnsafe, fmt::format("{}: {}", setting.place.named(setting.option->name), text),
                                setting.option->name, setting.place});
    };
    if (name == "static-auth-secret" || name == "stateless-nonce-secret") {
      if (is_from_an_example(setting.value)) {
        report("the secret is one of those in examples; make your own, such as with openssl rand -hex 32");
      } else if (setting.value.size() < kShortSecret) {
        report(fmt::format("the secret has {} characters and can be guessed from one credential; use 32 or more",
                           setting.value.size()));
      }
    } else if (name == "user" || name == "realm-user") {
      const std::size_t last = setting.value.rfind(':');
      const std::string_view password =
          std::string_view(setting.value).substr(last == std::string::npos ? 0 : last + 1);
      if (!password.starts_with("0x") && (password.size() < kShortPassword || is_from_an_example(password))) {
        report("the password is short or one of those in examples, and can be guessed");
      }
    }
  }
  const Config& config = draft.config;
  if (config.auth == AuthMode::kLongTerm && config.nonce_lifetime.count() == 0) {
    draft.report(Kind::kUnsafe, "stale-nonce", "nonces hold for ever, so a recorded request can be replayed");
  }
}

// Words of a cipher list that let weak ciphers in.
std::string_view weak_cipher(std::string_view list) {
  static constexpr std::string_view kWeak[] = {
      "aNULL", "eNULL", "NULL",  "EXP", "EXPORT",          "LOW",         "RC4",        "RC2", "DES", "3DES",
      "MD5",   "ADH",   "AECDH", "ALL", "COMPLEMENTOFALL", "@SECLEVEL=0", "@SECLEVEL=1"};
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find_first_of(":, ", at), list.size());
    const std::string_view word = list.substr(at, end - at);
    at = end + 1;
    if (std::find(std::begin(kWeak), std::end(kWeak), word) != std::end(kWeak)) return word;
  }
  return {};
}

void audit_tls(Draft& draft) {
  const Config& config = draft.config;
  if (!serves_tls(config)) return;
  for (const char* name : {"tlsv1", "tlsv1_1"}) {
    if (name == std::string_view("tlsv1") ? config.tlsv1 : config.tlsv1_1) {
      draft.report(Kind::kUnsafe, name, "lets in a version of TLS that is broken (RFC 8996)");
    }
  }
  if (const std::string_view word = weak_cipher(config.cipher_list); !word.empty()) {
    draft.report(Kind::kUnsafe, "cipher-list", fmt::format("{} lets weak ciphers in", word));
  }
  struct stat info {};
  if (::stat(config.pkey.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0) {
    draft.report(Kind::kUnsafe, "pkey", fmt::format("everybody may read the key; chmod 640 {}", config.pkey));
  }
  if (::stat(config.cert.c_str(), &info) == 0 && (info.st_mode & S_IWOTH) != 0) {
    draft.report(Kind::kUnsafe, "cert",
                 fmt::format("everybody may replace the certificate; chmod 644 {}", config.cert));
  }
}

void audit_relay(Draft& draft, const Environment& environment) {
  const Config& config = draft.config;
  if (config.server_relay) {
    draft.report(Kind::kUnsafe, "server-relay", "anybody can send to clients through their relayed addresses");
  }
  if (config.proxy_protocol || !config.tcp_proxy_ports.empty()) {
    draft.report(Kind::kAdvice, config.proxy_protocol ? "proxy-protocol" : "tcp-proxy-port",
                 "whoever reaches the port can claim any address; let only the load balancer reach it");
  }
  const bool told = config.users.empty() && config.rest_secrets.empty() && !config.oauth;  // settle() did
  if (const std::string database = default_database(environment); !told && !database.empty()) {
    draft.report(Kind::kAdvice, database +
                                    ": coturn reads more users, secrets and denied peers from this database unless "
                                    "another is named, and this version reads none; look whether it has any");
  }
  if (environment.uid == 0 && !config.proc_uid) {
    draft.report(Kind::kUnsafe, "turnd would run as root: add proc-user=NAME, or start it as another user");
  }
  if (config.stun_only) return;
  const std::uint32_t ports = std::uint32_t{config.max_port} - config.min_port + 1;
  if (config.user_quota == 0 && config.total_quota == 0 && config.realm_limits.empty()) {
    draft.report(Kind::kAdvice, fmt::format("there is no limit of allocations: one user can take all {} relayed ports; "
                                            "add user-quota=N or total-quota=N",
                                            ports));
  }
  if (config.max_bps == 0 && config.auth == AuthMode::kNone) {
    draft.report(Kind::kUnsafe, "no-auth", "there is no limit of bandwidth either; add max-bps=BYTES");
  }
  if (config.total_quota > ports) {
    draft.report(Kind::kAdvice, "total-quota",
                 fmt::format("min-port to max-port are {} ports only, one an allocation", ports));
  }
  if (config.software_attribute) {
    draft.report(Kind::kAdvice, "software-attribute", "tells clients the version of this server");
  }
  if (config.rfc5780 && config.listening_ips.size() == 1) {
    draft.report(Kind::kAdvice, "rfc5780", "needs two listening-ip lines of a family; with one it does nothing");
  }
}

// Lines that do nothing by themselves.
void audit_unused(Draft& draft) {
  const Config& config = draft.config;
  const auto unused = [&](const char* name, bool used, std::string_view why) {
    if (!used && draft.has(name)) draft.report(Kind::kIgnored, name, why);
  };
  unused("sni-turn", config.tls_backend.has_value(), "not used, because there is no tls-backend");
  unused("backend-proxy-protocol", config.tls_backend || config.http_backend || !config.backend_proxy_protocol,
         "not used, because there is neither tls-backend nor http-backend");
  unused("bandwidth-burst",
         config.max_bps != 0 || std::any_of(config.realm_limits.begin(), config.realm_limits.end(),
                                            [](const auto& realm) { return realm.second.max_bps.value_or(0) != 0; }),
         "not used, because there is no max-bps");
  for (const char* name : {"alt-listening-port", "alt-tls-listening-port"}) {
    unused(name, config.rfc5780, "not used, because rfc5780 is off");
  }
}

}  // namespace

void check_certificate(Draft& draft) {
  const Config& config = draft.config;
  if (!serves_tls(config)) return;
  const auto context = load_certificates(config, FileKeeper{});
  if (!context) return draft.fail(context.error().text);
  draft.certificate = (*context)->subject();
  const std::string warning = expiry_warning(**context, config.cert, read_clock().wall);
  if (!warning.empty()) draft.report(Kind::kUnsafe, "cert", warning);
}

void audit(Draft& draft, const Environment& environment) {
  audit_secrets(draft);
  audit_peers(draft);
  audit_tls(draft);
  audit_relay(draft, environment);
  audit_unused(draft);
}

}  // namespace turnkit::turnd
