// EventLoop: libevent behind a small door. One per thread; everything but post() and stop() belongs to the thread that
// runs it.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <functional>
#include <memory>

#include "base/clock.h"

namespace turnkit::net {

class EventLoop;

// Told when a descriptor can be read (or written).
class IoHandler {
 public:
  virtual void on_readable() = 0;
  virtual void on_writable() {}

 protected:
  ~IoHandler() = default;
};

// Watches a descriptor for as long as it lives. Does not own it; destroy before closing the descriptor. Not movable.
// The handler may destroy it.
class IoWatch {
 public:
  // Readability at once, level-triggered. Requires: handler and fd outlive this.
  IoWatch(EventLoop& loop, int fd, IoHandler& handler);
  ~IoWatch();
  IoWatch(const IoWatch&) = delete;
  IoWatch& operator=(const IoWatch&) = delete;
  void want_read(bool on);
  void want_write(bool on);

 private:
  static void dispatch(evutil_socket_t fd, short what, void* self);
  [[nodiscard]] bool wants(short event) const;
  void rearm(bool read, bool write);
  event event_;
  IoHandler* handler_;
  bool* destroyed_ = nullptr;  // set while both calls of one wake-up are under way: the first may destroy this
  bool armed_ = true;
};

// Calls `callback` once, or again and again, until it is cancelled or destroyed. The callback may start and cancel this
// timer, but not destroy it. Coarse: a few milliseconds late.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void once(Duration after);
  void every(Duration period);
  void cancel();

 private:
  static void dispatch(evutil_socket_t fd, short what, void* self);
  void start(Duration after, short flags);
  event event_;
  std::function<void()> callback_;
};

// Calls `callback` in the loop's thread when the process gets `signal`. At most one loop of a process may watch
// signals.
class SignalWatch {
 public:
  SignalWatch(EventLoop& loop, int signal, std::function<void()> callback);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  static void dispatch(evutil_socket_t fd, short what, void* self);
  event event_;
  std::function<void()> callback_;
};

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs turns until stop(). After each turn (all ready descriptors and due timers served) calls `end_of_turn`, if
  // there is one.
  void run(const std::function<void()>& end_of_turn = nullptr);
  // Waits at most `timeout` for something and serves one turn.
  void run_for(Duration timeout);
  // Thread-safe. run() returns after the turn under way; the next run() returns at once when none is under way.
  void stop();
  // Thread-safe. `task` runs in the loop's thread, in the order of posting.
  void post(std::function<void()> task);

  // The time of this turn: read once, at the first call in a turn.
  const Now& now();

  [[nodiscard]] event_base* base() const { return base_.get(); }

 private:
  struct Mailbox;
  struct BaseDeleter {
    void operator()(event_base* base) const { event_base_free(base); }
  };
  std::unique_ptr<event_base, BaseDeleter> base_;
  std::unique_ptr<Mailbox> mailbox_;
  Now now_{};
  bool now_is_read_ = false;
};

}  // namespace turnkit::net
