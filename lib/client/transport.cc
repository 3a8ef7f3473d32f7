// The one way to any transport, and what stream transports share with nobody else.
#include "client/transport.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "client/dtls_transport.h"
#include "client/udp_client.h"
#include "net/stream.h"
#include "stun/framer.h"

namespace turnkit::client {
namespace {

using State = net::StreamIo::State;

TimePoint mono() { return read_clock().mono; }

// False when `until` passes first.
bool wait_for(int fd, short events, TimePoint until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - mono()).count();
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<long long>(left, 0, 60'000)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
  }
}

class StreamTransport final : public Transport {
 public:
  // `tls`: the same stream as `stream` where it is TLS, otherwise nullptr.
  StreamTransport(std::unique_ptr<net::Stream> stream, const net::TlsStream* tls, const Address& server,
                  std::chrono::milliseconds timeout)
      : stream_(std::move(stream)),
        tls_(tls),
        server_(server),
        local_(net::local_address(stream_->fd()).value_or(Address{})),
        timeout_(timeout) {}
  ~StreamTransport() override { stream_->end_output(); }

  Status send(Bytes message) override {
    const TimePoint until = mono() + timeout_;
    while (!message.empty()) {
      const net::StreamIo io = stream_->write(message);
      if (io.state == State::kDone) {
        message = message.subspan(io.bytes);
      } else if (io.state == State::kFailed) {
        return Error{"Cannot send to " + server_.to_string() + ": " + std::string(stream_->failure()) + "."};
      } else if (!wait_for(stream_->fd(), io.state == State::kWantRead ? POLLIN : POLLOUT, until)) {
        return Error{"Cannot send to " + server_.to_string() + ": it takes nothing more."};
      }
    }
    return {};
  }

  Received receive(TimePoint until) override {
    buffered_.erase(buffered_.begin(), buffered_.begin() + static_cast<std::ptrdiff_t>(consumed_));
    consumed_ = 0;
    for (;;) {
      const stun::Frame frame = stun::next_frame(buffered_, stun::kRfc5766Channels);
      if (frame.kind == stun::Frame::Kind::kStun || frame.kind == stun::Frame::Kind::kChannelData) {
        consumed_ = frame.size;
        return {frame.message, 0};
      }
      if (frame.kind == stun::Frame::Kind::kBroken) closed_ = EPROTO;
      if (closed_ != 0) return {{}, closed_};
      const net::StreamIo io = read_more();
      if (io.state == State::kEnd) closed_ = ECONNRESET;
      if (io.state == State::kFailed) closed_ = tls_ != nullptr ? EPROTO : ECONNRESET;
      const bool blocked = io.state == State::kWantRead || io.state == State::kWantWrite;
      if (blocked && !wait_for(stream_->fd(), io.state == State::kWantRead ? POLLIN : POLLOUT, until)) {
        return {{}, ETIMEDOUT};
      }
    }
  }

  [[nodiscard]] bool is_stream() const override { return true; }
  [[nodiscard]] bool is_closed() const override { return closed_ != 0; }
  [[nodiscard]] std::string protection() const override { return stream_->protection(); }
  [[nodiscard]] std::string_view alpn() const override { return tls_ != nullptr ? tls_->alpn() : std::string_view(); }
  [[nodiscard]] const Address& local() const override { return local_; }
  [[nodiscard]] const Address& server() const override { return server_; }
  [[nodiscard]] int fd() const override { return stream_->fd(); }

 private:
  net::StreamIo read_more() {
    constexpr std::size_t kPiece = 16384;
    const std::size_t before = buffered_.size();
    buffered_.resize(before + kPiece);
    const net::StreamIo io = stream_->read(MutableBytes(buffered_).subspan(before));
    buffered_.resize(before + (io.state == State::kDone ? io.bytes : 0));
    return io;
  }

  std::unique_ptr<net::Stream> stream_;
  const net::TlsStream* tls_;
  Address server_;
  Address local_;
  std::chrono::milliseconds timeout_;
  std::vector<std::byte> buffered_;
  std::size_t consumed_ = 0;  // of `buffered_`, by the message that was returned last
  int closed_ = 0;
};

Result<net::UniqueFd> connect_tcp(const Address& server, const TransportOptions& options) {
  auto fd = net::tcp_connect(server, options.local.value_or(Address{}));
  if (!fd) return fd.error();
  int error = ETIMEDOUT;
  if (wait_for(fd->get(), POLLOUT, mono() + options.timeout)) error = net::tcp_connect_error(fd->get());
  if (error == 0) return fd;
  return Error{"Cannot connect to " + server.to_string() + " over TCP: " + std::strerror(error) + "."};
}

Status finish_handshake(net::TlsStream& stream, const Address& server, TimePoint until) {
  const std::string start = "No TLS with " + server.to_string() + ": ";
  for (;;) {
    const net::StreamIo io = stream.handshake();
    if (io.state == State::kDone) return {};
    if (io.state == State::kFailed) return Error{start + std::string(stream.failure()) + "."};
    if (!wait_for(stream.fd(), io.state == State::kWantRead ? POLLIN : POLLOUT, until)) {
      return Error{start + "the handshake did not end in time."};
    }
  }
}

Result<std::unique_ptr<Transport>> open_stream(const Address& server, const TransportOptions& options) {
  auto fd = connect_tcp(server, options);
  if (!fd) return fd.error();
  if (options.kind == TransportKind::kTcp) {
    return std::unique_ptr<Transport>(
        new StreamTransport(net::make_tcp_stream(*std::move(fd)), nullptr, server, options.timeout));
  }
  auto stream = net::make_tls_client_stream(*std::move(fd), options.tls);
  if (Status done = finish_handshake(*stream, server, mono() + options.timeout); !done) return done.error();
  const net::TlsStream* tls = stream.get();
  return std::unique_ptr<Transport>(new StreamTransport(std::move(stream), tls, server, options.timeout));
}

}  // namespace

std::string_view transport_name(TransportKind kind) {
  static constexpr std::array<std::string_view, 4> kNames{"UDP", "TCP", "TLS", "DTLS"};
  return kNames[static_cast<std::size_t>(kind)];
}

Result<std::unique_ptr<Transport>> open_transport(const Address& server, const TransportOptions& options) {
  const bool secure = options.kind == TransportKind::kTls || options.kind == TransportKind::kDtls;
  if (secure && options.tls == nullptr) return Error{"TLS and DTLS need a TLS context."};
  if (options.local && options.local->family() != server.family()) {
    return Error{"The local address " + options.local->to_string() + " and the server " + server.to_string() +
                 " are of different families; give a local address of the server's family."};
  }
  if (options.kind == TransportKind::kTcp || options.kind == TransportKind::kTls) return open_stream(server, options);
  auto socket = UdpClient::open(server, options.local);
  if (!socket) return socket.error();
  if (options.kind == TransportKind::kDtls) return DtlsTransport::open(*std::move(socket), options);
  return std::unique_ptr<Transport>(new UdpClient(*std::move(socket)));
}

}  // namespace turnkit::client
