// A DTLS client for tests, which waits for what the server sends.
#pragma once

#include "stream_fixture.h"

namespace turnkit::relay::testing {

// A DTLS client on its own UDP socket.
class DtlsPeer {
 public:
  explicit DtlsPeer(const Address& server, const net::TlsClientRules& rules = {}) : server_(server) { begin(rules); }

  // Forgets the session without a word, and makes the next one's first ClientHello.
  void begin(const net::TlsClientRules& rules = {}) {
    session_ = net::DtlsSession::make_client(client_tls(rules));
    session_->start(out_);
  }
  void send_out() {
    for (const auto& datagram : out_) socket_.send(server_, datagram);
    out_.clear();
  }
  // What the server sends next goes into the session; false when nothing came.
  bool step() {
    const auto datagram = socket_.receive();
    if (!datagram) return false;
    last_ = *datagram;
    session_->receive(*datagram, out_, [this](MutableBytes plaintext) { messages_.push_back(copy(plaintext)); });
    return true;
  }
  bool handshake() {
    send_out();
    while (session_->state() == net::DtlsSession::State::kHandshaking && step()) send_out();
    return session_->state() == net::DtlsSession::State::kEstablished;
  }
  void send(Bytes message) { socket_.send(server_, session_->protect(message)); }
  std::optional<Buffer> next() {
    while (messages_.empty() && session_->state() == net::DtlsSession::State::kEstablished && step()) {
    }
    if (messages_.empty()) return std::nullopt;
    Buffer out = std::move(messages_.front());
    messages_.erase(messages_.begin());
    return out;
  }
  std::optional<stun::Class> ask(const Buffer& message) {
    send(message);
    const auto answer = next();
    if (!answer) return std::nullopt;
    const auto parsed = stun::MessageView::parse(*answer);
    return parsed ? std::optional(parsed->cls()) : std::nullopt;
  }
  [[nodiscard]] const Address& local() const { return socket_.address(); }
  [[nodiscard]] net::DtlsSession& session() { return *session_; }
  [[nodiscard]] const Buffer& last() const { return last_; }
  [[nodiscard]] std::vector<std::vector<std::byte>>& out() { return out_; }
  [[nodiscard]] UdpPeer& socket() { return socket_; }

 private:
  Address server_;
  UdpPeer socket_;
  std::unique_ptr<net::DtlsSession> session_;
  net::DtlsSession::Datagrams out_;
  std::vector<Buffer> messages_;
  Buffer last_;
};

}  // namespace turnkit::relay::testing
