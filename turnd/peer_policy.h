// PeerPolicy: which peers a client may reach through this server. Pure data and look-ups; the engine asks it for
// CreatePermission, ChannelBind and, where ports matter, for each Send.
//
// Order (the first that applies decides); every IPv4-in-IPv6 form is reduced to IPv4 before:
//   1. Teredo and 6to4 peers are denied (RFC 8656, section 16).
//   2. Special addresses (0/8, loopback, link-local, multicast and 240/4, ULA, site-local, cloud metadata) are denied,
//   unless an
//      allowed-peer-ip or only-peer-ip line names the address or a range that lies wholly inside the special range, or
//      the option for that range opens it (allow-loopback-peers, no-multicast-peers=false).
//   3. The server's own listener, admin and database ports are denied, unless a line names that very address and port.
//   4. The server's own relayed ports are allowed (for loopback and the like only if step 2 let them pass).
//   5. allowed-peer-ip and only-peer-ip lines allow.
//   6. denied-peer-ip lines deny.
//   7. no-private-peers denies private ranges and the host's other addresses.
//   8. With any only-peer-ip line everything else is denied; otherwise it is allowed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace turnkit::turnd {

// One allowed-, denied- or only-peer-ip line: "IP", "IP-IP" or "IP/len", then ":port" or ":port-port" if only these
// ports are meant; IPv6 with ports is written "[2001:db8::1]:8443" or "[2001:db8::/32]:8443-8445".
struct PeerRule {
  IpRange range;
  std::uint16_t first_port = 0;
  std::uint16_t last_port = 65535;

  static Result<PeerRule> parse(std::string_view text);
  [[nodiscard]] bool any_port() const { return first_port == 0 && last_port == 65535; }
  [[nodiscard]] bool contains_port(std::uint16_t port) const { return first_port <= port && port <= last_port; }
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const PeerRule&, const PeerRule&) = default;
};

// What the options say about peers.
struct PeerRules {
  std::vector<PeerRule> allowed;  // allowed-peer-ip
  std::vector<PeerRule> denied;   // denied-peer-ip
  std::vector<PeerRule> only;     // only-peer-ip
  bool allow_loopback = false;    // allow-loopback-peers
  bool deny_multicast = true;     // no-multicast-peers
  bool deny_private = false;      // no-private-peers; on in the embedded default
  friend bool operator==(const PeerRules&, const PeerRules&) = default;
};

enum class PeerVerdict : std::uint8_t {
  kAllowed,
  kDeniedTunnel,       // Teredo, 6to4
  kDeniedUnspecified,  // 0.0.0.0/8, ::
  kDeniedLoopback,
  kDeniedLinkLocal,
  kDeniedMulticast,    // and 240.0.0.0/4, with the broadcast address
  kDeniedUniqueLocal,  // fc00::/7, fec0::/10
  kDeniedMetadata,     // cloud metadata services
  kDeniedOwnPort,      // a listener, admin or database port of this server
  kDeniedByRule,       // denied-peer-ip
  kDeniedPrivate,      // no-private-peers: a private range
  kDeniedHost,         // no-private-peers: another port of this host
  kDeniedNotListed,    // no only-peer-ip or allowed-peer-ip line has it
};
inline constexpr std::size_t kPeerVerdicts = 13;
std::string_view to_string(PeerVerdict verdict);  // "loopback", for counters and logs

class PeerPolicy {
 public:
  PeerPolicy() = default;  // no rules: step 2's addresses are denied, all else is allowed
  explicit PeerPolicy(PeerRules rules);

  // Ports of step 3. An unspecified address stands for every address of set_host_addresses().
  void set_own_ports(std::vector<Address> ports);
  // Every address by which this host can be reached: of its interfaces, and its external ones.
  void set_host_addresses(std::vector<IpAddress> addresses);
  // Step 4: these addresses, external ones included, with ports from `min_port` to `max_port`.
  void set_relay_range(std::vector<IpAddress> addresses, std::uint16_t min_port, std::uint16_t max_port);

  // For ChannelBind, Send and data.
  [[nodiscard]] PeerVerdict check(const Address& peer) const;

  // For CreatePermission, which names no port: kAllowed when some port is allowed.
  struct IpDecision {
    PeerVerdict verdict = PeerVerdict::kAllowed;
    bool ports_differ = false;  // some ports are denied: check() each datagram's address
  };
  [[nodiscard]] IpDecision check_ip(const IpAddress& peer) const;

  // One sentence for the log: which rule denies `peer` and which line would allow it. A port of 0 means any port.
  [[nodiscard]] std::string explain(const Address& peer) const;

 private:
  struct Peer;
  [[nodiscard]] PeerVerdict special_verdict(const Peer& peer) const;
  [[nodiscard]] PeerVerdict own_port_verdict(const Peer& peer) const;
  [[nodiscard]] PeerVerdict check_reduced(const Peer& peer) const;
  [[nodiscard]] bool is_own_port(const Peer& peer) const;
  [[nodiscard]] bool is_own_relay(const Peer& peer) const;
  [[nodiscard]] bool named(const Peer& peer, const IpRange& inside) const;

  PeerRules rules_;
  std::vector<PeerRule> allowed_;  // allowed and only
  std::vector<Address> own_ports_;
  std::vector<IpAddress> host_;
  std::vector<IpAddress> relay_;
  std::uint16_t relay_min_ = 0;
  std::uint16_t relay_max_ = 0;
};

}  // namespace turnkit::turnd
