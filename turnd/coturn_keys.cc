// coturn's keys without a function here, so that existing files load: what each means for this server.
#include "turnd/option_table.h"

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
constexpr Option unsupported_list(const char* name, const char* note) {
  return {.name = name, .support = Support::kUnsupported, .list = true, .help = note};
}
constexpr Option unsupported_secret(const char* name, const char* note, char letter = 0) {
  return {.name = name, .letter = letter, .support = Support::kUnsupported, .secret = true, .help = note};
}
constexpr Option legacy(const char* name, Arg arg, const char* note = "a key of older coturn releases; ignored") {
  return {.name = name, .arg = arg, .support = Support::kLegacy, .help = note};
}
constexpr Option refused(const char* name, Arg arg, const char* note) {
  return {.name = name, .arg = arg, .support = Support::kRefused, .help = note};
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

constexpr Arg kFlag = Arg::kOptional;
constexpr Arg kValue = Arg::kRequired;
constexpr const char* kNoTls =
    "TLS and DTLS are not supported by this version; ignored, clients with turns: or stuns: addresses cannot connect";
constexpr const char* kNoRedirect =
    "redirection is not supported by this version; ignored, clients stay on this server";
constexpr const char* kNoMetrics = "metrics are not supported by this version; ignored";
constexpr const char* kNoAdmin = "the telnet console and the web page are not supported by this version; ignored";
constexpr const char* kNoBehaviour = "RFC 5780 is not supported by this version; ignored";
constexpr const char* kNoMultiplex = "not needed: every allocation has its own port here; ignored";
constexpr const char* kRefreshed = "there is no database to look into";

const Option kRows[] = {
    // Listeners
    unsupported("tls-listening-port", kValue, kNoTls),
    unsupported("alt-listening-port", kValue, kNoBehaviour),
    unsupported("alt-tls-listening-port", kValue, kNoBehaviour),
    unsupported("tcp-proxy-port", kValue,
                "TCP listeners are not supported by this version; ignored, the port stays closed"),
    unsupported_list("aux-server",
                     "additional listeners are not supported by this version; ignored, the address stays closed"),
    unsupported("udp-self-balance", kFlag),
    unsupported_list("alternate-server", kNoRedirect),
    unsupported_list("tls-alternate-server", kNoRedirect),
    unsupported_list("udp-alternate-server", kNoRedirect),
    unsupported_list("tcp-alternate-server", kNoRedirect),
    refused("no-udp", kFlag, "UDP is the only client transport of this version; without it nothing would listen"),
    implied("no-tcp", kFlag, "There are no TCP listeners in this version."),
    implied("no-tls", kFlag, "There are no TLS listeners in this version."),
    unsupported("dtls", kFlag, kNoTls),
    implied("no-dtls", kFlag, "There are no DTLS listeners in this version."),
    implied("udp-recvmmsg", kFlag, "turnd always receives in batches."),
    unsupported("udp-recvmmsg-log", kFlag),
    unsupported("udp-sendmmsg-log", kFlag),
    implied("udp-gso", kFlag, "turnd always uses UDP_SEGMENT where the kernel has it."),
    unsupported("acme-redirect", kValue),
    unsupported("respond-http-unsupported", kFlag),
    implied("drop-invalid-packets", kFlag, "turnd always drops what is neither STUN nor channel data."),
    unsupported("drop-invalid-packets-log", kFlag),
    // Relay
    implied("max-allocate-timeout", kValue, "turnd keeps nothing for a client before its allocation succeeds."),
    unsupported("server-relay", kFlag, "not supported by this version; ignored, peers need a permission"),
    unsupported("multiplex-peer", kFlag, kNoMultiplex),
    unsupported("multiplex-peer-port", kValue, kNoMultiplex),
    unsupported("multiplex-peer-max-peers", kValue, kNoMultiplex),
    unsupported("mobility", kFlag),
    // Authentication
    implied("no-auth-pings", kFlag, kRefreshed),
    implied("no-dynamic-ip-list", kFlag, kRefreshed),
    implied("no-dynamic-realms", kFlag, kRefreshed),
    unsupported("check-origin-consistency", kFlag, "not supported by this version; ignored, ORIGIN is not checked"),
    implied("stateless-nonce", kFlag, "turnd's nonces are always stateless."),
    unsupported("unauthorized-ratelimit", kFlag, "not supported by this version; ignored, 401 answers are not limited"),
    unsupported("unauthorized-ratelimit-rps", kValue,
                "not supported by this version; ignored, 401 answers are not limited"),
    refused("secure-stun", kFlag,
            "Binding requests cannot be authenticated by this version; use no-stun to drop them, or remove the line"),
    refused("oauth", kFlag,
            "OAuth is not supported by this version; remove the line, and use static-auth-secret or user"),
    implied("server-name", kValue, "Only OAuth would use it."),
    // Databases
    database("userdb", 'b'),
    database("db"),
    database("psql-userdb", 'e'),
    database("sql-userdb"),
    database("mysql-userdb", 'M'),
    database("mongo-userdb", 'J'),
    database("redis-userdb", 'N'),
    unsupported_secret("redis-statsdb", "status in Redis is not supported by this version; ignored", 'O'),
    implied("secret-key-file", kValue, "Only a database would use it."),
    // TLS
    unsupported("cert", kValue, kNoTls),
    unsupported("pkey", kValue, kNoTls),
    unsupported_secret("pkey-pwd", kNoTls),
    unsupported("cipher-list", kValue, kNoTls),
    unsupported("CA-file", kValue, kNoTls),
    unsupported("ec-curve-name", kValue, kNoTls),
    unsupported("dh-file", kValue, kNoTls),
    unsupported("dh566", kFlag, kNoTls),
    unsupported("dh1066", kFlag, kNoTls),
    unsupported("tlsv1", kFlag, kNoTls),
    unsupported("tlsv1_1", kFlag, kNoTls),
    unsupported("no-tlsv1_2", kFlag, kNoTls),
    unsupported("raw-public-keys", kFlag, kNoTls),
    // STUN variants and answers
    unsupported("rfc5780", kFlag, kNoBehaviour),
    implied("no-rfc5780", kFlag, "RFC 5780 is not supported by this version."),
    implied("response-origin-only-with-rfc5780", kFlag, "RFC 5780 is not supported by this version."),
    unsupported("stun-backward-compatibility", kFlag),
    unsupported("rfc3489-compatibility", kFlag),
    unsupported("include-reason-string", kFlag, "not supported by this version; ignored, reasons are standard phrases"),
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
    implied("new-log-timestamp", kFlag, "turnd always writes the date and time."),
    unsupported("log-binding", kFlag, "not supported by this version; ignored, Binding requests are not logged"),
    unsupported("drain-min-allocations", kValue),
    // Keys of older releases
    legacy("no-tlsv1", kFlag),
    legacy("no-tlsv1_1", kFlag),
    legacy("no-sslv2", kFlag),
    legacy("no-sslv3", kFlag),
    legacy("dh2066", kFlag),
    legacy("no-loopback-peers", kFlag,
           "a key of older coturn releases; loopback peers are always denied without allow-loopback-peers"),
    legacy("no-stun-backward-compatibility", kFlag, "a key of older coturn releases; always so here"),
    legacy("ne", kValue),
};

}  // namespace

std::span<const Option> coturn_keys() { return kRows; }

}  // namespace turnkit::turnd
