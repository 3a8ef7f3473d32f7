#include "turnd/relay/port_pool.h"

#include <algorithm>
#include <utility>

#include "net/stream.h"

namespace turnkit::relay {

using engine::Parity;

namespace {

// Ports that another program holds are skipped, but not for ever: each try costs system calls.
constexpr int kMaxBindTries = 64;
constexpr int kTcpBacklog = 128;

}  // namespace

PortLease::~PortLease() {
  if (pool_ == nullptr) return;
  const std::uint16_t port = socket_.local().port;
  socket_ = net::UdpSocket();  // closed before the pool may hand it out again
  pool_->give_back(&PortPool::Ip::udp, ip_index_, port);
}

PortLease::PortLease(PortLease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), ip_index_(other.ip_index_), socket_(std::move(other.socket_)) {}

PortLease& PortLease::operator=(PortLease&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(ip_index_, other.ip_index_);
  std::swap(socket_, other.socket_);
  return *this;
}

TcpPortLease::~TcpPortLease() {
  if (pool_ == nullptr) return;
  socket_ = net::UniqueFd();  // closed before the pool may hand it out again
  pool_->give_back(&PortPool::Ip::tcp, ip_index_, local_.port);
}

const std::string& TcpPortLease::device() const { return pool_->config_.socket_options.device; }

PortPool::PortPool(PortPoolConfig config) : config_(std::move(config)) {
  const std::size_t ports = std::size_t{config_.max_port} - config_.min_port + 1;
  const PortSet none((ports + 63) / 64);
  for (const IpAddress& address : config_.ips) ips_.push_back({address, none, none});
}

bool PortPool::supports(Family family) const {
  return std::any_of(ips_.begin(), ips_.end(), [&](const Ip& ip) { return ip.address.family() == family; });
}

PortPool::Opened PortPool::open(Family family, Parity parity, const IpAddress& preferred, TimePoint now) {
  Opened opened;
  for (int tries = 0; tries < kMaxBindTries; ++tries) {
    std::optional<std::size_t> index;
    std::optional<std::uint16_t> port;
    {
      const std::lock_guard lock(mutex_);
      index = choose_ip(family, preferred);
      if (index) port = take_port(ips_[*index].udp, parity);
    }
    if (!index || !port) return opened;
    std::optional<PortLease> lease = bind(*index, *port);
    if (parity != Parity::kEvenAndReserveNext) {
      if (!lease) continue;
      opened.lease = *std::move(lease);
      return opened;
    }
    std::optional<PortLease> next = bind(*index, static_cast<std::uint16_t>(*port + 1));
    if (!lease || !next) continue;
    opened.lease = *std::move(lease);
    const std::lock_guard lock(mutex_);
    const std::uint64_t token = random_.u64();
    reservations_.insert_or_assign(token, Reservation{*std::move(next), now + kReservationLifetime});
    opened.reservation_token = token;
    return opened;
  }
  return opened;
}

TcpPortLease PortPool::open_tcp(Family family, const IpAddress& preferred) {
  net::TcpListenOptions options;
  options.share_port = true;
  options.backlog = kTcpBacklog;
  options.send_buffer = config_.socket_options.send_buffer;
  options.receive_buffer = config_.socket_options.receive_buffer;
  options.device = config_.socket_options.device;
  for (int tries = 0; tries < kMaxBindTries; ++tries) {
    std::optional<std::size_t> index;
    std::optional<std::uint16_t> port;
    {
      const std::lock_guard lock(mutex_);
      index = choose_ip(family, preferred);
      if (index) port = take_port(ips_[*index].tcp, Parity::kAny);
    }
    if (!index || !port) break;
    const Address local{ips_[*index].address, *port};
    auto socket = net::tcp_listen(local, options);
    if (socket) return {*this, *index, local, *std::move(socket)};
    give_back(&Ip::tcp, *index, *port);
  }
  return {};
}

bool PortPool::holds(std::uint64_t token, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto it = reservations_.find(token);
  return it != reservations_.end() && it->second.expires > now;
}

PortLease PortPool::claim(std::uint64_t token, TimePoint now) {
  Reservation reservation;
  {
    const std::lock_guard lock(mutex_);
    const auto node = reservations_.extract(token);
    if (node.empty()) return {};
    reservation = std::move(node.mapped());
  }
  return reservation.expires > now ? std::move(reservation.lease) : PortLease();
}

void PortPool::expire_reservations(TimePoint now) {
  std::vector<Reservation> expired;  // destroyed after the lock is let go: a lease gives itself back
  const std::lock_guard lock(mutex_);
  for (auto it = reservations_.begin(); it != reservations_.end();) {
    if (it->second.expires > now) {
      ++it;
      continue;
    }
    expired.push_back(std::move(it->second));
    it = reservations_.erase(it);
  }
}

std::optional<std::size_t> PortPool::choose_ip(Family family, const IpAddress& preferred) {
  std::size_t candidates = 0;
  std::size_t chosen = 0;
  for (std::size_t i = 0; i < ips_.size(); ++i) {
    if (ips_[i].address.family() != family) continue;
    if (ips_[i].address == preferred) return i;
    if (random_.below(static_cast<std::uint32_t>(++candidates)) == 0) chosen = i;  // reservoir sampling
  }
  return candidates == 0 ? std::nullopt : std::optional(chosen);
}

// The first free port (or pair) at or after a random one, around the range.
std::optional<std::uint16_t> PortPool::take_port(PortSet& ports, Parity parity) {
  const std::uint32_t count = std::uint32_t{config_.max_port} - config_.min_port + 1;
  const std::uint32_t start = random_.below(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t port = config_.min_port + (start + i) % count;
    if (parity != Parity::kAny && port % 2 != 0) continue;
    if (is_taken(ports, port)) continue;
    if (parity == Parity::kEvenAndReserveNext && (port + 1 > config_.max_port || is_taken(ports, port + 1))) continue;
    mark(ports, port, true);
    if (parity == Parity::kEvenAndReserveNext) mark(ports, port + 1, true);
    return static_cast<std::uint16_t>(port);
  }
  return std::nullopt;
}

bool PortPool::is_taken(const PortSet& ports, std::uint32_t port) const {
  const std::uint32_t bit = port - config_.min_port;
  return ((ports[bit / 64] >> (bit % 64)) & 1U) != 0;
}

void PortPool::mark(PortSet& ports, std::uint32_t port, bool taken) {
  const std::uint32_t bit = port - config_.min_port;
  const std::uint64_t mask = std::uint64_t{1} << (bit % 64);
  if (taken) {
    ports[bit / 64] |= mask;
  } else {
    ports[bit / 64] &= ~mask;
  }
}

void PortPool::give_back(PortSet Ip::*ports, std::size_t ip_index, std::uint16_t port) {
  const std::lock_guard lock(mutex_);
  mark(ips_[ip_index].*ports, port, false);
}

// The port is marked as taken; nullopt when another program has it, and then it is free again for later tries.
std::optional<PortLease> PortPool::bind(std::size_t ip_index, std::uint16_t port) {
  auto socket = net::UdpSocket::bind({ips_[ip_index].address, port}, config_.socket_options);
  if (socket) return PortLease(*this, ip_index, *std::move(socket));
  give_back(&Ip::udp, ip_index, port);
  return std::nullopt;
}

}  // namespace turnkit::relay
