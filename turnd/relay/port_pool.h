// PortPool: the relayed ports of the whole server. Picks at random (RFC 6056), knows what is taken without asking the
// kernel, and keeps the reserved halves of EVEN-PORT pairs. Shared by all workers; asked only when an allocation begins
// or ends, so one mutex serves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/random.h"
#include "net/fd.h"
#include "net/udp_socket.h"
#include "turnd/engine/relay_ports.h"

namespace turnkit::relay {

class PortPool;

// A bound relayed port; goes back to the pool when it is destroyed.
class PortLease {
 public:
  PortLease() = default;
  PortLease(PortPool& pool, std::size_t ip_index, net::UdpSocket socket)
      : pool_(&pool), ip_index_(ip_index), socket_(std::move(socket)) {}
  ~PortLease();
  PortLease(PortLease&& other) noexcept;
  PortLease& operator=(PortLease&& other) noexcept;
  PortLease(const PortLease&) = delete;
  PortLease& operator=(const PortLease&) = delete;

  explicit operator bool() const { return pool_ != nullptr; }
  [[nodiscard]] net::UdpSocket& socket() { return socket_; }
  [[nodiscard]] const net::UdpSocket& socket() const { return socket_; }

 private:
  PortPool* pool_ = nullptr;
  std::size_t ip_index_ = 0;
  net::UdpSocket socket_;
};

// The same for TCP (RFC 6062): a listening socket whose port connections to peers may share.
class TcpPortLease {
 public:
  TcpPortLease() = default;
  TcpPortLease(PortPool& pool, std::size_t ip_index, const Address& local, net::UniqueFd socket)
      : pool_(&pool), ip_index_(ip_index), local_(local), socket_(std::move(socket)) {}
  ~TcpPortLease();
  TcpPortLease(TcpPortLease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        ip_index_(other.ip_index_),
        local_(other.local_),
        socket_(std::move(other.socket_)) {}
  TcpPortLease& operator=(TcpPortLease&&) = delete;

  explicit operator bool() const { return pool_ != nullptr; }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] const Address& local() const { return local_; }
  [[nodiscard]] const std::string& device() const;  // that connections are to be bound to

 private:
  PortPool* pool_ = nullptr;
  std::size_t ip_index_ = 0;
  Address local_;
  net::UniqueFd socket_;
};

struct PortPoolConfig {
  std::vector<IpAddress> ips;      // relay addresses
  std::uint16_t min_port = 49152;  // RFC 8656, section 7.2: the dynamic range
  std::uint16_t max_port = 65535;
  net::UdpOptions socket_options;
};

class PortPool {
 public:
  explicit PortPool(PortPoolConfig config);

  [[nodiscard]] bool supports(Family family) const;
  // Whether the address could be a relayed one: a check of a few compares, for the data path.
  [[nodiscard]] bool may_own(const Address& address) const {
    if (address.port < config_.min_port || address.port > config_.max_port) return false;
    return std::find(config_.ips.begin(), config_.ips.end(), address.ip) != config_.ips.end();
  }

  struct Opened {
    PortLease lease;                                 // empty: no port is left, or the parity cannot be met
    std::optional<std::uint64_t> reservation_token;  // for kEvenAndReserveNext
  };
  // `preferred`: the relay address to use where it is one and of this family.
  Opened open(Family family, engine::Parity parity, const IpAddress& preferred, TimePoint now);
  // TCP has the same range, with ports of its own. An empty lease: no port is left.
  TcpPortLease open_tcp(Family family, const IpAddress& preferred);
  [[nodiscard]] bool holds(std::uint64_t token, TimePoint now);
  PortLease claim(std::uint64_t token, TimePoint now);
  // Frees reservations that nobody claimed within 30 s (RFC 8656, section 7.2). Any worker may call it, about once a
  // second.
  void expire_reservations(TimePoint now);

 private:
  friend class PortLease;
  friend class TcpPortLease;
  static constexpr std::chrono::seconds kReservationLifetime{30};

  using PortSet = std::vector<std::uint64_t>;  // a bit a port, from min_port
  struct Ip {
    IpAddress address;
    PortSet udp;
    PortSet tcp;
  };
  struct Reservation {
    PortLease lease;
    TimePoint expires;
  };

  [[nodiscard]] std::optional<std::size_t> choose_ip(Family family, const IpAddress& preferred);
  [[nodiscard]] std::optional<std::uint16_t> take_port(PortSet& ports, engine::Parity parity);
  [[nodiscard]] bool is_taken(const PortSet& ports, std::uint32_t port) const;
  void mark(PortSet& ports, std::uint32_t port, bool taken);
  void give_back(PortSet Ip::*ports, std::size_t ip_index, std::uint16_t port);
  std::optional<PortLease> bind(std::size_t ip_index, std::uint16_t port);

  const PortPoolConfig config_;
  std::mutex mutex_;
  SystemRandom random_;
  std::vector<Ip> ips_;
  std::unordered_map<std::uint64_t, Reservation> reservations_;
};

}  // namespace turnkit::relay
