// FakeServer behind TCP, TLS or DTLS on loopback, one connection after another, in a thread of its own. Echoes
// ChannelData.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "client/transport.h"
#include "fake_server.h"
#include "net/send_one.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/udp_batch.h"
#include "stun/channel_data.h"
#include "stun/framer.h"
#include "tests/support/certificates.h"

namespace turnkit::client {

class StreamFakeServer {
 public:
  explicit StreamFakeServer(TransportKind kind)
      : kind_(kind),
        udp_(*net::UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0})),
        listener_(*net::tcp_listen({IpAddress::v4(127, 0, 0, 1), 0})),
        stop_(::eventfd(0, 0)) {
    net::TlsMaterial material;
    material.certificate = certificate_.pem();
    material.key = certificate_.key_pem();
    net::TlsRules rules;
    rules.alpn = {std::string(net::kAlpnTurn)};
    context_ = *net::TlsContext::make(material, rules);
  }
  ~StreamFakeServer() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof(one));
    if (thread_.joinable()) thread_.join();
  }
  // Changes to the public members must be made before.
  void start() {
    thread_ = std::thread([this] { kind_ == TransportKind::kDtls ? serve_datagrams() : serve_connections(); });
  }
  [[nodiscard]] Address address() const {
    return kind_ == TransportKind::kDtls ? udp_.local() : *net::local_address(listener_.get());
  }

  const turnkit::testing::Certificate authority = turnkit::testing::Certificate::authority();
  FakeServer server;
  std::size_t piece = 65536;  // streams: at most so many bytes in one write
  bool hang_up = false;       // streams: closes after the first message
  std::string greeting;       // streams: sent before anything else

 private:
  // False when it is time to stop.
  bool wait(int fd, short events = POLLIN) {
    std::array<pollfd, 2> entries{pollfd{fd, events, 0}, pollfd{stop_.get(), POLLIN, 0}};
    (void)::poll(entries.data(), entries.size(), -1);
    return entries[1].revents == 0;
  }

  Datagram answer_to(Bytes message) {
    if ((std::to_integer<unsigned>(message[0]) >> 6) != 1) return server.handle(message).value_or(Datagram());
    Datagram echo(message.begin(), message.end());
    if (kind_ != TransportKind::kDtls) echo.resize((echo.size() + 3) / 4 * 4);
    return echo;
  }

  bool send(net::Stream& stream, Bytes data) {
    while (!data.empty()) {
      const net::StreamIo io = stream.write(data.first(std::min(piece, data.size())));
      if (io.state == net::StreamIo::State::kFailed) return true;
      if (io.state == net::StreamIo::State::kDone) {
        data = data.subspan(io.bytes);
      } else if (!wait(stream.fd(), POLLOUT)) {
        return false;
      }
    }
    return true;
  }

  void serve_connections() {
    while (wait(listener_.get())) {
      net::Accepted accepted = net::tcp_accept(listener_.get());
      if (!accepted.fd) continue;
      std::unique_ptr<net::Stream> stream;
      if (kind_ == TransportKind::kTls) {
        stream = net::make_tls_server_stream(std::move(accepted.fd), context_);
      } else {
        stream = net::make_tcp_stream(std::move(accepted.fd));
      }
      if (!serve(*stream)) return;
      stream->end_output();
    }
  }

  bool serve(net::Stream& stream) {
    if (!send(stream, as_bytes(greeting))) return false;
    std::vector<std::byte> buffered;
    std::array<std::byte, 4096> buffer;
    for (;;) {
      const net::StreamIo io = stream.read(buffer);
      if (io.state == net::StreamIo::State::kEnd || io.state == net::StreamIo::State::kFailed) return true;
      if (io.state != net::StreamIo::State::kDone) {
        if (!wait(stream.fd())) return false;
        continue;
      }
      buffered.insert(buffered.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(io.bytes));
      for (;;) {
        const stun::Frame frame = stun::next_frame(buffered, stun::kRfc5766Channels);
        if (frame.kind == stun::Frame::Kind::kBroken) return true;
        if (frame.kind == stun::Frame::Kind::kNeedMore) break;
        if (hang_up) return true;
        if (!send(stream, answer_to(frame.message))) return false;
        buffered.erase(buffered.begin(), buffered.begin() + static_cast<std::ptrdiff_t>(frame.size));
      }
    }
  }

  // One client at a time: a valid ClientHello begins the next one.
  void serve_datagrams() {
    net::DtlsGate gate(context_);
    std::unique_ptr<net::DtlsSession> session;
    net::RecvBatch batch;
    while (wait(udp_.fd())) {
      batch.clear();
      for (const net::Datagram& run : batch.receive(udp_).datagrams) {
        run.for_each_segment([&](Bytes datagram) { on_datagram(gate, session, datagram, run.source); });
      }
    }
  }

  void on_datagram(net::DtlsGate& gate, std::unique_ptr<net::DtlsSession>& session, Bytes datagram,
                   const Address& from) {
    net::DtlsSession::Datagrams out;
    if (net::DtlsGate::is_client_hello(datagram)) {
      if (auto fresh = gate.receive(datagram, from, udp_.local(), out)) session = std::move(fresh);
    } else if (session) {
      session->receive(datagram, out, [&](MutableBytes message) {
        const Datagram answer = answer_to(message);
        if (!answer.empty()) (void)net::send_one(udp_, from, session->protect(answer));
      });
    }
    for (const auto& one : out) (void)net::send_one(udp_, from, one);
  }

  TransportKind kind_;
  net::UdpSocket udp_;
  net::UniqueFd listener_;
  net::UniqueFd stop_;
  turnkit::testing::Certificate certificate_{{}, &authority};
  std::shared_ptr<const net::TlsContext> context_;
  std::thread thread_;
};

}  // namespace turnkit::client
