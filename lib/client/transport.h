// What carries a client's messages to one server: UDP, TCP, TLS or DTLS, blocking and one message at a time. Streams
// are cut into messages here (RFC 8656, section 12.5).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "net/tls.h"

namespace turnkit::client {

enum class TransportKind : std::uint8_t { kUdp, kTcp, kTls, kDtls };
std::string_view transport_name(TransportKind kind);  // "UDP", "TCP", "TLS", "DTLS"

class Transport {
 public:
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // Bytes to the server: over UDP and DTLS one datagram. On a stream messages follow one another, and the caller pads
  // ChannelData. A refusal that an earlier packet caused (ECONNREFUSED) is not an error here; receive() reports it.
  virtual Status send(Bytes message) = 0;

  struct Received {
    Bytes message;  // valid until the next call; empty: nothing came (or an empty datagram)
    int error =
        0;  // errno: ETIMEDOUT at `until`; ECONNREFUSED, ECONNRESET and the like; EPROTO: not TURN, or broken TLS
  };
  // Waits until `until` at most. On a stream `message` is one STUN message, or a ChannelData message without padding.
  virtual Received receive(TimePoint until) = 0;

  [[nodiscard]] virtual bool is_stream() const { return false; }
  // No message will come any more.
  [[nodiscard]] virtual bool is_closed() const { return false; }
  // "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty for UDP and TCP.
  [[nodiscard]] virtual std::string protection() const { return {}; }
  [[nodiscard]] virtual std::string_view alpn() const { return {}; }
  [[nodiscard]] virtual const Address& local() const = 0;
  [[nodiscard]] virtual const Address& server() const = 0;
  [[nodiscard]] virtual int fd() const = 0;

 protected:
  Transport() = default;
  Transport(Transport&&) = default;
  Transport& operator=(Transport&&) = default;
};

struct TransportOptions {
  TransportKind kind = TransportKind::kUdp;
  std::optional<Address> local;                // unset: the address towards the server, any port
  std::shared_ptr<net::TlsClientContext> tls;  // needed for kTls and kDtls
  std::chrono::milliseconds timeout{10'000};   // for connecting and for the TLS handshake, each
};
// Connects and ends the handshake; over UDP nothing is sent. The error names the server and what went wrong.
Result<std::unique_ptr<Transport>> open_transport(const Address& server, const TransportOptions& options = {});

}  // namespace turnkit::client
