#include "turnd/relay/forwarding.h"

#include <utility>

#include "turnd/relay/worker.h"

namespace turnkit::relay {

using engine::Drop;
using engine::FiveTuple;

namespace {

constexpr std::size_t kMaxOwners = 65536;
// What may wait for one worker. More means that it is behind by milliseconds: media had better be lost than late.
constexpr std::size_t kMaxWaiting = 4 * 1024 * 1024;

}  // namespace

bool Forwarding::take_known(const net::Datagram& datagram) {
  const FiveTuple tuple{datagram.source, datagram.local, engine::Transport::kUdp};
  const auto it = owners_.find(tuple);
  if (it == owners_.end()) return false;
  const Item item{tuple, it->second.passed + 1, 0, datagram.data.size(), datagram.segment_size, datagram.tos};
  if (append(it->second.worker, item, datagram.data)) ++it->second.passed;
  return true;
}

void Forwarding::pass_on(unsigned owner, const FiveTuple& tuple, Bytes message, std::uint8_t tos) {
  const auto it = add(tuple, owner) ? owners_.find(tuple) : owners_.end();
  const std::uint64_t number = it != owners_.end() ? it->second.passed + 1 : 0;
  const auto size = static_cast<std::uint32_t>(message.size());
  const bool passed = append(owner, {tuple, number, 0, message.size(), size, tos}, message);
  if (it == owners_.end()) return;
  if (passed) {
    it->second.passed = number;
  } else if (it->second.passed == 0) {
    owners_.erase(it);  // the owner, which has not heard of it, would never call it off
  }
}

bool Forwarding::add(const FiveTuple& tuple, unsigned owner) {
  if (owners_.size() >= kMaxOwners && !owners_.contains(tuple)) return false;
  owners_[tuple].worker = owner;
  return true;
}

void Forwarding::remove(const FiveTuple& tuple, std::uint64_t number) {
  const auto it = owners_.find(tuple);
  if (it != owners_.end() && it->second.passed == number) owners_.erase(it);
}

bool Forwarding::append(unsigned owner, Item item, Bytes data) {
  std::shared_ptr<Batch>& batch = outgoing_[owner];
  if (batch == nullptr) batch = std::make_shared<Batch>();
  const Forwarding& to = worker_.peer(owner).forwarding();
  if (to.waiting_.load(std::memory_order_relaxed) + batch->bytes.size() + data.size() > kMaxWaiting) {
    worker_.drop(Drop::kBusyWorker);
    return false;
  }
  item.offset = batch->bytes.size();
  batch->items.push_back(item);
  batch->bytes.insert(batch->bytes.end(), data.begin(), data.end());
  return true;
}

void Forwarding::flush() {
  if (outgoing_.empty()) return;
  for (auto& [owner, batch] : outgoing_) {
    Worker& worker = worker_.peer(owner);
    Forwarding& to = worker.forwarding();
    to.waiting_.fetch_add(batch->bytes.size(), std::memory_order_relaxed);
    worker.loop().post([&to, batch = std::move(batch), from = worker_.index()] { to.receive(*batch, from); });
  }
  outgoing_.clear();
}

void Forwarding::receive(Batch& batch, unsigned from) {
  receiving_ = true;
  for (const Item& item : batch.items) {
    net::Datagram datagram;
    datagram.data = MutableBytes(batch.bytes).subspan(item.offset, item.size);
    datagram.segment_size = item.segment_size;
    datagram.source = item.tuple.client;
    datagram.local = item.tuple.server;
    datagram.tos = item.tos;
    worker_.on_forwarded(datagram);
    worker_.serves(item.tuple) ? on_guest(item.tuple, from, item.number) : turn_away(item.tuple, from, item.number);
  }
  receiving_ = false;
  worker_.flush_sends();  // it refers to the batch
  waiting_.fetch_sub(batch.bytes.size(), std::memory_order_relaxed);
}

void Forwarding::on_guest(const FiveTuple& tuple, unsigned from, std::uint64_t number) {
  const auto [guest, entered] = guests_.try_emplace(tuple);
  guest->second = {from, number};
  if (!entered) return;
  Worker& worker = worker_.peer(from);
  worker.loop().post([&worker, tuple, owner = worker_.index()] { worker.forwarding().add(tuple, owner); });
}

void Forwarding::turn_away(const FiveTuple& tuple, unsigned from, std::uint64_t number) {
  guests_.erase(tuple);
  Worker& worker = worker_.peer(from);
  worker.loop().post([&worker, tuple, number] { worker.forwarding().remove(tuple, number); });
}

void Forwarding::sweep() {
  std::vector<std::pair<FiveTuple, Guest>> gone;
  for (const auto& guest : guests_) {
    if (!worker_.serves(guest.first)) gone.push_back(guest);
  }
  for (const auto& [tuple, guest] : gone) turn_away(tuple, guest.from, guest.number);
}

}  // namespace turnkit::relay
