// StreamClient: a TURN client on a TCP or TLS connection. Finds the messages in its bytes (RFC 8489, section 6.2.2; RFC
// 8656, section 12.5), and gathers what goes to it into one write a turn.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "net/event_loop.h"
#include "net/stream.h"
#include "turnd/relay/client_link.h"
#include "turnd/relay/output_queue.h"
#include "turnd/relay/stream_session.h"

namespace turnkit::relay {

class Streams;
class Worker;

class StreamClient final : public ClientLink, public StreamSession, public net::IoHandler {
 public:
  // What an answer may add to a full queue. A client that lets more than this pile up is closed.
  static constexpr std::size_t kAnswerReserve = 16 * 1024;
  static constexpr unsigned kMaxMoves = 4;

  StreamClient(Worker& worker, Streams& streams, DetachedStream connection);
  ~StreamClient() override;

  // ClientLink. Media is dropped as whole messages when the queue is full; never closes anything by itself.
  void send(const engine::FiveTuple& tuple, Bytes head, Bytes payload, std::uint8_t tos) override;
  [[nodiscard]] std::string protection() const override { return stream_ ? stream_->protection() : std::string(); }

  void on_readable() override;
  void on_writable() override;

  // Takes the connection out of this client, which then ends without a word: its allocation, if there is one, is the
  // caller's business. For use while one of its messages is being handled; `with_message`: that message is read again
  // by the next owner, otherwise it counts as handled. Bytes behind it are unread.
  DetachedStream detach(bool with_message);
  // Whether it may go to another worker. Each begins to count its time without an allocation anew, so a connection that
  // went wherever its messages pointed would never run out of it.
  [[nodiscard]] bool may_move() const { return moves_ < kMaxMoves; }

  [[nodiscard]] const engine::FiveTuple& tuple() const { return tuple_; }
  [[nodiscard]] const net::Stream& stream() const { return *stream_; }
  [[nodiscard]] std::size_t queued() const { return output_.size(); }

 private:
  friend class Streams;

  void start();
  void read_messages();
  std::size_t fill(MutableBytes space, std::size_t have);
  void handle(Bytes received);
  void keep_tail(Bytes rest, std::size_t needed);
  void read_long_message();
  void mark_dirty();
  void write_some();
  void on_end_of_turn();
  void end(std::string_view reason);
  void leave();

  Worker& worker_;
  Streams& streams_;
  std::unique_ptr<net::Stream> stream_;
  engine::FiveTuple tuple_;
  ConnectionTicket ticket_;
  const unsigned moves_;
  OutputQueue output_;
  std::vector<std::byte> tail_;  // the start of a message whose rest is still to come
  std::size_t tail_needed_ = 0;  // the length of that message, as far as it is known
  Bytes message_;                // under way in on_client_message()
  Bytes behind_message_;         // received after it
  std::optional<net::IoWatch> watch_;
  bool dirty_ = false;             // in Streams' list of those that have something to write
  bool blocked_ = false;           // the kernel takes no more for now
  bool read_wants_write_ = false;  // TLS
  bool write_wants_read_ = false;
  bool ended_input_ = false;
  bool reading_again_ = false;  // in Streams' list of those that hold input which poll(2) does not show
  std::string_view end_reason_;
  bool failed_ = false;  // ends at the end of the turn
  bool gone_ = false;    // ended or detached
};

}  // namespace turnkit::relay
