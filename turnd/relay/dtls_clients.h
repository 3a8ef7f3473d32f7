// DtlsClients: a worker's clients on DTLS (RFC 7350). They share the UDP listeners with plain TURN; a source gets state
// only after it has returned a cookie (RFC 6347, section 4.2.1).
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/tls.h"
#include "net/udp_batch.h"
#include "turnd/relay/client_link.h"
#include "turnd/relay/connection_counts.h"
#include "turnd/relay/stream_config.h"

namespace turnkit::relay {

// An association on its way to another worker (RFC 8016).
struct DetachedDtls {
  std::unique_ptr<net::DtlsSession> session;
  engine::FiveTuple tuple;
  ConnectionTicket ticket;
  std::uint64_t hello = 0;
  std::vector<std::byte> message;  // that is to be handled there
  std::uint8_t tos = 0;
};

class DtlsClients;
class Listener;
class Worker;

// One association.
class DtlsClient final : public ClientLink {
 public:
  DtlsClient(DtlsClients& owner, Listener& listener, const engine::FiveTuple& tuple) noexcept
      : owner_(owner), listener_(listener), tuple_(tuple) {}
  void send(const engine::FiveTuple& tuple, Bytes head, Bytes payload, std::uint8_t tos) override;
  [[nodiscard]] std::string protection() const override { return session_ ? session_->protection() : std::string(); }
  [[nodiscard]] const engine::FiveTuple& tuple() const { return tuple_; }

 private:
  friend class DtlsClients;
  using List = std::list<DtlsClient*>;

  DtlsClients& owner_;
  Listener& listener_;
  engine::FiveTuple tuple_;
  std::unique_ptr<net::DtlsSession> session_;
  ConnectionTicket ticket_;
  std::uint64_t hello_ = 0;  // of the ClientHello that began it, to know its repetitions
  TimePoint since_{};        // in its list
  TimePoint next_timeout_{};
  List* list_ = nullptr;
  List::iterator place_;
};

class DtlsClients {
 public:
  DtlsClients(Worker& worker, std::shared_ptr<ConnectionCounts> counts);
  ~DtlsClients();
  DtlsClients(const DtlsClients&) = delete;
  DtlsClients& operator=(const DtlsClients&) = delete;

  void set_config(std::shared_ptr<const StreamConfig> config);
  void set_share(std::size_t workers) { workers_ = workers; }
  [[nodiscard]] bool enabled() const { return gate_ != nullptr; }

  // One datagram whose first byte is DTLS's (RFC 7983).
  void on_datagram(Listener& listener, const engine::FiveTuple& udp_tuple, Bytes datagram, std::uint8_t tos);
  // Takes an association out, while `message` of it is being handled. Its allocation, if there is one, is the caller's
  // business.
  DetachedDtls detach(DtlsClient& client, Bytes message, std::uint8_t tos);
  void adopt(DetachedDtls association, Listener& listener);
  [[nodiscard]] bool has(const engine::FiveTuple& tuple) const { return clients_.contains(tuple); }
  void sweep();
  void end_turn() { handshakes_ = 0; }
  // Tells every client, at shutdown.
  void close_all();
  [[nodiscard]] std::size_t size() const { return clients_.size(); }
  [[nodiscard]] std::size_t handshaking() const { return handshaking_.size(); }

 private:
  friend class DtlsClient;
  struct TupleHash {
    std::size_t operator()(const engine::FiveTuple& t) const noexcept { return hash_value(t); }
  };
  static constexpr std::size_t kMaxPlaintext = 16384;
  // They cost as much as hundreds of packets: what comes beyond this is dropped, and the client sends it again.
  static constexpr int kHandshakesPerTurn = 16;

  void on_stranger(Listener& listener, const engine::FiveTuple& tuple, Bytes datagram, std::uint64_t hello);
  void on_client(DtlsClient& client, Bytes datagram, std::uint8_t tos);
  void send_all(Listener& listener, const engine::FiveTuple& tuple);
  void send_record(DtlsClient& client, Bytes head, Bytes payload, std::uint8_t tos);
  void move_to(DtlsClient::List& list, DtlsClient& client);
  void end(DtlsClient& client, std::string_view reason, bool tell);
  void forget(DtlsClient& client);
  [[nodiscard]] bool has_allocation(const DtlsClient& client);
  [[nodiscard]] bool make_room(const IpAddress& source, ConnectionTicket& ticket);

  Worker& worker_;
  std::shared_ptr<ConnectionCounts> counts_;
  std::shared_ptr<const StreamConfig> config_;
  std::size_t workers_ = 1;
  std::unique_ptr<net::DtlsGate> gate_;  // null: DTLS is not served
  std::unordered_map<engine::FiveTuple, std::unique_ptr<DtlsClient>, TupleHash> clients_;
  // Oldest first.
  DtlsClient::List handshaking_;
  DtlsClient::List unallocated_;  // established, without an allocation when last looked at
  DtlsClient::List settled_;
  net::DtlsSession::Datagrams out_;    // emptied after each use
  std::vector<Bytes> messages_;        // likewise
  int handshakes_ = 0;                 // begun in this turn
  std::unique_ptr<std::byte[]> join_;  // for heads that do not lie in front of their payload
};

}  // namespace turnkit::relay
