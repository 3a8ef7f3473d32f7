#include "turnd/engine/discovery.h"

#include <algorithm>

namespace turnkit::engine {

Result<Discovery> Discovery::make(const std::vector<IpAddress>& ips, std::vector<PortPair> ports) {
  Discovery out;
  for (const IpAddress& ip : ips) {
    const auto of_family = std::count_if(ips.begin(), ips.end(), [&](const IpAddress& other) {
      return other.family() == ip.family() && !other.is_unspecified();
    });
    if (of_family >= 2 && !ip.is_unspecified()) out.ips_.push_back(ip);
  }
  if (out.ips_.empty()) {
    return Error{"rfc5780 is off: it needs two listening-ip addresses of one family, named one by one"};
  }
  std::erase_if(ports, [](const PortPair& p) { return p.port == 0 || p.alternate == 0 || p.port == p.alternate; });
  if (ports.empty()) return Error{"rfc5780 is off: it needs an alt-listening-port other than listening-port"};
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
