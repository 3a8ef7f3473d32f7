// Options of relaying: addresses and ports, redirection, limits, peers.
#include "turnd/options/setters.h"
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

using namespace setters;

Status relay_ip(Draft& draft, std::string_view value) {
  const Result<IpAddress> ip = parse_ip(value);
  if (ip && ip->is_unspecified()) {
    draft.ignore_here(
        "clients cannot be told an unspecified address; relay addresses are chosen as if it were not there");
    return {};
  }
  return add_unique(draft.config.relay_ips, ip);
}

// As in coturn the first plain form of a family stays; a second one is reported.
Status external_ip(Draft& draft, std::string_view value) {
  const Result<ExternalIp> added = parse_external_ip(value);
  if (!added) return added.error();
  const auto clashes = [&](const ExternalIp& other) {
    if (added->local || other.local) return added->local == other.local;
    return added->kind == other.kind &&
           (added->kind != ExternalIp::Kind::kAddress || added->address.family() == other.address.family());
  };
  std::vector<ExternalIp>& list = draft.config.external_ips;
  if (std::any_of(list.begin(), list.end(), clashes)) {
    draft.ignore_here("ignored, because an earlier external-ip line says it already for the same relay addresses");
    return {};
  }
  list.push_back(*added);
  return {};
}

Status default_family(Draft& draft, std::string_view value) {
  if (value == "ipv4" || value == "IPv4") {
    draft.config.default_family = DefaultFamily::kIPv4;
  } else if (value == "ipv6" || value == "IPv6") {
    draft.config.default_family = DefaultFamily::kIPv6;
  } else if (value == "keep") {
    draft.config.default_family = DefaultFamily::kKeep;
  } else {
    return Error{"expected ipv4, ipv6 or keep"};
  }
  return {};
}

Status keep_family(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  if (*on) draft.config.default_family = DefaultFamily::kKeep;
  return {};
}

template <bool Wide>
Status channel_numbers(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  draft.config.max_channel_number = *on == Wide ? 0x7FFE : 0x4FFF;
  return {};
}

template <auto Member, std::uint16_t Port>
Status alternate(Draft& draft, std::string_view value) {
  const Result<std::vector<Address>> addresses = parse_endpoint(value, *draft.environment, Port);
  if (!addresses) return addresses.error();
  std::vector<Address>& list = draft.config.*Member;
  for (const Address& address : *addresses) {
    if (std::find(list.begin(), list.end(), address) == list.end()) list.push_back(address);
  }
  return {};
}

template <auto Member, std::uint64_t Min, std::uint64_t Max>
Status milliseconds(Draft& draft, std::string_view value) {
  const Result<std::uint64_t> number = parse_number(value, Min, Max);
  if (!number) return number.error();
  draft.config.*Member = std::chrono::milliseconds(*number);
  return {};
}

// clang-format off
const Option kRows[] = {
  {.name = "relay-ip", .letter = 'E', .list = true, .group = kRelay, .metavar = "IP",
   .default_text = "the listening addresses", .help = "Give out relayed addresses on IP; may be given several times.", .apply = relay_ip},
  {.name = "relay-device", .letter = 'i', .group = kRelay, .metavar = "DEVICE",
   .help = "Bind the relayed sockets to a network device.", .apply = text<&Config::relay_device>},
  {.name = "external-ip", .letter = 'X', .list = true, .group = kRelay, .metavar = "PUBLIC[/PRIVATE]",
   .help = "Behind 1:1 NAT, tell clients PUBLIC instead of the relay address (PRIVATE): an address, a host name, or auto[:STUN-SERVER]; the last two are followed when they change.",
   .apply = external_ip},
  {.name = "min-port", .group = kRelay, .metavar = "PORT", .default_text = "49152", .help = "Relay on no port below PORT.",
   .apply = port<&Config::min_port, 1>},
  {.name = "max-port", .group = kRelay, .metavar = "PORT", .default_text = "65535", .help = "Relay on no port above PORT.",
   .apply = port<&Config::max_port, 1>},
  {.name = "no-udp-relay", .arg = Arg::kOptional, .group = kRelay, .default_text = "off", .help = "Refuse UDP allocations.",
   .apply = flag<&Config::no_udp_relay>},
  {.name = "no-tcp-relay", .arg = Arg::kOptional, .group = kRelay, .default_text = "off", .help = "Refuse TCP allocations (RFC 6062).",
   .apply = flag<&Config::no_tcp_relay>},
  {.name = "allocation-default-address-family", .letter = 'A', .group = kRelay, .metavar = "FAMILY", .default_text = "ipv4",
   .help = "Relay in this family when the client names none: ipv4, ipv6, or keep for the client's own.", .apply = default_family},
  {.name = "keep-address-family", .letter = 'K', .arg = Arg::kOptional, .group = kRelay, .default_text = "off",
   .help = "The same as allocation-default-address-family=keep.", .apply = keep_family},
  {.name = "rfc5766-channel-numbers", .arg = Arg::kOptional, .group = kRelay, .default_text = "on",
   .help = "Accept channel numbers 0x4000 to 0x7FFE (RFC 5766).", .apply = channel_numbers<true>},
  {.name = "rfc8656-channel-numbers", .arg = Arg::kOptional, .group = kRelay, .default_text = "off",
   .help = "Accept channel numbers 0x4000 to 0x4FFF only (RFC 8656).", .apply = channel_numbers<false>},
  {.name = "mobility", .arg = Arg::kOptional, .group = kRelay, .default_text = "off",
   .help = "Let clients keep their allocation when their address changes (RFC 8016).", .apply = flag<&Config::mobility>},
  {.name = "server-relay", .arg = Arg::kOptional, .group = kRelay, .default_text = "off",
   .help = "Pass what peers without permission send on to the client. Dangerous: for servers behind a relayed address only.", .apply = flag<&Config::server_relay>},

  {.name = "alternate-server", .list = true, .group = kRedirect, .metavar = "HOST[:PORT]",
   .help = "Send clients to this server instead (300), each to the next of several; port 3478 if not given. May be given several times.", .apply = alternate<&Config::alternate_servers, 3478>},
  {.name = "udp-alternate-server", .list = true, .group = kRedirect, .metavar = "HOST[:PORT]",
   .help = "The same for UDP and DTLS clients; goes before alternate-server. May be given several times.", .apply = alternate<&Config::udp_alternate_servers, 3478>},
  {.name = "tcp-alternate-server", .list = true, .group = kRedirect, .metavar = "HOST[:PORT]",
   .help = "The same for TCP and TLS clients; goes before alternate-server. May be given several times.", .apply = alternate<&Config::tcp_alternate_servers, 3478>},
  {.name = "tls-alternate-server", .list = true, .group = kRedirect, .metavar = "HOST[:PORT]",
   .help = "The same for TLS and DTLS clients; port 5349 if not given. May be given several times.", .apply = alternate<&Config::tls_alternate_servers, 5349>},
  {.name = "udp-self-balance", .arg = Arg::kOptional, .group = kRedirect, .default_text = "off",
   .help = "Send UDP and DTLS clients to the aux-servers in turn.", .apply = flag<&Config::udp_self_balance>},

  {.name = "max-allocate-lifetime", .group = kLimit, .metavar = "SECONDS", .default_text = "3600",
   .help = "The longest lifetime of an allocation before it must be refreshed.", .apply = seconds<&Config::max_allocate_lifetime, 1>},
  {.name = "channel-lifetime", .group = kLimit, .metavar = "SECONDS", .default_text = "600",
   .help = "The lifetime of a channel; for tests.", .apply = seconds<&Config::channel_lifetime, 1>},
  {.name = "permission-lifetime", .group = kLimit, .metavar = "SECONDS", .default_text = "300",
   .help = "The lifetime of a permission; for tests.", .apply = seconds<&Config::permission_lifetime, 1>},
  {.name = "max-permissions", .group = kLimit, .metavar = "N", .default_text = "1024",
   .help = "The most permissions of an allocation.", .apply = number<&Config::max_permissions, 1, 65535>},
  {.name = "max-channels", .group = kLimit, .metavar = "N", .default_text = "1024",
   .help = "The most channels of an allocation.", .apply = number<&Config::max_channels, 1, 16383>},
  {.name = "max-tcp-connections", .group = kLimit, .metavar = "N", .default_text = "64",
   .help = "The most peer connections of a TCP allocation (RFC 6062).", .apply = number<&Config::max_tcp_connections, 1, 65535>},
  {.name = "max-allocate-timeout", .group = kLimit, .metavar = "SECONDS", .default_text = "60",
   .help = "Close TCP and TLS connections that have not authenticated by then.", .apply = seconds<&Config::max_allocate_timeout, 1>},
  {.name = "max-connections", .group = kLimit, .metavar = "N", .default_text = "65536",
   .help = "The most TCP and TLS connections of clients; 0 is no limit.", .apply = number<&Config::max_connections, 0, kMax32>},
  {.name = "max-connections-per-ip", .group = kLimit, .metavar = "N", .default_text = "4096",
   .help = "The most of them from one address; 0 is no limit.", .apply = number<&Config::max_connections_per_ip, 0, kMax32>},
  {.name = "max-half-open", .group = kLimit, .metavar = "N", .default_text = "4096",
   .help = "The most of them that have not authenticated yet; the oldest makes room.", .apply = number<&Config::max_half_open, 1, kMax32>},
  {.name = "max-dtls-handshakes", .group = kLimit, .metavar = "N", .default_text = "1024",
   .help = "The most DTLS handshakes under way; each takes about 70 KB.", .apply = number<&Config::max_dtls_handshakes, 1, kMax32>},
  {.name = "stream-queue", .group = kLimit, .metavar = "BYTES", .default_text = "131072",
   .help = "The most bytes that wait for a slow TCP or TLS reader; media beyond is dropped.", .apply = number<&Config::stream_queue, 16384, 1 << 26>},
  {.name = "user-quota", .letter = 'q', .group = kLimit, .metavar = "N", .default_text = "0",
   .help = "The most allocations of a user at a time; 0 is no limit.", .apply = number<&Config::user_quota, 0, kMax32>},
  {.name = "total-quota", .letter = 'Q', .group = kLimit, .metavar = "N", .default_text = "0",
   .help = "The most allocations of a realm at a time; 0 is no limit.", .apply = number<&Config::total_quota, 0, kMax32>},
  {.name = "max-bps", .letter = 's', .group = kLimit, .metavar = "BYTES", .default_text = "0",
   .help = "The most bytes a second of an allocation in each direction; 0 is no limit.", .apply = number<&Config::max_bps, 0, kMax64>},
  {.name = "bandwidth-burst", .group = kLimit, .metavar = "MILLISECONDS", .default_text = "200",
   .help = "How much of max-bps may come at once; at least one datagram always may.", .apply = milliseconds<&Config::bandwidth_burst, 1, 10000>},
  {.name = "bps-capacity", .letter = 'B', .group = kLimit, .metavar = "BYTES", .default_text = "0",
   .help = "The bytes a second that all allocations share, max-bps for each; 0 is no limit.",
   .apply = number<&Config::bps_capacity, 0, kMax64>},

  {.name = "denied-peer-ip", .list = true, .group = kPeer, .metavar = "RANGE[:PORTS]",
   .help = "Relay to none of these peers: IP, IP-IP or IP/LENGTH, and :PORT or :PORT-PORT. May be given several times.",
   .apply = add_peer_rule<&PeerRules::denied>},
  {.name = "allowed-peer-ip", .list = true, .group = kPeer, .metavar = "RANGE[:PORTS]",
   .help = "Relay to these peers even where denied-peer-ip has them; a special address must be named narrowly. May be given several times.",
   .apply = add_peer_rule<&PeerRules::allowed>},
  {.name = "only-peer-ip", .list = true, .group = kPeer, .metavar = "RANGE[:PORTS]",
   .help = "Relay to these peers and to no others, such as only-peer-ip=10.0.0.5:8443 for one SFU. May be given several times.",
   .apply = add_peer_rule<&PeerRules::only>},
  {.name = "no-private-peers", .arg = Arg::kOptional, .group = kPeer, .default_text = "off",
   .help = "Relay neither to private addresses nor to other ports of this host, unless allowed-peer-ip has them.",
   .apply = peer_flag<&PeerRules::deny_private>},
  {.name = "no-multicast-peers", .arg = Arg::kOptional, .group = kPeer, .default_text = "on",
   .help = "Relay to no multicast, reserved or broadcast address.", .apply = peer_flag<&PeerRules::deny_multicast>},
  {.name = "allow-loopback-peers", .arg = Arg::kOptional, .group = kPeer, .default_text = "off",
   .help = "Relay to loopback addresses; for tests.", .apply = peer_flag<&PeerRules::allow_loopback>},
};
// clang-format on

}  // namespace

std::span<const Option> relay_options() { return kRows; }

}  // namespace turnkit::turnd
