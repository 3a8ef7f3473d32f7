// A UDP port of a listener: hands datagrams to the responder and sends what it answers.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"
#include "probe/listen/responder.h"

namespace turnkit::probe {

// Told of each line of text that a person sent.
using LineHandler = std::function<void(const Source&)>;

class UdpPort final : public net::IoHandler {
 public:
  // Never shares the port (no SO_REUSEADDR, no SO_REUSEPORT). Requires: what is passed by reference outlives this.
  static Result<std::unique_ptr<UdpPort>> open(const Address& local, net::EventLoop& loop, Responder& responder,
                                               LineHandler on_line);
  void on_readable() override;

 private:
  UdpPort(net::UdpSocket socket, net::EventLoop& loop, Responder& responder, LineHandler on_line);

  net::UdpSocket socket_;
  net::EventLoop& loop_;
  Responder& responder_;
  LineHandler on_line_;
  net::RecvBatch batch_{32, 2048};
  net::IoWatch watch_;
};

}  // namespace turnkit::probe
