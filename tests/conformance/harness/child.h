// Child: a program of ours as a child process, with its output read line by line.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/fd.h"

namespace turnkit::conformance {

class Child {
 public:
  explicit Child(std::vector<std::string> command);
  // Ends it, as stop() does.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Waits until a line of the output holds `text`. False when the program ends before, or after a long while.
  bool wait_for(std::string_view text);
  [[nodiscard]] std::vector<std::string> lines() const;
  // Ends it; fails the test unless it exits with 0, as it does when it stops in order and leaks nothing.
  void stop();
  // Ends it, however it takes that: for programs that are not ours.
  void end();
  // Ends it; whether a line of its output held `text`.
  bool stop_and_find(std::string_view text);

 private:
  void read_output();
  int terminate();  // its wait status; 0 when it has ended already

  pid_t pid_ = -1;
  net::UniqueFd output_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  bool ended_ = false;
  std::thread reader_;
};

}  // namespace turnkit::conformance
