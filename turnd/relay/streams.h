// Streams: a worker's TCP and TLS connections: accepts them, owns them in all their stages, ends those that take too
// long, and writes at the end of each turn.
//
// connection -> Connection (connection.h: PROXY header, TLS handshake, first bytes) -> StreamClient | Tunnel
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "net/event_loop.h"
#include "net/fd.h"
#include "turnd/relay/connection_counts.h"
#include "turnd/relay/output_queue.h"
#include "turnd/relay/stream_config.h"
#include "turnd/relay/stream_session.h"
#include "turnd/relay/tunnel.h"

namespace turnkit::relay {

class Connection;
class StreamClient;
class Worker;

class Streams {
 public:
  Streams(Worker& worker, std::shared_ptr<ConnectionCounts> counts);
  ~Streams();
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  void add_listener(net::UniqueFd listening, const StreamListenerOptions& options);
  // Connections that are already past a decision keep what it was.
  void set_config(std::shared_ptr<const StreamConfig> config) { config_ = std::move(config); }
  [[nodiscard]] const StreamConfig& config() const { return *config_; }
  // How many workers share the limits of the whole server.
  void set_share(std::size_t workers) { workers_ = workers; }

  // A connection that becomes a client here; its unread bytes are handled before this returns. Null: it ended at once.
  StreamClient* adopt(DetachedStream connection);
  Tunnel& open_tunnel(TunnelEnd a, TunnelEnd b, const TunnelLimits& limits, TunnelOwner* owner,
                      ConnectionTicket ticket = {});
  // Ends a tunnel without telling its owner.
  void close(Tunnel& tunnel);

  // Every Engine::kSweepInterval.
  void sweep();
  // Writes what was queued, and destroys what has ended. Queued datagrams have left.
  void end_turn();
  // Ends everything, at shutdown.
  void close_all();

  // For sessions.
  [[nodiscard]] MutableBytes peek_buffer() const { return {peek_buffer_.get(), kPeekBuffer}; }
  // Also the tunnels' buffer: what one read brings is written or copied before the next.
  [[nodiscard]] MutableBytes splice_buffer() const { return peek_buffer(); }
  [[nodiscard]] BlockPool& blocks() { return blocks_; }
  [[nodiscard]] ConnectionTicket admit(const IpAddress& source);
  [[nodiscard]] Worker& worker() { return worker_; }
  void mark_dirty(StreamClient& client) { dirty_.push_back(&client); }
  // Has the client read again in the next turn, after others have had theirs.
  void read_again(StreamClient& client);
  void forget_reading(StreamClient& client);
  // Whether one more step of a handshake may be done in this turn: they cost as much as hundreds of packets, and a
  // crowd of them must not make media wait. Otherwise the descriptor stays readable, and the next turn asks again.
  [[nodiscard]] bool take_handshake() { return ++handshakes_ <= kHandshakesPerTurn; }
  // A warning about what a stranger can bring about: at most one in ten seconds.
  void warn(std::string_view text);
  // Destroyed at the end of the turn.
  void retire(StreamSession& session);
  [[nodiscard]] std::size_t half_open() const { return opening_.size() + unallocated_.size(); }
  [[nodiscard]] std::size_t sessions() const { return half_open() + settled_.size() + tunnels_.size(); }

 private:
  class Listener;
  static constexpr int kHandshakesPerTurn = 8;
  static constexpr std::size_t kPeekBuffer = 32 * 1024;

  void accept_from(Listener& listener);
  void enter(StreamSession::List& list, std::unique_ptr<StreamSession> session);
  void move_to(StreamSession::List& list, StreamSession& session);
  [[nodiscard]] bool has_allocation(const StreamSession& session);
  void make_half_open_room();
  void read_all_again();
  void sweep_half_open();
  void sweep_settled();
  void sweep_tunnels();

  Worker& worker_;
  std::shared_ptr<ConnectionCounts> counts_;
  std::shared_ptr<const StreamConfig> config_;
  std::size_t workers_ = 1;
  std::unique_ptr<std::byte[]> peek_buffer_;
  BlockPool blocks_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  // Oldest first.
  StreamSession::List opening_;      // Connection
  StreamSession::List unallocated_;  // StreamClient without an allocation when last looked at
  StreamSession::List settled_;      // StreamClient with one
  StreamSession::List tunnels_;
  StreamSession::List retired_;
  std::vector<StreamClient*> dirty_;
  std::vector<StreamClient*> reading_again_;
  std::vector<StreamClient*> reading_now_;
  TimePoint next_warning_{};
  int handshakes_ = 0;  // in this turn
};

}  // namespace turnkit::relay
