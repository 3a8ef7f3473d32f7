// What the engine asks of the world: relayed transport addresses. The shell answers with real sockets, tests with a
// table.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/address.h"
#include "base/clock.h"
#include "turnd/engine/handles.h"

namespace turnkit::engine {

struct Allocation;

// An open relayed transport address. Destroying it closes it. Implementations add what they need to send and receive.
class RelayEndpoint {
 public:
  virtual ~RelayEndpoint() = default;

  [[nodiscard]] const Address& local() const { return local_; }  // as bound, before any external-ip mapping
  [[nodiscard]] Allocation* owner() const { return owner_; }     // null until the engine has taken it

  // The engine ties the endpoint to its allocation; the endpoint may receive from then on.
  virtual void attach(Allocation& owner) { owner_ = &owner; }

 protected:
  explicit RelayEndpoint(const Address& local) : local_(local) {}

 private:
  Address local_;
  Allocation* owner_ = nullptr;
};

// A relayed address for TCP (RFC 6062): it listens, and connects to peers from the same address and port. Connections
// go by the engine's ids. Destroying it closes them all.
class TcpRelayEndpoint : public RelayEndpoint {
 public:
  // Begins to connect. The outcome comes later, never during this call, through Engine::on_connect_result(); false: it
  // failed at once, and nothing will come.
  virtual bool connect(ConnectionId id, const Address& peer) = 0;
  // The time for connecting is over: ends the attempt and reports its failure.
  virtual void give_up(ConnectionId id) = 0;
  // Closes a connection, and with it the client's data connection, without reporting it.
  virtual void close(ConnectionId id) = 0;

 protected:
  using RelayEndpoint::RelayEndpoint;
};

enum class Parity : std::uint8_t { kAny, kEven, kEvenAndReserveNext };

struct OpenedRelay {
  std::unique_ptr<RelayEndpoint> endpoint;         // null: no port is left, or the parity cannot be met
  std::optional<std::uint64_t> reservation_token;  // for kEvenAndReserveNext
};

class RelayPorts {
 public:
  virtual ~RelayPorts() = default;

  [[nodiscard]] virtual bool supports(Family family) const = 0;
  // Whether the system can set DF on what a relayed address sends (RFC 8656, section 7.2, step 4).
  [[nodiscard]] virtual bool can_set_dont_fragment(Family family) const = 0;
  // `server`: the address at which the client reached us; preferred for the relayed address where it fits.
  virtual OpenedRelay open(Family family, Parity parity, const Address& server, const Now& now) = 0;
  // Null: no port is left.
  virtual std::unique_ptr<TcpRelayEndpoint> open_tcp(Family family, const Address& server, const Now& now) = 0;
  // Whether claim() would find something.
  [[nodiscard]] virtual bool holds(std::uint64_t token, const Now& now) = 0;
  // The address that a RESERVATION-TOKEN holds, once; null when the token is unknown, used or has expired (30 s).
  // Server-wide.
  virtual std::unique_ptr<RelayEndpoint> claim(std::uint64_t token, const Now& now) = 0;
};

}  // namespace turnkit::engine
