// FakeServer behind a UDP socket on loopback, in a thread of its own. Echoes ChannelData, and turns Send into Data
// indications.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <thread>

#include "fake_server.h"
#include "net/sockaddr.h"
#include "net/udp_socket.h"
#include "stun/classify.h"

namespace turnkit::client {

class UdpFakeServer {
 public:
  UdpFakeServer() : socket_(*net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0})), stop_(::eventfd(0, 0)) {}
  ~UdpFakeServer() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof(one));
    if (thread_.joinable()) thread_.join();
  }
  // Changes to `server` must be made before.
  void start() {
    thread_ = std::thread([this] { run(); });
  }
  [[nodiscard]] const Address& address() const { return socket_.local(); }
  [[nodiscard]] std::size_t sources() {
    const std::lock_guard lock(mutex_);
    return sources_.size();
  }

  FakeServer server;

 private:
  void run() {
    std::array<std::byte, 65536> buffer;
    for (;;) {
      std::array<pollfd, 2> fds{pollfd{socket_.fd(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
      (void)::poll(fds.data(), fds.size(), -1);
      if (fds[1].revents != 0) return;
      net::SockAddr from{};
      socklen_t length = sizeof(from);
      const ssize_t size = ::recvfrom(socket_.fd(), buffer.data(), buffer.size(), 0, &from.base, &length);
      if (size < 0) continue;
      {
        const std::lock_guard lock(mutex_);
        const Address source = *net::from_sockaddr(from);
        if (std::find(sources_.begin(), sources_.end(), source) == sources_.end()) sources_.push_back(source);
      }
      const Datagram answer = answer_to(Bytes(buffer).first(static_cast<std::size_t>(size)));
      if (!answer.empty()) (void)::sendto(socket_.fd(), answer.data(), answer.size(), 0, &from.base, length);
    }
  }

  Datagram answer_to(Bytes datagram) {
    if (stun::classify(datagram, stun::kRfc5766Channels) == stun::PacketKind::kChannelData) {
      return {datagram.begin(), datagram.end()};
    }
    const auto message = stun::MessageView::parse(datagram);
    if (message && message->is(stun::Class::kIndication, stun::Method::kSend)) {
      std::array<std::byte, 2048> buffer;
      stun::Builder b(buffer, stun::Class::kIndication, stun::Method::kData, message->transaction_id());
      b.raw(stun::Attr::kXorPeerAddress, message->find(stun::Attr::kXorPeerAddress)->value);
      b.raw(stun::Attr::kData, message->find(stun::Attr::kData)->value);
      const Bytes out = *b.finish();
      return {out.begin(), out.end()};
    }
    return server.handle(datagram).value_or(Datagram());
  }

  net::UdpSocket socket_;
  net::UniqueFd stop_;
  std::mutex mutex_;
  std::vector<Address> sources_;
  std::thread thread_;
};

}  // namespace turnkit::client
