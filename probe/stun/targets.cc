#include "probe/stun/targets.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/random.h"
#include "net/resolver.h"
#include "net/srv.h"

namespace turnkit::probe {
namespace {

constexpr std::size_t kMaxSrvTargets = 4;  // of a transport

std::string service_of(Transport transport) {
  switch (transport) {
    case Transport::kUdp:
      return "_stun._udp.";
    case Transport::kTcp:
      return "_stun._tcp.";
    case Transport::kTls:
      return "_stuns._tcp.";
    case Transport::kDtls:
      break;
  }
  return "_stuns._udp.";
}

// The first address of each family that is wanted. Further ones may be other servers, to be asked by their own address.
Status add_host(const TargetRequest& request, const std::string& host, StunTarget target, StunTargets& out) {
  const Result<std::vector<IpAddress>> all = net::resolve(host);
  if (!all) return all.error();
  bool any = false;
  for (const Family family : {Family::kIPv4, Family::kIPv6}) {
    if (request.family && *request.family != family) continue;
    bool is_first = true;
    for (const IpAddress& ip : *all) {
      if (ip.family() != family) continue;
      if (is_first) {
        target.address.ip = ip;
        out.targets.push_back(target);
      } else if (std::find(out.others.begin(), out.others.end(), ip.to_string()) == out.others.end()) {
        out.others.push_back(ip.to_string());
      }
      is_first = false;
      any = true;
    }
  }
  if (any) return {};
  return Error{fmt::format("'{}' has no {} address", escaped(host), request.family == Family::kIPv4 ? "IPv4" : "IPv6")};
}

// What the SRV records of one name lead to. False: there are none, or none that leads anywhere.
bool add_srv(const TargetRequest& request, const std::string& name, Transport transport, StunTargets& out) {
  const Result<std::vector<net::SrvRecord>> found = net::lookup_srv(name);
  if (!found) {
    out.remarks.push_back(fmt::format("{}; its A and AAAA records were used instead.", found.error().text));
    return false;
  }
  SystemRandom random;
  bool any = false;
  std::size_t used = 0;
  for (const net::SrvRecord& record : net::in_srv_order(*found, random)) {
    if (record.target.empty()) {
      out.remarks.push_back(fmt::format("The record {} says that this service is not offered there.", name));
      continue;
    }
    if (used++ == kMaxSrvTargets) break;
    StunTarget target{transport, {IpAddress(), record.port}, request.name.host, name};
    const Status added = add_host(request, record.target, target, out);
    if (added) any = true;
    if (!added) {
      out.remarks.push_back(fmt::format("The record {} leads nowhere: {}.", name, added.error().text));
    }
  }
  return any;
}

}  // namespace

std::string_view transport_name(Transport transport) {
  switch (transport) {
    case Transport::kUdp:
      return "UDP";
    case Transport::kTcp:
      return "TCP";
    case Transport::kTls:
      return "TLS";
    case Transport::kDtls:
      break;
  }
  return "DTLS";
}

Result<StunTargets> find_targets(const TargetRequest& request) {
  StunTargets out;
  std::optional<Error> failed;
  for (const Transport transport : request.transports) {
    const bool wants_srv = request.name.is_uri && !request.name.port && !request.name.is_address;
    if (wants_srv) {
      if (request.behaviour && add_srv(request, "_stun-behavior._udp." + request.name.host, transport, out)) continue;
      if (add_srv(request, service_of(transport) + request.name.host, transport, out)) continue;
    }
    const std::uint16_t standard = is_secure(transport) ? client::kStunsPort : client::kStunPort;
    StunTarget target{transport, {IpAddress(), request.name.port.value_or(standard)}, request.name.host, {}};
    if (const Status added = add_host(request, request.name.host, target, out); !added) failed = added.error();
  }
  if (out.targets.empty()) return failed.value_or(Error{"'" + request.name.host + "' has no address"});
  return out;
}

}  // namespace turnkit::probe
