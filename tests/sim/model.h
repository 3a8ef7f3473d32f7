// Model: what a TURN server must do, as plainly as it can be said: maps, and a look at every entry. It knows no wire
// format; the test translates. Time is handed in, and what has expired is simply not counted.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "stun/types.h"

namespace turnkit::sim {

// A request as the test made it; the bytes sent say the same.
struct Ask {
  stun::Method method = stun::Method::kAllocate;
  stun::TransactionId id;

  enum class Credentials : std::uint8_t { kNone, kRight, kWrongPassword };
  Credentials credentials = Credentials::kRight;
  std::string user;
  WallTime nonce_issued;

  std::optional<std::uint32_t> lifetime;
  // Allocate
  std::optional<std::uint8_t> transport = 17;
  std::optional<bool> even_port;
  std::optional<std::uint64_t> token;
  bool additional_family = false;
  // Allocate and Refresh
  std::optional<std::uint8_t> family;
  // CreatePermission; ChannelBind uses the first
  std::vector<Address> peers;
  std::uint16_t channel = 0;
  bool unknown_attribute = false;
};

// What must come back.
struct Verdict {
  int error = 0;  // 0: success
  std::optional<int> lifetime;
  int relayed = 0;  // how many relayed addresses
};

struct ModelConfig {
  std::chrono::seconds nonce_lifetime{600};
  std::uint32_t user_quota = 4;
  std::size_t max_permissions = 6;
  std::size_t max_channels = 4;
  std::set<IpAddress> forbidden;
};

class Model {
 public:
  explicit Model(ModelConfig config) : config_(std::move(config)) {}

  // The verdict on a request from `client`, with its effect.
  Verdict judge(const Address& client, const Ask& ask, const Now& now);
  // After a success: the addresses and the token that the server chose.
  void learn(const Address& client, const std::vector<Address>& relayed, std::optional<std::uint64_t> token,
             const Now& now);

  // Where a Send indication or ChannelData goes: from which relayed address to which peer; nullopt: nowhere.
  struct Hop {
    Address from;
    Address to;
  };
  [[nodiscard]] std::optional<Hop> send(const Address& client, const Address& peer, TimePoint now) const;
  [[nodiscard]] std::optional<Hop> channel_data(const Address& client, std::uint16_t channel, TimePoint now) const;
  // Which client hears a peer's datagram to a relayed address, and on which channel (0: a Data indication).
  struct Heard {
    Address client;
    std::uint16_t channel = 0;
  };
  [[nodiscard]] std::optional<Heard> peer_data(const Address& peer, const Address& relayed, TimePoint now) const;

  [[nodiscard]] std::size_t alive(TimePoint now) const;
  [[nodiscard]] std::vector<Address> relayed_addresses() const;  // of all times

 private:
  struct Channel {
    Address peer;
    TimePoint expires;
  };
  struct Allocation {
    std::string user;
    stun::TransactionId made_by;
    std::optional<stun::TransactionId> half_deleted_by;
    std::map<Family, TimePoint> families;
    std::map<Family, Address> relayed;
    std::map<IpAddress, TimePoint> permissions;
    std::map<std::uint16_t, Channel> channels;
    std::optional<std::uint64_t> token;
  };
  struct Deletion {
    stun::TransactionId id;
    std::string user;
    TimePoint forget;
  };
  struct Reservation {
    Address address;
    TimePoint expires;
  };

  // Drops what is over.
  void expire(TimePoint now);
  [[nodiscard]] const Allocation* find(const Address& client, TimePoint now) const;
  Verdict allocate(const Address& client, const Ask& ask, TimePoint now);
  Verdict refresh(const Address& client, const Ask& ask, TimePoint now);
  Verdict permit(Allocation& allocation, const Ask& ask, TimePoint now) const;
  Verdict bind(Allocation& allocation, const Ask& ask, TimePoint now) const;
  [[nodiscard]] int check_peer(const Allocation& allocation, const Address& peer) const;
  static void drop_family(Allocation& allocation, Family family);

  const ModelConfig config_;
  std::map<Address, Allocation> allocations_;
  std::map<Address, Deletion> deletions_;
  std::map<std::uint64_t, Reservation> reservations_;
  std::vector<Address> all_relayed_;
};

}  // namespace turnkit::sim
