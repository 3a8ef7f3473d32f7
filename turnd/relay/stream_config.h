// StreamConfig: the rules for clients on TCP, TLS and DTLS. Immutable; a reload replaces it as a whole.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "net/tls.h"

namespace turnkit::relay {

struct StreamLimits {
  std::size_t max_connections = 0;            // of the whole server, DTLS associations included; 0: no limit
  std::size_t max_connections_per_ip = 4096;  // likewise of one IPv4 address or IPv6 /64; 0: no limit
  std::size_t max_half_open = 8192;  // streams of the whole server without an allocation; the oldest go for new ones
  std::size_t max_half_open_dtls = 1024;        // likewise DTLS handshakes under way
  std::size_t queue_bytes = 256 * 1024;         // of a client that reads slowly; what does not fit is dropped
  Duration opening = std::chrono::seconds(15);  // PROXY header, handshake and first message together
  Duration without_allocation = std::chrono::seconds(60);  // from then on, or from the end of the allocation
  Duration stalled = std::chrono::seconds(60);             // of a client that acknowledges nothing, or takes nothing
  Duration backend_connect = std::chrono::seconds(5);
  Duration backend_idle = std::chrono::hours(1);            // a spliced connection on which nothing moves
  Duration backend_half_closed = std::chrono::seconds(60);  // likewise when one side has ended
};

struct StreamConfig {
  std::shared_ptr<const net::TlsContext> tls;  // null: neither TLS nor DTLS is served
  bool serve_dtls = true;                      // false: no-dtls
  StreamLimits limits;

  // A TLS connection that is not for TURN goes here as it came. TURN's are those that offer ALPN stun.turn or
  // stun.nat-discovery (or webrtc), or offer no ALPN and name no server, or one of `turn_names` ("turn.example.org",
  // "*.example.org"; empty: any name).
  std::optional<Address> tls_backend;
  std::vector<std::string> turn_names;
  // HTTP that comes plain, or in our own TLS, goes here.
  std::optional<Address> http_backend;
  bool backend_proxy_header = false;  // backends get a PROXY protocol header (version 2) first
  std::string acme_redirect;          // GET /.well-known/acme-challenge/X gets a 301 to this + X; empty: off
  bool respond_http = false;          // other HTTP gets a short answer; otherwise the connection is closed
};

struct StreamListenerOptions {
  bool accept_plain = true;  // TURN and HTTP without TLS
  bool accept_tls = true;
  bool proxy_protocol = false;  // every connection begins with a PROXY header, version 1 or 2; TLS may follow it
};

}  // namespace turnkit::relay
