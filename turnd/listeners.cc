#include "turnd/listeners.h"

#include <algorithm>

#include "base/log.h"
#include "net/stream.h"
#include "net/udp_socket.h"

namespace turnkit::turnd {

namespace {

constexpr int kPortTries = 32;  // until a free port is free for UDP and for TCP

net::UdpOptions udp_options(const Config& config) {
  net::UdpOptions options;
  options.receive_tos = true;
  options.receive_buffer = config.sock_buf_size;
  options.send_buffer = config.sock_buf_size;
  options.device = config.listening_device;
  return options;
}

net::TcpListenOptions tcp_options(const Config& config) {
  net::TcpListenOptions options;
  options.device = config.listening_device;
  return options;
}

// SO_REUSEPORT would let a second server of the same user share the port unseen, so the port is first tried alone. The
// result has the real port.
Result<Address> try_alone(const Config& config, const ListenerPlan& plan) {
  Address address = plan.address;
  net::UdpSocket udp;
  if (plan.udp) {
    auto alone = net::UdpSocket::bind(address, udp_options(config));
    if (!alone) return alone.error();
    udp = *std::move(alone);
    address.port = udp.local().port;
  }
  if (plan.tcp) {
    const auto alone = net::tcp_listen(address, tcp_options(config));
    if (!alone) return alone.error();
    if (const auto local = net::local_address(alone->get())) address.port = local->port;
  }
  return address;
}

Result<Address> find_address(const Config& config, const ListenerPlan& plan) {
  Result<Address> found = try_alone(config, plan);
  for (int i = 1; i < kPortTries && !found && plan.address.port == 0; ++i) found = try_alone(config, plan);
  return found;
}

Status open_one(const Config& config, const ListenerPlan& plan, const Address& address,
                const std::vector<std::unique_ptr<relay::Worker>>& workers) {
  const char* family = address.ip.is_v4() ? "IPv4" : "IPv6";
  if (plan.udp) {
    net::UdpOptions options = udp_options(config);
    options.reuse_port = true;
    for (const auto& worker : workers) {
      auto socket = net::UdpSocket::bind(address, options);
      if (!socket) return socket.error();
      worker->add_listener(*std::move(socket));
    }
    log::info("{}. {} listener opened on: {}", family, plan.secure ? "DTLS/UDP" : "UDP", address.to_string());
  }
  if (plan.tcp) {
    net::TcpListenOptions options = tcp_options(config);
    options.reuse_port = true;
    for (const auto& worker : workers) {
      auto listening = net::tcp_listen(address, options);
      if (!listening) return listening.error();
      worker->add_stream_listener(*std::move(listening), plan.stream);
    }
    log::info("{}. {} listener opened on: {}", family, plan.secure ? "TLS/TCP" : "TCP", address.to_string());
  }
  return {};
}

}  // namespace

std::vector<ListenerPlan> plan_listeners(const Config& config, const std::vector<IpAddress>& ips) {
  const relay::StreamListenerOptions stream{
      .accept_plain = !config.no_tcp, .accept_tls = !config.no_tls, .proxy_protocol = config.proxy_protocol};
  std::vector<ListenerPlan> plans;
  // An address that is asked for twice is one listener for all that was asked.
  const auto add = [&](const ListenerPlan& plan) {
    if (!plan.udp && !plan.tcp) return;
    const auto same = std::find_if(plans.begin(), plans.end(), [&](const ListenerPlan& other) {
      return plan.address.port != 0 && other.address == plan.address;
    });
    if (same == plans.end()) return plans.push_back(plan);
    same->udp |= plan.udp;
    same->tcp |= plan.tcp;
  };
  const auto add_port = [&](const IpAddress& ip, std::uint16_t plain, std::uint16_t secure) {
    add({{ip, plain}, !config.no_udp, !config.no_tcp, false, stream});
    add({{ip, secure}, !config.no_dtls, !config.no_tls, true, stream});
  };
  for (const IpAddress& ip : ips) {
    add_port(ip, config.listening_port, config.tls_listening_port);
    const auto family = std::count_if(ips.begin(), ips.end(), [&](const IpAddress& other) {
      return other.family() == ip.family() && !other.is_unspecified();
    });
    if (config.rfc5780 && family >= 2) add_port(ip, config.alt_listening_port, config.alt_tls_listening_port);
    for (const std::uint16_t port : config.tcp_proxy_ports) {
      relay::StreamListenerOptions proxied = stream;
      proxied.proxy_protocol = true;
      add({{ip, port}, false, true, false, proxied});
    }
  }
  for (const Address& aux : config.aux_servers) add({aux, !config.no_udp, !config.no_tcp, false, stream});
  return plans;
}

Result<std::vector<Address>> open_listeners(const Config& config, const std::vector<ListenerPlan>& plans,
                                            const std::vector<std::unique_ptr<relay::Worker>>& workers) {
  std::vector<Address> opened;
  for (const ListenerPlan& plan : plans) {
    const Result<Address> address = find_address(config, plan);
    if (!address) return address.error();
    if (const Status status = open_one(config, plan, *address, workers); !status) return status.error();
    opened.push_back(*address);
  }
  if (opened.empty()) return Error{"no listener is left: no-udp, no-tcp, no-tls and no-dtls turn all of them off"};
  return opened;
}

}  // namespace turnkit::turnd
