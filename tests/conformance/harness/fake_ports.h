// FakePorts: relayed addresses as entries of a table, so that the engine runs without sockets. Header only: the fuzz
// targets use it, too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "turnd/engine/relay_ports.h"

namespace turnkit::conformance {

class FakePorts final : public engine::RelayPorts {
 public:
  struct Config {
    std::vector<IpAddress> ips;  // at most one a family
    std::uint16_t min_port = 49152;
    std::uint16_t max_port = 65535;
    bool can_set_dont_fragment = true;
  };
  FakePorts(Config config, Random& random) : config_(std::move(config)), random_(random) {}

  [[nodiscard]] bool supports(Family family) const override { return ip_of(family) != nullptr; }
  [[nodiscard]] bool can_set_dont_fragment(Family) const override { return config_.can_set_dont_fragment; }
  engine::OpenedRelay open(Family family, engine::Parity parity, const Address& server, const Now& now) override;
  std::unique_ptr<engine::TcpRelayEndpoint> open_tcp(Family family, const Address& server, const Now& now) override;
  [[nodiscard]] bool holds(std::uint64_t token, const Now& now) override {
    const auto it = reservations_.find(token);
    return it != reservations_.end() && it->second.expires > now.mono;
  }
  std::unique_ptr<engine::RelayEndpoint> claim(std::uint64_t token, const Now& now) override;

  void expire_reservations(TimePoint now);
  void forget_reservations() { reservations_.clear(); }
  // The endpoint at a relayed address; null when there is none.
  [[nodiscard]] engine::RelayEndpoint* find(const Address& address) const;
  // The same for TCP.
  class TcpEndpoint;
  [[nodiscard]] TcpEndpoint* find_tcp(const Address& address) const;
  // Open endpoints, reserved ones included.
  [[nodiscard]] std::size_t live() const { return live_.size() + tcp_.size(); }
  [[nodiscard]] std::size_t reserved() const { return reservations_.size(); }

 private:
  class Endpoint;
  static constexpr std::chrono::seconds kReservationLifetime{30};  // RFC 8656, section 7.2
  struct Reservation {
    std::unique_ptr<engine::RelayEndpoint> endpoint;
    TimePoint expires;
  };

  [[nodiscard]] const IpAddress* ip_of(Family family) const;
  [[nodiscard]] std::optional<Address> choose(const IpAddress& ip, engine::Parity parity);
  std::unique_ptr<engine::RelayEndpoint> make(const Address& address);

  const Config config_;
  Random& random_;
  std::map<Address, Endpoint*> live_;
  std::map<Address, TcpEndpoint*> tcp_;
  std::map<std::uint64_t, Reservation> reservations_;  // after live_: its endpoints leave that table
};

class FakePorts::Endpoint final : public engine::RelayEndpoint {
 public:
  Endpoint(FakePorts& ports, const Address& local) : RelayEndpoint(local), ports_(ports) {
    ports_.live_.emplace(local, this);
  }
  ~Endpoint() override { ports_.live_.erase(local()); }

 private:
  FakePorts& ports_;
};

// A TCP relayed address of the table: it writes down what the engine asks of it.
class FakePorts::TcpEndpoint final : public engine::TcpRelayEndpoint {
 public:
  TcpEndpoint(FakePorts& ports, const Address& local) : TcpRelayEndpoint(local), ports_(ports) {
    ports_.tcp_.emplace(local, this);
  }
  ~TcpEndpoint() override { ports_.tcp_.erase(local()); }

  bool connect(engine::ConnectionId id, const Address& peer) override {
    if (refuses) return false;
    connecting.emplace_back(id, peer);
    return true;
  }
  void give_up(engine::ConnectionId id) override { given_up.push_back(id); }
  void close(engine::ConnectionId id) override { closed.push_back(id); }

  bool refuses = false;
  std::vector<std::pair<engine::ConnectionId, Address>> connecting;
  std::vector<engine::ConnectionId> given_up;
  std::vector<engine::ConnectionId> closed;

 private:
  FakePorts& ports_;
};

inline const IpAddress* FakePorts::ip_of(Family family) const {
  const auto it =
      std::find_if(config_.ips.begin(), config_.ips.end(), [&](const IpAddress& ip) { return ip.family() == family; });
  return it == config_.ips.end() ? nullptr : &*it;
}

inline std::unique_ptr<engine::RelayEndpoint> FakePorts::make(const Address& address) {
  return std::make_unique<Endpoint>(*this, address);
}

inline std::optional<Address> FakePorts::choose(const IpAddress& ip, engine::Parity parity) {
  const std::uint32_t count = std::uint32_t{config_.max_port} - config_.min_port + 1;
  const std::uint32_t start = random_.below(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Address address{ip, static_cast<std::uint16_t>(config_.min_port + (start + i) % count)};
    if (parity != engine::Parity::kAny && address.port % 2 != 0) continue;
    if (live_.contains(address)) continue;
    const Address next{ip, static_cast<std::uint16_t>(address.port + 1)};
    if (parity == engine::Parity::kEvenAndReserveNext && (next.port > config_.max_port || live_.contains(next)))
      continue;
    return address;
  }
  return std::nullopt;
}

inline engine::OpenedRelay FakePorts::open(Family family, engine::Parity parity, const Address&, const Now& now) {
  const IpAddress* ip = ip_of(family);
  if (ip == nullptr) return {};
  const std::optional<Address> address = choose(*ip, parity);
  if (!address) return {};
  engine::OpenedRelay opened{make(*address), std::nullopt};
  if (parity == engine::Parity::kEvenAndReserveNext) {
    opened.reservation_token = random_.u64();
    reservations_.emplace(
        *opened.reservation_token,
        Reservation{make({*ip, static_cast<std::uint16_t>(address->port + 1)}), now.mono + kReservationLifetime});
  }
  return opened;
}

inline std::unique_ptr<engine::TcpRelayEndpoint> FakePorts::open_tcp(Family family, const Address&, const Now&) {
  const IpAddress* ip = ip_of(family);
  const std::uint32_t count = std::uint32_t{config_.max_port} - config_.min_port + 1;
  for (std::uint32_t i = 0; ip != nullptr && i < count; ++i) {
    const Address address{*ip, static_cast<std::uint16_t>(config_.min_port + i)};
    if (!tcp_.contains(address)) return std::make_unique<TcpEndpoint>(*this, address);
  }
  return nullptr;
}

inline FakePorts::TcpEndpoint* FakePorts::find_tcp(const Address& address) const {
  const auto it = tcp_.find(address);
  return it == tcp_.end() ? nullptr : it->second;
}

inline std::unique_ptr<engine::RelayEndpoint> FakePorts::claim(std::uint64_t token, const Now& now) {
  auto node = reservations_.extract(token);
  if (node.empty() || node.mapped().expires <= now.mono) return nullptr;
  return std::move(node.mapped().endpoint);
}

inline void FakePorts::expire_reservations(TimePoint now) {
  std::erase_if(reservations_, [&](const auto& entry) { return entry.second.expires <= now; });
}

inline engine::RelayEndpoint* FakePorts::find(const Address& address) const {
  const auto it = live_.find(address);
  return it == live_.end() ? nullptr : it->second;
}

}  // namespace turnkit::conformance
