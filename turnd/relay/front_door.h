// What to do with a connection, decided from its first bytes: no sockets, no state.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/client_hello.h"
#include "turnd/relay/stream_config.h"

namespace turnkit::relay {

// Whether a TLS connection is meant for TURN, when there is a backend for those that are not (RFC 7443, RFC 6066).
bool is_for_turn(const net::ClientHello& hello, const StreamConfig& config);
// "turn.example.org", or "*.example.org", which stands for one label more. Both in lower case.
bool matches_name(std::string_view name, std::string_view pattern);

struct HttpVerdict {
  enum class Kind : std::uint8_t {
    kNeedMore,  // of the request line
    kBackend,   // hand the connection to http_backend
    kAnswer,    // send `answer`, then end
    kClose,
  };
  Kind kind = Kind::kClose;
  std::string answer;
};
// The longest request line that is waited for.
inline constexpr std::size_t kMaxRequestLine = 2048;
// `start`: the first bytes of a connection that net::judge_first_bytes() calls HTTP.
HttpVerdict judge_http(Bytes start, const StreamConfig& config);

}  // namespace turnkit::relay
