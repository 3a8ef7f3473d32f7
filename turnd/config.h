// Config: everything that turnd was told, as one plain value. It is filled once by options.h and never changes
// afterwards; a reload makes a new one. Each field is named after its option; turnd.conf(5) says the rest.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

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

// One user line.
struct StaticUser {
  std::string name;
  std::string secret;  // the password, or "0x" and the key in hex; never to be logged
  friend bool operator==(const StaticUser&, const StaticUser&) = default;
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

  // Listeners.
  std::vector<IpAddress>
      listening_ips;  // listening_ips are the addresses to listen on; empty: every address of the host.
  std::uint16_t listening_port =
      3478;  // listening_port is the UDP port of every listening address; 0 picks a free one (tests).
  std::string listening_device;  // listening_device binds the listeners to a network device; empty: to none.
  int sock_buf_size =
      2 * 1024 * 1024;  // sock_buf_size is asked for as send and receive buffer, in bytes; 0: the system's default.

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

  // Limits of an allocation.
  std::chrono::seconds max_allocate_lifetime{3600};  // max_allocate_lifetime caps LIFETIME.
  std::chrono::seconds channel_lifetime{600};        // channel_lifetime is how long a binding lasts without refresh.
  std::chrono::seconds permission_lifetime{300};  // permission_lifetime is how long a permission lasts without refresh.
  std::uint32_t max_permissions = 1024;           // max_permissions is the most an allocation may hold at a time.
  std::uint32_t max_channels = 1024;              // max_channels is the most an allocation may hold at a time.
  std::uint16_t max_channel_number = 0x7FFE;      // max_channel_number is 0x7FFE (RFC 5766) or 0x4FFF (RFC 8656).

  // Authentication.
  AuthMode auth = AuthMode::kLongTerm;       // auth says whether clients must authenticate.
  std::string realm;                         // realm is never empty when auth is kLongTerm.
  std::vector<StaticUser> users;             // users are tried before secrets; both count at the same time.
  std::vector<std::string> rest_secrets;     // rest_secrets sign time-limited credentials; never to be logged.
  char rest_separator = ':';                 // rest_separator stands between time and name in those user names.
  std::chrono::seconds nonce_lifetime{600};  // nonce_lifetime is how long a nonce is fresh (stale-nonce); 0: for ever.
  std::string nonce_secret;                  // nonce_secret lets a fleet share nonces; empty: a random key each start.

  // Quotas and bandwidth.
  std::uint32_t user_quota = 0;   // user_quota is the most allocations of one user at a time; 0: no limit.
  std::uint32_t total_quota = 0;  // total_quota is the most allocations at a time; 0: no limit.
  std::uint64_t max_bps = 0;      // max_bps limits an allocation, in bytes a second for each direction; 0: no limit.
  std::uint64_t bps_capacity =
      0;  // bps_capacity is shared out as max_bps to allocations, in bytes a second; 0: no limit.

  // Peers.
  PeerRules peers;  // peers says whom clients may reach; it goes to PeerPolicy.

  // Behaviour.
  bool fingerprint = false;         // fingerprint adds FINGERPRINT to every answer.
  bool software_attribute = false;  // software_attribute adds SOFTWARE to every answer.
  bool no_stun = false;             // no_stun drops Binding requests silently.
  bool stun_only = false;           // stun_only drops everything but Binding requests silently.

  // Process.
  log::Config log;                // log goes to log::configure().
  int verbose = 0;                // verbose is 1 with -v (a line per session event) and 2 with -V (debug messages too).
  bool daemon = false;            // daemon detaches from the terminal.
  std::string pidfile;            // pidfile gets the process id; empty: none is written.
  std::optional<uid_t> proc_uid;  // proc_uid is taken once every port is open.
  std::optional<gid_t>
      proc_gid;                // proc_gid is taken once every port is open: proc-group, or else the group of proc-user.
  std::string proc_user;       // proc_user is the name behind proc_uid, for messages.
  std::string proc_group;      // proc_group is the name behind proc_gid, for messages.
  unsigned relay_threads = 1;  // relay_threads is the number of workers, 1 to 128; options.h sets it from the CPUs.
  std::string state_dir;       // state_dir is where turnd keeps what it generates; empty when it needs none.
};

// One sentence for the log: which file was read, if any.
std::string describe(const Origin& origin);

// Overwrites the passwords of static users: once their keys are computed the server must not keep them (RFC 8656,
// section 5).
void forget_passwords(Config& config);

// The warning for a host behind 1:1 NAT: none of `relay_ips` can be reached from the internet and no external-ip covers
// them.
std::optional<std::string> nat_advice(const Config& config, std::span<const IpAddress> relay_ips);

}  // namespace turnkit::turnd
