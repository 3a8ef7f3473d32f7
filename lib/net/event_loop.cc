// EventLoop on libevent's epoll backend. Tasks of other threads come through an eventfd and a locked vector, so that
// the base itself needs no locks.
#include "net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/fd.h"

namespace turnkit::net {
namespace {

timeval to_timeval(Duration duration) {
  const auto us = std::chrono::ceil<std::chrono::microseconds>(std::max(duration, Duration::zero())).count();
  return {static_cast<time_t>(us / 1'000'000), static_cast<suseconds_t>(us % 1'000'000)};
}

event_base* make_base() {
  const std::unique_ptr<event_config, decltype(&event_config_free)> config(event_config_new(), &event_config_free);
  if (!config) throw std::runtime_error("libevent: out of memory");
  // No EPOLL_USE_CHANGELIST: a watch that is gone must be gone from epoll at once, because its descriptor may be handed
  // to another thread.
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_require_features(config.get(), EV_FEATURE_O1);
  event_base* base = event_base_new_with_config(config.get());
  if (base == nullptr) throw std::runtime_error("libevent: cannot create an epoll event base");
  return base;
}

}  // namespace

IoWatch::IoWatch(EventLoop& loop, int fd, IoHandler& handler) : handler_(&handler) {
  event_assign(&event_, loop.base(), fd, EV_READ | EV_PERSIST, &IoWatch::dispatch, this);
  event_add(&event_, nullptr);
}

IoWatch::~IoWatch() {
  event_del(&event_);
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void IoWatch::want_read(bool on) { rearm(on, wants(EV_WRITE)); }
void IoWatch::want_write(bool on) { rearm(wants(EV_READ), on); }

bool IoWatch::wants(short event) const { return armed_ && (event_get_events(&event_) & event) != 0; }

void IoWatch::rearm(bool read, bool write) {
  if (read == wants(EV_READ) && write == wants(EV_WRITE)) return;
  event_base* base = event_get_base(&event_);
  const evutil_socket_t fd = event_get_fd(&event_);
  event_del(&event_);
  armed_ = read || write;
  const int events = (read ? EV_READ : 0) | (write ? EV_WRITE : 0) | EV_PERSIST;
  event_assign(&event_, base, fd, static_cast<short>(events), &IoWatch::dispatch, this);
  if (armed_) event_add(&event_, nullptr);
}

void IoWatch::dispatch(evutil_socket_t, short what, void* self) {
  auto* watch = static_cast<IoWatch*>(self);
  if ((what & (EV_READ | EV_WRITE)) != (EV_READ | EV_WRITE)) {
    (what & EV_READ) != 0 ? watch->handler_->on_readable() : watch->handler_->on_writable();
    return;
  }
  bool destroyed = false;
  watch->destroyed_ = &destroyed;
  watch->handler_->on_readable();
  if (destroyed) return;
  watch->destroyed_ = nullptr;
  if (watch->wants(EV_WRITE)) watch->handler_->on_writable();
}

Timer::Timer(EventLoop& loop, std::function<void()> callback) : callback_(std::move(callback)) {
  event_assign(&event_, loop.base(), -1, 0, &Timer::dispatch, this);
}

Timer::~Timer() { event_del(&event_); }

void Timer::start(Duration after, short flags) {
  event_base* base = event_get_base(&event_);
  event_del(&event_);
  event_assign(&event_, base, -1, flags, &Timer::dispatch, this);
  const timeval delay = to_timeval(after);
  event_add(&event_, &delay);
}

void Timer::once(Duration after) { start(after, 0); }
void Timer::every(Duration period) { start(period, EV_PERSIST); }
void Timer::cancel() { event_del(&event_); }

void Timer::dispatch(evutil_socket_t, short, void* self) { static_cast<Timer*>(self)->callback_(); }

SignalWatch::SignalWatch(EventLoop& loop, int signal, std::function<void()> callback) : callback_(std::move(callback)) {
  event_assign(&event_, loop.base(), signal, EV_SIGNAL | EV_PERSIST, &SignalWatch::dispatch, this);
  event_add(&event_, nullptr);
}

SignalWatch::~SignalWatch() { event_del(&event_); }

void SignalWatch::dispatch(evutil_socket_t, short, void* self) { static_cast<SignalWatch*>(self)->callback_(); }

struct EventLoop::Mailbox {
  explicit Mailbox(event_base* base) : wake_fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (!wake_fd) throw std::runtime_error(std::string("eventfd: ") + std::strerror(errno));
    event_assign(&wake_event, base, wake_fd.get(), EV_READ | EV_PERSIST, &Mailbox::on_wake, this);
    event_add(&wake_event, nullptr);
    event_assign(
        &deadline, base, -1, 0, [](evutil_socket_t, short, void*) {}, nullptr);
  }
  ~Mailbox() {
    event_del(&wake_event);
    event_del(&deadline);
  }
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  void wake() const {
    const std::uint64_t one = 1;
    while (::write(wake_fd.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
    }
  }

  // Tasks that tasks post run in the next turn, so a task cannot starve the descriptors.
  static void on_wake(evutil_socket_t fd, short, void* self) {
    auto* mailbox = static_cast<Mailbox*>(self);
    std::uint64_t count = 0;
    while (::read(fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
    {
      const std::lock_guard lock(mailbox->mutex);
      mailbox->running.swap(mailbox->tasks);
    }
    for (auto& task : mailbox->running) task();
    mailbox->running.clear();
  }

  UniqueFd wake_fd;
  event wake_event;
  event deadline;  // of run_for()
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::vector<std::function<void()>> tasks;    // guarded by mutex
  std::vector<std::function<void()>> running;  // the loop's thread only
};

EventLoop::EventLoop() : base_(make_base()), mailbox_(std::make_unique<Mailbox>(base_.get())) {}
EventLoop::~EventLoop() = default;

void EventLoop::run(const std::function<void()>& end_of_turn) {
  while (!mailbox_->stopped.load(std::memory_order_acquire)) {
    now_is_read_ = false;
    if (event_base_loop(base_.get(), EVLOOP_ONCE) < 0) break;
    if (end_of_turn) end_of_turn();
  }
  mailbox_->stopped.store(false, std::memory_order_release);
}

void EventLoop::run_for(Duration timeout) {
  now_is_read_ = false;
  if (timeout <= Duration::zero()) {
    event_base_loop(base_.get(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    return;
  }
  const timeval delay = to_timeval(timeout);
  event_add(&mailbox_->deadline, &delay);
  event_base_loop(base_.get(), EVLOOP_ONCE);
  event_del(&mailbox_->deadline);
}

void EventLoop::stop() {
  mailbox_->stopped.store(true, std::memory_order_release);
  mailbox_->wake();
}

void EventLoop::post(std::function<void()> task) {
  bool first;
  {
    const std::lock_guard lock(mailbox_->mutex);
    first = mailbox_->tasks.empty();
    mailbox_->tasks.push_back(std::move(task));
  }
  if (first) mailbox_->wake();
}

const Now& EventLoop::now() {
  if (!now_is_read_) {
    now_ = read_clock();
    now_is_read_ = true;
  }
  return now_;
}

}  // namespace turnkit::net
