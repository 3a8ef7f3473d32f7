#include "probe/listen/listen.h"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "net/event_loop.h"
#include "net/fd.h"
#include "net/interfaces.h"
#include "probe/exit_code.h"
#include "probe/listen/proc_net.h"
#include "probe/listen/responder.h"
#include "probe/listen/screen.h"
#include "probe/listen/tcp_port.h"
#include "probe/listen/udp_port.h"
#include "probe/report.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMaxHalfOpen = 256;
constexpr auto kTableAge = milliseconds(250);  // reading it may take long on a busy host, and anybody may ask

class Listener {
 public:
  explicit Listener(const ListenOptions& options);
  // Binds every port; the error says who owns one that is taken.
  Status open();
  int run();

 private:
  Status open_port(Protocol protocol, const Address& local);
  void look_for_half_open();
  unsigned count_half_open_from(const IpAddress& client, std::uint16_t port);
  [[nodiscard]] std::vector<IpAddress> bind_addresses() const;

  const ListenOptions& options_;
  Now started_ = read_clock();
  net::EventLoop loop_;
  SystemRandom random_;
  Responder responder_;
  Screen screen_;
  std::vector<std::unique_ptr<UdpPort>> udp_;
  std::vector<std::unique_ptr<TcpPort>> tcp_;
  std::map<HalfOpenClient, int> half_open_sightings_;
  std::set<HalfOpenClient> half_open_;
  std::vector<ProcSocket> tcp_table_;
  TimePoint tcp_table_read_{};
};

unsigned Listener::count_half_open_from(const IpAddress& client, std::uint16_t port) {
  const TimePoint now = loop_.now().mono;
  if (now - tcp_table_read_ >= kTableAge) {
    tcp_table_ = read_proc_net(Protocol::kTcp);
    tcp_table_read_ = now;
  }
  return count_half_open(tcp_table_, client, port);
}

// Whether sockets on both addresses may not have one port. An IPv6 wildcard often takes IPv4 along.
bool conflicts(const IpAddress& a, const IpAddress& b) {
  const bool any_v6 = (a.is_unspecified() && !a.is_v4()) || (b.is_unspecified() && !b.is_v4());
  return any_v6 || a == b || (a.family() == b.family() && (a.is_unspecified() || b.is_unspecified()));
}

bool is_own_address(const IpAddress& ip) {
  const std::vector<net::InterfaceAddress> own = net::interface_addresses();
  return ip.is_unspecified() ||
         std::any_of(own.begin(), own.end(), [&ip](const auto& address) { return address.ip == ip; });
}

Listener::Listener(const ListenOptions& options)
    : options_(options),
      responder_({options.ports.udp, options.ports.tcp, 1024}, random_,
                 [this](const IpAddress& client, std::uint16_t port) { return count_half_open_from(client, port); }),
      screen_(stdout, wants_color(stdout), options.json) {}

std::vector<IpAddress> Listener::bind_addresses() const {
  if (!options_.bind.empty()) return options_.bind;
  return {IpAddress::any(Family::kIPv4), IpAddress::any(Family::kIPv6)};
}

Status Listener::open_port(Protocol protocol, const Address& local) {
  const LineHandler on_line = [this](const Source& source) { screen_.line_arrived(source); };
  Error error;
  if (protocol == Protocol::kUdp) {
    Result<std::unique_ptr<UdpPort>> port = UdpPort::open(local, loop_, responder_, on_line);
    if (port) {
      udp_.push_back(std::move(*port));
      return {};
    }
    error = port.error();
  } else {
    Result<std::unique_ptr<TcpPort>> port = TcpPort::open(local, loop_, responder_, on_line);
    if (port) {
      tcp_.push_back(std::move(*port));
      return {};
    }
    error = port.error();
  }
  std::vector<PortOwner> owners;
  if (is_own_address(local.ip)) owners = find_port_owners(protocol, local.port);
  std::erase_if(owners, [&local](const PortOwner& owner) { return !conflicts(owner.local.ip, local.ip); });
  if (owners.empty()) return error;
  std::string text = describe(owners.front());
  for (std::size_t i = 1; i < owners.size(); ++i) text += "; " + describe(owners[i]);
  return Error{text + ". Stop it for the time of the check, or check another port."};
}

bool family_exists(Family family) {
  const net::UniqueFd fd(::socket(family == Family::kIPv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return static_cast<bool>(fd);
}

Status Listener::open() {
  for (const IpAddress& ip : bind_addresses()) {
    if (options_.bind.empty() && !family_exists(ip.family())) continue;
    for (const std::uint16_t port : options_.ports.udp) {
      if (const Status status = open_port(Protocol::kUdp, {ip, port}); !status) return status;
    }
    for (const std::uint16_t port : options_.ports.tcp) {
      if (const Status status = open_port(Protocol::kTcp, {ip, port}); !status) return status;
    }
  }
  return {};
}

// A handshake that is under way for an instant is normal; one that is seen at two looks in a row waits for its last
// packet.
void Listener::look_for_half_open() {
  std::map<HalfOpenClient, int> seen;
  for (const ProcSocket& socket : read_proc_net(Protocol::kTcp)) {
    const bool ours =
        std::find(options_.ports.tcp.begin(), options_.ports.tcp.end(), socket.local.port) != options_.ports.tcp.end();
    if (!ours || socket.state != kStateSynReceived || seen.size() >= kMaxHalfOpen) continue;
    const HalfOpenClient client{socket.remote.ip, socket.local.port};
    const auto before = half_open_sightings_.find(client);
    seen[client] = before == half_open_sightings_.end() ? 1 : before->second + 1;
    if (seen[client] >= 2 && half_open_.size() < kMaxHalfOpen) half_open_.insert(client);
  }
  half_open_sightings_ = std::move(seen);
}

int Listener::run() {
  const std::vector<std::string> commands = client_commands(options_.ports, net::interface_addresses());
  screen_.welcome(options_.ports, commands);
  const auto stop = [this] { loop_.stop(); };
  const net::SignalWatch on_interrupt(loop_, SIGINT, stop);
  const net::SignalWatch on_terminate(loop_, SIGTERM, stop);
  net::Timer end(loop_, stop);
  if (options_.run_for.count() > 0) end.once(options_.run_for);
  net::Timer tick(loop_, [this] { screen_.tick(responder_.sources(), half_open_, loop_.now().mono); });
  tick.every(milliseconds(250));
  net::Timer second(loop_, [this] {
    for (const auto& port : tcp_) port->sweep();
    if (!tcp_.empty()) look_for_half_open();
  });
  second.every(milliseconds(1000));
  loop_.run();

  Report report = listener_report(responder_.sources(), half_open_, options_.ports, commands, read_clock().mono);
  report.started = started_.wall;
  if (options_.json) {
    std::fputs(to_json(report).c_str(), stdout);
  } else {
    screen_.summary(report);
  }
  return exit_code_of(verdict_of(report));
}

}  // namespace

int run_listen(const ListenOptions& options) {
  Listener listener(options);
  if (const Status status = listener.open(); !status) {
    std::fprintf(stderr, "turn-probe: %s\n", status.error().text.c_str());
    return kExitCannotStart;
  }
  return listener.run();
}

}  // namespace turnkit::probe
