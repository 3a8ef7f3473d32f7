// Listener: one UDP socket on which clients reach one worker. Each worker has its own on the same address
// (SO_REUSEPORT).
#pragma once

#include "net/event_loop.h"
#include "net/udp_socket.h"
#include "turnd/engine/allocation.h"

namespace turnkit::relay {

class Worker;

class Listener final : public engine::ClientPath, public net::IoHandler {
 public:
  Listener(Worker& worker, net::UdpSocket socket);

  [[nodiscard]] net::UdpSocket& socket() { return socket_; }
  void on_readable() override;

 private:
  Worker& worker_;
  net::UdpSocket socket_;
  net::IoWatch watch_;
};

}  // namespace turnkit::relay
