// coturn's keys without a function here, so that existing files load: what each means for this server.
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

// What turnd does in any case, or never needs.
constexpr Option implied(const char* name, Arg arg, const char* note) {
  return {.name = name, .arg = arg, .support = Support::kImplied, .help = note};
}
// One warning when it is on.
constexpr Option unsupported(const char* name, Arg arg, const char* note = "not supported by this version; ignored",
                             char letter = 0) {
  return {.name = name, .letter = letter, .arg = arg, .support = Support::kUnsupported, .help = note};
}
constexpr Option unsupported_secret(const char* name, const char* note, char letter = 0) {
  return {.name = name, .letter = letter, .support = Support::kUnsupported, .secret = true, .help = note};
}
constexpr Option legacy(const char* name, Arg arg, const char* note = "a key of older coturn releases; ignored") {
  return {.name = name, .arg = arg, .support = Support::kLegacy, .help = note};
}
constexpr Option database(const char* name, char letter = 0) {
  return {
      .name = name,
      .letter = letter,
      .support = Support::kRefused,
      .secret = true,
      .help =
          "databases are not supported by this version, and its users and denied peers cannot be left out silently; "
          "remove the line and list users with user, secrets with static-auth-secret"};
}

constexpr Option mongo(const char* name, char letter) {
  return {.name = name,
          .letter = letter,
          .support = Support::kRefused,
          .secret = true,
          .help =
              "MongoDB is not read by turnd, and its users and denied peers cannot be left out silently; export them "
              "once, to lines of this file or to SQLite (docs/migrating-from-coturn.md has the commands), and remove "
              "the line"};
}

constexpr Arg kFlag = Arg::kOptional;
constexpr Arg kValue = Arg::kRequired;
constexpr const char* kNoMetrics = "metrics are not supported by this version; ignored";
constexpr const char* kNoAdmin = "the telnet console and the web page are not supported by this version; ignored";
constexpr const char* kNoMultiplex = "not needed: every allocation has its own port here; ignored";
constexpr const char* kRefreshed = "there is no database to look into";

const Option kRows[] = {
    // Listeners
    implied("udp-recvmmsg", kFlag, "turnd always receives in batches."),
    implied("udp-gso", kFlag, "turnd always uses UDP_SEGMENT where the kernel has it."),
    implied("drop-invalid-packets", kFlag, "turnd always drops what is neither STUN, channel data nor DTLS."),
    // Relay
    unsupported("multiplex-peer", kFlag, kNoMultiplex),
    unsupported("multiplex-peer-port", kValue, kNoMultiplex),
    unsupported("multiplex-peer-max-peers", kValue, kNoMultiplex),
    // Authentication
    implied("no-auth-pings", kFlag, kRefreshed),
    implied("no-dynamic-ip-list", kFlag, kRefreshed),
    implied("no-dynamic-realms", kFlag, kRefreshed),
    implied("stateless-nonce", kFlag, "turnd's nonces are always stateless."),
    // Databases
    database("userdb", 'b'),
    database("db"),
    database("psql-userdb", 'e'),
    database("sql-userdb"),
    database("mysql-userdb", 'M'),
    mongo("mongo-userdb", 'J'),
    database("redis-userdb", 'N'),
    unsupported_secret("redis-statsdb", "status in Redis is not supported by this version; ignored", 'O'),
    implied("secret-key-file", kValue, "Only a database would use it."),
    // TLS
    unsupported("raw-public-keys", kFlag,
                "needs OpenSSL 3.2, which turnd is not built with; ignored, clients get the certificate"),
    // STUN variants and answers
    implied("response-origin-only-with-rfc5780", kFlag, "RESPONSE-ORIGIN is never sent without rfc5780."),
    // Metrics
    unsupported("prometheus", kFlag, kNoMetrics),
    unsupported("prometheus-port", kValue, kNoMetrics),
    unsupported("prometheus-address", kValue, kNoMetrics),
    unsupported("prometheus-path", kValue, kNoMetrics),
    unsupported("prometheus-username-labels", kFlag, kNoMetrics),
    unsupported("prometheus-tls", kFlag, kNoMetrics),
    unsupported("prometheus-cert", kValue, kNoMetrics),
    unsupported("prometheus-key", kValue, kNoMetrics),
    // Administration
    unsupported("cli", kFlag, kNoAdmin),
    implied("no-cli", kFlag, "There is no telnet console."),
    unsupported("cli-ip", kValue, kNoAdmin),
    unsupported("cli-port", kValue, kNoAdmin),
    unsupported_secret("cli-password", kNoAdmin),
    unsupported("cli-max-output-sessions", kValue, kNoAdmin),
    unsupported("web-admin", kFlag, kNoAdmin),
    unsupported("web-admin-ip", kValue, kNoAdmin),
    unsupported("web-admin-port", kValue, kNoAdmin),
    unsupported("web-admin-listen-on-workers", kFlag, kNoAdmin),
    // Process and log
    implied("simple-log", kFlag, "turnd always writes the log file under the name given, without date or process id."),
    // Keys of older releases
    implied("no-sslv2", kFlag, "There is no SSL here, only TLS."),
    implied("no-sslv3", kFlag, "There is no SSL here, only TLS."),
    implied("no-loopback-peers", kFlag, "Loopback peers are always denied without allow-loopback-peers."),
    legacy("ne", kValue, "chose coturn's network engine; ignored"),
    legacy("secret-ts-exp-time", kValue, "a user name of the TURN REST API says itself when it expires; ignored"),
};

}  // namespace

std::span<const Option> coturn_keys() { return kRows; }

}  // namespace turnkit::turnd
