// Clients, allocations and peers of the load generator: see fleet.h.
#include "probe/load/fleet.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "net/send_one.h"

namespace turnkit::probe {

namespace {

constexpr int kClientBuffer = 1 << 20;
constexpr int kPeerBuffer = 16 << 20;
constexpr rlim_t kOtherFiles = 64;
constexpr std::uint16_t kChannel = 0x4000;
constexpr int kMaxPorts = 3;
constexpr Duration kLongestWait = std::chrono::milliseconds(100);

TimePoint mono() { return read_clock().mono; }

// One descriptor for each socket; the soft limit is usually 1024.
Status raise_file_limit(std::size_t sockets) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  const rlim_t wanted = static_cast<rlim_t>(sockets) + kOtherFiles;
  if (limit.rlim_cur >= wanted) return {};
  if (limit.rlim_max < wanted) {
    return Error{"This process may open " + std::to_string(limit.rlim_max) + " files, and " + std::to_string(wanted) +
                 " are needed; raise the limit with 'ulimit -n " + std::to_string(wanted) +
                 "' or ask for fewer allocations."};
  }
  limit.rlim_cur = wanted;
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return {};
  return Error{"Cannot raise the limit of open files to " + std::to_string(wanted) + "."};
}

}  // namespace

Result<std::unique_ptr<Fleet>> Fleet::open(const FleetConfig& config) {
  if (Status raised = raise_file_limit(std::size_t{config.allocations} + config.peers); !raised) return raised.error();
  auto poller = Poller::create();
  if (!poller) return poller.error();
  std::unique_ptr<Fleet> fleet(new Fleet(config, *std::move(poller)));
  if (Status bound = fleet->bind_peers(); !bound) return bound.error();
  if (Status bound = fleet->bind_clients(); !bound) return bound.error();
  return fleet;
}

Status Fleet::bind_peers() {
  net::UdpOptions options;
  options.receive_buffer = kPeerBuffer;
  options.send_buffer = kPeerBuffer;
  for (unsigned i = 0; i < config_.peers; ++i) {
    auto socket = net::UdpSocket::bind({config_.peer, 0}, options);
    if (!socket) return socket.error();
    if (!config_.segment) socket->disable_segment();
    peers_.push_back(*std::move(socket));
    if (Status added = poller_.add(peers_.back().fd(), config_.allocations + i); !added) return added;
  }
  return {};
}

Result<net::UdpSocket> Fleet::bind_client(std::uint64_t token) {
  net::UdpOptions options;
  options.receive_buffer = kClientBuffer;
  options.receive_errors = true;
  auto socket = net::UdpSocket::bind({config_.local, 0}, options);
  if (!socket) return socket;
  if (!config_.segment) socket->disable_segment();
  if (Status added = poller_.add(socket->fd(), token); !added) return added.error();
  return socket;
}

Status Fleet::bind_clients() {
  for (unsigned i = 0; i < config_.allocations; ++i) {
    auto socket = bind_client(i);
    if (!socket) return socket.error();
    clients_.emplace_back(*std::move(socket), client::TurnSession(config_.server, config_.session, random_));
    clients_.back().peer = i % config_.peers;
    clients_.back().channel = kChannel;
  }
  return {};
}

void Fleet::flush(Client& client) {
  for (const auto& datagram : client.session.take_output()) {
    (void)net::send_one(client.socket, config_.server, datagram);  // what is lost is sent again
  }
}

void Fleet::receive(Client& client, TimePoint now) {
  const auto received = receive_.receive(client.socket, 16);
  if (received.error == ECONNREFUSED) client.session.on_unreachable();
  if (received.error != 0 && received.error != EAGAIN) {
    for (net::IcmpError icmp; net::next_icmp_error(client.socket.fd(), icmp);) {
    }
  }
  for (const net::Datagram& datagram : received.datagrams) {
    if (datagram.source != config_.server) continue;
    datagram.for_each_segment([&](Bytes segment) { client.session.on_datagram(segment, now); });
  }
  receive_.clear();
}

void Fleet::on_event(std::uint32_t index, const client::Event& event, TimePoint now) {
  Client& client = clients_[index];
  if (const auto* allocated = std::get_if<client::Allocated>(&event)) {
    client.relayed = allocated->relayed;
    client.session.bind_channel(client.channel, peers_[client.peer].local(), now);
  } else if (std::holds_alternative<client::ChannelBound>(event)) {
    client.ready = true;
  } else if (std::holds_alternative<client::Deleted>(event)) {
    client.ready = false;
  } else if (const auto* failed = std::get_if<client::Failure>(&event)) {
    // A server keeps a deleted allocation's 5-tuple for a while, and the system gives ports again (RFC 8656,
    // section 7.4).
    const bool retry = failed->advice() == client::Failure::Advice::kNewLocalPort && client.ports_tried < kMaxPorts;
    if (retry && start_over(client, index, now)) return;
    if (!failure_) failure_ = *failed;
  }
}

bool Fleet::start_over(Client& client, std::uint32_t index, TimePoint now) {
  ++client.ports_tried;
  auto socket = bind_client(index);
  if (!socket) return false;
  client.socket = *std::move(socket);
  client.session = client::TurnSession(config_.server, config_.session, random_);
  client.session.allocate(now);
  return true;
}

void Fleet::serve(std::uint32_t index, TimePoint now) {
  Client& client = clients_[index];
  for (const client::Event& event : client.session.take_events()) on_event(index, event, now);
  flush(client);
}

void Fleet::turn(const std::vector<std::uint32_t>& active, Duration limit) {
  TimePoint until = mono() + limit;
  for (const std::uint32_t index : active) {
    const auto deadline = clients_[index].session.deadline();
    if (deadline) until = std::min(until, *deadline);
  }
  const auto ready = poller_.wait(until - mono());
  const TimePoint now = mono();
  for (const std::uint64_t token : ready) {
    if (token < clients_.size()) receive(clients_[token], now);
  }
  for (const std::uint32_t index : active) {
    clients_[index].session.on_time(now);
    serve(index, now);
  }
}

SetUp Fleet::set_up(const std::function<bool()>& stop) {
  SetUp result;
  const TimePoint start = mono();
  std::vector<std::uint32_t> active;
  std::uint32_t next = 0;
  while ((next < clients_.size() || !active.empty()) && !failure_ && !stop()) {
    while (active.size() < config_.parallel && next < clients_.size()) {
      clients_[next].session.allocate(mono());
      flush(clients_[next]);
      active.push_back(next++);
    }
    turn(active, kLongestWait);
    result.made += static_cast<unsigned>(std::erase_if(active, [&](std::uint32_t i) { return clients_[i].ready; }));
  }
  result.took = mono() - start;
  result.failure = failure_;
  return result;
}

void Fleet::on_control(std::uint32_t index, Bytes datagram, TimePoint now) {
  clients_[index].session.on_datagram(datagram, now);
  serve(index, now);
}

void Fleet::keep_alive(TimePoint now) {
  for (std::uint32_t index = 0; index < clients_.size(); ++index) {
    const auto deadline = clients_[index].session.deadline();
    if (!deadline || *deadline > now) continue;
    clients_[index].session.on_time(now);
    serve(index, now);
  }
}

unsigned Fleet::tear_down(Duration limit) {
  const TimePoint end = mono() + limit;
  std::vector<std::uint32_t> active;
  std::uint32_t next = 0;
  unsigned deleted = 0;
  while ((next < clients_.size() || !active.empty()) && mono() < end) {
    for (; active.size() < config_.parallel && next < clients_.size(); ++next) {
      Client& client = clients_[next];
      if (!client.session.allocated()) continue;
      client.session.close(mono());
      flush(client);
      active.push_back(next);
    }
    if (active.empty()) break;
    turn(active, std::min(kLongestWait, end - mono()));
    deleted += static_cast<unsigned>(std::erase_if(active, [&](std::uint32_t i) {
      return !clients_[i].session.allocated() || clients_[i].session.requests_under_way() == 0;
    }));
  }
  return deleted;
}

}  // namespace turnkit::probe
