// A TCP port of a listener: framed messages of turn-probe (RFC 4571) and plain lines of netcat, on a bounded number of
// connections.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/fd.h"
#include "probe/listen/responder.h"
#include "probe/listen/udp_port.h"

namespace turnkit::probe {

class TcpPort final : public net::IoHandler {
 public:
  // Requires: what is passed by reference outlives this.
  static Result<std::unique_ptr<TcpPort>> open(const Address& local, net::EventLoop& loop, Responder& responder,
                                               LineHandler on_line);
  ~TcpPort();
  void on_readable() override;  // accepts
  // Closes connections that have been idle too long. Call it about once a second.
  void sweep();

 private:
  class Connection;
  TcpPort(net::UniqueFd fd, net::EventLoop& loop, Responder& responder, LineHandler on_line);
  void adopt(net::UniqueFd fd, const Address& remote);
  [[nodiscard]] bool is_full_for(const IpAddress& remote) const;
  void close_later(Connection& connection);

  net::UniqueFd fd_;
  net::EventLoop& loop_;
  Responder& responder_;
  LineHandler on_line_;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;  // by descriptor
  net::IoWatch watch_;
};

}  // namespace turnkit::probe
