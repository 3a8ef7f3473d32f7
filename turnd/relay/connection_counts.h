// ConnectionCounts: how many connections the server has, in all and from each source; shared by all workers, asked only
// when connections come and go.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/address.h"

namespace turnkit::relay {

class ConnectionCounts;

// One connection's place in the counts; gives it back when destroyed.
class ConnectionTicket {
 public:
  ConnectionTicket() = default;
  ConnectionTicket(std::shared_ptr<ConnectionCounts> counts, const IpAddress& source)
      : counts_(std::move(counts)), source_(source) {}
  ~ConnectionTicket();
  ConnectionTicket(ConnectionTicket&&) noexcept = default;
  ConnectionTicket& operator=(ConnectionTicket&& other) noexcept {
    std::swap(counts_, other.counts_);
    std::swap(source_, other.source_);
    return *this;
  }
  explicit operator bool() const { return counts_ != nullptr; }

 private:
  std::shared_ptr<ConnectionCounts> counts_;
  IpAddress source_;
};

class ConnectionCounts : public std::enable_shared_from_this<ConnectionCounts> {
 public:
  // An empty ticket when one of the limits is reached (0: no limit). IPv6 sources count by their /64.
  ConnectionTicket admit(const IpAddress& ip, std::size_t max_total, std::size_t max_per_source);
  [[nodiscard]] std::size_t total() const;

 private:
  friend class ConnectionTicket;
  void give_back(const IpAddress& source);

  mutable std::mutex mutex_;
  std::size_t total_ = 0;
  std::unordered_map<IpAddress, std::size_t> of_source_;
};

}  // namespace turnkit::relay
