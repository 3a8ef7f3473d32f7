// Quotas that hold for the whole server: allocations per user and per realm, and bandwidth set aside for sessions.
// Shared by all workers; asked only when an allocation begins or ends, so one mutex serves.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace turnkit::engine {

class Quotas;

// A place in the quotas, given back when it is destroyed.
class QuotaTicket {
 public:
  QuotaTicket() = default;
  ~QuotaTicket() { release(); }
  QuotaTicket(QuotaTicket&& other) noexcept;
  QuotaTicket& operator=(QuotaTicket&& other) noexcept;
  QuotaTicket(const QuotaTicket&) = delete;
  QuotaTicket& operator=(const QuotaTicket&) = delete;

  // Bytes per second that the session may use in each direction; 0: no limit.
  [[nodiscard]] std::uint64_t bandwidth() const { return bandwidth_; }

 private:
  friend class Quotas;
  void release();

  Quotas* quotas_ = nullptr;
  std::string realm_;
  std::string user_;  // empty for anonymous sessions
  std::uint64_t bandwidth_ = 0;
  std::uint64_t reserved_ = 0;  // of bps_capacity
};

// What a realm has of its own; the rest is as for the server.
struct RealmQuota {
  std::optional<std::uint32_t> per_user = {};
  std::optional<std::uint32_t> total = {};
  std::optional<std::uint64_t> max_bps = {};
};

struct QuotaLimits {
  std::uint32_t per_user = 0;      // allocations of one user of a realm; 0: no limit
  std::uint32_t total = 0;         // allocations of one realm; 0: no limit
  std::uint64_t max_bps = 0;       // bytes per second per session and direction; 0: no limit
  std::uint64_t bps_capacity = 0;  // bytes per second that all sessions together may set aside; 0: no limit
  std::map<std::string, RealmQuota, std::less<>> realms = {};
};

class Quotas {
 public:
  explicit Quotas(QuotaLimits limits) : limits_(std::move(limits)) {}

  enum class Refusal : std::uint8_t { kNone, kUser, kTotal, kBandwidth };
  // For include-reason-string; empty for kNone.
  static std::string_view text_of(Refusal refusal);

  struct Answer {
    Refusal refusal = Refusal::kNone;
    QuotaTicket ticket;  // when not refused
  };
  // An empty `user` counts towards the realm's total only. The last session to fit into bps_capacity may get what is
  // left of it.
  Answer acquire(std::string_view realm, std::string_view user);
  // Counts the ticket's allocation for another realm and user from now on; on a refusal all stays as it was. Bandwidth
  // stays in any case.
  Refusal move(QuotaTicket& ticket, std::string_view realm, std::string_view user);

  // For allocations from now on; those that are there stay, and count.
  void set_limits(QuotaLimits limits);

  [[nodiscard]] std::uint32_t total() const;  // of all realms
  [[nodiscard]] std::uint32_t total(std::string_view realm) const;

 private:
  friend class QuotaTicket;
  struct Realm {
    std::uint32_t total = 0;
    std::map<std::string, std::uint32_t, std::less<>> users;
  };
  // These need the lock.
  [[nodiscard]] Refusal check(std::string_view realm, std::string_view user) const;
  [[nodiscard]] const RealmQuota* quota_of(std::string_view realm) const;
  void count(const std::string& realm, const std::string& user);
  void uncount(const std::string& realm, const std::string& user);

  void release(const QuotaTicket& ticket);

  mutable std::mutex mutex_;
  QuotaLimits limits_;
  std::map<std::string, Realm, std::less<>> realms_;
  std::uint32_t total_ = 0;
  std::uint64_t reserved_bps_ = 0;
};

}  // namespace turnkit::engine
