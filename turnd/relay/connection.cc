#include "turnd/relay/connection.h"

#include <algorithm>

#include "base/log.h"
#include "net/client_hello.h"
#include "net/proxy_protocol.h"
#include "net/tcp_socket.h"
#include "turnd/relay/front_door.h"
#include "turnd/relay/stream_client.h"
#include "turnd/relay/streams.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {

using State = net::StreamIo::State;

namespace {

// A socket that is readable again and again without new bytes has ended, or is out of memory.
constexpr int kMaxIdleWakeups = 4;
// What is looked at to tell the protocols apart, when no ClientHello is wanted.
constexpr std::size_t kFirstLook = 64;
// What is read of a first message before it is known what it is.
constexpr std::size_t kMaxEarly = 16 * 1024;

}  // namespace

Connection::Connection(Streams& streams, net::UniqueFd fd, const Address& peer, const Address& local,
                       const StreamListenerOptions& options)
    : streams_(streams),
      fd_(std::move(fd)),
      tuple_{peer, local, engine::Transport::kTcp},
      options_(options),
      stage_(options.proxy_protocol ? Stage::kProxyHeader : Stage::kFirstBytes) {
  watch_.emplace(streams.worker().loop(), fd_.get(), *this);
}

void Connection::on_readable() { advance(); }
void Connection::on_writable() { advance(); }

void Connection::advance() {
  if (!options_.proxy_protocol && !ticket_ && stage_ == Stage::kFirstBytes) {
    ticket_ = streams_.admit(tuple_.client.ip);
    if (!ticket_) {
      end("too many connections");
      return;
    }
  }
  Step step = Step::kGoOn;
  while (step == Step::kGoOn && stage_ != Stage::kGone) {
    switch (stage_) {
      case Stage::kProxyHeader:
        step = read_proxy_header();
        break;
      case Stage::kFirstBytes:
        step = look_at_first_bytes();
        break;
      case Stage::kHandshake:
        step = shake_hands();
        break;
      case Stage::kFirstMessage:
        step = read_first_message();
        break;
      case Stage::kAnswer:
        step = send_answer();
        break;
      case Stage::kGone:
        break;
    }
  }
}

// The first bytes, which stay in the socket; empty when the connection has ended, or nothing is there.
Bytes Connection::peek() {
  const MutableBytes space = streams_.peek_buffer();
  const bool long_look = stage_ == Stage::kProxyHeader || streams_.config().tls_backend.has_value();
  const net::Peeked peeked = net::tcp_peek(fd_.get(), space.first(long_look ? space.size() : kFirstLook));
  if (peeked.state == net::Peeked::State::kEnd) end("closed before it said anything");
  if (peeked.state == net::Peeked::State::kFailed) end("Connection reset by peer");
  return space.first(peeked.bytes);
}

Connection::Step Connection::wait_for_more(std::size_t have, std::size_t wanted) {
  if (have <= peeked_ && ++idle_wakeups_ > kMaxIdleWakeups) return end("closed in the middle of its first message");
  if (have > peeked_) idle_wakeups_ = 0;
  peeked_ = have;
  wait_for(std::max(wanted, have + 1));
  return Step::kWait;
}

void Connection::wait_for(std::size_t bytes) {
  if (bytes == low_water_) return;
  low_water_ = bytes;
  net::tcp_wait_for(fd_.get(), bytes);
}

Connection::Step Connection::read_proxy_header() {
  const Bytes start = peek();
  if (start.empty()) return Step::kWait;
  const net::ProxyHeader header = net::read_proxy_header(start);
  if (header.state == net::ProxyHeader::State::kNeedMore) return wait_for_more(start.size(), header.size);
  if (header.state == net::ProxyHeader::State::kBroken || !net::tcp_skip(fd_.get(), header.size)) {
    return end("no PROXY protocol header");
  }
  if (header.addresses) {
    tuple_.client = header.addresses->source;
    tuple_.server = header.addresses->destination;
  }
  ticket_ = streams_.admit(tuple_.client.ip);
  if (!ticket_) return end("too many connections");
  wait_for(1);
  peeked_ = 0;
  stage_ = Stage::kFirstBytes;
  return Step::kGoOn;
}

Connection::Step Connection::look_at_first_bytes() {
  const Bytes start = peek();
  if (start.empty()) return Step::kWait;
  switch (net::judge_first_bytes(start)) {
    case net::FirstBytes::kNeedMore:
      return wait_for_more(start.size(), 0);
    case net::FirstBytes::kTls:
      return on_tls(start);
    case net::FirstBytes::kStun:
    case net::FirstBytes::kHttp:
      if (!options_.accept_plain) return end("plain TCP on a port for TLS only");
      wait_for(1);
      stream_ = net::make_tcp_stream(std::move(fd_));
      stage_ = Stage::kFirstMessage;
      return net::judge_first_bytes(start) == net::FirstBytes::kStun ? become_client() : Step::kGoOn;
    default:
      return end("neither STUN nor TLS nor HTTP");
  }
}

Connection::Step Connection::on_tls(Bytes start) {
  const StreamConfig& config = streams_.config();
  if (!options_.accept_tls) return end("TLS on a port for plain TCP only");
  if (config.tls_backend) {
    const net::HelloResult result = net::read_client_hello(start);
    if (result.state == net::HelloResult::State::kNeedMore) return wait_for_more(start.size(), result.needed);
    const bool known = result.state == net::HelloResult::State::kDone;
    if (config.tls == nullptr || (known && !is_for_turn(result.hello, config))) {
      wait_for(1);
      stream_ = net::make_tcp_stream(std::move(fd_));
      return become_tunnel(*config.tls_backend);
    }
  }
  if (config.tls == nullptr) return end("TLS, but there is no certificate");
  wait_for(1);
  auto tls = net::make_tls_server_stream(std::move(fd_), config.tls);
  if (tls == nullptr) return end("TLS is out of memory");
  tls_ = tls.get();
  stream_ = std::move(tls);
  tuple_.transport = engine::Transport::kTls;
  stage_ = Stage::kHandshake;
  return Step::kGoOn;
}

Connection::Step Connection::shake_hands() {
  if (!streams_.take_handshake()) return Step::kWait;
  const net::StreamIo io = tls_->handshake();
  switch (io.state) {
    case State::kDone:
      watch_->want_read(true);
      watch_->want_write(false);
      stage_ = Stage::kFirstMessage;
      return Step::kGoOn;
    case State::kWantRead:
      watch_->want_read(true);
      watch_->want_write(false);
      return Step::kWait;
    case State::kWantWrite:
      // What it sends meanwhile waits: nobody would read it, and the watch would fire again and again.
      watch_->want_read(false);
      watch_->want_write(true);
      return Step::kWait;
    default:
      return end(stream_->failure().empty() ? "TLS handshake failed" : stream_->failure());
  }
}

Connection::Step Connection::read_first_message() {
  const MutableBytes space = streams_.peek_buffer();
  if (early_.size() >= kMaxEarly) return end("first message too long");
  const net::StreamIo io = stream_->read(space.first(std::min(space.size(), kMaxEarly - early_.size())));
  switch (io.state) {
    case State::kDone:
      early_.insert(early_.end(), space.begin(), space.begin() + static_cast<std::ptrdiff_t>(io.bytes));
      return judge_first_message();
    case State::kWantRead:
      watch_->want_write(false);
      return Step::kWait;
    case State::kWantWrite:
      watch_->want_write(true);
      return Step::kWait;
    case State::kEnd:
      return end("closed before its first message was complete");
    default:
      return end(stream_->failure());
  }
}

Connection::Step Connection::judge_first_message() {
  switch (net::judge_first_bytes(early_)) {
    case net::FirstBytes::kNeedMore:
      return Step::kGoOn;
    case net::FirstBytes::kStun:
      return become_client();
    case net::FirstBytes::kHttp:
      break;
    default:
      return end("neither STUN nor HTTP");
  }
  HttpVerdict verdict = judge_http(early_, streams_.config());
  switch (verdict.kind) {
    case HttpVerdict::Kind::kNeedMore:
      return Step::kGoOn;
    case HttpVerdict::Kind::kBackend:
      return become_tunnel(*streams_.config().http_backend);
    case HttpVerdict::Kind::kAnswer:
      answer_ = std::move(verdict.answer);
      stage_ = Stage::kAnswer;
      return Step::kGoOn;
    default:
      return end("HTTP");
  }
}

// What the client still sends is read and forgotten until it ends too: closing on unread bytes would reset the
// connection under the answer.
Connection::Step Connection::send_answer() {
  while (!answer_.empty()) {
    const net::StreamIo io = stream_->write(as_bytes(answer_));
    if (io.state == State::kWantWrite || io.state == State::kWantRead) {
      watch_->want_write(io.state == State::kWantWrite);
      return Step::kWait;
    }
    if (io.state != State::kDone) return end(stream_->failure());
    answer_.erase(0, io.bytes);
    if (answer_.empty()) stream_->end_output();
  }
  watch_->want_write(false);
  const net::StreamIo io = stream_->read(streams_.peek_buffer());
  if (io.state == State::kWantRead) return Step::kWait;
  if (io.state == State::kDone && (discarded_ += io.bytes) < kMaxDiscarded) {
    return stream_->has_buffered() ? Step::kGoOn : Step::kWait;
  }
  return end("HTTP answered");
}

Connection::Step Connection::become_client() {
  watch_.reset();
  stage_ = Stage::kGone;
  DetachedStream connection{std::move(stream_), tuple_, std::move(early_), {}, std::move(ticket_)};
  Streams& streams = streams_;
  streams.retire(*this);
  streams.adopt(std::move(connection));
  return Step::kWait;
}

Connection::Step Connection::become_tunnel(const Address& backend) {
  const StreamConfig& config = streams_.config();
  auto fd = net::tcp_connect(backend);
  if (!fd) {
    streams_.warn(fmt::format("backend: {}", fd.error().text));
    return end("the backend cannot be reached");
  }
  watch_.reset();
  stage_ = Stage::kGone;
  TunnelEnd client{std::move(stream_), {}, false};
  TunnelEnd server{net::make_tcp_stream(*std::move(fd)), {}, true};
  if (config.backend_proxy_header) server.first = net::proxy_header_v2(tuple_.client, tuple_.server);
  server.first.insert(server.first.end(), early_.begin(), early_.end());
  const TunnelLimits limits{config.limits.backend_connect, config.limits.backend_idle,
                            config.limits.backend_half_closed};
  streams_.open_tunnel(std::move(client), std::move(server), limits, nullptr, std::move(ticket_));
  streams_.retire(*this);
  return Step::kWait;
}

Connection::Step Connection::end(std::string_view reason) {
  if (stage_ == Stage::kGone) return Step::kWait;
  stage_ = Stage::kGone;
  streams_.worker().engine().observer().on_useless_connection(tuple_, reason);
  watch_.reset();
  streams_.retire(*this);
  return Step::kWait;
}

}  // namespace turnkit::relay
