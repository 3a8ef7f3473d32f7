#include "turnd/host.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/interfaces.h"
#include "net/udp_socket.h"

namespace turnkit::turnd {

std::vector<IpAddress> host_addresses(bool with_loopback) {
  std::vector<IpAddress> ips;
  for (const net::InterfaceAddress& address : net::interface_addresses()) {
    if (address.ip.is_link_local() || (address.ip.is_loopback() && !with_loopback)) continue;
    if (std::find(ips.begin(), ips.end(), address.ip) == ips.end()) ips.push_back(address.ip);
  }
  return ips;
}

Result<ServerAddresses> choose_addresses(const Config& config) {
  ServerAddresses out;
  out.listening = config.listening_ips.empty() ? host_addresses(true) : config.listening_ips;
  if (out.listening.empty()) return Error{"no address to listen on: the host has none; name one with listening-ip"};
  if (!config.relay_ips.empty()) {
    out.relay = config.relay_ips;
  } else {
    // An unspecified listening address does not say where to relay.
    for (const IpAddress& ip : config.listening_ips) {
      if (!ip.is_unspecified()) out.relay.push_back(ip);
    }
    if (out.relay.empty()) out.relay = host_addresses(false);
    if (out.relay.empty()) out.relay = host_addresses(true);
  }
  // An address that the host does not have would otherwise show only as 508 to every client.
  for (const IpAddress& ip : config.relay_ips) {
    const auto tried = net::UdpSocket::bind({ip, 0});
    if (!tried) return Error{fmt::format("relay-ip: {}", tried.error().text)};
  }
  return out;
}

std::vector<Address> reachable_addresses(const std::vector<Address>& listeners) {
  std::vector<Address> out;
  for (const Address& listener : listeners) {
    out.push_back(listener);
    if (!listener.ip.is_unspecified()) continue;
    for (const IpAddress& ip : host_addresses(true)) {
      if (ip.family() == listener.family()) out.push_back({ip, listener.port});
    }
  }
  return out;
}

}  // namespace turnkit::turnd
