// Set-up of a client, and its frames in and out.
#include "stream_client.h"

#include <poll.h>

#include <cstring>

#include "stun/framer.h"

namespace turnkit::bench {
namespace {

using State = net::StreamIo::State;

constexpr std::size_t kInput = 128 * 1024;
constexpr int kPatienceMs = 10'000;

client::SessionOptions session_options(const std::string& secret) {
  client::SessionOptions out;
  out.credentials = client::Credentials::from_secret(secret, "bench", read_clock().wall + std::chrono::hours(24));
  out.algorithms = client::AlgorithmPolicy::kLegacy;  // what coturn 4.6 speaks
  out.retransmit = out.retransmit.once();
  return out;
}

}  // namespace

StreamClient::StreamClient(std::unique_ptr<net::Stream> stream) : stream_(std::move(stream)), input_(kInput) {}

void StreamClient::wait(short events) {
  pollfd entry{fd(), events, 0};
  if (::poll(&entry, 1, kPatienceMs) != 1) dead_ = true;
}

// Moves messages between session and stream until `done`.
Status StreamClient::run_until(const std::function<bool()>& done) {
  while (!done()) {
    for (const auto& message : session_->take_output()) {
      write(message);
      while (has_rest() && !dead_) {
        wait(POLLOUT);
        write_rest();
      }
    }
    fill();
    const stun::Frame frame = stun::next_frame(Bytes(input_).first(have_), stun::kRfc5766Channels);
    if (frame.kind == stun::Frame::Kind::kStun) {
      session_->on_datagram(frame.message, read_clock().mono);
      std::memmove(input_.data(), input_.data() + frame.size, have_ - frame.size);
      have_ -= frame.size;
    } else if (!dead_) {
      wait(POLLIN);
    }
    for (const client::Event& event : session_->take_events()) {
      if (const auto* failure = std::get_if<client::Failure>(&event)) return Error{failure->text()};
    }
    if (dead_) return Error{"A connection ended, or no answer came: " + std::string(stream_->failure())};
  }
  return {};
}

Result<std::unique_ptr<StreamClient>> StreamClient::open(const Options& options,
                                                         std::shared_ptr<net::TlsClientContext> context,
                                                         const Address& peer, Random& random) {
  auto fd = net::tcp_connect(options.server);
  if (!fd) return fd.error();
  const bool secure = options.transport == client::TransportKind::kTls;
  std::unique_ptr<net::Stream> stream;
  if (secure) {
    stream = net::make_tls_client_stream(*std::move(fd), std::move(context));
  } else {
    stream = net::make_tcp_stream(*std::move(fd));
  }
  std::unique_ptr<StreamClient> out(new StreamClient(std::move(stream)));
  out->wait(POLLOUT);
  if (const int error = net::tcp_connect_error(out->fd()); error != 0 || out->dead_) {
    return Error{"Cannot connect to " + options.server.to_string() + ": " + std::strerror(error)};
  }
  out->session_.emplace(options.server, session_options(options.secret), random);
  client::TurnSession& session = *out->session_;
  session.allocate(read_clock().mono);
  if (Status done = out->run_until([&] { return session.allocated(); }); !done) return done.error();
  session.bind_channel(kChannel, peer, read_clock().mono);
  if (Status done = out->run_until([&] { return session.requests_under_way() == 0; }); !done) return done.error();
  return out;
}

bool StreamClient::write(Bytes frames) {
  pending_ = frames;
  rest_ = frames.size();
  return write_rest();
}

bool StreamClient::write_rest() {
  while (rest_ != 0 && !dead_) {
    const net::StreamIo io = stream_->write(pending_.last(rest_));
    if (io.state == State::kFailed) dead_ = true;
    if (io.state == State::kWantRead) fill();  // the handshake's answer, while setting up
    if (io.state != State::kDone) return false;
    rest_ -= io.bytes;
  }
  return true;
}

void StreamClient::fill() {
  while (have_ < input_.size() && !dead_) {
    const net::StreamIo io = stream_->read(MutableBytes(input_).subspan(have_));
    if (io.state == State::kEnd || io.state == State::kFailed) dead_ = true;
    if (io.state != State::kDone) return;
    have_ += io.bytes;
    if (!stream_->has_buffered()) return;
  }
}

std::uint64_t StreamClient::read(std::size_t size) {
  fill();
  std::uint64_t count = 0;
  std::size_t at = 0;
  for (;;) {
    const stun::Frame frame = stun::next_frame(Bytes(input_).subspan(at, have_ - at), stun::kRfc5766Channels);
    if (frame.kind == stun::Frame::Kind::kBroken) dead_ = true;
    if (frame.kind != stun::Frame::Kind::kStun && frame.kind != stun::Frame::Kind::kChannelData) break;
    at += frame.size;
    if (frame.message.size() == stun::kChannelHeaderSize + size) ++count;
  }
  if (at != 0) std::memmove(input_.data(), input_.data() + at, have_ - at);
  have_ -= at;
  return count;
}

}  // namespace turnkit::bench
