#include "probe/port/udp_check.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "client/route.h"
#include "net/send_one.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"
#include "probe/port/icmp.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr auto kAskInterval = milliseconds(150);
constexpr int kMaxAsks = 8;
constexpr int kSilentAsks = 3;
constexpr auto kTextDelay = milliseconds(500);   // silence after the last probe, before a line of text for a person
constexpr auto kIcmpGrace = milliseconds(400);   // an answer may still overtake an ICMP error
constexpr auto kStragglers = milliseconds(300);  // for the last echoes once the report is here, at least

std::uint64_t to_us(TimePoint time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

class UdpCheck {
 public:
  UdpCheck(const Address& target, const CheckPace& pace) : pace_(pace) {
    evidence_.target = target;
    SystemRandom random;
    evidence_.nonce = Nonce::random(random);
  }
  UdpEvidence run();

 private:
  [[nodiscard]] TimePoint now() const { return read_clock().mono; }
  bool open();
  void send_probes();
  void ask_for_report();
  void tell_silence();
  std::uint32_t next_ask() { return pace_.count + asks_++; }  // sequence numbers beyond the probes'
  void send_text();
  void wait_for_anything();
  void send(Bytes message, bool counted);
  Packet packet(Kind kind, std::uint32_t sequence) const;
  // Handles what arrives until `until`, or until `done` says so.
  template <typename Done>
  void receive_until(TimePoint until, Done done);
  void receive_now();
  void on_datagram(Bytes datagram, const Address& source);
  void on_answer(const Packet& answer, const Address& source);
  [[nodiscard]] bool is_heard() const { return evidence_.answered != 0 || evidence_.foreign.kind != Foreign::kNone; }

  CheckPace pace_;
  UdpEvidence evidence_;
  net::UdpSocket socket_;
  net::RecvBatch batch_{16, 2048};
  std::vector<TimePoint> sent_at_;
  std::vector<bool> is_answered_;
  std::uint32_t token_ = 0;
  bool has_report_ = false;
  unsigned asks_ = 0;
  RequestBuffer last_request_{};
  std::string text_;
};

bool UdpCheck::open() {
  const auto local = client::source_address_for(evidence_.target);
  if (!local) {
    evidence_.send_errno = ENETUNREACH;
    evidence_.send_errors = 1;
    return false;
  }
  net::UdpOptions options;
  options.gro = false;
  options.receive_errors = true;
  Result<net::UdpSocket> socket = net::UdpSocket::bind({*local, 0}, options);
  if (!socket) {
    evidence_.send_errno = EADDRNOTAVAIL;
    evidence_.send_errors = 1;
    return false;
  }
  socket_ = std::move(*socket);
  evidence_.local = socket_.local();
  return true;
}

Packet UdpCheck::packet(Kind kind, std::uint32_t sequence) const {
  Packet out;
  out.kind = kind;
  out.nonce = evidence_.nonce;
  out.sequence = sequence;
  out.token = token_;
  out.sent_at_us = to_us(now());
  out.received = evidence_.answered;
  out.sent = evidence_.sent + (kind == Kind::kProbe ? 1 : 0);
  out.subject_protocol = Protocol::kUdp;
  out.subject_port = evidence_.target.port;
  return out;
}

void UdpCheck::send(Bytes message, bool counted) {
  const int error = net::send_one(socket_, evidence_.target, message);
  if (error == 0) {
    if (counted) ++evidence_.sent;
    return;
  }
  if (counted) ++evidence_.send_errors;
  evidence_.send_errno = error;
}

void UdpCheck::send_probes() {
  TimePoint due = now();
  for (unsigned i = 0; i < pace_.count; ++i) {
    sent_at_.push_back(now());
    is_answered_.push_back(false);
    send(encode_request(packet(Kind::kProbe, i), last_request_), true);
    due += pace_.interval;
    receive_until(due, [] { return false; });
  }
}

// The final counters of the listener. Also tells it our own, so that its screen can say which direction fails.
void UdpCheck::ask_for_report() {
  const TimePoint started = now();
  RequestBuffer buffer;
  for (int i = 0; i < kMaxAsks && !has_report_; ++i) {
    send(encode_request(packet(Kind::kAsk, next_ask()), buffer), false);
    receive_until(now() + kAskInterval, [this] { return has_report_; });
  }
  const auto complete = [this] { return evidence_.answered >= evidence_.sent; };
  if (has_report_ && evidence_.account.sent > evidence_.answered) receive_until(started + kStragglers, complete);
  // The listener's last word on what we have.
  if (has_report_) send(encode_request(packet(Kind::kAsk, next_ask()), buffer), false);
}

// A listener whose answers get lost is to learn that we got none. A person at a netcat is to see the text last.
void UdpCheck::tell_silence() {
  RequestBuffer buffer;
  for (int i = 0; i < kSilentAsks && !is_heard(); ++i) {
    send(encode_request(packet(Kind::kAsk, next_ask()), buffer), false);
    receive_until(now() + pace_.interval, [this] { return is_heard(); });
  }
  if (!is_heard()) send_text();
}

void UdpCheck::send_text() {
  text_ = "\n" + std::string(kTextPrefix) + "checks UDP " + std::to_string(evidence_.target.port) + " (" +
          evidence_.nonce.hex().substr(0, 8) + "). If you read this, type a line and press Enter.\n";
  send(as_bytes(text_), false);
}

void UdpCheck::wait_for_anything() {
  const TimePoint started = now();
  const TimePoint until = started + pace_.wait;
  const auto heard_or_refused = [this] { return is_heard() || !evidence_.icmp.empty(); };
  if (evidence_.sent != 0) {
    receive_until(std::min(until, started + kTextDelay), heard_or_refused);
    if (!heard_or_refused()) tell_silence();
  }
  receive_until(until, heard_or_refused);
  if (!is_heard() && !evidence_.icmp.empty())
    receive_until(std::min(until, now() + kIcmpGrace), [this] { return is_heard(); });
  evidence_.waited = std::chrono::duration_cast<milliseconds>(now() - started);
}

template <typename Done>
void UdpCheck::receive_until(TimePoint until, Done done) {
  receive_now();
  while (!done()) {
    const TimePoint at = now();
    if (at >= until) return;
    pollfd wait{socket_.fd(), POLLIN, 0};
    const auto left = std::chrono::duration_cast<milliseconds>(until - at).count() + 1;
    ::poll(&wait, 1, static_cast<int>(std::min<long>(left, 60000)));
    receive_now();
  }
}

void UdpCheck::receive_now() {
  collect_icmp(socket_.fd(), evidence_.target, evidence_.icmp);
  for (int rounds = 0; rounds < 64; ++rounds) {
    const net::RecvBatch::Received received = batch_.receive(socket_);
    for (const net::Datagram& datagram : received.datagrams) on_datagram(datagram.data, datagram.source);
    batch_.clear();
    if (received.error != 0 && received.error != EAGAIN) {
      collect_icmp(socket_.fd(), evidence_.target, evidence_.icmp);  // that call took a pending ICMP error
      continue;
    }
    if (received.drained || received.error != 0) return;
  }
}

void UdpCheck::on_datagram(Bytes datagram, const Address& source) {
  Packet answer;
  const Decoded decoded = decode_answer(datagram, answer);
  if (decoded == Decoded::kOk && answer.nonce == evidence_.nonce) return on_answer(answer, source);
  if (source != evidence_.target) return;  // strangers find open ports, too
  if (decoded == Decoded::kOtherVersion) evidence_.other_version = true;
  if (evidence_.foreign.kind == Foreign::kNone) {
    evidence_.foreign = classify_foreign(datagram, {Bytes(last_request_), as_bytes(text_)});
    // Every probe differs; an echo of an earlier one is a request of ours all the same.
    Packet echoed;
    const bool is_ours = decode_request(datagram, echoed) == Decoded::kOk && echoed.nonce == evidence_.nonce;
    if (is_ours) evidence_.foreign.kind = Foreign::kEcho;
  }
}

void UdpCheck::on_answer(const Packet& answer, const Address& source) {
  if (source != evidence_.target) evidence_.answered_by = source;
  token_ = answer.token;
  evidence_.mapped = answer.observed ? answer.observed : answer.mapped;
  ServerAccount& account = evidence_.account;
  account.via = AccountVia::kSamePort;
  account.listening = true;
  account.received = std::max(account.received, answer.received);
  account.sent = std::max(account.sent, answer.sent);
  account.send_errors = std::max(account.send_errors, answer.send_errors);
  account.send_errno = answer.send_errno;
  if (answer.kind == Kind::kReport) {
    has_report_ = true;
    return;
  }
  if (answer.sequence >= sent_at_.size()) return;
  if (is_answered_[answer.sequence]) {
    ++evidence_.duplicates;
    return;
  }
  is_answered_[answer.sequence] = true;
  ++evidence_.answered;
  evidence_.rtt_ms.push_back(std::chrono::duration<double, std::milli>(now() - sent_at_[answer.sequence]).count());
}

UdpEvidence UdpCheck::run() {
  if (!open()) return evidence_;
  send_probes();
  if (!is_heard() && !evidence_.other_version) wait_for_anything();
  if (evidence_.answered != 0) ask_for_report();
  return evidence_;
}

}  // namespace

UdpEvidence check_udp(const Address& target, const CheckPace& pace) { return UdpCheck(target, pace).run(); }

}  // namespace turnkit::probe
