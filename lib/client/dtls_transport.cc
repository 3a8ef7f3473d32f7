// DTLS over a UdpClient: the handshake with its timers, then one record a message.
#include "client/dtls_transport.h"

#include <cerrno>
#include <cstring>

namespace turnkit::client {
namespace {

using State = net::DtlsSession::State;

TimePoint mono() { return read_clock().mono; }

}  // namespace

DtlsTransport::DtlsTransport(UdpClient socket, std::shared_ptr<net::TlsClientContext> context)
    : socket_(std::move(socket)), session_(net::DtlsSession::make_client(std::move(context))) {}

DtlsTransport::~DtlsTransport() {
  net::DtlsSession::Datagrams out;
  session_->end(out);
  flush(out);
}

Result<std::unique_ptr<Transport>> DtlsTransport::open(UdpClient socket, const TransportOptions& options) {
  std::unique_ptr<DtlsTransport> out(new DtlsTransport(std::move(socket), options.tls));
  const std::string start = "No DTLS with " + out->server().to_string() + ": ";
  const TimePoint until = mono() + options.timeout;
  net::DtlsSession::Datagrams flight;
  out->session_->start(flight);
  out->flush(flight);
  while (out->session_->state() == State::kHandshaking) {
    const int error = out->step(until);
    if (error == ETIMEDOUT && mono() >= until) return Error{start + "the handshake did not end in time."};
    if (error != 0 && error != ETIMEDOUT) return Error{start + std::strerror(error) + "."};
  }
  if (out->session_->state() != State::kEstablished) return Error{start + "the handshake failed."};
  return std::unique_ptr<Transport>(std::move(out));
}

void DtlsTransport::flush(net::DtlsSession::Datagrams& datagrams) {
  // What is lost is sent again when its timer runs out.
  for (const auto& datagram : datagrams) (void)socket_.send(datagram);
  datagrams.clear();
}

int DtlsTransport::step(TimePoint until) {
  const auto timer = session_->next_timeout();
  const TimePoint wake = timer ? std::min(until, mono() + *timer) : until;
  const Received received = socket_.receive(wake);
  net::DtlsSession::Datagrams out;
  if (received.error == 0) {
    session_->receive(received.message, out,
                      [this](MutableBytes data) { messages_.emplace_back(data.begin(), data.end()); });
  } else if (received.error == ETIMEDOUT) {
    (void)session_->on_timer(out);
  }
  flush(out);
  return received.error;
}

Status DtlsTransport::send(Bytes message) {
  const Bytes record = session_->protect(message);
  if (!record.empty()) return socket_.send(record);
  return Error{"Cannot send " + std::to_string(message.size()) + " bytes to " + server().to_string() +
               " over DTLS: the session has ended, or a record cannot hold them."};
}

Transport::Received DtlsTransport::receive(TimePoint until) {
  for (;;) {
    if (!messages_.empty()) {
      current_ = std::move(messages_.front());
      messages_.pop_front();
      return {current_, 0};
    }
    if (is_closed()) return {{}, ECONNRESET};
    const int error = step(until);
    if (error != 0 && (error != ETIMEDOUT || mono() >= until)) return {{}, error};
  }
}

bool DtlsTransport::is_closed() const { return session_->state() != State::kEstablished && messages_.empty(); }

}  // namespace turnkit::client
