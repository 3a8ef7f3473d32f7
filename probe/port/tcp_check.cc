#include "probe/port/tcp_check.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "probe/port/tcp_stream.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr unsigned kMaxMessages = 5;
constexpr auto kConnectExtra =
    milliseconds(1000);  // requests leave after 0, 1 and 3 seconds: a wait of 3 s takes the third, too
constexpr auto kFirstAnswer =
    milliseconds(1000);                    // silence after the first message, before a line of text for a person
constexpr auto kRest = milliseconds(150);  // for the rest of a stranger's first words

std::uint64_t to_us(TimePoint time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

class TcpCheck {
 public:
  TcpCheck(const Address& target, const CheckPace& pace) : pace_(pace) {
    evidence_.target = target;
    SystemRandom random;
    evidence_.nonce = Nonce::random(random);
  }
  TcpEvidence run();

 private:
  [[nodiscard]] TimePoint now() const { return read_clock().mono; }
  bool connect();
  void exchange();
  void turn_to_a_person();
  bool send_message(unsigned sequence);
  // True when our answer came, false when the check is decided otherwise or nothing came until `until`.
  bool receive_answer(TimePoint until, bool& closed);
  void take_foreign();
  void on_end(TcpStream::Event event);

  CheckPace pace_;
  TcpEvidence evidence_;
  TcpStream stream_;
  std::vector<std::byte> first_message_;
  std::string text_;
  TimePoint sent_at_{};
};

bool TcpCheck::connect() {
  const TimePoint started = now();
  const TcpStream::Outcome outcome =
      stream_.connect(evidence_.target, started + pace_.wait + kConnectExtra, evidence_.icmp);
  evidence_.connect = outcome.connect;
  evidence_.connect_errno = outcome.error;
  evidence_.local = stream_.local();
  evidence_.connect_ms = std::chrono::duration<double, std::milli>(now() - started).count();
  return outcome.connect == Connect::kConnected;
}

bool TcpCheck::send_message(unsigned sequence) {
  Packet packet;
  packet.nonce = evidence_.nonce;
  packet.sequence = sequence;
  packet.sent_at_us = to_us(now());
  packet.received = evidence_.answered;
  packet.sent = evidence_.sent + 1;
  packet.subject_protocol = Protocol::kTcp;
  packet.subject_port = evidence_.target.port;
  RequestBuffer buffer;
  const Bytes message = encode_request(packet, buffer);
  if (first_message_.empty()) {
    first_message_.resize(kFrameHeaderSize);
    store_be16(first_message_.data(), static_cast<std::uint16_t>(message.size()));
    first_message_.insert(first_message_.end(), message.begin(), message.end());
  }
  sent_at_ = now();
  if (!stream_.send_frame(message)) return false;
  ++evidence_.sent;
  return true;
}

void TcpCheck::take_foreign() {
  const TimePoint until = now() + kRest;
  while (stream_.wait(until) == TcpStream::Event::kData) {
  }
  evidence_.foreign = classify_foreign(stream_.input(), {Bytes(first_message_), as_bytes(text_)});
}

void TcpCheck::on_end(TcpStream::Event event) { evidence_.reset = event == TcpStream::Event::kReset; }

bool TcpCheck::receive_answer(TimePoint until, bool& closed) {
  for (;;) {
    const TcpStream::Event event = stream_.wait(until);
    if (event == TcpStream::Event::kTimeout) return false;
    if (event != TcpStream::Event::kData) {
      on_end(event);
      closed = true;
      return false;
    }
    const Bytes input = stream_.input();
    const bool may_be_ours = input.size() < kFrameHeaderSize || load_be16(input.data()) <= kMaxAnswerSize;
    const Bytes frame = stream_.frame();
    if (may_be_ours && frame.empty()) continue;
    Packet answer;
    const Decoded decoded = may_be_ours ? decode_answer(frame, answer) : Decoded::kNotOurs;
    if (decoded == Decoded::kOtherVersion) {
      evidence_.other_version = true;
      return false;
    }
    if (decoded != Decoded::kOk || answer.nonce != evidence_.nonce) {
      take_foreign();
      return false;
    }
    stream_.drop_frame();
    ++evidence_.answered;
    evidence_.mapped = answer.mapped;
    evidence_.account = {AccountVia::kSamePort, 0, true, answer.received, answer.sent};
    evidence_.rtt_ms.push_back(std::chrono::duration<double, std::milli>(now() - sent_at_).count());
    return true;
  }
}

void TcpCheck::exchange() {
  for (unsigned i = 0; i < kMaxMessages; ++i) {
    if (!send_message(i)) return;
    bool closed = false;
    const auto patience = i == 0 ? std::min(kFirstAnswer, pace_.wait) : pace_.wait;
    if (receive_answer(now() + patience, closed)) continue;
    evidence_.closed_on_frame = closed && evidence_.answered == 0;
    return;
  }
}

void TcpCheck::turn_to_a_person() {
  // Bytes that looked like the start of an answer and never became one.
  if (!stream_.input().empty()) return take_foreign();
  text_ = "\n" + std::string(kTextPrefix) + "checks TCP " + std::to_string(evidence_.target.port) + " (" +
          evidence_.nonce.hex().substr(0, 8) + "). If you read this, type a line and press Enter.\n";
  const TimePoint started = now();
  stream_.send(as_bytes(text_));
  const TcpStream::Event event = stream_.wait(started + pace_.wait);
  evidence_.waited = std::chrono::duration_cast<milliseconds>(now() - started);
  if (event == TcpStream::Event::kData) return take_foreign();
  if (event == TcpStream::Event::kTimeout) return;
  on_end(event);
  evidence_.closed_on_text = true;
}

TcpEvidence TcpCheck::run() {
  if (!connect()) return evidence_;
  exchange();
  const bool is_silent = evidence_.answered == 0 && evidence_.foreign.kind == Foreign::kNone &&
                         !evidence_.closed_on_frame && !evidence_.other_version;
  if (is_silent) turn_to_a_person();
  evidence_.acknowledged = stream_.is_acknowledged();
  return evidence_;
}

}  // namespace

TcpEvidence check_tcp(const Address& target, const CheckPace& pace) { return TcpCheck(target, pace).run(); }

}  // namespace turnkit::probe
