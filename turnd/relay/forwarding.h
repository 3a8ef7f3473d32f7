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
  // No longer, unless more than `number` datagrams from there have been passed on meanwhile: they may have been
  // welcome.
  void remove(const engine::FiveTuple& tuple, std::uint64_t number);
  // At the end of a turn.
  void flush();

  // Where the allocations are. The client of this 5-tuple lives here; its datagrams land on worker `from`.
  // `number`: how many of them have been passed on.
  void on_guest(const engine::FiveTuple& tuple, unsigned from, std::uint64_t number = 0);
  [[nodiscard]] bool is_receiving() const { return receiving_; }
  // Once a second: lets go of those that have no allocation here any more.
  void sweep();
  [[nodiscard]] std::size_t guests() const { return guests_.size(); }
  [[nodiscard]] std::size_t owners() const { return owners_.size(); }

 private:
  // The client of this 5-tuple does not live here, or no longer.
  void turn_away(const engine::FiveTuple& tuple, unsigned from, std::uint64_t number);
  struct Owner {
    unsigned worker = 0;
    std::uint64_t passed = 0;  // datagrams
  };
  struct Guest {
    unsigned from = 0;
    std::uint64_t number = 0;  // of its last datagram
  };
  struct Item {
    engine::FiveTuple tuple;
    std::uint64_t number;  // among the datagrams of this 5-tuple
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
  // False: dropped, because that worker is behind.
  bool append(unsigned owner, Item item, Bytes data);
  void receive(Batch& batch, unsigned from);

  Worker& worker_;
  std::unordered_map<engine::FiveTuple, Owner, TupleHash> owners_;
  std::unordered_map<unsigned, std::shared_ptr<Batch>> outgoing_;  // by owner
  std::unordered_map<engine::FiveTuple, Guest, TupleHash> guests_;
  bool receiving_ = false;
  std::atomic<std::size_t> waiting_ = 0;  // bytes that other workers have sent here; they check it
};

}  // namespace turnkit::relay
