#include "turnd/engine/discovery.h"

#include <algorithm>

namespace turnkit::engine {

Result<Discovery> Discovery::make(const std::vector<IpAddress>& ips, std::vector<PortPair> ports) {
  Discovery out;
  for (const Family family : {Family::kIPv4, Family::kIPv6}) {
    std::vector<IpAddress> usable;
    for (const IpAddress& ip : ips) {
      if (ip.family() == family && !ip.is_unspecified()) usable.push_back(ip);
    }
    // Loopback is no other address for anybody who came over a network.
    const auto is_loopback = [](const IpAddress& ip) { return ip.is_loopback(); };
    if (!std::all_of(usable.begin(), usable.end(), is_loopback)) std::erase_if(usable, is_loopback);
    if (usable.size() >= 2) out.ips_.insert(out.ips_.end(), usable.begin(), usable.end());
  }
  if (out.ips_.empty()) return Error{"two listening-ip addresses of one family are needed, named one by one"};
  std::erase_if(ports, [](const PortPair& p) { return p.port == 0 || p.alternate == 0 || p.port == p.alternate; });
  if (ports.empty()) return Error{"an alt-listening-port other than listening-port is needed"};
  out.ports_ = std::move(ports);
  return out;
}

std::optional<Address> Discovery::other(const Address& local) const {
  std::uint16_t port = 0;
  for (const PortPair& pair : ports_) {
    if (pair.port == local.port) port = pair.alternate;
    if (pair.alternate == local.port) port = pair.port;
  }
  const auto here = std::find(ips_.begin(), ips_.end(), local.ip);
  if (port == 0 || here == ips_.end()) return std::nullopt;
  const auto index = static_cast<std::size_t>(here - ips_.begin());
  for (std::size_t i = 1; i < ips_.size(); ++i) {
    const IpAddress& ip = ips_[(index + i) % ips_.size()];
    if (ip.family() == local.family()) return Address{ip, port};
  }
  return std::nullopt;
}

}  // namespace turnkit::engine
