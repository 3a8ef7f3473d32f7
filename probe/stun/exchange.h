// Binding transactions over UDP, many at a time from several sockets, with everything that came of each. What both
// `stun` and `nat` measure with.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/random.h"
#include "base/result.h"
#include "client/retransmission.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"
#include "probe/port/evidence.h"
#include "probe/stun/answer.h"

namespace turnkit::probe {

inline constexpr std::uint32_t kChangeIp = 4;  // CHANGE-REQUEST (RFC 5780, section 7.2)
inline constexpr std::uint32_t kChangePort = 2;
// RFC 5780, section 4: at most 10 new transactions a second.
inline constexpr auto kTransactionPace = std::chrono::milliseconds(100);

struct BindingPlan {
  std::size_t socket = 0;  // index in the exchange
  Address to{};
  std::uint32_t change = 0;                      // CHANGE-REQUEST flags; 0: no attribute
  std::optional<std::uint16_t> response_port{};  // RESPONSE-PORT
  std::size_t size = 0;                          // of the message, filled up; 0: as small as it is
  // Filled with PADDING, which servers answer with as much (RFC 5780), instead of with an attribute that they ignore.
  bool padding = false;
  client::RetransmitConfig retransmit{};
};

// What came of one transaction.
struct BindingOutcome {
  Address to;
  Address local;                     // of the socket
  int sends = 0;                     // handed to the own system
  int send_errno = 0;                // of the last send that failed
  std::size_t size = 0;              // of the request
  std::optional<StunAnswer> answer;  // the first
  int sends_before_answer = 0;       // 1: the first request was enough, as far as the round trip tells
  std::size_t arrived_on = 0;        // socket that the answer came to
  double rtt_ms = 0;                 // from the last send before the answer
  unsigned more_answers = 0;
  bool bad_fingerprint = false;        // an answer with a wrong FINGERPRINT came, and was not believed
  std::optional<Address> own_request;  // our request came to a socket of ours, from this address (hairpin)
  std::vector<IcmpSeen> icmp;
  ForeignData foreign;  // what else came from there

  // Answered with a success response.
  [[nodiscard]] bool ok() const { return answer && answer->is_success(); }
  [[nodiscard]] std::optional<Address> mapped() const { return ok() ? answer->reflexive() : std::nullopt; }
};

class UdpExchange {
 public:
  UdpExchange();
  // Binds a socket; returns its index.
  Result<std::size_t> open(const Address& local);
  [[nodiscard]] const Address& local(std::size_t socket) const { return sockets_[socket].local(); }
  [[nodiscard]] net::UdpSocket& socket(std::size_t index) { return sockets_[index]; }

  // Runs all plans, begun `pace` apart, until each is answered or given up. One outcome a plan, in their order.
  std::vector<BindingOutcome> run(std::span<const BindingPlan> plans,
                                  std::chrono::milliseconds pace = kTransactionPace);
  BindingOutcome run_one(const BindingPlan& plan);

 private:
  struct Transaction;
  void send(Transaction& transaction);
  bool act(Transaction& transaction, TimePoint now);
  void receive(std::size_t socket, std::vector<Transaction>& transactions);
  void on_datagram(std::size_t socket, Bytes datagram, const Address& source, std::vector<Transaction>& transactions);

  std::vector<net::UdpSocket> sockets_;
  net::RecvBatch batch_{16, 65536};
  SystemRandom random_;
};

// A Binding request as in the plan, with FINGERPRINT. Empty when the size cannot be (too small, or beyond `buffer`).
Bytes encode_binding(const BindingPlan& plan, const stun::TransactionId& id, MutableBytes buffer);

}  // namespace turnkit::probe
