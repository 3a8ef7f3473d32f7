// Child: a program of ours as a child process.
#include "tests/conformance/harness/child.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

extern char** environ;

namespace turnkit::conformance {

namespace {

constexpr std::chrono::seconds kPatience{30};

}  // namespace

Child::Child(std::vector<std::string> command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    ADD_FAILURE() << "pipe: " << std::strerror(errno);
    return;
  }
  output_ = net::UniqueFd(ends[0]);
  const net::UniqueFd write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDERR_FILENO);
  std::vector<char*> argv;
  for (std::string& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    ADD_FAILURE() << command.front() << ": " << std::strerror(error);
    return;
  }
  reader_ = std::thread([this] { read_output(); });
}

Child::~Child() { stop(); }

int Child::terminate() {
  if (pid_ < 0) return 0;
  ::kill(pid_, SIGTERM);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  reader_.join();
  return status;
}

void Child::end() { (void)terminate(); }

void Child::stop() {
  const int status = terminate();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  std::string all;
  for (const std::string& line : lines_) all += line + '\n';
  ADD_FAILURE() << "the server ended with wait status " << status << ":\n" << all;
}

void Child::read_output() {
  std::string pending;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t size = ::read(output_.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    pending.append(buffer.data(), static_cast<std::size_t>(size));
    const std::lock_guard lock(mutex_);
    for (std::size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      lines_.push_back(pending.substr(0, end));
      pending.erase(0, end + 1);
    }
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

bool Child::wait_for(std::string_view text) {
  std::unique_lock lock(mutex_);
  bool found = false;
  changed_.wait_for(lock, kPatience, [&] {
    found = std::any_of(lines_.begin(), lines_.end(),
                        [&](const std::string& line) { return line.find(text) != std::string::npos; });
    return found || ended_;
  });
  return found;
}

bool Child::stop_and_find(std::string_view text) {
  stop();
  return std::any_of(lines_.begin(), lines_.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

std::vector<std::string> Child::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

}  // namespace turnkit::conformance
