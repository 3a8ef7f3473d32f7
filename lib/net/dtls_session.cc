// DtlsSession: one DTLS association on OpenSSL, datagrams in and out through a BIO that keeps their boundaries.
#include <sys/time.h>

#include <algorithm>
#include <cstring>

#include "net/dtls_internal.h"

namespace turnkit::net {
namespace {

// RFC 6347, section 4.2.4.1, begins with a second and allows less where time matters, as it does before a call.
constexpr unsigned kFirstTimeoutMicroseconds = 400'000;
constexpr unsigned kLongestTimeoutMicroseconds = 60'000'000;
// With these the last retransmission is 25 s old when a handshake is given up.
constexpr int kMaxTimeouts = 6;
// OpenSSL gathers a flight's records in a buffer of 4096 bytes, and takes no MTU below 228.
constexpr std::size_t kSmallestMtu = 256;
constexpr std::size_t kLargestMtu = 4000;
constexpr std::size_t kMaxPlaintext = 16384;
constexpr long kIpAndUdpHeaders = 28;

int bio_read(BIO* bio, char* out, int size) {
  auto* port = static_cast<DatagramPort*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (!port->has_input || size <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  port->has_input = false;
  const std::size_t n = std::min(port->input.size(), static_cast<std::size_t>(size));
  std::memcpy(out, port->input.data(), n);
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* data, int size) {
  auto* port = static_cast<DatagramPort*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  const Bytes datagram = as_bytes({data, static_cast<std::size_t>(size)});
  if (port->out != nullptr) {
    port->out->emplace_back(datagram.begin(), datagram.end());
  } else if (port->single != nullptr) {
    port->single->assign(datagram.begin(), datagram.end());
  }
  return size;
}

long bio_ctrl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return static_cast<long>(static_cast<DatagramPort*>(BIO_get_data(bio))->mtu);
    case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
      return kIpAndUdpHeaders;
    default:
      return 0;
  }
}

const BIO_METHOD* datagram_method() {
  static const BioMethodPtr method = [] {
    BioMethodPtr made(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "turnkit datagrams"));
    BIO_meth_set_read(made.get(), bio_read);
    BIO_meth_set_write(made.get(), bio_write);
    BIO_meth_set_ctrl(made.get(), bio_ctrl);
    return made;
  }();
  return method.get();
}

unsigned next_timeout_of(SSL* /*ssl*/, unsigned last) {
  return last == 0 ? kFirstTimeoutMicroseconds : std::min(last * 2, kLongestTimeoutMicroseconds);
}

}  // namespace

bool DtlsSession::Impl::attach(SslPtr ssl_to_use, std::size_t mtu) {
  if (!ssl_to_use) return false;
  ssl = std::move(ssl_to_use);
  port.mtu = std::clamp(mtu, kSmallestMtu, kLargestMtu);
  BIO* bio = BIO_new(datagram_method());
  if (bio == nullptr) return false;
  BIO_set_data(bio, &port);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl.get(), bio, bio);
  SSL_set_mtu(ssl.get(), static_cast<long>(port.mtu));
  DTLS_set_timer_cb(ssl.get(), next_timeout_of);
  return true;
}

DtlsSession::State DtlsSession::Impl::advance(const std::function<void(MutableBytes)>& on_plaintext) {
  std::array<std::byte, kMaxPlaintext> plaintext;
  for (;;) {
    ERR_clear_error();
    std::size_t n = 0;
    const int result = SSL_read_ex(ssl.get(), plaintext.data(), plaintext.size(), &n);
    if (SSL_is_init_finished(ssl.get()) != 0 && state == State::kHandshaking) state = State::kEstablished;
    if (result == 1) {
      if (on_plaintext) on_plaintext(MutableBytes(plaintext).first(n));
      if (state != State::kEstablished) return state;  // ended by the callback
      continue;
    }
    switch (SSL_get_error(ssl.get(), result)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return state;
      case SSL_ERROR_ZERO_RETURN:
        return state = State::kEnded;
      default:
        ERR_clear_error();
        return state = State::kFailed;
    }
  }
}

DtlsSession::DtlsSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DtlsSession::~DtlsSession() = default;

std::unique_ptr<DtlsSession> DtlsSession::make_client(std::shared_ptr<TlsClientContext> context, std::size_t mtu) {
  auto impl = std::make_unique<Impl>();
  SslPtr ssl = context->impl().new_ssl(true);
  impl->context = std::move(context);
  if (!impl->attach(std::move(ssl), mtu)) impl->state = State::kFailed;
  return std::unique_ptr<DtlsSession>(new DtlsSession(std::move(impl)));
}

DtlsSession::State DtlsSession::start(Datagrams& out) { return receive({}, out, {}); }

DtlsSession::State DtlsSession::receive(Bytes datagram, Datagrams& out,
                                        const std::function<void(MutableBytes)>& on_plaintext) {
  Impl& impl = *impl_;
  if (impl.state == State::kEnded || impl.state == State::kFailed) return impl.state;
  impl.port.input = datagram;
  impl.port.has_input = !datagram.empty();
  impl.port.out = &out;
  const State state = impl.advance(on_plaintext);
  impl.port.out = nullptr;
  impl.port.has_input = false;
  return state;
}

Bytes DtlsSession::protect(Bytes plaintext) {
  Impl& impl = *impl_;
  if (impl.state != State::kEstablished || plaintext.empty() || plaintext.size() > kMaxPlaintext) return {};
  ERR_clear_error();
  impl.record.clear();
  // Inside receive()'s callback, its output is still in place: this datagram is not part of it.
  Datagrams* const outer = std::exchange(impl.port.out, nullptr);
  impl.port.single = &impl.record;
  std::size_t n = 0;
  const int result = SSL_write_ex(impl.ssl.get(), plaintext.data(), plaintext.size(), &n);
  impl.port.single = nullptr;
  impl.port.out = outer;
  if (result == 1) return impl.record;
  if (SSL_get_error(impl.ssl.get(), result) == SSL_ERROR_SSL) impl.state = State::kFailed;
  ERR_clear_error();
  return {};
}

bool DtlsSession::on_timer(Datagrams& out) {
  Impl& impl = *impl_;
  if (impl.state != State::kHandshaking) return impl.state == State::kEstablished;
  ERR_clear_error();
  impl.port.out = &out;
  const long result = DTLSv1_handle_timeout(impl.ssl.get());
  impl.port.out = nullptr;
  if (result > 0) ++impl.timeouts;
  if (result < 0 || impl.timeouts > kMaxTimeouts) {
    ERR_clear_error();
    impl.state = State::kFailed;
    return false;
  }
  return true;
}

std::optional<Duration> DtlsSession::next_timeout() const {
  timeval left{};
  if (!impl_->ssl || impl_->state != State::kHandshaking || DTLSv1_get_timeout(impl_->ssl.get(), &left) != 1) {
    return std::nullopt;
  }
  return std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec);
}

void DtlsSession::end(Datagrams& out) {
  Impl& impl = *impl_;
  if (impl.state == State::kEstablished) {
    ERR_clear_error();
    Datagrams* const outer = std::exchange(impl.port.out, &out);
    (void)SSL_shutdown(impl.ssl.get());
    impl.port.out = outer;
    ERR_clear_error();
  }
  if (impl.state != State::kFailed) impl.state = State::kEnded;
}

DtlsSession::State DtlsSession::state() const { return impl_->state; }
std::string DtlsSession::protection() const { return impl_->ssl ? protection_of(impl_->ssl.get()) : std::string(); }
std::string_view DtlsSession::alpn() const { return impl_->ssl ? alpn_selected(impl_->ssl.get()) : std::string_view(); }

}  // namespace turnkit::net
