// TurnSession: the client of one TURN allocation over UDP (RFC 8656), sans I/O: datagrams and time in; datagrams, a
// deadline and events out. Keeps the allocation, its permissions and channels alive by itself.
//
//   session.allocate(now);                       then, in any order:
//   for (auto& d : session.take_output()) send(d);      what goes to the server
//   session.on_datagram(bytes, now);  session.on_time(now);  at the latest at session.deadline()
//   for (Event& e : session.take_events()) ...
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/random.h"
#include "client/long_term.h"
#include "client/retransmission.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "stun/types.h"

namespace turnkit::client {

struct SessionOptions {
  Credentials credentials;
  AlgorithmPolicy algorithms = AlgorithmPolicy::kBest;
  RetransmitConfig retransmit;
  std::uint8_t transport = 17;                     // REQUESTED-TRANSPORT: UDP
  std::optional<Family> family;                    // REQUESTED-ADDRESS-FAMILY
  bool additional_ipv6 = false;                    // ADDITIONAL-ADDRESS-FAMILY: one IPv4 and one IPv6 relayed address
  std::optional<bool> even_port;                   // EVEN-PORT with this R bit
  std::optional<std::uint64_t> reservation_token;  // RESERVATION-TOKEN
  bool dont_fragment = false;                      // DONT-FRAGMENT in Allocate and in Send indications
  std::optional<std::chrono::seconds> lifetime;    // LIFETIME asked for
  std::string software;                            // SOFTWARE; empty: none
  bool fingerprint = true;
  bool keep_alive = true;  // refresh allocation, permissions and channels in time
};

enum class Request : std::uint8_t { kAllocate, kRefresh, kCreatePermission, kChannelBind };
std::string_view request_name(Request request);

struct Allocated {
  Address relayed;                             // the first address
  std::optional<Address> additional;           // the other family's, of a dual allocation
  std::optional<stun::Code> additional_error;  // ADDRESS-ERROR-CODE: why there is no second address
  Address mapped;                              // this client as the server sees it
  std::chrono::seconds lifetime{0};
  std::optional<std::uint64_t> reservation_token;
  std::string software;  // the server's, as sent; untrusted
};
struct Refreshed {
  std::chrono::seconds lifetime{0};
};
struct Deleted {};  // by close(), or because the server no longer knew the allocation
struct PermissionsInstalled {
  std::vector<Address> peers;
};
struct ChannelBound {
  std::uint16_t number = 0;
  Address peer;
};
// `data` points into the datagram that was handed to on_datagram().
struct DataReceived {
  Address peer;
  std::optional<std::uint16_t> channel;  // by ChannelData; otherwise by a Data indication
  Bytes data;
};
struct IcmpReceived {
  Address peer;
  stun::Icmp icmp;
};

struct Failure {
  enum class Kind : std::uint8_t {
    kError,        // an error response: `code` says which
    kTimeout,      // no answer at all
    kIntegrity,    // answers came, but none that could be believed; `code` is the last one's, 0 if it was a success
    kMalformed,    // an authentic answer that cannot be used
    kChallenge,    // a challenge that cannot be met: `challenge` says why, `code` is 401 or 438
    kUnreachable,  // the system reported a hard ICMP error
  };
  Kind kind = Kind::kTimeout;
  Request request = Request::kAllocate;
  std::uint16_t code = 0;
  std::string reason;  // the server's phrase; untrusted
  ChallengeVerdict challenge = ChallengeVerdict::kRetry;
  std::vector<stun::Attr> unknown_attributes;  // of a 420
  std::optional<Address>
      alternate_server;  // of an authentic 300, same family as the server, not loopback unless the server is
  std::string alternate_domain;
  std::vector<Address> peers;  // of CreatePermission and ChannelBind
  std::uint16_t channel = 0;

  // One sentence for a person, with the server's phrase escaped.
  [[nodiscard]] std::string text() const;
  // What RFC 8656, section 7.4, wants a client to do next.
  enum class Advice : std::uint8_t {
    kGiveUp,
    kNewLocalPort,
    kWaitAMinute,
    kRetryWithoutOptions,
    kReallocate,
    kRedirect
  };
  [[nodiscard]] Advice advice() const;
};

using Event = std::variant<Allocated, Refreshed, Deleted, PermissionsInstalled, ChannelBound, DataReceived,
                           IcmpReceived, Failure>;

class TurnSession {
 public:
  // RFC 8489, section 6.2: a client SHOULD have no more transactions than this under way to one server. Others wait
  // their turn.
  static constexpr std::size_t kMaxUnderWay = 10;
  // Permissions and channels are renewed after this time: a permission lasts 300 s (RFC 8656, section 9), and a
  // channel's renewal extends its permission.
  static constexpr Duration kPermissionUpkeep = std::chrono::seconds(240);

  // `server` decides which alternate servers are acceptable. Requires: `random` outlives this.
  TurnSession(const Address& server, SessionOptions options, Random& random);

  // Requests. Each ends in its event or in a Failure. The outcome of kept-alive refreshes is reported in the same way.
  void allocate(TimePoint now);
  void refresh(std::optional<std::chrono::seconds> lifetime, TimePoint now);
  void create_permission(std::span<const Address> peers, TimePoint now);
  void bind_channel(std::uint16_t number, const Address& peer, TimePoint now);
  // Refresh with lifetime 0; ends in Deleted (also on 437) or in a Failure.
  void close(TimePoint now);

  // A Send indication into `buffer`; nullopt when it does not fit. No permission is checked here.
  [[nodiscard]] std::optional<Bytes> send_indication(MutableBytes buffer, const Address& peer, Bytes data);

  void on_datagram(Bytes datagram, TimePoint now);
  void on_time(TimePoint now);
  // The system reported that the server cannot be reached (RFC 8489, section 6.2.1): all requests under way fail.
  void on_unreachable();
  // When on_time() is due; nullopt: nothing to wait for.
  [[nodiscard]] std::optional<TimePoint> deadline() const;

  std::vector<std::vector<std::byte>> take_output();
  std::vector<Event> take_events();

  [[nodiscard]] bool allocated() const { return allocation_.has_value(); }
  // Requires: allocated().
  [[nodiscard]] const Allocated& allocation() const { return *allocation_; }
  [[nodiscard]] std::size_t requests_under_way() const { return transactions_.size() + waiting_.size(); }
  [[nodiscard]] const LongTermClient& auth() const { return auth_; }
  // Datagrams that were neither an awaited answer nor data of this allocation.
  [[nodiscard]] std::uint64_t ignored() const { return ignored_; }

 private:
  struct Transaction {
    Request request = Request::kAllocate;
    std::optional<std::chrono::seconds> lifetime;  // Refresh
    std::vector<Address> peers;                    // CreatePermission, ChannelBind
    std::uint16_t channel = 0;                     // ChannelBind
    stun::TransactionId id;
    Retransmission timer{{}, {}};
    std::vector<std::byte> bytes;
    bool had_credentials = false;
    int challenges = 0;                           // how many this request has met so far
    std::optional<std::uint16_t> discarded_code;  // the last answer that could not be believed; 0: a success
    [[nodiscard]] bool deletes() const { return request == Request::kRefresh && lifetime == std::chrono::seconds(0); }
  };
  struct Permission {
    IpAddress ip;
    TimePoint refresh_at;
  };
  struct Channel {
    std::uint16_t number;
    Address peer;
    TimePoint refresh_at;
  };

  void start(Transaction transaction, TimePoint now);
  void send(Transaction transaction, TimePoint now);
  void encode(Transaction& transaction);
  Transaction take(std::size_t index, TimePoint now);
  void on_answer(std::size_t index, const stun::MessageView& answer, TimePoint now);
  void on_success(const Transaction& transaction, const stun::MessageView& answer, TimePoint now);
  void on_allocated(const Transaction& transaction, const stun::MessageView& answer, TimePoint now);
  void on_refreshed(const Transaction& transaction, const stun::MessageView& answer, TimePoint now);
  void on_error(const Transaction& transaction, const stun::MessageView& answer, bool authentic);
  void on_challenge(Transaction transaction, const stun::MessageView& answer, const stun::ErrorCode& error,
                    TimePoint now);
  void on_indication(const stun::MessageView& message);
  void on_channel_data(Bytes datagram);
  void keep_alive(TimePoint now);
  void keep_permissions(TimePoint now);
  void set_lifetime(std::chrono::seconds lifetime, TimePoint now);
  void permit(const IpAddress& ip, TimePoint refresh_at);
  [[nodiscard]] bool expects_data_from(const IpAddress& ip) const;
  void fail(const Transaction& transaction, Failure failure);
  void forget_allocation();

  Address server_;
  SessionOptions options_;
  Random* random_;
  LongTermClient auth_;
  RtoEstimator rto_;
  std::optional<Allocated> allocation_;
  std::optional<TimePoint> refresh_at_;
  std::optional<TimePoint> expires_at_;
  std::vector<Transaction> transactions_;  // at most kMaxUnderWay
  std::deque<Transaction> waiting_;
  std::vector<Permission> permissions_;
  std::vector<Channel> channels_;
  std::vector<std::vector<std::byte>> output_;
  std::vector<Event> events_;
  std::uint64_t ignored_ = 0;
};

}  // namespace turnkit::client
