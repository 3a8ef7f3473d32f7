// Stream: a non-blocking byte stream over TCP, plain or under TLS, behind one interface. Neither watches its
// descriptor: the owner does, and calls again when the descriptor is ready. Not thread-safe, but may be handed to
// another thread as a whole.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "net/fd.h"
#include "net/sockaddr.h"  // local_address(), peer_address()

namespace turnkit::net {

// What became of one read, write or handshake step.
struct StreamIo {
  enum class State : std::uint8_t {
    kDone,       // `bytes` were moved (a handshake: it is complete)
    kWantRead,   // nothing more until the descriptor is readable
    kWantWrite,  // nothing more until the descriptor is writable
    kEnd,        // the other side ended its output properly (FIN; under TLS close_notify)
    kFailed,     // the stream is dead: reset, TLS error, or cut off without close_notify
  };
  State state = State::kDone;
  std::size_t bytes = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }

  // Moves up to out.size() bytes. TLS may hold decrypted bytes that poll(2) does not show: read until kWantRead, or
  // until has_buffered() is false.
  virtual StreamIo read(MutableBytes out) = 0;
  // Moves as many bytes as go at once. What was not moved must be what the next call begins with (more may follow):
  // TLS may have encrypted it already.
  virtual StreamIo write(Bytes data) = 0;
  // The same for whole messages, of which `size_of` tells the length of the first. TLS makes records of each message
  // apart and one write of all of them. `bytes` were taken in every state; after kWantWrite some of them still wait in
  // here, and the next call, if only with no data, carries on. A stream uses this or write(), not both.
  using MessageSize = std::size_t (*)(Bytes data);
  virtual StreamIo write_messages(Bytes data, MessageSize size_of) {
    (void)size_of;
    return write(data);
  }
  // Ends our output: FIN, under TLS close_notify first. Input goes on.
  virtual void end_output() = 0;
  [[nodiscard]] virtual bool has_buffered() const { return false; }
  // "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty for plain TCP.
  [[nodiscard]] virtual std::string protection() const { return {}; }
  // The last failure in words, for logs; empty when there was none.
  [[nodiscard]] virtual std::string_view failure() const { return {}; }

 protected:
  explicit Stream(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Plain TCP. `fd` is connected and non-blocking.
std::unique_ptr<Stream> make_tcp_stream(UniqueFd fd);

struct TcpListenOptions {
  bool reuse_port = false;  // one listener a worker on the same address
  bool share_port = false;  // tcp_connect() may use the port as well; another listener may not take it first
  int backlog = 1024;
  int send_buffer = 0;  // bytes; 0: the system's default
  int receive_buffer = 0;
  std::string device;  // SO_BINDTODEVICE; empty: none
};
// A listening, non-blocking socket; IPv6 sockets are IPv6 only. The error names the address and why.
Result<UniqueFd> tcp_listen(const Address& local, const TcpListenOptions& options = {});
// Accepts one connection: non-blocking, TCP_NODELAY. An empty fd: none is waiting, or `error` is the errno to act on
// (EMFILE, ENFILE, ENOBUFS, ENOMEM: pause accepting).
struct Accepted {
  UniqueFd fd;
  Address peer;
  Address local;
  int error = 0;
};
Accepted tcp_accept(int listener);
// Begins to connect, from `local` when it has an address (its port may be 0; with a port, the socket shares it with a
// listener through SO_REUSEADDR and SO_REUSEPORT). Writable means done; then ask tcp_connect_error().
// `device`: SO_BINDTODEVICE; empty: none.
Result<UniqueFd> tcp_connect(const Address& peer, const Address& local = {}, const std::string& device = {});
// The errno of a connection attempt, 0 when it succeeded.
int tcp_connect_error(int fd);

}  // namespace turnkit::net
