// What the first bytes of a TCP connection say before anything is consumed: TLS, STUN, HTTP or something else; and, of
// a TLS ClientHello, the server name and the application protocols (RFC 8446, section 4.1.2; RFC 6066, section 3; RFC
// 7301).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace turnkit::net {

enum class FirstBytes : std::uint8_t { kNeedMore, kTls, kStun, kHttp, kProxy, kOther };
// kHttp: a method of RFC 9110 and a blank (also the HTTP/2 preface). kProxy: a PROXY protocol header, v1 or v2. kStun:
// the first two bits are 0 and the magic cookie is in place, as far as the bytes go.
FirstBytes judge_first_bytes(Bytes start);

struct ClientHello {
  std::string server_name;        // in lower case; empty: none, or not a host name
  std::vector<std::string> alpn;  // as offered
};
struct HelloResult {
  enum class State : std::uint8_t { kNeedMore, kBroken, kDone };
  State state = State::kNeedMore;
  std::size_t needed = 0;  // kNeedMore: bytes in all before the next call can say more
  ClientHello hello;
};
// `start`: a TCP stream's first bytes, at most kMaxClientHello of which are looked at; the handshake message may span
// records.
inline constexpr std::size_t kMaxClientHello = 16384;
HelloResult read_client_hello(Bytes start);

}  // namespace turnkit::net
