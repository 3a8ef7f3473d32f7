// Config: everything that turnd was told, as one plain value. It is filled once by options.h and never changes
// afterwards; a reload makes a new one. Each field is named after its option; turnd.conf(5) says the rest.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "auth/access_token.h"
#include "base/address.h"
#include "base/log.h"
#include "turnd/peer_policy.h"

namespace turnkit::turnd {

// The exit codes of turnd(8).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;  // failed while running
inline constexpr int kExitUsage = 2;    // bad command line or configuration; nothing was opened
inline constexpr int kExitStartup = 3;  // a port, file or privilege could not be had at start-up

// The STUN server that `external-ip=auto` asks when none is named.
inline constexpr const char* kDefaultAutoStunServer = "stun.global.calls.mattermost.com:3478";

enum class AuthMode : std::uint8_t { kNone, kLongTerm };

// The family of a relayed address when the client asks for none.
enum class DefaultFamily : std::uint8_t { kIPv4, kIPv6, kKeep };  // kKeep: that of the client's own address

// One external-ip line: how relayed addresses of this host look from outside.
struct ExternalIp {
  enum class Kind : std::uint8_t {
    kAddress,  // `address` says it
    kAuto,     // ask the STUN server `source` ("host:port"), again and again
    kName,     // resolve the host name `source`, again and again
  };
  Kind kind = Kind::kAddress;
  IpAddress address;               // kAddress only
  std::string source;              // kAuto and kName only
  std::optional<IpAddress> local;  // pair form: this relay address only; otherwise every relay address of the family
  friend bool operator==(const ExternalIp&, const ExternalIp&) = default;
};

// One user or realm-user line.
struct StaticUser {
  std::string name;
  std::string secret;  // the password, or "0x" and the key in hex; never to be logged
  std::string realm;   // never empty in a finished Config
  friend bool operator==(const StaticUser&, const StaticUser&) = default;
};

// What realm-option lines say of one realm; what they do not say is as for the whole server.
struct RealmLimits {
  std::optional<std::uint64_t> max_bps;
  std::optional<std::uint32_t> total_quota;
  std::optional<std::uint32_t> user_quota;
  friend bool operator==(const RealmLimits&, const RealmLimits&) = default;
};

// How log lines look.
enum class LogFormat : std::uint8_t {
  kNative,
  kJson,      // an object a line
  kCoturn,    // "2026-01-31T12:00:00.000+0000 INFO session 000000000000000001: ...", as coturn 4.17 writes
  kCoturn46,  // "12: (1234): INFO: session 000000000000000001: ...", as coturn 4.6.2 to 4.16 writes
  kCoturn45,  // "12: : session 000000000000000001: ...", as coturn up to 4.6.1 writes (Debian 12's is that one)
};

// Where the configuration came from.
struct Origin {
  enum class Kind : std::uint8_t { kCommandLine, kFile, kEmbeddedDefault };
  Kind kind = Kind::kCommandLine;
  std::string path;      // the file that was read; empty for kCommandLine
  bool created = false;  // kEmbeddedDefault: this start generated the secret
};

struct Config {
  Origin origin;  // origin tells which file was read, if any.

  // Listeners. Every TCP port takes plain TURN, TLS and HTTP by the first bytes, every UDP port TURN and DTLS.
  std::vector<IpAddress>
      listening_ips;  // listening_ips are the addresses to listen on; empty: every address of the host.
  std::uint16_t listening_port =
      3478;  // listening_port is the UDP and TCP port of every listening address; 0 picks a free one (tests).
  std::uint16_t tls_listening_port =
      5349;  // tls_listening_port is the second UDP and TCP port, open where tls or dtls is; 0 picks a free one.
  std::uint16_t alt_listening_port = 3479;      // alt_listening_port is the second plain port of RFC 5780.
  std::uint16_t alt_tls_listening_port = 5350;  // alt_tls_listening_port is the second TLS and DTLS port of RFC 5780.
  std::vector<std::uint16_t>
      tcp_proxy_ports;  // tcp_proxy_ports are TCP ports whose connections begin with a PROXY header; TLS may follow it.
  bool proxy_protocol = false;       // proxy_protocol asks for a PROXY header on every other TCP port too.
  std::vector<Address> aux_servers;  // aux_servers are more UDP and TCP listeners, without RFC 5780 and redirection.
  std::string listening_device;      // listening_device binds the listeners to a network device; empty: to none.
  int sock_buf_size =
      2 * 1024 * 1024;   // sock_buf_size is asked for as send and receive buffer, in bytes; 0: the system's default.
  bool no_udp = false;   // no_udp opens no UDP listener but those for DTLS.
  bool no_tcp = false;   // no_tcp opens no TCP listener but those for TLS.
  bool no_tls = false;   // no_tls takes no TLS; settled: also true where there is no certificate.
  bool no_dtls = false;  // no_dtls takes no DTLS; settled: also true where there is no certificate.
  bool log_invalid_packets = false;  // log_invalid_packets logs datagrams that are no protocol of ours (rate-limited).
  bool udp_recvmmsg_log = false;     // udp_recvmmsg_log logs every 10 s how many datagrams a receive call brings.
  bool udp_sendmmsg_log = false;     // udp_sendmmsg_log logs every 10 s how many datagrams a send call takes.

  // TLS and DTLS. File names are as they were found; empty `cert`: there is none, and no_tls and no_dtls are true.
  std::string cert;               // cert is the PEM file of the certificate chain.
  std::string pkey;               // pkey is the PEM file of its key.
  std::string pkey_pwd;           // pkey_pwd opens the key; never to be logged.
  std::string cipher_list;        // cipher_list is OpenSSL's; empty: OpenSSL's default.
  std::string ca_file;            // ca_file verifies client certificates, which are then required; empty: none are.
  std::string ec_curve_name;      // ec_curve_name is the curve, or several with colons; empty: OpenSSL's default.
  std::string dh_file;            // dh_file holds DH parameters, PEM; empty: none.
  int dh_bits = 0;                // dh_bits is 566, 1066 or 2066 for coturn's built-in sizes; 0: automatic.
  bool tlsv1 = false;             // tlsv1 lets TLS 1.0 in, and 1.1.
  bool tlsv1_1 = false;           // tlsv1_1 lets TLS 1.1 in.
  bool no_tlsv1_2 = false;        // no_tlsv1_2 lets TLS 1.3 in only; DTLS stays at 1.2, the only version there is.
  bool certificate_watch = true;  // certificate_watch reloads cert, pkey, ca_file and dh_file when they change.

  // Sharing the ports with a web server.
  std::vector<std::string>
      sni_turn;  // sni_turn are the server names that are TURN's, in lower case, "*.example.org" for one more label;
                 // empty: every name is. A ClientHello without a name is always TURN's, unless its ALPN says otherwise.
  std::optional<Address> tls_backend;  // tls_backend gets TLS connections whose SNI is not TURN's or whose ALPN offers
                                       // no protocol of ours.
  std::optional<Address>
      http_backend;  // http_backend gets plain connections, and those inside our own TLS, that begin with HTTP.
  bool backend_proxy_protocol = false;  // backend_proxy_protocol sends backends a PROXY header (v2) first.
  std::string acme_redirect;            // acme_redirect answers GET /.well-known/acme-challenge/X with 301 to it and X.
  bool respond_http_unsupported = false;  // respond_http_unsupported answers other HTTP with 400 instead of closing.

  // Redirection (300), tried in the order UDP or TCP, self-balance, TLS, generic; round robin, of the client's family.
  std::vector<Address> alternate_servers;      // alternate_servers are for every client transport.
  std::vector<Address> udp_alternate_servers;  // udp_alternate_servers are for UDP and DTLS clients.
  std::vector<Address> tcp_alternate_servers;  // tcp_alternate_servers are for TCP and TLS clients.
  std::vector<Address> tls_alternate_servers;  // tls_alternate_servers are for TLS and DTLS clients.
  bool udp_self_balance = false;               // udp_self_balance sends UDP and DTLS clients to aux_servers.

  // Relay.
  std::vector<IpAddress>
      relay_ips;             // relay_ips carry the relayed ports; empty: listening_ips, or else the host's addresses.
  std::string relay_device;  // relay_device binds the relayed sockets to a network device; empty: to none.
  std::uint16_t min_port = 49152;  // min_port is the lowest relayed port.
  std::uint16_t max_port = 65535;  // max_port is the highest relayed port; never below min_port.
  std::vector<ExternalIp>
      external_ips;  // external_ips map relay addresses to what clients are told, at most one plain form a family.
  bool no_udp_relay = false;                            // no_udp_relay refuses UDP allocations (442).
  bool no_tcp_relay = false;                            // no_tcp_relay refuses TCP allocations (442).
  DefaultFamily default_family = DefaultFamily::kIPv4;  // default_family is relayed when the client names none.
  bool server_relay = false;  // server_relay passes data of peers without permission on to the client.
  bool mobility = false;      // mobility lets clients change their address (RFC 8016); otherwise 405.

  // Limits.
  std::chrono::seconds max_allocate_lifetime{3600};  // max_allocate_lifetime caps LIFETIME.
  std::chrono::seconds channel_lifetime{600};        // channel_lifetime is how long a binding lasts without refresh.
  std::chrono::seconds permission_lifetime{300};  // permission_lifetime is how long a permission lasts without refresh.
  std::uint32_t max_permissions = 1024;           // max_permissions is the most an allocation may hold at a time.
  std::uint32_t max_channels = 1024;              // max_channels is the most an allocation may hold at a time.
  std::uint32_t max_tcp_connections =
      64;  // max_tcp_connections is the most peer connections of an allocation (RFC 6062).
  std::uint32_t max_connections =
      65536;  // max_connections is the most TCP and TLS connections of clients; 0: no limit.
  std::uint32_t max_connections_per_ip = 4096;  // max_connections_per_ip is the most of one address; 0: no limit.
  std::uint32_t max_half_open = 4096;  // max_half_open is the most connections without an authenticated request yet.
  std::uint32_t max_dtls_handshakes = 1024;  // max_dtls_handshakes is the most DTLS handshakes under way.
  std::chrono::seconds max_allocate_timeout{
      60};                                    // max_allocate_timeout closes connections that have not authenticated.
  std::uint32_t stream_queue = 128 * 1024;    // stream_queue is the most bytes that wait for a slow TCP or TLS reader.
  std::uint16_t max_channel_number = 0x7FFE;  // max_channel_number is 0x7FFE (RFC 5766) or 0x4FFF (RFC 8656).

  // Authentication.
  AuthMode auth = AuthMode::kLongTerm;       // auth says whether clients must authenticate.
  bool secure_stun = false;                  // secure_stun asks for credentials for Binding requests too.
  std::string realm;                         // realm is the default realm; never empty when auth is kLongTerm.
  std::vector<StaticUser> users;             // users are tried before secrets; both count at the same time.
  std::vector<std::string> rest_secrets;     // rest_secrets sign time-limited credentials; never to be logged.
  char rest_separator = ':';                 // rest_separator stands between time and name in those user names.
  std::chrono::seconds nonce_lifetime{600};  // nonce_lifetime is how long a nonce is fresh (stale-nonce); 0: for ever.
  std::string nonce_secret;                  // nonce_secret lets a fleet share nonces; empty: a random key each start.
  bool oauth = false;                        // oauth accepts RFC 7635 tokens beside the other credentials.
  std::string server_name;                   // server_name is what tokens are made for; settled: the realm if not set.
  std::vector<auth::OAuthKey> oauth_keys;    // oauth_keys open tokens; kids are unique.
  bool check_origin_consistency = false;     // check_origin_consistency refuses (441) an ORIGIN that changes.
  std::uint32_t unauthorized_rps = 0;        // unauthorized_rps is the most 401s a second to one address; 0: no limit.

  // Realms.
  std::map<std::string, std::string> origin_realms;  // origin_realms are the realms of ORIGIN values; others: `realm`.
  std::map<std::string, RealmLimits> realm_limits;   // realm_limits are quotas and bandwidth of realms.

  // Quotas and bandwidth.
  std::uint32_t user_quota = 0;   // user_quota is the most allocations of one user at a time; 0: no limit.
  std::uint32_t total_quota = 0;  // total_quota is the most allocations of a realm at a time; 0: no limit.
  std::uint64_t max_bps = 0;      // max_bps limits an allocation, in bytes a second for each direction; 0: no limit.
  std::uint64_t bps_capacity =
      0;  // bps_capacity is shared out as max_bps to allocations, in bytes a second; 0: no limit.
  std::chrono::milliseconds bandwidth_burst{200};  // bandwidth_burst is how much of max_bps may come at once.

  // Peers.
  PeerRules peers;  // peers says whom clients may reach; it goes to PeerPolicy.

  // Behaviour.
  bool fingerprint = false;            // fingerprint adds FINGERPRINT to every answer.
  bool software_attribute = false;     // software_attribute adds SOFTWARE to every answer.
  bool no_stun = false;                // no_stun drops Binding requests silently.
  bool stun_only = false;              // stun_only drops everything but Binding requests silently.
  bool include_reason_string = false;  // include_reason_string puts details into error reasons, not the phrase only.
  bool rfc5780 = false;                // rfc5780 serves behaviour discovery; needs two listening addresses of a family.
  bool stun_backward_compatibility = false;  // stun_backward_compatibility adds MAPPED-ADDRESS to Binding answers.
  bool rfc3489_compatibility = false;        // rfc3489_compatibility answers Binding requests without magic cookie.

  // Process.
  log::Config log;                            // log goes to log::configure().
  LogFormat log_format = LogFormat::kNative;  // log_format is the shape of log lines.
  bool new_log_timestamp =
      false;  // new_log_timestamp writes the date with LogFormat::kCoturn46 and kCoturn45, not seconds since start.
  bool log_anonymize = false;     // log_anonymize cuts client and peer addresses in logs to /24 and /48.
  bool log_binding = false;       // log_binding logs Binding requests.
  int verbose = 0;                // verbose is 1 with -v (a line per session event) and 2 with -V (debug messages too).
  bool daemon = false;            // daemon detaches from the terminal.
  std::string pidfile;            // pidfile gets the process id; empty: none is written.
  std::optional<uid_t> proc_uid;  // proc_uid is taken once every port is open.
  std::optional<gid_t>
      proc_gid;                // proc_gid is taken once every port is open: proc-group, or else the group of proc-user.
  std::string proc_user;       // proc_user is the name behind proc_uid, for messages.
  std::string proc_group;      // proc_group is the name behind proc_gid, for messages.
  unsigned relay_threads = 1;  // relay_threads is the number of workers, 1 to 128; options.h sets it from the CPUs.
  std::uint32_t drain_min_allocations = 0;  // drain_min_allocations ends a drain when this many or fewer are left.
  std::chrono::seconds drain_timeout{0};    // drain_timeout ends a drain in any case; 0: it waits.
  std::string state_dir;  // state_dir is where turnd keeps what it generates; empty when it needs none.
};

// One sentence for the log: which file was read, if any.
std::string describe(const Origin& origin);

// True where TLS or DTLS is served, so the TLS ports are open.
inline bool serves_tls(const Config& config) { return !config.no_tls || !config.no_dtls; }

// Overwrites the passwords of static users: once their keys are computed the server must not keep them (RFC 8656,
// section 5).
void forget_passwords(Config& config);

// The warning for a host behind 1:1 NAT: none of `relay_ips` can be reached from the internet and no external-ip covers
// them.
std::optional<std::string> nat_advice(const Config& config, std::span<const IpAddress> relay_ips);

}  // namespace turnkit::turnd
