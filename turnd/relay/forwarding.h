// Forwarding: datagrams of clients that have moved (RFC 8016). The kernel spreads 5-tuples over the workers' sockets,
// so a client's new one may land on a worker that does not have its allocation. That worker passes what comes from
// there on, a batch a turn; the owner answers the client directly, from its own socket on the same address.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "net/udp_batch.h"
#include "turnd/engine/allocation.h"

namespace turnkit::relay {

class Worker;

class Forwarding {
 public:
  explicit Forwarding(Worker& worker) : worker_(worker) {}

  // Where the datagrams land. Whether this one is for another worker; it is on its way then.
  bool take(const net::Datagram& datagram) { return !owners_.empty() && take_known(datagram); }
  // Passes on one message of a client that is not known yet: a Refresh with a ticket. What follows it goes the same way
  // at once, because the client may send as soon as it has the answer; the owner calls it off if it does not know the
  // client.
  void pass_on(unsigned owner, const engine::FiveTuple& tuple, Bytes message, std::uint8_t tos);
  // From now on what comes from this 5-tuple (of UDP, whatever is in it) goes to that worker. False: there are too many
  // already.
  bool add(const engine::FiveTuple& tuple, unsigned owner);
  void remove(const engine::FiveTuple& tuple) { owners_.erase(tuple); }
  // At the end of a turn.
  void flush();

  // Where the allocations are. The client of this 5-tuple lives here; its datagrams land on worker `from`.
  void on_guest(const engine::FiveTuple& tuple, unsigned from);
  [[nodiscard]] bool is_receiving() const { return receiving_; }
  // Once a second: lets go of those that have no allocation here any more.
  void sweep();
  [[nodiscard]] std::size_t guests() const { return guests_.size(); }

 private:
  // The client of this 5-tuple does not live here, or no longer.
  void turn_away(const engine::FiveTuple& tuple, unsigned from);
  struct Item {
    engine::FiveTuple tuple;
    std::size_t offset;
    std::size_t size;
    std::uint32_t segment_size;
    std::uint8_t tos;
  };
  struct Batch {
    std::vector<Item> items;
    std::vector<std::byte> bytes;
  };
  struct TupleHash {
    std::size_t operator()(const engine::FiveTuple& t) const noexcept { return hash_value(t); }
  };

  bool take_known(const net::Datagram& datagram);
  void append(unsigned owner, const engine::FiveTuple& tuple, Bytes data, std::uint32_t segment_size, std::uint8_t tos);
  void receive(Batch& batch, unsigned from);

  Worker& worker_;
  std::unordered_map<engine::FiveTuple, unsigned, TupleHash> owners_;
  std::unordered_map<unsigned, std::shared_ptr<Batch>> outgoing_;      // by owner
  std::unordered_map<engine::FiveTuple, unsigned, TupleHash> guests_;  // and the worker that gets their datagrams
  bool receiving_ = false;
  std::atomic<std::size_t> waiting_ = 0;  // bytes that other workers have sent here; they check it
};

}  // namespace turnkit::relay
