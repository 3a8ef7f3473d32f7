#include "probe/listen/udp_port.h"

#include <utility>

#include "net/send_one.h"

namespace turnkit::probe {
namespace {

constexpr int kBatchesPerWakeUp = 8;  // then other descriptors get their turn

}  // namespace

Result<std::unique_ptr<UdpPort>> UdpPort::open(const Address& local, net::EventLoop& loop, Responder& responder,
                                               LineHandler on_line) {
  net::UdpOptions options;
  options.gro = false;
  options.receive_pktinfo = true;
  options.receive_buffer = 1 << 20;
  Result<net::UdpSocket> socket = net::UdpSocket::bind(local, options);
  if (!socket) return socket.error();
  return std::unique_ptr<UdpPort>(new UdpPort(std::move(*socket), loop, responder, std::move(on_line)));
}

UdpPort::UdpPort(net::UdpSocket socket, net::EventLoop& loop, Responder& responder, LineHandler on_line)
    : socket_(std::move(socket)),
      loop_(loop),
      responder_(responder),
      on_line_(std::move(on_line)),
      watch_(loop, socket_.fd(), *this) {}

void UdpPort::on_readable() {
  const TimePoint now = loop_.now().mono;
  for (int i = 0; i < kBatchesPerWakeUp; ++i) {
    const net::RecvBatch::Received received = batch_.receive(socket_);
    for (const net::Datagram& datagram : received.datagrams) {
      const Responder::Reply reply = responder_.on_datagram(datagram.data, datagram.source, datagram.local, now);
      if (reply.is_line) on_line_(*reply.source);
      if (!reply.answer.empty()) {
        const int error = net::send_one(socket_, datagram.source, reply.answer, &datagram.local.ip);
        responder_.sent(reply, error, now);
      }
    }
    batch_.clear();
    if (received.drained || received.error != 0) return;
  }
}

}  // namespace turnkit::probe
