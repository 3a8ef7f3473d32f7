// Quotas that hold for the whole server: allocations per user and in total, and bandwidth set aside for sessions.
// Shared by all workers; asked only when an allocation begins or ends, so one mutex serves.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

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
  QuotaTicket(Quotas* quotas, const std::string* user, std::uint64_t bandwidth)
      : quotas_(quotas), user_(user), bandwidth_(bandwidth) {}
  void release();

  Quotas* quotas_ = nullptr;
  const std::string* user_ = nullptr;  // the key in Quotas::users_; null for anonymous sessions
  std::uint64_t bandwidth_ = 0;
};

struct QuotaLimits {
  std::uint32_t per_user = 0;      // allocations; 0: no limit
  std::uint32_t total = 0;         // allocations; 0: no limit
  std::uint64_t max_bps = 0;       // bytes per second per session and direction; 0: no limit
  std::uint64_t bps_capacity = 0;  // bytes per second that all sessions together may set aside; 0: no limit
};

class Quotas {
 public:
  explicit Quotas(const QuotaLimits& limits) : limits_(limits) {}

  enum class Refusal : std::uint8_t { kNone, kUser, kTotal, kBandwidth };
  struct Answer {
    Refusal refusal = Refusal::kNone;
    QuotaTicket ticket;  // when not refused
  };
  // An empty `user` counts towards the total only. The last session to fit into bps_capacity may get what is left of
  // it.
  Answer acquire(const std::string& user);

  [[nodiscard]] std::uint32_t total() const;

 private:
  friend class QuotaTicket;
  void release(const std::string* user, std::uint64_t bandwidth);

  const QuotaLimits limits_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> users_;
  std::uint32_t total_ = 0;
  std::uint64_t reserved_bps_ = 0;
};

}  // namespace turnkit::engine
