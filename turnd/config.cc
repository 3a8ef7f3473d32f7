// Config: advice that follows from it.
#include "turnd/config.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>

namespace turnkit::turnd {
namespace {

// Addresses that the internet cannot reach: RFC 1918, shared address space (RFC 6598), unique local (RFC 4193).
bool is_behind_nat(const IpAddress& ip) {
  static const IpRange kRanges[] = {*IpRange::parse("10.0.0.0/8"), *IpRange::parse("172.16.0.0/12"),
                                    *IpRange::parse("192.168.0.0/16"), *IpRange::parse("100.64.0.0/10"),
                                    *IpRange::parse("fc00::/7")};
  return std::any_of(std::begin(kRanges), std::end(kRanges), [&](const IpRange& range) { return range.contains(ip); });
}

}  // namespace

std::string describe(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::kFile:
      return fmt::format("configuration file: {}", origin.path);
    case Origin::Kind::kCommandLine:
      return "no configuration file: the command line says everything";
    case Origin::Kind::kEmbeddedDefault:
      return fmt::format("no configuration file: the embedded default is used, with {} secret in {}",
                         origin.created ? "a new" : "the", origin.path);
  }
  return {};
}

void forget_passwords(Config& config) {
  for (StaticUser& user : config.users) {
    ::explicit_bzero(user.secret.data(), user.secret.size());
    user.secret.clear();
  }
}

std::optional<std::string> nat_advice(const Config& config, std::span<const IpAddress> relay_ips) {
  if (config.stun_only) return std::nullopt;
  for (const Family family : {Family::kIPv4, Family::kIPv6}) {
    const bool covered =
        std::any_of(config.external_ips.begin(), config.external_ips.end(), [&](const ExternalIp& line) {
          return line.kind != ExternalIp::Kind::kAddress || line.address.family() == family;
        });
    const auto natted = std::find_if(relay_ips.begin(), relay_ips.end(),
                                     [&](const IpAddress& ip) { return ip.family() == family && is_behind_nat(ip); });
    const bool reachable = std::any_of(relay_ips.begin(), relay_ips.end(), [&](const IpAddress& ip) {
      return ip.family() == family && !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified() &&
             !is_behind_nat(ip);
    });
    if (covered || reachable || natted == relay_ips.end()) continue;
    return fmt::format(
        "the relay address {} cannot be reached from the internet; if this host is behind 1:1 NAT, add the line "
        "external-ip=auto (or external-ip=PUBLIC/{}, with its public address)",
        natted->to_string(), natted->to_string());
  }
  return std::nullopt;
}

}  // namespace turnkit::turnd
