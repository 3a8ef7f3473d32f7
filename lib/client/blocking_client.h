// BlockingTurnClient: TurnSession on a transport of its own (UDP, TCP, TLS or DTLS), one call at a time. For tools and
// tests, not for a loop's thread. Besides the polite calls there is raw access, for sending what no proper client
// would.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "client/transport.h"
#include "client/turn_session.h"

namespace turnkit::client {

struct BlockingOptions {
  SessionOptions session;
  std::optional<Address> local;  // unset: any address towards the server, any port
  TransportKind transport = TransportKind::kUdp;
  std::shared_ptr<net::TlsClientContext> tls;  // needed for TLS and DTLS; its name and checks go for redirects too
  bool follow_redirects =
      true;  // 300 Try Alternate: at most 5, never to a server asked within 5 minutes (RFC 8489, section 10)
  int mismatch_tries = 3;  // on 437 to Allocate: so many local ports in all (RFC 8656, section 7.4)
};

class BlockingTurnClient {
 public:
  using Milliseconds = std::chrono::milliseconds;

  // Over UDP: binds the socket and sends nothing; it is connected to the server, only its packets are received. The
  // other transports connect and end their handshake.
  static Result<BlockingTurnClient> open(const Address& server, BlockingOptions options = {});
  BlockingTurnClient(BlockingTurnClient&&) noexcept;
  BlockingTurnClient& operator=(BlockingTurnClient&&) noexcept;
  ~BlockingTurnClient();  // leaves the allocation to expire; call close() to delete it

  // Each blocks until the answer, the end of the retransmissions, or a hard ICMP error. After an error failure() has
  // the details.
  Result<Allocated> allocate();
  Result<std::chrono::seconds> refresh(std::optional<std::chrono::seconds> lifetime = std::nullopt);
  Status create_permission(std::span<const Address> peers);
  Status create_permission(const Address& peer) { return create_permission(std::span(&peer, 1)); }
  Status bind_channel(std::uint16_t number, const Address& peer);
  Status close();
  [[nodiscard]] const std::optional<Failure>& failure() const;

  // Data to a peer, by Send indication or by a channel that was bound.
  Status send(const Address& peer, Bytes data);
  Status send_channel(std::uint16_t number, Bytes data);
  struct Received {
    Address peer;
    std::optional<std::uint16_t> channel;
    std::vector<std::byte> data;
  };
  // The next data from a peer; nullopt after `timeout`. The allocation is kept alive meanwhile.
  std::optional<Received> receive(Milliseconds timeout);
  // The next ICMP attribute that the server reported.
  std::optional<IcmpReceived> receive_icmp(Milliseconds timeout);

  // Raw access: any bytes to the server, the next message as it came, and a request with retransmissions (none over TCP
  // and TLS) until the answer with its transaction id (nullopt: none within `timeout`). The session sees none of these.
  Status send_raw(Bytes datagram);
  std::optional<std::vector<std::byte>> receive_raw(Milliseconds timeout);
  std::optional<std::vector<std::byte>> transact_raw(Bytes request, Milliseconds timeout);

  [[nodiscard]] const Address& local() const;
  [[nodiscard]] const Address& server() const;  // after a redirect: the one that was redirected to
  [[nodiscard]] const TurnSession& session() const;
  [[nodiscard]] const Transport& transport() const;
  // For requests of a test's own: the credentials, realm, nonce and key in use.
  [[nodiscard]] Random& random();

 private:
  struct Impl;
  explicit BlockingTurnClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace turnkit::client
