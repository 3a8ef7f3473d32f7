// A blocking UDP socket connected to one server: only that server's packets arrive, and its ICMP errors are seen.
#pragma once

#include <memory>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "net/udp_socket.h"

namespace turnkit::client {

class UdpClient {
 public:
  // `local` unset: the address towards the server, any port.
  static Result<UdpClient> open(const Address& server, const std::optional<Address>& local);

  // A refusal that an earlier packet caused (ECONNREFUSED) is not an error here; receive() reports it.
  Status send(Bytes datagram);

  struct Received {
    Bytes datagram;  // valid until the next call; empty: nothing came (or an empty datagram)
    int error = 0;   // errno: ETIMEDOUT at `until`, ECONNREFUSED and the like for ICMP errors
  };
  // Waits until `until` at most.
  Received receive(TimePoint until);

  [[nodiscard]] const Address& local() const { return socket_.local(); }
  [[nodiscard]] const Address& server() const { return server_; }
  [[nodiscard]] int fd() const { return socket_.fd(); }

 private:
  UdpClient(net::UdpSocket socket, const Address& server);

  net::UdpSocket socket_;
  Address server_;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace turnkit::client
