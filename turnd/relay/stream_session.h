// StreamSession: whatever hangs on one accepted connection: its front door, a client, or a tunnel. Streams owns it in
// one of its lists.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "net/stream.h"
#include "turnd/engine/allocation.h"
#include "turnd/relay/connection_counts.h"

namespace turnkit::relay {

class StreamSession {
 public:
  using List = std::list<std::unique_ptr<StreamSession>>;

  virtual ~StreamSession() = default;
  StreamSession(const StreamSession&) = delete;
  StreamSession& operator=(const StreamSession&) = delete;

 protected:
  StreamSession() = default;

 private:
  friend class Streams;
  List* list_ = nullptr;  // null: retired
  List::iterator place_;
  TimePoint since_{};  // in this list
};

// Gives the memory back, which clear() and assignment from {} would keep.
inline void release(std::vector<std::byte>& bytes) { std::vector<std::byte>().swap(bytes); }

// A client's connection on its way from one owner to another: between workers (RFC 8016, RFC 6062 ConnectionBind), or
// into a tunnel.
struct DetachedStream {
  std::unique_ptr<net::Stream> stream;
  engine::FiveTuple tuple;
  std::vector<std::byte> unread;  // received, not yet handled
  std::vector<std::byte> unsent;  // queued for the client; to be written before anything else
  ConnectionTicket ticket;
  bool blocked = false;  // the kernel took no more of what was written
  unsigned moves = 0;    // from worker to worker
};

}  // namespace turnkit::relay
