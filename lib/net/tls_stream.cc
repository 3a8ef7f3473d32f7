// TlsStream: OpenSSL over a non-blocking socket. A BIO of its own reads ahead, spares reads that must come back empty,
// gathers records for one write, and raises no SIGPIPE.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "net/tls_internal.h"

namespace turnkit::net {
namespace {

constexpr std::size_t kMaxRecord = 16384;
// Plaintext after which gathered records are sent; the last message may go over it.
constexpr std::size_t kGathered = 64 * 1024;

// What the BIO knows of its socket. Owned by the stream, which outlives the BIO.
struct SocketState {
  int fd = -1;
  bool drained = false;  // the last read got less than it asked for: another one would find nothing
  bool ended = false;
  int error = 0;
  std::vector<std::byte>* gathering = nullptr;  // not null: takes what is to be sent
  std::vector<std::byte> unsent;                // records that the kernel did not take; they go first
};

// Returns what send(2) does.
ssize_t send_now(SocketState& socket, Bytes data) {
  ssize_t n = 0;
  do {
    n = ::send(socket.fd, data.data(), data.size(), MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) socket.error = errno;
  return n;
}

// False: the kernel takes no more for now, or the socket has failed.
bool send_unsent(SocketState& socket) {
  if (socket.unsent.empty()) return true;
  const ssize_t n = send_now(socket, socket.unsent);
  if (n > 0) socket.unsent.erase(socket.unsent.begin(), socket.unsent.begin() + n);
  if (!socket.unsent.empty()) return false;
  std::vector<std::byte>().swap(socket.unsent);
  return true;
}

int bio_read(BIO* bio, char* out, int size) {
  auto* socket = static_cast<SocketState*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  if (socket->drained) {
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t n = 0;
  do {
    n = ::recv(socket->fd, out, static_cast<std::size_t>(size), 0);
  } while (n < 0 && errno == EINTR);
  if (n > 0) {
    socket->drained = n < size;
    return static_cast<int>(n);
  }
  if (n == 0) {
    socket->ended = true;
    return 0;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) {
    socket->drained = true;
    BIO_set_retry_read(bio);
  } else {
    socket->error = errno;
  }
  return -1;
}

int bio_write(BIO* bio, const char* data, int size) {
  auto* socket = static_cast<SocketState*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  const Bytes bytes = as_bytes(std::string_view(data, static_cast<std::size_t>(size)));
  if (socket->gathering != nullptr) {
    socket->gathering->insert(socket->gathering->end(), bytes.begin(), bytes.end());
    return size;
  }
  if (send_unsent(*socket)) {
    const ssize_t n = send_now(*socket, bytes);
    if (n >= 0) return static_cast<int>(n);
  }
  if (socket->error == 0) BIO_set_retry_write(bio);
  return -1;
}

long bio_ctrl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<SocketState*>(BIO_get_data(bio))->ended ? 1 : 0;
  return 0;
}

const BIO_METHOD* socket_method() {
  static const BioMethodPtr method = [] {
    BioMethodPtr made(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "turnkit socket"));
    BIO_meth_set_read(made.get(), bio_read);
    BIO_meth_set_write(made.get(), bio_write);
    BIO_meth_set_ctrl(made.get(), bio_ctrl);
    return made;
  }();
  return method.get();
}

// What OpenSSL is told when it asks for the rest of a record whose plaintext the caller no longer has: it encrypted
// that long ago and looks at the length only.
constexpr std::array<std::byte, kMaxRecord> kAlreadyEncrypted{};

// `Context`: what the SSL needs to stay alive.
template <typename Context>
class OpensslStream final : public TlsStream {
 public:
  OpensslStream(UniqueFd fd, Context context, SslPtr ssl)
      : TlsStream(std::move(fd)), context_(std::move(context)), ssl_(std::move(ssl)) {
    socket_.fd = this->fd();
    BIO* bio = ssl_ ? BIO_new(socket_method()) : nullptr;
    if (bio == nullptr) {
      fail("out of memory");
      return;
    }
    BIO_set_data(bio, &socket_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
  }

  StreamIo handshake() override {
    if (failed_) return {StreamIo::State::kFailed, 0};
    begin();
    const int result = SSL_do_handshake(ssl_.get());
    established_ = established_ || result == 1;
    return result == 1 ? StreamIo{} : why(result);
  }

  StreamIo read(MutableBytes out) override {
    if (failed_) return {StreamIo::State::kFailed, 0};
    begin();
    std::size_t moved = 0;
    while (moved < out.size()) {
      std::size_t n = 0;
      const int result = SSL_read_ex(ssl_.get(), out.data() + moved, out.size() - moved, &n);
      if (result != 1) {
        // An end or a failure will be found again by the next call.
        if (moved > 0) break;
        return why(result);
      }
      moved += n;
      established_ = true;
      if (socket_.drained && SSL_pending(ssl_.get()) == 0 && SSL_has_pending(ssl_.get()) == 0) break;
    }
    return {StreamIo::State::kDone, moved};
  }

  StreamIo write(Bytes data) override {
    if (failed_) return {StreamIo::State::kFailed, 0};
    begin();
    std::size_t moved = std::min(ahead_, data.size());
    ahead_ -= moved;
    while (moved < data.size()) {
      const std::size_t rest = data.size() - moved;
      const std::size_t chunk = pending_ != 0 ? pending_ : std::min(rest, kMaxRecord);
      const void* from = chunk <= rest ? static_cast<const void*>(data.data() + moved) : kAlreadyEncrypted.data();
      std::size_t n = 0;
      const int result = SSL_write_ex(ssl_.get(), from, chunk, &n);
      if (result != 1) {
        const StreamIo io = why(result);
        const bool encrypted = io.state == StreamIo::State::kWantWrite && SSL_in_init(ssl_.get()) == 0;
        if (io.state != StreamIo::State::kFailed) pending_ = encrypted ? chunk : pending_;
        if (moved > 0 && io.state != StreamIo::State::kFailed) break;
        return io;
      }
      pending_ = 0;
      established_ = true;
      const std::size_t taken = std::min(n, rest);
      ahead_ += n - taken;
      moved += taken;
    }
    return {StreamIo::State::kDone, moved};
  }

  StreamIo write_messages(Bytes data, MessageSize size_of) override {
    if (failed_) return {StreamIo::State::kFailed, 0};
    begin();
    if (!send_unsent(socket_)) return unsent_state(0);
    thread_local std::vector<std::byte> records;
    records.clear();
    socket_.gathering = &records;
    std::size_t moved = 0;
    StreamIo io;
    while (moved < data.size() && moved < kGathered && io.state == StreamIo::State::kDone) {
      const Bytes message = data.subspan(moved, std::min(size_of(data.subspan(moved)), data.size() - moved));
      io = write_records(message);
      if (io.state == StreamIo::State::kDone) moved += message.size();
    }
    socket_.gathering = nullptr;
    if (!records.empty()) {
      const ssize_t n = send_now(socket_, records);
      const auto sent = static_cast<std::ptrdiff_t>(std::max<ssize_t>(n, 0));
      socket_.unsent.assign(records.begin() + sent, records.end());
    }
    if (!socket_.unsent.empty()) return unsent_state(moved);
    return {io.state, moved};
  }

  void end_output() override {
    if (!failed_ && established_) {
      begin();
      (void)SSL_shutdown(ssl_.get());
      ERR_clear_error();
    }
    (void)::shutdown(fd(), SHUT_WR);
  }

  [[nodiscard]] bool has_buffered() const override {
    return !failed_ && !blocked_ && (SSL_pending(ssl_.get()) > 0 || SSL_has_pending(ssl_.get()) == 1);
  }
  [[nodiscard]] std::string protection() const override { return ssl_ ? protection_of(ssl_.get()) : std::string(); }
  [[nodiscard]] std::string_view failure() const override { return failure_; }
  [[nodiscard]] bool is_established() const override { return established_; }
  [[nodiscard]] std::string_view alpn() const override { return ssl_ ? alpn_selected(ssl_.get()) : std::string_view(); }
  [[nodiscard]] bool resumed() const override { return ssl_ && SSL_session_reused(ssl_.get()) == 1; }

 private:
  // Requires: gathering, so that nothing blocks.
  StreamIo write_records(Bytes message) {
    do {
      std::size_t n = 0;
      const int result = SSL_write_ex(ssl_.get(), message.data(), std::min(message.size(), kMaxRecord), &n);
      if (result != 1) return why(result);
      message = message.subspan(n);
    } while (!message.empty());
    established_ = true;
    return {};
  }

  StreamIo unsent_state(std::size_t moved) {
    if (socket_.error == 0) return {StreamIo::State::kWantWrite, moved};
    fail(std::strerror(socket_.error));
    return {StreamIo::State::kFailed, moved};
  }

  void begin() {
    ERR_clear_error();
    socket_.drained = false;
    blocked_ = false;
  }

  void fail(std::string why_not) {
    failed_ = true;
    failure_ = std::move(why_not);
  }

  StreamIo why(int result) {
    established_ = established_ || SSL_is_init_finished(ssl_.get()) != 0;
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        blocked_ = true;
        return {StreamIo::State::kWantRead, 0};
      case SSL_ERROR_WANT_WRITE:
        return {StreamIo::State::kWantWrite, 0};
      case SSL_ERROR_ZERO_RETURN:
        return {StreamIo::State::kEnd, 0};
      default:
        break;
    }
    if (socket_.error != 0) {
      fail(std::strerror(socket_.error));
      ERR_clear_error();
    } else if (socket_.ended) {
      fail(established_ ? "closed without close_notify" : "closed during the handshake");
      ERR_clear_error();
    } else {
      fail(take_openssl_error(ssl_.get()));
    }
    return {StreamIo::State::kFailed, 0};
  }

  Context context_;
  SocketState socket_;
  std::size_t pending_ = 0;  // plaintext of the record that is encrypted but not yet sent
  std::size_t ahead_ = 0;    // bytes that were sent, but that the caller has yet to hand in again
  std::string failure_;
  bool failed_ = false;
  bool established_ = false;
  bool blocked_ = false;  // the last call ended for want of input
  SslPtr ssl_;            // goes first: its BIO uses socket_
};

}  // namespace

std::unique_ptr<TlsStream> make_tls_server_stream(UniqueFd fd, std::shared_ptr<const TlsContext> context) {
  SslPtr ssl(SSL_new(context->impl().tls.get()));
  if (ssl) SSL_set_accept_state(ssl.get());
  return std::make_unique<OpensslStream<std::shared_ptr<const TlsContext>>>(std::move(fd), std::move(context),
                                                                            std::move(ssl));
}

std::unique_ptr<TlsStream> make_tls_client_stream(UniqueFd fd, std::shared_ptr<TlsClientContext> context) {
  SslPtr ssl = context->impl().new_ssl(false);
  return std::make_unique<OpensslStream<std::shared_ptr<TlsClientContext>>>(std::move(fd), std::move(context),
                                                                            std::move(ssl));
}

}  // namespace turnkit::net
