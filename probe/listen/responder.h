// What a listener answers, without sockets: bytes in, at most one answer out, never larger than what came in. Every
// packet is counted for its source.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "probe/listen/rate_limit.h"
#include "probe/listen/source.h"
#include "probe/wire.h"

namespace turnkit::probe {

// How many TCP connections from `client` to the local port wait for the client's last handshake packet.
using HalfOpenLookup = std::function<unsigned(const IpAddress& client, std::uint16_t port)>;

class Responder {
 public:
  struct Config {
    std::vector<std::uint16_t> udp_ports;  // what the listener has open
    std::vector<std::uint16_t> tcp_ports;
    std::size_t max_sources = 1024;
  };
  // `random` and `half_open` outlive this. `half_open` may be empty.
  Responder(Config config, Random& random, HalfOpenLookup half_open);

  // What to send back, valid until the next call; empty: nothing. `source` is never null, and valid until the next
  // call.
  struct Reply {
    Bytes answer;
    Source* source = nullptr;
    bool is_line = false;    // a person's line, within the rate limit: worth showing
    bool is_report = false;  // reports are not counted as answers of the session
  };
  Reply on_datagram(Bytes datagram, const Address& remote, const Address& local, TimePoint now);
  // A new TCP connection; one message of it without RFC 4571's length; other bytes of it, at most a line.
  Source& on_connection(const Address& remote, const Address& local, TimePoint now);
  Reply on_frame(Bytes frame, const Address& remote, const Address& local, TimePoint now);
  Reply on_stream_bytes(Bytes bytes, const Address& remote, const Address& local, TimePoint now);
  // What became of the answer: 0, or the errno of sending it. Requires: no other call since `reply` was returned.
  void sent(const Reply& reply, int error, TimePoint now);

  [[nodiscard]] const SourceTable& sources() const { return sources_; }

 private:
  Source& touch(const SourceKey& key, Bytes data, const Address& remote, const Address& local, TimePoint now);
  [[nodiscard]] SourceKey key_of_stranger(Bytes datagram, const Address& remote, const Address& local) const;
  Reply on_request(const Packet& request, Source& source, const Address& local, TimePoint now);
  Reply on_text(Bytes text, Source& source, TimePoint now);
  void fill_report(const Packet& request, Source& asker, Packet& answer, TimePoint now) const;
  [[nodiscard]] std::uint16_t accepted_from(const IpAddress& client, std::uint16_t port, TimePoint now) const;

  Config config_;
  Random& random_;
  HalfOpenLookup half_open_;
  SourceTable sources_;
  RateLimiter answers_;
  RateLimiter lines_;
  AnswerBuffer buffer_{};
};

}  // namespace turnkit::probe
