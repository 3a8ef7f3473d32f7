// DtlsGate: answers ClientHellos without a valid cookie from the datagram alone, and opens a session for the others.
// What strangers send never reaches OpenSSL.
#include <array>

#include "net/dtls_internal.h"

namespace turnkit::net {
namespace {

constexpr std::uint8_t kHandshakeRecord = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint8_t kHelloVerifyRequest = 3;
constexpr std::uint16_t kDtls10 = 0xFEFF;
constexpr std::uint16_t kDtls12 = 0xFEFD;
constexpr std::size_t kRecordHeader = 13;
constexpr std::size_t kMessageHeader = 12;
constexpr std::size_t kCookieSize = 16;
// A cookie holds for one to two of these.
constexpr Duration kCookieSlot = std::chrono::seconds(30);

struct Hello {
  Bytes record;    // header included
  Bytes sequence;  // the record's, 6 bytes
  Bytes cookie;
};

std::uint32_t u24(Reader& in) {
  const std::uint32_t high = in.u8();
  return (high << 16) | in.u16();
}

// RFC 6347, sections 4.1 and 4.2.1 and 4.2.2. A ClientHello may be fragmented: the first fragment must reach beyond the
// cookie, as those of real clients do.
std::optional<Hello> read_hello(Bytes datagram) {
  Hello out;
  Reader in(datagram);
  const std::uint8_t type = in.u8();
  const std::uint16_t version = in.u16();
  const std::uint16_t epoch = in.u16();
  out.sequence = in.take(6);
  Reader message(in.take(in.u16()));
  if (!in.ok() || type != kHandshakeRecord || epoch != 0) return std::nullopt;
  if (version != kDtls10 && version != kDtls12) return std::nullopt;
  out.record = datagram.first(datagram.size() - in.remaining());

  const std::uint8_t message_type = message.u8();
  const std::uint32_t length = u24(message);
  message.skip(2);  // message_seq
  const std::uint32_t fragment_offset = u24(message);
  const std::uint32_t fragment_length = u24(message);
  if (!message.ok() || message_type != kClientHello || fragment_offset != 0) return std::nullopt;
  if (fragment_length > length || fragment_length != message.remaining()) return std::nullopt;

  message.skip(2 + 32);  // client_version, random
  const std::uint8_t session_id = message.u8();
  message.skip(session_id);
  const std::uint8_t cookie = message.u8();
  out.cookie = message.take(cookie);
  if (!message.ok() || session_id > 32) return std::nullopt;
  return out;
}

// RFC 6347, section 4.2.1: in DTLS 1.0's version whatever is to be negotiated, with the ClientHello's record sequence
// number. Shorter than any ClientHello.
std::vector<std::byte> hello_verify_request(const Hello& hello, Bytes cookie) {
  const std::size_t body = 2 + 1 + cookie.size();
  std::vector<std::byte> out(kRecordHeader + kMessageHeader + body);
  Writer w(out);
  w.u8(kHandshakeRecord);
  w.u16(kDtls10);
  w.u16(0);
  w.bytes(hello.sequence);
  w.u16(static_cast<std::uint16_t>(kMessageHeader + body));
  w.u8(kHelloVerifyRequest);
  w.u8(0);
  w.u16(static_cast<std::uint16_t>(body));
  w.u16(0);  // message_seq
  w.u8(0);
  w.u16(0);  // fragment_offset
  w.u8(0);
  w.u16(static_cast<std::uint16_t>(body));
  w.u16(kDtls10);
  w.u8(static_cast<std::uint8_t>(cookie.size()));
  w.bytes(cookie);
  return out;
}

using Cookie = std::array<std::byte, kCookieSize>;

Cookie make_cookie(Bytes key, const Address& client, const Address& server, std::uint64_t slot) {
  std::array<std::byte, 64> text;
  Writer w(text);
  w.u64(slot);
  for (const Address* address : {&client, &server}) {
    w.u8(static_cast<std::uint8_t>(address->family()));
    w.bytes(address->ip.bytes());
    w.u16(address->port);
  }
  const Sha256 mac = hmac_sha256(key, {w.written()});
  Cookie out;
  std::copy_n(mac.begin(), out.size(), out.begin());
  return out;
}

}  // namespace

struct DtlsGate::Impl {
  std::shared_ptr<const TlsContext> context;
  std::size_t mtu;
  std::unique_ptr<BIO_ADDR, OpensslDeleter<BIO_ADDR_free>> nowhere{BIO_ADDR_new()};  // DTLSv1_listen wants one

  std::unique_ptr<DtlsSession::Impl> admit(const Hello& hello, Bytes rest, DtlsSession::Datagrams& out) const;
};

// DTLSv1_listen() takes the ClientHello into a fresh SSL, with the sequence numbers that the cookie exchange used up.
std::unique_ptr<DtlsSession::Impl> DtlsGate::Impl::admit(const Hello& hello, Bytes rest,
                                                         DtlsSession::Datagrams& out) const {
  auto session = std::make_unique<DtlsSession::Impl>();
  session->context = context;
  SslPtr ssl(SSL_new(context->impl().dtls.get()));
  if (!session->attach(std::move(ssl), mtu)) return nullptr;
  SSL_set_accept_state(session->ssl.get());
  ERR_clear_error();
  DtlsSession::Datagrams ignored;
  session->port.input = hello.record;
  session->port.has_input = true;
  session->port.out = &ignored;
  const bool listened = DTLSv1_listen(session->ssl.get(), nowhere.get()) == 1;
  ERR_clear_error();
  if (!listened) return nullptr;
  session->port.out = &out;
  session->port.input = rest;  // further records of the same datagram
  session->port.has_input = !rest.empty();
  const auto state = session->advance({});
  session->port.out = nullptr;
  session->port.has_input = false;
  if (state == DtlsSession::State::kFailed) return nullptr;
  return session;
}

DtlsGate::DtlsGate(std::shared_ptr<const TlsContext> context, std::size_t mtu)
    : impl_(std::make_unique<Impl>(Impl{std::move(context), mtu})) {}
DtlsGate::~DtlsGate() = default;

void DtlsGate::set_context(std::shared_ptr<const TlsContext> context) { impl_->context = std::move(context); }

bool DtlsGate::is_client_hello(Bytes datagram) { return read_hello(datagram).has_value(); }

std::unique_ptr<DtlsSession> DtlsGate::receive(Bytes datagram, const Address& client, const Address& server,
                                               DtlsSession::Datagrams& out, TimePoint now) {
  const auto hello = read_hello(datagram);
  if (!hello) return nullptr;
  const Bytes key = impl_->context->impl().cookie_key;
  const auto slot = static_cast<std::uint64_t>(now.time_since_epoch() / kCookieSlot);
  const Cookie cookie = make_cookie(key, client, server, slot);
  bool valid = constant_time_equal(hello->cookie, cookie);
  if (!valid && hello->cookie.size() == cookie.size()) {
    valid = constant_time_equal(hello->cookie, make_cookie(key, client, server, slot - 1));
  }
  if (!valid) {
    out.push_back(hello_verify_request(*hello, cookie));
    return nullptr;
  }
  auto session = impl_->admit(*hello, datagram.subspan(hello->record.size()), out);
  if (!session) return nullptr;
  return std::unique_ptr<DtlsSession>(new DtlsSession(std::move(session)));
}

}  // namespace turnkit::net
