// A TCP connection of a check: connect with a deadline, send, and wait for bytes. Blocking, for one thread.
#pragma once

#include <cstddef>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "net/fd.h"
#include "probe/port/evidence.h"

namespace turnkit::probe {

class TcpStream {
 public:
  struct Outcome {
    Connect connect = Connect::kTimeout;
    int error = 0;  // errno, when refused or failed
  };
  // ICMP errors about the connection request go to `icmp`.
  Outcome connect(const Address& target, TimePoint until, std::vector<IcmpSeen>& icmp);

  // False when the connection is gone.
  bool send(Bytes bytes);
  // With RFC 4571's length in front.
  bool send_frame(Bytes message);
  // Appends what arrives to input(), until there is something new, the end, or `until`.
  enum class Event : std::uint8_t { kData, kClosed, kReset, kTimeout };
  Event wait(TimePoint until);
  // The first frame in input(), without its length; empty: none is complete. drop_frame() removes it.
  [[nodiscard]] Bytes frame() const;
  void drop_frame();
  [[nodiscard]] Bytes input() const { return input_; }

  // Whether the other end's system has acknowledged every byte sent.
  [[nodiscard]] bool is_acknowledged() const;
  [[nodiscard]] const Address& local() const { return local_; }

 private:
  net::UniqueFd fd_;
  Address local_;
  std::vector<std::byte> input_;
};

}  // namespace turnkit::probe
