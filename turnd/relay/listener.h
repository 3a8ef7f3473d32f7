// Listener: one UDP socket on which clients reach one worker. Each worker has its own on the same address
// (SO_REUSEPORT).
#pragma once

#include "net/event_loop.h"
#include "net/udp_socket.h"
#include "turnd/relay/client_link.h"

namespace turnkit::relay {

class Worker;

class Listener final : public ClientLink, public net::IoHandler {
 public:
  Listener(Worker& worker, net::UdpSocket socket);

  [[nodiscard]] net::UdpSocket& socket() { return socket_; }
  void on_readable() override;
  void send(const engine::FiveTuple& tuple, Bytes head, Bytes payload, std::uint8_t tos) override;

 private:
  Worker& worker_;
  net::UdpSocket socket_;
  net::IoWatch watch_;
};

}  // namespace turnkit::relay
