#include "probe/port/side_channel.h"

#include <poll.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "client/route.h"
#include "net/send_one.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"
#include "probe/port/tcp_stream.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr auto kRetransmit = milliseconds(200);

Bytes encode_question(const Question& question, std::uint32_t sequence, RequestBuffer& buffer) {
  Packet packet;
  packet.kind = Kind::kAsk;
  packet.nonce = question.nonce;
  packet.sequence = sequence;
  packet.subject_protocol = question.protocol;
  packet.subject_port = question.port;
  return encode_request(packet, buffer);
}

std::optional<ServerAccount> read_report(Bytes message, const Question& question, AccountVia via,
                                         std::uint16_t via_port) {
  Packet report;
  if (decode_answer(message, report) != Decoded::kOk || report.kind != Kind::kReport || report.nonce != question.nonce)
    return std::nullopt;
  ServerAccount account;
  account.via = via;
  account.via_port = via_port;
  account.listening = (report.flags & kFlagListening) != 0;
  account.received = report.received;
  account.sent = report.sent;
  account.send_errors = report.send_errors;
  account.send_errno = report.send_errno;
  account.half_open = report.half_open;
  account.accepted = report.accepted;
  return account;
}

}  // namespace

std::optional<ServerAccount> ask_over_tcp(const Address& listener, const Question& question, milliseconds patience) {
  const TimePoint until = read_clock().mono + patience;
  TcpStream stream;
  std::vector<IcmpSeen> icmp;
  if (stream.connect(listener, until, icmp).connect != Connect::kConnected) return std::nullopt;
  RequestBuffer buffer;
  if (!stream.send_frame(encode_question(question, 0, buffer))) return std::nullopt;
  while (stream.frame().empty()) {
    if (stream.wait(until) != TcpStream::Event::kData || stream.input().size() > kFrameHeaderSize + kMaxAnswerSize)
      return std::nullopt;
  }
  return read_report(stream.frame(), question, AccountVia::kOverTcp, listener.port);
}

std::optional<ServerAccount> ask_over_udp(const Address& listener, const Question& question, milliseconds patience) {
  const auto local = client::source_address_for(listener);
  if (!local) return std::nullopt;
  net::UdpOptions options;
  options.gro = false;
  Result<net::UdpSocket> socket = net::UdpSocket::bind({*local, 0}, options);
  if (!socket) return std::nullopt;
  net::RecvBatch batch(4, 2048);
  const TimePoint until = read_clock().mono + patience;
  for (std::uint32_t sequence = 0; read_clock().mono < until; ++sequence) {
    RequestBuffer buffer;
    if (net::send_one(*socket, listener, encode_question(question, sequence, buffer)) != 0) return std::nullopt;
    pollfd wait{socket->fd(), POLLIN, 0};
    ::poll(&wait, 1, static_cast<int>(kRetransmit.count()));
    batch.clear();
    for (const net::Datagram& datagram : batch.receive(*socket).datagrams) {
      if (datagram.source != listener) continue;
      if (const auto account = read_report(datagram.data, question, AccountVia::kOverUdp, listener.port))
        return account;
    }
  }
  return std::nullopt;
}

}  // namespace turnkit::probe
