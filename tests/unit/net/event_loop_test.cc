// EventLoop: descriptors, timers, signals, tasks of other threads, stopping.
#include "net/event_loop.h"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <optional>

#include "net_test_support.h"

namespace turnkit::net {
namespace {

using namespace std::chrono_literals;

struct Pair {
  Pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
      throw std::runtime_error("pair");
    near = UniqueFd(fds[0]);
    far = UniqueFd(fds[1]);
  }
  UniqueFd near;
  UniqueFd far;
};

struct Handler final : IoHandler {
  void on_readable() override {
    ++readable;
    if (read) read();
  }
  void on_writable() override {
    ++writable;
    if (write) write();
  }
  std::function<void()> read;
  std::function<void()> write;
  int readable = 0;
  int writable = 0;
};

TEST(EventLoop, RunsTasksOfOtherThreadsInOrder) {
  constexpr int kThreads = 4;
  constexpr int kTasks = 500;
  EventLoop loop;
  std::vector<int> seen(kThreads, 0);
  int total = 0;
  bool ordered = true;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTasks; ++i) {
        loop.post([&, t, i] {
          ordered = ordered && seen[static_cast<std::size_t>(t)]++ == i;
          if (++total == kThreads * kTasks) loop.stop();
        });
      }
    });
  }
  loop.run();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, kThreads * kTasks);
  EXPECT_TRUE(ordered);
}

TEST(EventLoop, StopsFromAnotherThread) {
  EventLoop loop;
  std::atomic<bool> running = false;
  loop.post([&] { running = true; });
  std::thread stopper([&] {
    while (!running) std::this_thread::yield();
    loop.stop();
  });
  loop.run();
  stopper.join();
  SUCCEED();
}

TEST(EventLoop, AStopBeforeTheRunIsNotLostAndTheLoopRunsAgain) {
  EventLoop loop;
  int tasks = 0;
  loop.stop();
  loop.post([&] { ++tasks; });
  loop.run();
  EXPECT_EQ(tasks, 0);
  loop.post([&] { loop.stop(); });
  loop.run();
  EXPECT_EQ(tasks, 1);
}

TEST(EventLoop, ATaskOfATaskRunsInALaterTurn) {
  EventLoop loop;
  int turns = 0;
  int inner_turn = -1;
  loop.post([&] {
    loop.post([&] {
      inner_turn = turns;
      loop.stop();
    });
  });
  loop.run([&] { ++turns; });
  EXPECT_EQ(inner_turn, 1);
}

TEST(EventLoop, CallsEndOfTurnAfterAllReadyDescriptors) {
  EventLoop loop;
  Pair a;
  Pair b;
  Handler handler;
  handler.read = [&] {
    if (handler.readable >= 2) loop.stop();
  };
  const IoWatch watch_a(loop, a.near.get(), handler);
  const IoWatch watch_b(loop, b.near.get(), handler);
  ASSERT_EQ(::write(a.far.get(), "x", 1), 1);
  ASSERT_EQ(::write(b.far.get(), "x", 1), 1);
  std::vector<int> at_end;
  loop.run([&] { at_end.push_back(handler.readable); });
  ASSERT_FALSE(at_end.empty());
  EXPECT_EQ(at_end.back(), 2);
  EXPECT_EQ(at_end.size(), 1U);
}

TEST(EventLoop, WatchesReadingAndWritingOnDemand) {
  EventLoop loop;
  Pair pair;
  Handler handler;
  IoWatch watch(loop, pair.near.get(), handler);
  loop.run_for(0ns);
  EXPECT_EQ(handler.writable, 0);
  watch.want_write(true);
  loop.run_for(10s);
  EXPECT_EQ(handler.writable, 1);
  ASSERT_EQ(::write(pair.far.get(), "x", 1), 1);
  loop.run_for(10s);
  EXPECT_EQ(handler.readable, 1);
  EXPECT_EQ(handler.writable, 2);
  watch.want_write(false);
  watch.want_read(false);
  loop.run_for(0ns);
  EXPECT_EQ(handler.readable, 1);
  watch.want_read(true);
  loop.run_for(10s);  // level-triggered: the byte is still there
  EXPECT_EQ(handler.readable, 2);
  EXPECT_EQ(handler.writable, 2);
}

TEST(EventLoop, AHandlerMayDestroyItsWatch) {
  EventLoop loop;
  Pair pair;
  Handler handler;
  std::optional<IoWatch> watch;
  watch.emplace(loop, pair.near.get(), handler);
  watch->want_write(true);
  ASSERT_EQ(::write(pair.far.get(), "x", 1), 1);
  handler.read = [&] { watch.reset(); };
  loop.run_for(10s);
  loop.run_for(0ns);
  EXPECT_EQ(handler.readable, 1);
  EXPECT_EQ(handler.writable, 0);
}

TEST(EventLoop, ADescriptorNumberMayBeReusedWithinATurn) {
  EventLoop loop;
  Handler handler;
  std::optional<Pair> pair(std::in_place);
  std::optional<IoWatch> watch;
  watch.emplace(loop, pair->near.get(), handler);
  loop.run_for(0ns);
  const int number = pair->near.get();
  watch.reset();
  pair.reset();
  pair.emplace();
  ASSERT_EQ(pair->near.get(), number);
  watch.emplace(loop, number, handler);
  ASSERT_EQ(::write(pair->far.get(), "x", 1), 1);
  loop.run_for(10s);
  EXPECT_EQ(handler.readable, 1);
}

TEST(EventLoop, TimersFireOnceOrAgainAndAgain) {
  EventLoop loop;
  int once = 0;
  int every = 0;
  int cancelled = 0;
  Timer single(loop, [&] { ++once; });
  Timer never(loop, [&] { ++cancelled; });
  Timer periodic(loop, [&] {
    if (++every == 3) loop.stop();
  });
  const auto start = std::chrono::steady_clock::now();
  single.once(1ms);
  never.once(1ms);
  never.cancel();
  periodic.every(20ms);
  loop.run();
  // The coarse clock may be a tick early.
  EXPECT_GE(std::chrono::steady_clock::now() - start, 40ms);
  EXPECT_EQ(once, 1);
  EXPECT_EQ(every, 3);
  EXPECT_EQ(cancelled, 0);
}

TEST(EventLoop, ATimerMayBeStartedAgainInItsCallback) {
  EventLoop loop;
  int count = 0;
  std::optional<Timer> timer;
  timer.emplace(loop, [&] {
    if (++count == 3) {
      loop.stop();
    } else {
      timer->once(1ms);
    }
  });
  timer->every(1ms);
  loop.run();
  EXPECT_EQ(count, 3);
}

TEST(EventLoop, RunForReturnsWhenNothingHappens) {
  EventLoop loop;
  const auto start = std::chrono::steady_clock::now();
  loop.run_for(30ms);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
  loop.run_for(-1ms);
}

TEST(EventLoop, ReadsTheClockOnceATurn) {
  EventLoop loop;
  TimePoint first{};
  TimePoint second{};
  loop.post([&] {
    first = loop.now().mono;
    while (read_clock().mono == first) {
    }
    EXPECT_EQ(loop.now().mono, first);
    loop.post([&] {
      second = loop.now().mono;
      loop.stop();
    });
  });
  loop.run();
  EXPECT_GT(second, first);
}

TEST(EventLoop, ServesSignals) {
  EventLoop loop;
  int signals = 0;
  const SignalWatch watch(loop, SIGUSR1, [&] {
    ++signals;
    loop.stop();
  });
  loop.post([] { ::raise(SIGUSR1); });
  loop.run();
  EXPECT_EQ(signals, 1);
}

}  // namespace
}  // namespace turnkit::net
