// What DtlsSession and DtlsGate share: a session's insides, and the BIO whose every write is one datagram.
#pragma once

#include "net/tls_internal.h"

namespace turnkit::net {

// Memory BIOs join what is written to them; datagrams must keep their boundaries.
struct DatagramPort {
  Bytes input;  // the datagram at hand
  bool has_input = false;
  DtlsSession::Datagrams* out = nullptr;     // where datagrams go; nullptr: `single`
  std::vector<std::byte>* single = nullptr;  // the last datagram written
  std::size_t mtu = 1200;
};

struct DtlsSession::Impl {
  std::shared_ptr<const void> context;  // keeps the SSL_CTX and what its callbacks use alive
  DatagramPort port;
  std::vector<std::byte> record;  // what protect() returned
  State state = State::kHandshaking;
  int timeouts = 0;
  SslPtr ssl;  // goes first: its BIO uses `port`

  // Takes over `ssl_to_use` with a BIO on `port`; false when memory is out.
  bool attach(SslPtr ssl_to_use, std::size_t mtu);
  // Reads what is at hand, handshaking where that is under way.
  State advance(const std::function<void(MutableBytes)>& on_plaintext);
};

}  // namespace turnkit::net
