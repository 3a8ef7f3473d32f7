// Connection: an accepted connection until it is known what it is: PROXY header, first bytes, TLS handshake, first
// message. Nothing is taken from the socket that a backend would have to see.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/event_loop.h"
#include "net/fd.h"
#include "net/stream.h"
#include "net/tls.h"
#include "turnd/relay/stream_config.h"
#include "turnd/relay/stream_session.h"

namespace turnkit::relay {

class Streams;

class Connection final : public StreamSession, public net::IoHandler {
 public:
  Connection(Streams& streams, net::UniqueFd fd, const Address& peer, const Address& local,
             const StreamListenerOptions& options);

  // Does what can be done at once. May end the connection, or turn it into something else.
  void on_readable() override;
  void on_writable() override;

 private:
  friend class Streams;

  enum class Stage : std::uint8_t { kProxyHeader, kFirstBytes, kHandshake, kFirstMessage, kAnswer, kGone };
  static constexpr std::size_t kMaxDiscarded = 64 * 1024;
  // What a step says: go on with the (new) stage, or wait for the socket.
  enum class Step : std::uint8_t { kGoOn, kWait };

  void advance();
  Step read_proxy_header();
  Step look_at_first_bytes();
  Step on_tls(Bytes start);
  Step shake_hands();
  Step read_first_message();
  Step judge_first_message();
  Step send_answer();

  [[nodiscard]] Bytes peek();
  Step wait_for_more(std::size_t have, std::size_t wanted);
  void wait_for(std::size_t bytes);
  Step become_client();
  Step become_tunnel(const Address& backend);
  Step end(std::string_view reason);

  Streams& streams_;
  net::UniqueFd fd_;  // until there is a stream
  std::unique_ptr<net::Stream> stream_;
  net::TlsStream* tls_ = nullptr;  // the same stream, when it is TLS
  engine::FiveTuple tuple_;
  StreamListenerOptions options_;
  Stage stage_;
  ConnectionTicket ticket_;
  std::vector<std::byte> early_;  // read from the stream, not yet judged
  std::string answer_;            // HTTP
  std::size_t peeked_ = 0;        // how much was there at the last look
  std::size_t low_water_ = 1;     // the socket counts as readable from here on
  int idle_wakeups_ = 0;          // without anything new
  std::size_t discarded_ = 0;     // of what came after the answer
  std::optional<net::IoWatch> watch_;
};

}  // namespace turnkit::relay
