// TLS 1.2/1.3 and DTLS 1.2 on OpenSSL. TlsContext is the certificate and the rules, immutable and shared by all
// threads; a reload makes a new one and sessions keep theirs. DTLS sessions are sans I/O: datagrams in, datagrams and
// plaintext out.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/result.h"
#include "net/stream.h"

struct ssl_ctx_st;
struct ssl_st;

namespace turnkit::net {

enum class TlsVersion : std::uint8_t { kTls10, kTls11, kTls12, kTls13 };

inline constexpr std::string_view kAlpnTurn = "stun.turn";                   // RFC 7443
inline constexpr std::string_view kAlpnNatDiscovery = "stun.nat-discovery";  // RFC 7443

// PEM texts rather than file names: who may read the files is the caller's business. Names are for error texts.
struct TlsMaterial {
  std::string certificate;  // the chain, own certificate first
  std::string key;
  std::string ca;  // empty: no client certificates are asked for
  std::string dh;  // empty: OpenSSL's automatic parameters
  std::string certificate_name, key_name, ca_name, dh_name;
};

struct TlsRules {
  std::string key_password;
  // Entries that name TLS 1.3 suites apply to those, the others to TLS 1.2 and below; a kind that the list does not
  // name keeps OpenSSL's default.
  std::string cipher_list;
  std::string curves;  // "prime256v1" or "X25519:P-256"; empty: OpenSSL's default
  // Built-in parameters: RFC 7919's 2048-bit group, also for coturn's 566 and 1066 bits, which no client of today
  // takes. 0: automatic.
  int dh_bits = 0;
  // Below 1.2 OpenSSL's security level drops to 0, unless cipher_list sets one.
  TlsVersion minimum = TlsVersion::kTls12;
  bool allow_tls12 = true;                // false: TLS 1.3 only (DTLS stays at 1.2, the only version there is)
  std::vector<std::string> alpn;          // what is offered to clients that send ALPN, in order of preference; a client
                                          // without overlap is served without ALPN
  std::string session_context = "turnd";  // session id context
};

// What a server side needs; holds a TLS and a DTLS SSL_CTX, the session ticket keys and the DTLS cookie key.
class TlsContext {
 public:
  // The error names the file and what is wrong with it: not PEM, key does not match the certificate, wrong password,
  // unknown cipher or curve. `previous`: its session ticket keys and cookie key are taken over, so that resumption
  // survives a reload, unless material.ca is another.
  static Result<std::shared_ptr<const TlsContext>> make(const TlsMaterial& material, const TlsRules& rules,
                                                        const TlsContext* previous = nullptr);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // When the certificate ends, for warnings.
  [[nodiscard]] WallTime not_after() const;
  // "CN=turn.example, until 2027-01-01": for the log.
  [[nodiscard]] const std::string& subject() const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  TlsContext();
  std::unique_ptr<Impl> impl_;
};

// A TLS stream of the server side on an accepted connection. The first reads and writes do the handshake;
// is_established() tells when it is over. Small when idle (SSL_MODE_RELEASE_BUFFERS). write() coalesces into as few
// records as fit; a partial write is possible.
class TlsStream : public Stream {
 public:
  // One step of the handshake: kDone, kWantRead, kWantWrite or kFailed.
  virtual StreamIo handshake() = 0;
  [[nodiscard]] virtual bool is_established() const = 0;
  [[nodiscard]] virtual std::string_view alpn() const = 0;  // as agreed; empty: none
  [[nodiscard]] virtual bool resumed() const = 0;

 protected:
  using Stream::Stream;
};
std::unique_ptr<TlsStream> make_tls_server_stream(UniqueFd fd, std::shared_ptr<const TlsContext> context);

// The client's side, for the probe and for tests.
struct TlsClientRules {
  std::string server_name;  // SNI and, with `verify`, the name that the certificate must have
  std::vector<std::string> alpn;
  std::string ca_file;  // empty: the system's store
  bool verify = false;
  std::string certificate_file, key_file;  // client certificate; empty: none
  std::optional<TlsVersion> maximum;
  bool resume = true;  // sessions that the server gave, in later handshakes
};
// Holds its own SSL_CTX; streams and sessions made from one share its session cache (resumption).
class TlsClientContext {
 public:
  static Result<std::shared_ptr<TlsClientContext>> make(const TlsClientRules& rules);
  ~TlsClientContext();
  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  TlsClientContext();
  std::unique_ptr<Impl> impl_;
};
std::unique_ptr<TlsStream> make_tls_client_stream(UniqueFd fd, std::shared_ptr<TlsClientContext> context);

// One DTLS association, client or server side. Every call that may produce datagrams appends them to `out`, each at
// most the MTU given.
class DtlsSession {
 public:
  ~DtlsSession();
  DtlsSession(const DtlsSession&) = delete;
  DtlsSession& operator=(const DtlsSession&) = delete;

  static std::unique_ptr<DtlsSession> make_client(std::shared_ptr<TlsClientContext> context, std::size_t mtu = 1200);

  using Datagrams = std::vector<std::vector<std::byte>>;
  enum class State : std::uint8_t { kHandshaking, kEstablished, kEnded, kFailed };

  // Client: begins the handshake.
  State start(Datagrams& out);
  // Takes one datagram from the other side; calls `on_plaintext` for each record's content (valid during the call
  // only). The callback may call protect() and end(), but not destroy the session.
  State receive(Bytes datagram, Datagrams& out, const std::function<void(MutableBytes)>& on_plaintext);
  // One record with `plaintext` (at most 16,384 bytes). Requires: kEstablished. The result is the datagram, valid until
  // the next call; empty when it cannot be sent.
  Bytes protect(Bytes plaintext);
  // Retransmits what is due. False: given up. Call when due.
  bool on_timer(Datagrams& out);
  // When on_timer() must be called; nullopt: no timer runs.
  [[nodiscard]] std::optional<Duration> next_timeout() const;
  // close_notify.
  void end(Datagrams& out);
  [[nodiscard]] State state() const;
  [[nodiscard]] std::string protection() const;  // "DTLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"
  [[nodiscard]] std::string_view alpn() const;

 private:
  friend class DtlsGate;
  struct Impl;
  explicit DtlsSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The door for DTLS clients that have no session yet (RFC 6347, section 4.2.1): keeps nothing for a source until a
// ClientHello with a valid cookie has come from it. One per worker.
class DtlsGate {
 public:
  explicit DtlsGate(std::shared_ptr<const TlsContext> context, std::size_t mtu = 1200);
  ~DtlsGate();
  void set_context(std::shared_ptr<const TlsContext> context);  // for sessions to come

  // A datagram from a source without a session. Either `out` gets a HelloVerifyRequest (or nothing, for what is no
  // ClientHello), or the result is the new session, whose first flight is in `out`. Cookies are bound to both addresses
  // and hold for at least 30 s. A refused handshake leaves its alert in `out` and no session. Of a ClientHello in
  // fragments the first must reach beyond the cookie (RFC 6347 lets clients do worse; none does): later ones that come
  // before it are dropped, and the client sends them again.
  std::unique_ptr<DtlsSession> receive(Bytes datagram, const Address& client, const Address& server,
                                       DtlsSession::Datagrams& out, TimePoint now = read_clock().mono);
  // Whether this begins a handshake. From a source with an established session it is a client that has started anew on
  // the same port: what receive() gives for it may replace the old session (RFC 6347, section 4.2.8).
  static bool is_client_hello(Bytes datagram);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace turnkit::net
