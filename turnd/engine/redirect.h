// Redirection: which other server a client is sent to with 300 (RFC 8489, section 10).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.h"
#include "turnd/engine/allocation.h"
#include "turnd/engine/external_ips.h"

namespace turnkit::engine {

// The alternate-server lists. The first of these that is for the client's transport and not empty decides: udp, tcp,
// aux, tls, any.
struct Alternates {
  std::vector<Address> udp = {};  // UDP and DTLS clients
  std::vector<Address> tcp = {};  // TCP and TLS clients
  std::vector<Address> tls = {};  // TLS and DTLS clients
  std::vector<Address> any = {};
  std::vector<Address> aux = {};  // more listeners of this server, which redirect nobody
  bool self_balance = false;      // UDP and DTLS clients are spread over `aux`

  [[nodiscard]] bool empty() const {
    return udp.empty() && tcp.empty() && tls.empty() && any.empty() && !(self_balance && !aux.empty());
  }
};

// Chooses round robin. One for each engine.
class Redirector {
 public:
  // `first`: where the round begins, so that workers do not all send to the same server first.
  explicit Redirector(unsigned first) { next_.fill(first); }

  // The server for the client of `tuple`, of the family in which it reached us; nullopt: it stays. A list that has the
  // very address that the client reached redirects nobody: a client that was sent here would be sent around for ever.
  [[nodiscard]] std::optional<Address> choose(const Alternates& alternates, const FiveTuple& tuple,
                                              const ExternalIps& external);

 private:
  std::array<std::uint32_t, 5> next_{};  // udp, tcp, aux, tls, any
};

}  // namespace turnkit::engine
