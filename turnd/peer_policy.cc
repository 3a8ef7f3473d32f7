// PeerPolicy: which peers a client may reach through this server.
#include "turnd/peer_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace turnkit::turnd {
namespace {

struct Special {
  IpRange range;
  PeerVerdict verdict;
  bool can_be_named = true;  // false: no line opens it
};

// The narrower ranges stand first: what opens fc00::/7 does not open the metadata address inside it.
const std::vector<Special>& special_ranges() {
  static const std::vector<Special> kRanges = [] {
    using enum PeerVerdict;
    const std::pair<const char*, PeerVerdict> texts[] = {
        {"169.254.169.254", kDeniedMetadata},  // AWS, Azure, Google, OpenStack, DigitalOcean, Oracle, Hetzner
        {"169.254.170.2", kDeniedMetadata},    // AWS ECS task credentials
        {"169.254.170.23", kDeniedMetadata},   // AWS EKS pod identity
        {"169.254.42.42", kDeniedMetadata},    // Scaleway
        {"168.63.129.16", kDeniedMetadata},    // Azure WireServer
        {"100.100.100.200", kDeniedMetadata},  // Alibaba
        {"192.0.0.192", kDeniedMetadata},      // Oracle (classic)
        {"fd00:ec2::254", kDeniedMetadata},    // AWS
        {"fd00:ec2::23", kDeniedMetadata},     // AWS EKS pod identity
        {"fd20:ce::254", kDeniedMetadata},     // Google
        {"fd00:42::42", kDeniedMetadata},      // Scaleway
        {"0.0.0.0/8", kDeniedUnspecified},
        {"::/128", kDeniedUnspecified},
        {"127.0.0.0/8", kDeniedLoopback},
        {"::1/128", kDeniedLoopback},
        {"169.254.0.0/16", kDeniedLinkLocal},
        {"fe80::/10", kDeniedLinkLocal},
        {"224.0.0.0-255.255.255.255", kDeniedMulticast},
        {"ff00::/8", kDeniedMulticast},
        {"fc00::/7", kDeniedUniqueLocal},
        {"fec0::/10", kDeniedUniqueLocal},
        {"64:ff9b:1::/48",
         kDeniedTunnel},  // local-use NAT64 (RFC 8215): where the IPv4 address stands in it is not known
    };
    std::vector<Special> ranges = {
        {*IpRange::parse("2001::/32"), kDeniedTunnel, false},
        {*IpRange::parse("2002::/16"), kDeniedTunnel, false},
    };
    for (const auto& [text, verdict] : texts) ranges.push_back({*IpRange::parse(text), verdict});
    return ranges;
  }();
  return kRanges;
}

bool is_private(const IpAddress& ip) {
  static const std::array<IpRange, 6> kRanges = {
      *IpRange::parse("10.0.0.0/8"),    *IpRange::parse("172.16.0.0/12"), *IpRange::parse("192.168.0.0/16"),
      *IpRange::parse("100.64.0.0/10"), *IpRange::parse("192.0.0.0/24"),  *IpRange::parse("198.18.0.0/15"),
  };
  return std::any_of(kRanges.begin(), kRanges.end(), [&](const IpRange& range) { return range.contains(ip); });
}

// Whether any special range has addresses with this first byte: a look that spares most peers the search.
bool may_be_special(const IpAddress& ip) {
  static const std::array<std::array<bool, 256>, 2> kFirstBytes = [] {
    std::array<std::array<bool, 256>, 2> out{};
    for (const Special& special : special_ranges()) {
      const auto first = std::to_integer<std::size_t>(special.range.first.bytes()[0]);
      const auto last = std::to_integer<std::size_t>(special.range.last.bytes()[0]);
      for (std::size_t byte = first; byte <= last; ++byte) out[special.range.first.is_v4() ? 0 : 1][byte] = true;
    }
    return out;
  }();
  return kFirstBytes[ip.is_v4() ? 0 : 1][std::to_integer<std::size_t>(ip.bytes()[0])];
}

// canonical(), and beside it the IPv4-translated form ::ffff:0:a.b.c.d (RFC 2765).
IpAddress reduced(const IpAddress& ip) {
  if (ip.is_v4()) return ip;
  static const IpRange kTranslated = *IpRange::parse("::ffff:0:0:0/96");
  if (kTranslated.contains(ip)) return IpAddress::from_bytes(ip.bytes().last(4));
  return ip.canonical();
}

bool contains(const std::vector<IpAddress>& list, const IpAddress& ip) {
  return std::find(list.begin(), list.end(), ip) != list.end();
}

std::optional<std::uint16_t> to_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// Splits "RANGE:PORTS". IPv6 has ports only behind brackets; `ports` is empty when there are none.
void split_ports(std::string_view text, std::string_view& range, std::string_view& ports) {
  range = text;
  ports = {};
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return;
  if (bracket == std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) return;  // bare IPv6
  range = text.substr(0, colon);
  ports = text.substr(colon);
}

}  // namespace

Result<PeerRule> PeerRule::parse(std::string_view text) {
  const Error error{
      "expected IP, IP-IP or IP/LENGTH, and :PORT or :PORT-PORT behind it for some ports only (10.0.0.5:8443, "
      "[2001:db8::1]:8443)"};
  std::string_view range_text;
  std::string_view ports;
  split_ports(text, range_text, ports);

  std::string bare;  // without brackets
  std::copy_if(range_text.begin(), range_text.end(), std::back_inserter(bare),
               [](char c) { return c != '[' && c != ']'; });
  PeerRule rule;
  const std::optional<IpRange> range = IpRange::parse(bare);
  if (!range) return error;
  rule.range = *range;
  if (ports.empty()) return rule;

  ports.remove_prefix(1);
  const std::size_t dash = ports.find('-');
  const std::optional<std::uint16_t> first = to_port(ports.substr(0, dash));
  const std::optional<std::uint16_t> last = dash == std::string_view::npos ? first : to_port(ports.substr(dash + 1));
  if (!first || !last || *first == 0 || *first > *last) return error;
  rule.first_port = *first;
  rule.last_port = *last;
  return rule;
}

std::string PeerRule::to_string() const {
  if (any_port()) return range.to_string();
  const std::string ports =
      first_port == last_port ? fmt::format("{}", first_port) : fmt::format("{}-{}", first_port, last_port);
  return range.first.is_v4() ? fmt::format("{}:{}", range.to_string(), ports)
                             : fmt::format("[{}]:{}", range.to_string(), ports);
}

std::string_view to_string(PeerVerdict verdict) {
  switch (verdict) {
    case PeerVerdict::kAllowed:
      return "allowed";
    case PeerVerdict::kDeniedTunnel:
      return "tunnel";
    case PeerVerdict::kDeniedUnspecified:
      return "unspecified";
    case PeerVerdict::kDeniedLoopback:
      return "loopback";
    case PeerVerdict::kDeniedLinkLocal:
      return "link-local";
    case PeerVerdict::kDeniedMulticast:
      return "multicast";
    case PeerVerdict::kDeniedUniqueLocal:
      return "unique-local";
    case PeerVerdict::kDeniedMetadata:
      return "metadata";
    case PeerVerdict::kDeniedOwnPort:
      return "own-port";
    case PeerVerdict::kDeniedByRule:
      return "rule";
    case PeerVerdict::kDeniedPrivate:
      return "private";
    case PeerVerdict::kDeniedHost:
      return "host";
    case PeerVerdict::kDeniedNotListed:
      return "not-listed";
  }
  return "unknown";
}

struct PeerPolicy::Peer {
  Peer(const IpAddress& as_given, std::uint16_t the_port)
      : original(as_given), ip(reduced(as_given)), port(the_port), is_reduced(ip != original) {}

  [[nodiscard]] bool in(const IpRange& range) const {
    return range.contains(ip) || (is_reduced && range.contains(original));
  }
  // The first rule that has this peer; nullptr if there is none.
  [[nodiscard]] const PeerRule* find_in(const std::vector<PeerRule>& rules) const {
    const auto it = std::find_if(rules.begin(), rules.end(),
                                 [&](const PeerRule& rule) { return rule.contains_port(port) && in(rule.range); });
    return it == rules.end() ? nullptr : &*it;
  }

  IpAddress original;
  IpAddress ip;
  std::uint16_t port;
  bool is_reduced;
};

PeerPolicy::PeerPolicy(PeerRules rules) : rules_(std::move(rules)), allowed_(rules_.allowed) {
  allowed_.insert(allowed_.end(), rules_.only.begin(), rules_.only.end());
}

void PeerPolicy::set_own_ports(std::vector<Address> ports) { own_ports_ = std::move(ports); }
void PeerPolicy::set_host_addresses(std::vector<IpAddress> addresses) { host_ = std::move(addresses); }
void PeerPolicy::set_relay_range(std::vector<IpAddress> addresses, std::uint16_t min_port, std::uint16_t max_port) {
  relay_ = std::move(addresses);
  relay_min_ = min_port;
  relay_max_ = max_port;
}

bool PeerPolicy::is_own_port(const Peer& peer) const {
  return std::any_of(own_ports_.begin(), own_ports_.end(), [&](const Address& own) {
    if (own.port != peer.port) return false;
    if (!own.ip.is_unspecified()) return own.ip == peer.ip;
    return own.ip.family() == peer.ip.family() && contains(host_, peer.ip);
  });
}

bool PeerPolicy::is_own_relay(const Peer& peer) const {
  return relay_min_ <= peer.port && peer.port <= relay_max_ && contains(relay_, peer.ip);
}

// Whether a line allows the peer by name: its range has the peer and lies wholly inside `inside`.
bool PeerPolicy::named(const Peer& peer, const IpRange& inside) const {
  return std::any_of(allowed_.begin(), allowed_.end(), [&](const PeerRule& rule) {
    if (!rule.contains_port(peer.port) || !inside.contains(rule.range.first) || !inside.contains(rule.range.last)) {
      return false;
    }
    return peer.in(rule.range);
  });
}

PeerVerdict PeerPolicy::special_verdict(const Peer& peer) const {
  if (!may_be_special(peer.ip) && !(peer.is_reduced && may_be_special(peer.original))) return PeerVerdict::kAllowed;
  for (const Special& special : special_ranges()) {
    if (!peer.in(special.range)) continue;
    if (special.verdict == PeerVerdict::kDeniedLoopback && rules_.allow_loopback) continue;
    if (special.verdict == PeerVerdict::kDeniedMulticast && !rules_.deny_multicast) continue;
    if (special.verdict == PeerVerdict::kDeniedUniqueLocal && is_own_relay(peer)) continue;
    if (special.can_be_named && named(peer, special.range)) continue;
    return special.verdict;
  }
  return PeerVerdict::kAllowed;
}

// A line opens a port of our own only when it names this address and this port and nothing else.
PeerVerdict PeerPolicy::own_port_verdict(const Peer& peer) const {
  const PeerRule exact{{peer.ip, peer.ip}, peer.port, peer.port};
  const bool is_named = std::find(allowed_.begin(), allowed_.end(), exact) != allowed_.end();
  return is_named ? PeerVerdict::kAllowed : PeerVerdict::kDeniedOwnPort;
}

PeerVerdict PeerPolicy::check_reduced(const Peer& peer) const {
  if (const PeerVerdict verdict = special_verdict(peer); verdict != PeerVerdict::kAllowed) return verdict;
  if (is_own_port(peer)) return own_port_verdict(peer);
  if (is_own_relay(peer)) return PeerVerdict::kAllowed;
  if (peer.find_in(allowed_) != nullptr) return PeerVerdict::kAllowed;
  if (peer.find_in(rules_.denied) != nullptr) return PeerVerdict::kDeniedByRule;
  // Loopback gets here only if allow-loopback-peers opened it by name, which says more than no-private-peers.
  if (rules_.deny_private && !peer.ip.is_loopback()) {
    if (contains(host_, peer.ip)) return PeerVerdict::kDeniedHost;
    if (is_private(peer.ip)) return PeerVerdict::kDeniedPrivate;
  }
  return rules_.only.empty() ? PeerVerdict::kAllowed : PeerVerdict::kDeniedNotListed;
}

PeerVerdict PeerPolicy::check(const Address& peer) const { return check_reduced(Peer(peer.ip, peer.port)); }

// The verdict changes only where a port range that concerns this address begins or ends: one look at each such port is
// enough.
PeerPolicy::IpDecision PeerPolicy::check_ip(const IpAddress& ip) const {
  Peer peer(ip, 1);
  std::vector<std::uint16_t> starts{1};
  const auto add = [&](unsigned first, unsigned last) {
    if (first > 1) starts.push_back(static_cast<std::uint16_t>(first));
    if (last < 65535) starts.push_back(static_cast<std::uint16_t>(last + 1));
  };
  for (const auto* rules : {&allowed_, &rules_.denied}) {
    for (const PeerRule& rule : *rules) {
      if (rule.any_port() || !peer.in(rule.range)) continue;
      add(rule.first_port, rule.last_port);
    }
  }
  for (const Address& own : own_ports_) add(own.port, own.port);
  if (contains(relay_, peer.ip)) add(relay_min_, relay_max_);
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());

  bool some_allowed = false;
  std::optional<PeerVerdict> denied;
  for (const std::uint16_t port : starts) {
    peer.port = port;
    const PeerVerdict verdict = check_reduced(peer);
    if (verdict == PeerVerdict::kAllowed) {
      some_allowed = true;
    } else if (!denied) {
      denied = verdict;
    }
  }
  return some_allowed ? IpDecision{PeerVerdict::kAllowed, denied.has_value()} : IpDecision{*denied, false};
}

std::string PeerPolicy::explain(const Address& address) const {
  Peer peer(address.ip, address.port);
  const PeerVerdict verdict = address.port == 0 ? check_ip(address.ip).verdict : check(address);
  const std::string shown = address.port == 0 ? address.ip.to_string() : address.to_string();
  const std::string name = verdict == PeerVerdict::kDeniedTunnel ? address.ip.to_string() : peer.ip.to_string();
  const auto denied = [&](std::string_view why, std::string_view line = {}) {
    const std::string allow = line.empty() ? fmt::format("allowed-peer-ip={}", name) : std::string(line);
    return fmt::format("peer {} is denied: {}; this line would allow it: {}", shown, why, allow);
  };
  switch (verdict) {
    case PeerVerdict::kAllowed:
      return fmt::format("peer {} is allowed", shown);
    case PeerVerdict::kDeniedTunnel:
      if (!address.ip.is_teredo() && !address.ip.is_6to4()) return denied("local-use NAT64 address");
      return fmt::format(
          "peer {} is denied: Teredo and 6to4 addresses are never relayed to (RFC 8656); no line allows it", shown);
    case PeerVerdict::kDeniedUnspecified:
      return denied("unspecified address");
    case PeerVerdict::kDeniedLoopback:
      return denied("loopback address");
    case PeerVerdict::kDeniedLinkLocal:
      return denied("link-local address");
    case PeerVerdict::kDeniedMulticast:
      return denied("multicast, reserved or broadcast address");
    case PeerVerdict::kDeniedUniqueLocal:
      return denied("unique local address");
    case PeerVerdict::kDeniedMetadata:
      return denied("address of a cloud metadata service");
    case PeerVerdict::kDeniedOwnPort:
      return denied("a port of this server itself",
                    fmt::format("allowed-peer-ip={}", Address{peer.ip, peer.port}.to_string()));
    case PeerVerdict::kDeniedByRule: {
      if (peer.port == 0) peer.port = 1;
      const PeerRule* rule = peer.find_in(rules_.denied);
      return denied(rule == nullptr ? "denied-peer-ip" : "denied-peer-ip=" + rule->to_string());
    }
    case PeerVerdict::kDeniedPrivate:
      return denied("private address, and no-private-peers is on");
    case PeerVerdict::kDeniedHost:
      return denied("address of this host, and no-private-peers is on");
    case PeerVerdict::kDeniedNotListed:
      return denied("not on an only-peer-ip line", "only-peer-ip=" + name);
  }
  return shown;
}

}  // namespace turnkit::turnd
