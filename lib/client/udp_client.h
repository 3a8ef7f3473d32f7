// A blocking UDP socket connected to one server: only that server's packets arrive, and its ICMP errors are seen.
#pragma once

#include <memory>
#include <optional>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "client/transport.h"
#include "net/udp_socket.h"

namespace turnkit::client {

class UdpClient final : public Transport {
 public:
  // `local` unset: the address towards the server, any port.
  static Result<UdpClient> open(const Address& server, const std::optional<Address>& local);
  UdpClient(UdpClient&&) = default;
  UdpClient& operator=(UdpClient&&) = default;
  ~UdpClient() override = default;

  Status send(Bytes datagram) override;
  Received receive(TimePoint until) override;

  [[nodiscard]] const Address& local() const override { return socket_.local(); }
  [[nodiscard]] const Address& server() const override { return server_; }
  [[nodiscard]] int fd() const override { return socket_.fd(); }

 private:
  UdpClient(net::UdpSocket socket, const Address& server);

  net::UdpSocket socket_;
  Address server_;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace turnkit::client
