// DTLS over a UdpClient; made by open_transport().
#pragma once

#include <deque>
#include <vector>

#include "client/transport.h"
#include "client/udp_client.h"

namespace turnkit::client {

class DtlsTransport final : public Transport {
 public:
  // Ends the handshake first.
  static Result<std::unique_ptr<Transport>> open(UdpClient socket, const TransportOptions& options);
  ~DtlsTransport() override;  // sends close_notify

  Status send(Bytes message) override;
  Received receive(TimePoint until) override;
  [[nodiscard]] bool is_closed() const override;
  [[nodiscard]] std::string protection() const override { return session_->protection(); }
  [[nodiscard]] std::string_view alpn() const override { return session_->alpn(); }
  [[nodiscard]] const Address& local() const override { return socket_.local(); }
  [[nodiscard]] const Address& server() const override { return socket_.server(); }
  [[nodiscard]] int fd() const override { return socket_.fd(); }

 private:
  DtlsTransport(UdpClient socket, std::shared_ptr<net::TlsClientContext> context);
  void flush(net::DtlsSession::Datagrams& datagrams);
  // Waits for one datagram or timer; 0, or an errno as receive() has it.
  int step(TimePoint until);

  UdpClient socket_;
  std::unique_ptr<net::DtlsSession> session_;
  std::deque<std::vector<std::byte>> messages_;
  std::vector<std::byte> current_;
};

}  // namespace turnkit::client
