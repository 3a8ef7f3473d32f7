#include "probe/stun/measure.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <memory>
#include <utility>

#include "base/random.h"
#include "client/route.h"
#include "net/send_one.h"
#include "net/stream.h"
#include "net/tls.h"
#include "probe/stun/verdict.h"
#include "stun/framer.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

// How long a request may take over a transport that does not lose it, and a connection to come about.
milliseconds patience_in_ms(Patience patience) {
  if (patience == Patience::kFast) return milliseconds(2500);
  return patience == Patience::kNormal ? milliseconds(5500) : milliseconds(39500);
}

double ms_since(TimePoint start) {
  return std::chrono::duration<double, std::milli>(read_clock().mono - start).count();
}

Result<Address> local_towards(const StunTarget& target, const StunOptions& options) {
  Address local = options.local.value_or(Address{IpAddress::any(target.address.family()), 0});
  if (!local.ip.is_unspecified()) return local;
  Result<IpAddress> ip = client::source_address_for(target.address);
  if (!ip) return ip.error();
  return Address{*ip, local.port};
}

// A request as one plain plan, encoded, with the outcome that it begins.
struct Request {
  stun::TransactionId id;
  std::array<std::byte, 64> buffer;
  Bytes bytes;

  explicit Request(Random& random) {
    random.fill(id.bytes);
    bytes = encode_binding({}, id, buffer);
  }
};

// One stream, TCP or TLS, one request at a time.
class StreamCheck {
 public:
  StreamCheck(const StunTarget& target, const StunOptions& options, StunEvidence& evidence)
      : target_(target), options_(options), evidence_(evidence), patience_(patience_in_ms(options.patience)) {}
  void run();

 private:
  bool connect(const Address& local);
  bool shake_hands(std::unique_ptr<net::TlsStream> stream);
  // False: the connection is over, or nothing came in time.
  bool ask();
  bool write(Bytes bytes, TimePoint until);
  bool read_answer(const Request& request, BindingOutcome& outcome, TimePoint sent, TimePoint until);
  // False: not before `until`.
  bool await(short events, TimePoint until) const;

  const StunTarget& target_;
  const StunOptions& options_;
  StunEvidence& evidence_;
  milliseconds patience_;
  std::unique_ptr<net::Stream> stream_;
  net::UniqueFd fd_;
  std::vector<std::byte> buffered_;
  SystemRandom random_;
};

bool StreamCheck::await(short events, TimePoint until) const {
  const auto left = std::chrono::ceil<milliseconds>(until - read_clock().mono).count();
  if (left <= 0) return false;
  pollfd wait{stream_ ? stream_->fd() : fd_.get(), events, 0};
  return ::poll(&wait, 1, static_cast<int>(std::min<long long>(left, 60'000))) > 0;
}

bool StreamCheck::connect(const Address& local) {
  const TimePoint started = read_clock().mono;
  evidence_.connect = Connect::kError;
  Result<net::UniqueFd> fd = net::tcp_connect(target_.address, local);
  if (!fd) {
    evidence_.local_error = fd.error().text;
    return false;
  }
  fd_ = *std::move(fd);
  if (!await(POLLOUT, started + patience_)) {
    evidence_.connect = Connect::kTimeout;
    return false;
  }
  evidence_.connect_errno = net::tcp_connect_error(fd_.get());
  evidence_.connect_ms = ms_since(started);
  if (evidence_.connect_errno == ECONNREFUSED) evidence_.connect = Connect::kRefused;
  if (evidence_.connect_errno == ETIMEDOUT) evidence_.connect = Connect::kTimeout;
  if (evidence_.connect_errno != 0) return false;
  evidence_.connect = Connect::kConnected;
  if (const auto bound = net::local_address(fd_.get())) evidence_.local = *bound;
  return true;
}

bool StreamCheck::shake_hands(std::unique_ptr<net::TlsStream> stream) {
  const TimePoint started = read_clock().mono;
  net::TlsStream& tls = *stream;
  stream_ = std::move(stream);
  for (;;) {
    const net::StreamIo io = tls.handshake();
    if (io.state == net::StreamIo::State::kDone) break;
    const bool wants = io.state == net::StreamIo::State::kWantRead || io.state == net::StreamIo::State::kWantWrite;
    if (!wants) {
      evidence_.handshake_failure =
          tls.failure().empty() ? std::string("the server ended the connection") : std::string(tls.failure());
      return false;
    }
    if (!await(io.state == net::StreamIo::State::kWantRead ? POLLIN : POLLOUT, started + patience_)) {
      evidence_.handshake_failure = "the server does not answer the handshake";
      return false;
    }
  }
  evidence_.handshake_ms = ms_since(started);
  evidence_.protection = tls.protection();
  return true;
}

bool StreamCheck::write(Bytes bytes, TimePoint until) {
  while (!bytes.empty()) {
    const net::StreamIo io = stream_->write(bytes);
    if (io.state == net::StreamIo::State::kEnd || io.state == net::StreamIo::State::kFailed) return false;
    bytes = bytes.subspan(io.bytes);
    if (io.state == net::StreamIo::State::kWantRead && !await(POLLIN, until)) return false;
    if (io.state == net::StreamIo::State::kWantWrite && !await(POLLOUT, until)) return false;
  }
  return true;
}

bool StreamCheck::read_answer(const Request& request, BindingOutcome& outcome, TimePoint sent, TimePoint until) {
  std::array<std::byte, 4096> chunk;
  for (;;) {
    const stun::Frame frame = stun::next_frame(buffered_, stun::kRfc8656Channels, 8192);
    if (frame.kind == stun::Frame::Kind::kBroken || frame.kind == stun::Frame::Kind::kChannelData) {
      outcome.foreign = classify_foreign(buffered_, {request.bytes});
      return false;
    }
    if (frame.kind == stun::Frame::Kind::kStun) {
      outcome.answer = decode_stun_answer(frame.message, request.id, &outcome.bad_fingerprint);
      if (!outcome.answer) outcome.foreign = classify_foreign(frame.message, {request.bytes});
      buffered_.erase(buffered_.begin(), buffered_.begin() + static_cast<std::ptrdiff_t>(frame.size));
      if (!outcome.answer) continue;
      outcome.answer->source = target_.address;
      outcome.sends_before_answer = 1;
      outcome.rtt_ms = ms_since(sent);
      return true;
    }
    const net::StreamIo io = stream_->read(chunk);
    buffered_.insert(buffered_.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(io.bytes));
    if (io.state == net::StreamIo::State::kDone) continue;
    if (io.state == net::StreamIo::State::kEnd || io.state == net::StreamIo::State::kFailed) {
      if (!buffered_.empty()) outcome.foreign = classify_foreign(buffered_, {request.bytes});
      evidence_.closed = buffered_.empty();
      return false;
    }
    if (!await(io.state == net::StreamIo::State::kWantWrite ? POLLOUT : POLLIN, until)) {
      if (!buffered_.empty()) outcome.foreign = classify_foreign(buffered_, {request.bytes});
      return false;
    }
  }
}

bool StreamCheck::ask() {
  const Request request(random_);
  BindingOutcome outcome;
  outcome.to = target_.address;
  outcome.local = evidence_.local;
  outcome.size = request.bytes.size();
  const TimePoint sent = read_clock().mono;
  bool answered = write(request.bytes, sent + patience_);
  if (!answered) evidence_.closed = true;
  if (answered) {
    outcome.sends = 1;
    answered = read_answer(request, outcome, sent, sent + patience_);
  }
  evidence_.requests.push_back(std::move(outcome));
  return answered;
}

void StreamCheck::run() {
  if (!connect(evidence_.local)) return;
  if (target_.transport == Transport::kTls) {
    net::TlsClientRules rules;
    rules.server_name = target_.host;
    rules.ca_file = options_.ca_file;
    rules.verify = options_.verify;
    auto context = net::TlsClientContext::make(rules);
    if (!context) {
      evidence_.local_error = context.error().text;
      return;
    }
    if (!shake_hands(net::make_tls_client_stream(std::move(fd_), *context))) return;
  } else {
    stream_ = net::make_tcp_stream(std::move(fd_));
  }
  for (unsigned i = 0; i < options_.count; ++i) {
    if (i != 0) (void)::poll(nullptr, 0, static_cast<int>(options_.interval.count()));
    if (!ask()) return;
  }
}

// DTLS: the association's datagrams over one UDP socket, one request at a time.
class DtlsCheck {
 public:
  DtlsCheck(const StunTarget& target, const StunOptions& options, StunEvidence& evidence)
      : target_(target), options_(options), evidence_(evidence) {}
  void run();

 private:
  using State = net::DtlsSession::State;
  void send_all(net::DtlsSession::Datagrams& out);
  // Takes what arrives before `until`, and lets the session's timer act. False: nothing happened until then.
  bool step(TimePoint until, const std::function<void(Bytes)>& on_plaintext);
  void shake_hands();
  void ask();

  const StunTarget& target_;
  const StunOptions& options_;
  StunEvidence& evidence_;
  std::unique_ptr<net::DtlsSession> session_;
  net::UdpSocket socket_;
  net::RecvBatch batch_{8, 4096};
  SystemRandom random_;
};

void DtlsCheck::send_all(net::DtlsSession::Datagrams& out) {
  for (const std::vector<std::byte>& datagram : out) (void)net::send_one(socket_, target_.address, datagram);
  out.clear();
}

bool DtlsCheck::step(TimePoint until, const std::function<void(Bytes)>& on_plaintext) {
  net::DtlsSession::Datagrams out;
  const TimePoint now = read_clock().mono;
  TimePoint wake = until;
  if (const auto timer = session_->next_timeout()) wake = std::min(wake, now + *timer);
  const auto left = std::chrono::ceil<milliseconds>(wake - now).count();
  pollfd wait{socket_.fd(), POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(std::clamp<long long>(left, 0, 60'000))) > 0) {
    for (const net::Datagram& datagram : batch_.receive(socket_).datagrams) {
      if (datagram.source != target_.address) continue;
      (void)session_->receive(datagram.data, out, [&on_plaintext](MutableBytes plain) { on_plaintext(plain); });
    }
    batch_.clear();
  } else if (const auto timer = session_->next_timeout(); timer && *timer <= Duration(0)) {
    (void)session_->on_timer(out);
  }
  send_all(out);
  return read_clock().mono < until;
}

void DtlsCheck::shake_hands() {
  const TimePoint started = read_clock().mono;
  const TimePoint until = started + patience_in_ms(options_.patience);
  net::DtlsSession::Datagrams out;
  (void)session_->start(out);
  send_all(out);
  while (session_->state() == State::kHandshaking && step(until, [](Bytes) {})) {
  }
  if (session_->state() == State::kEstablished) {
    evidence_.handshake_ms = ms_since(started);
    evidence_.protection = session_->protection();
  } else {
    evidence_.handshake_failure = session_->state() == State::kHandshaking
                                      ? "the server does not answer the handshake"
                                      : "the handshake was refused, or the certificate did not pass";
  }
}

void DtlsCheck::ask() {
  const Request request(random_);
  BindingOutcome outcome;
  outcome.to = target_.address;
  outcome.local = evidence_.local;
  outcome.size = request.bytes.size();
  TimePoint sent = read_clock().mono;
  client::Retransmission timer(schedule_of(options_.patience), sent);
  const auto send = [&] {
    const Bytes datagram = session_->protect(request.bytes);
    outcome.send_errno = net::send_one(socket_, target_.address, datagram);
    if (outcome.send_errno == 0) ++outcome.sends;
    sent = read_clock().mono;
  };
  send();
  while (!outcome.answer && session_->state() == State::kEstablished) {
    (void)step(timer.deadline(), [&](Bytes plain) {
      if (!outcome.answer) outcome.answer = decode_stun_answer(plain, request.id, &outcome.bad_fingerprint);
    });
    if (outcome.answer) break;
    const auto due = timer.on_time(read_clock().mono);
    if (due == client::Retransmission::Due::kResend) send();
    if (due == client::Retransmission::Due::kTimedOut) break;
  }
  if (outcome.answer) {
    outcome.answer->source = target_.address;
    outcome.sends_before_answer = outcome.sends;
    outcome.rtt_ms = ms_since(sent);
  }
  evidence_.requests.push_back(std::move(outcome));
}

void DtlsCheck::run() {
  net::UdpOptions udp;
  udp.gro = false;
  Result<net::UdpSocket> socket = net::UdpSocket::bind(evidence_.local, udp);
  net::TlsClientRules rules;
  rules.server_name = target_.host;
  rules.ca_file = options_.ca_file;
  rules.verify = options_.verify;
  auto context = net::TlsClientContext::make(rules);
  if (!socket || !context) {
    evidence_.local_error = !socket ? socket.error().text : context.error().text;
    return;
  }
  socket_ = *std::move(socket);
  evidence_.local = socket_.local();
  session_ = net::DtlsSession::make_client(*context);
  shake_hands();
  for (unsigned i = 0; i < options_.count && session_->state() == State::kEstablished; ++i) {
    if (i != 0) (void)::poll(nullptr, 0, static_cast<int>(options_.interval.count()));
    ask();
    if (!evidence_.requests.back().answer) break;
  }
  net::DtlsSession::Datagrams out;
  if (session_->state() == State::kEstablished) session_->end(out);
  send_all(out);
}

void measure_udp(const StunOptions& options, StunEvidence& evidence) {
  UdpExchange exchange;
  const Result<std::size_t> socket = exchange.open(evidence.local);
  if (!socket) {
    evidence.local_error = socket.error().text;
    return;
  }
  evidence.local = exchange.local(*socket);
  BindingPlan plan;
  plan.to = evidence.target.address;
  plan.retransmit = schedule_of(options.patience);
  // The first alone: a server that does not answer is asked once.
  evidence.requests.push_back(exchange.run_one(plan));
  if (!evidence.requests.front().ok() || options.count < 2) return;
  const std::vector<BindingPlan> more(options.count - 1, plan);
  (void)::poll(nullptr, 0, static_cast<int>(options.interval.count()));
  for (BindingOutcome& outcome : exchange.run(more, options.interval)) evidence.requests.push_back(std::move(outcome));
}

}  // namespace

StunEvidence measure_stun(const StunTarget& target, const StunOptions& options) {
  StunEvidence evidence;
  evidence.target = target;
  const Result<Address> local = local_towards(target, options);
  if (!local) {
    evidence.local_error = local.error().text;
    return evidence;
  }
  evidence.local = *local;
  if (target.transport == Transport::kUdp) {
    measure_udp(options, evidence);
  } else if (target.transport == Transport::kDtls) {
    DtlsCheck(target, options, evidence).run();
  } else {
    StreamCheck(target, options, evidence).run();
  }
  return evidence;
}

}  // namespace turnkit::probe
