#include "probe/listen/responder.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/encoding.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

// 10 clients behind one address, each at its default pace, stay far below.
constexpr double kAnswersPerSecond = 1000;
constexpr double kAnswerBurst = 2000;
constexpr double kLinesPerSecond = 5;
constexpr double kLineBurst = 20;
constexpr std::uint64_t kMaxEchoes = 200;       // of lines, a UDP source: an end to loops between two echoing services
constexpr std::size_t kMaxLine = 512;           // bytes that are echoed
constexpr std::uint16_t kFirstUserPort = 1024;  // below: echo, chargen and other services that would answer our answer

constexpr auto kRecent = std::chrono::seconds(10);  // what a connection attempt that asks about itself may be old

bool is_printable(Bytes bytes) {
  return !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](std::byte b) {
    const auto c = std::to_integer<unsigned>(b);
    return (c >= 0x20 && c != 0x7F) || c == '\n' || c == '\r' || c == '\t';
  });
}

bool is_line(Bytes bytes) {
  return is_printable(bytes) && bytes.size() <= kMaxLine && std::to_integer<char>(bytes.back()) == '\n';
}

// The line that turn-probe sends to a person at a netcat when nothing else was answered.
bool is_own_text(Bytes text) {
  std::string_view line = as_text(text);
  while (line.starts_with('\n')) line.remove_prefix(1);
  return line.starts_with(kTextPrefix);
}

PeerKind kind_of(Bytes bytes) {
  if (is_printable(bytes)) return PeerKind::kText;
  if (stun::MessageView::parse(bytes)) return PeerKind::kStun;
  return PeerKind::kOther;
}

std::string without_line_end(Bytes line) {
  std::string_view text = as_text(line);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return escaped(text, 200);
}

std::uint64_t to_us(TimePoint time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count());
}

bool contains(const std::vector<std::uint16_t>& ports, std::uint16_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

}  // namespace

Responder::Responder(Config config, Random& random, HalfOpenLookup half_open)
    : config_(std::move(config)),
      random_(random),
      half_open_(std::move(half_open)),
      sources_(config_.max_sources),
      answers_(kAnswersPerSecond, kAnswerBurst),
      lines_(kLinesPerSecond, kLineBurst) {}

Source& Responder::touch(const SourceKey& key, Bytes data, const Address& remote, const Address& local, TimePoint now) {
  bool is_new = false;
  Source& source = sources_.find_or_add(key, now, is_new);
  if (is_new) source.token = random_.u32() | 1;  // 0 means that the client has none yet
  source.remote = remote;
  source.local = local;
  source.bytes += data.size();
  source.last_seen = now;
  return source;
}

Responder::Reply Responder::on_datagram(Bytes datagram, const Address& remote, const Address& local, TimePoint now) {
  Packet request;
  const Decoded decoded = decode_request(datagram, request);
  if (decoded == Decoded::kOk) {
    // A question about a TCP connection belongs to no UDP session.
    const bool in_session = request.kind == Kind::kProbe || request.subject_protocol == Protocol::kUdp;
    const SourceKey key = in_session ? SourceKey{Protocol::kUdp, request.nonce, {}, 0}
                                     : SourceKey{Protocol::kUdp, {}, remote, local.port};
    Source& source = touch(key, datagram, remote, local, now);
    return on_request(request, source, local, now);
  }
  Source& source = touch(key_of_stranger(datagram, remote, local), datagram, remote, local, now);
  ++source.packets;
  if (source.kind == PeerKind::kTurnProbe) return {{}, &source, false, false};
  source.kind = decoded == Decoded::kOtherVersion ? PeerKind::kOtherVersion : kind_of(datagram);
  Reply reply = source.kind == PeerKind::kText ? on_text(datagram, source, now) : Reply{{}, &source, false, false};
  const bool may_loop =
      remote.port < kFirstUserPort || contains(config_.udp_ports, remote.port) || source.answers >= kMaxEchoes;
  if (may_loop) reply.answer = {};
  return reply;
}

// A stranger goes by its address, but the line of text of a turn-probe belongs to its session.
SourceKey Responder::key_of_stranger(Bytes datagram, const Address& remote, const Address& local) const {
  if (is_own_text(datagram)) {
    for (const auto& [key, source] : sources_.all()) {
      const bool same = source.remote == remote && source.local.port == local.port && source.protocol == Protocol::kUdp;
      if (same && source.kind == PeerKind::kTurnProbe) return key;
    }
  }
  return {Protocol::kUdp, {}, remote, local.port};
}

Source& Responder::on_connection(const Address& remote, const Address& local, TimePoint now) {
  return touch({Protocol::kTcp, {}, remote, local.port}, {}, remote, local, now);
}

Responder::Reply Responder::on_frame(Bytes frame, const Address& remote, const Address& local, TimePoint now) {
  Source& source = touch({Protocol::kTcp, {}, remote, local.port}, frame, remote, local, now);
  Packet request;
  const Decoded decoded = decode_request(frame, request);
  if (decoded == Decoded::kOk) {
    source.nonce = request.nonce;
    return on_request(request, source, local, now);
  }
  ++source.packets;
  source.kind = decoded == Decoded::kOtherVersion ? PeerKind::kOtherVersion : kind_of(frame);
  return {{}, &source, false, false};
}

Responder::Reply Responder::on_stream_bytes(Bytes bytes, const Address& remote, const Address& local, TimePoint now) {
  Source& source = touch({Protocol::kTcp, {}, remote, local.port}, bytes, remote, local, now);
  ++source.packets;
  if (source.kind != PeerKind::kTurnProbe) source.kind = kind_of(bytes);
  return source.kind == PeerKind::kText ? on_text(bytes, source, now) : Reply{{}, &source, false, false};
}

Responder::Reply Responder::on_text(Bytes text, Source& source, TimePoint now) {
  if (!is_line(text) || is_own_text(text)) return {{}, &source, false, false};
  source.text = without_line_end(text);
  if (!lines_.allow(source.remote.ip, now)) {
    ++source.limited;
    return {{}, &source, false, false};
  }
  return {text, &source, true, false};
}

Responder::Reply Responder::on_request(const Packet& request, Source& source, const Address& local, TimePoint now) {
  source.kind = PeerKind::kTurnProbe;
  ++source.packets;
  if (request.token == source.token) source.confirmed = std::max(source.confirmed, request.received);
  if (request.kind == Kind::kProbe) {
    source.sequences.add(request.sequence);
    source.peer_sent = std::max(source.peer_sent, request.sent);
  } else if (request.subject_protocol == source.protocol && request.nonce == source.nonce) {
    source.peer_sent = std::max(source.peer_sent, request.sent);
    source.finished = true;
  }
  if (!answers_.allow(source.remote.ip, now)) {
    ++source.limited;
    return {{}, &source, false, false};
  }
  Packet answer = request;
  answer.kind = request.kind == Kind::kProbe ? Kind::kEcho : Kind::kReport;
  answer.flags = kFlagSessionKnown;
  answer.token = source.token;
  answer.sent_at_us = to_us(now);
  answer.echoed_at_us = request.sent_at_us;
  answer.received = source.sequences.distinct();
  answer.sent = static_cast<std::uint32_t>(source.answers) + (request.kind == Kind::kProbe ? 1 : 0);
  answer.send_errors = source.send_errors;
  answer.send_errno = static_cast<std::uint16_t>(source.send_errno);
  answer.observed = source.remote;
  answer.mapped = source.remote;
  if (request.kind == Kind::kAsk) fill_report(request, source, answer, now);
  answer.subject_port = request.kind == Kind::kAsk ? request.subject_port : local.port;
  return {encode_answer(answer, buffer_), &source, false, request.kind == Kind::kAsk};
}

void Responder::fill_report(const Packet& request, Source& asker, Packet& answer, TimePoint now) const {
  const bool udp = request.subject_protocol == Protocol::kUdp;
  const Source* session = udp ? sources_.find({Protocol::kUdp, request.nonce, {}, 0}) : nullptr;
  answer.flags = contains(udp ? config_.udp_ports : config_.tcp_ports, request.subject_port) ? kFlagListening : 0;
  answer.received = answer.sent = answer.send_errors = 0;
  answer.send_errno = 0;
  answer.observed.reset();
  if (session != nullptr) {
    answer.flags |= kFlagSessionKnown;
    answer.received = session->sequences.distinct();
    answer.sent = static_cast<std::uint32_t>(session->answers);
    answer.send_errors = session->send_errors;
    answer.send_errno = static_cast<std::uint16_t>(session->send_errno);
    answer.observed = session->remote;
  }
  if (!udp) {
    const unsigned waiting = half_open_ ? half_open_(asker.remote.ip, request.subject_port) : 0;
    answer.half_open = static_cast<std::uint16_t>(std::min(waiting, 0xFFFFU));
    answer.accepted = accepted_from(asker.remote.ip, request.subject_port, now);
  }
  const bool is_unseen = udp ? session == nullptr : answer.half_open == 0 && answer.accepted == 0;
  const bool crosses = asker.protocol != request.subject_protocol;
  if (is_unseen && crosses && (answer.flags & kFlagListening) != 0) asker.missing_port = request.subject_port;
}

std::uint16_t Responder::accepted_from(const IpAddress& client, std::uint16_t port, TimePoint now) const {
  const auto matches = [&](const auto& entry) {
    const Source& source = entry.second;
    return source.protocol == Protocol::kTcp && source.remote.ip == client && source.local.port == port &&
           now - source.first_seen <= kRecent;
  };
  const auto count = std::count_if(sources_.all().begin(), sources_.all().end(), matches);
  return static_cast<std::uint16_t>(std::min<std::ptrdiff_t>(count, 0xFFFF));
}

void Responder::sent(const Reply& reply, int error, TimePoint now) {
  Source& source = *reply.source;
  if (reply.is_report) return;
  if (error != 0) {
    ++source.send_errors;
    source.send_errno = error;
    return;
  }
  if (source.answers == 0) source.first_answer = now;
  ++source.answers;
}

}  // namespace turnkit::probe
