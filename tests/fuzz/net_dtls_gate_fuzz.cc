// DtlsGate and what lies behind it. The first byte chooses: datagrams from a stranger, which never make a session; or
// the rest of a ClientHello whose cookie is valid, and then datagrams for the session. Datagrams have a length byte in
// front.
#include <algorithm>

#include "fuzz.h"
#include "net/tls.h"
#include "tests/support/certificates.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

const Address kClient{IpAddress::v4(192, 0, 2, 1), 40000};
const Address kServer{IpAddress::v4(198, 51, 100, 1), 5349};
constexpr std::size_t kHelloVerifyRequestStart = 13 + 12 + 3;

std::shared_ptr<const net::TlsContext> make_context() {
  const turnkit::testing::Certificate certificate;
  net::TlsMaterial material;
  material.certificate = certificate.pem();
  material.key = certificate.key_pem();
  return *net::TlsContext::make(material, {});
}

// A ClientHello with this cookie and `rest` behind it (cipher suites and so on).
Buffer client_hello(Bytes cookie, Bytes rest) {
  const std::size_t body = 2 + 32 + 1 + 1 + cookie.size() + rest.size();
  Buffer out(13 + 12 + body);
  Writer w(out);
  w.u8(22);
  w.u16(0xFEFD);
  w.zeros(8);  // epoch, sequence number
  w.u16(static_cast<std::uint16_t>(12 + body));
  w.u32((1U << 24) | static_cast<std::uint32_t>(body));
  w.u16(cookie.empty() ? 0 : 1);
  w.zeros(3);
  w.u8(0);
  w.u16(static_cast<std::uint16_t>(body));
  w.u16(0xFEFD);
  w.zeros(32);
  w.u8(0);
  w.u8(static_cast<std::uint8_t>(cookie.size()));
  w.bytes(cookie);
  w.bytes(rest);
  require(w.ok() && w.size() == out.size(), "the fuzzer's own ClientHello");
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static net::DtlsGate gate(make_context());
  if (size < 2) return 0;
  const Buffer all = input(data + 1, size - 1);
  Reader in(all);
  net::DtlsSession::Datagrams out;
  if ((data[0] & 1) == 0) {
    const auto session = gate.receive(all, kClient, kServer, out);
    require(session == nullptr, "no session without a cookie");
    require(out.empty() || (out.size() == 1 && out[0].size() < all.size()), "an answer is smaller than its question");
    return 0;
  }
  const std::size_t rest_size = in.u8();
  const Buffer rest = copy(in.take(std::min(rest_size, in.remaining())));
  require(gate.receive(client_hello({}, rest), kClient, kServer, out) == nullptr, "no session without a cookie");
  require(out.size() == 1, "a HelloVerifyRequest");
  const Buffer cookie = copy(Bytes(out[0]).subspan(kHelloVerifyRequestStart));
  out.clear();
  const auto session = gate.receive(client_hello(cookie, rest), kClient, kServer, out);
  while (session && in.remaining() != 0) {
    const std::size_t length = in.u8();
    const Buffer datagram = copy(in.take(std::min(length, in.remaining())));
    session->receive(datagram, out, [](MutableBytes) { require(false, "no data without keys"); });
    require(out.size() < 1000, "no flood of answers");
  }
  return 0;
}
