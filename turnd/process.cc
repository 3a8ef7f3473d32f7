#include "turnd/process.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/log.h"
#include "net/fd.h"

namespace turnkit::turnd {

namespace {

sigset_t control_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) ::sigaddset(&set, number);
  return set;
}

}  // namespace

void block_control_signals() {
  const sigset_t set = control_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void unblock_control_signals() {
  const sigset_t set = control_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  (void)::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

PidFile PidFile::write(const std::string& wanted) {
  PidFile file;
  if (wanted.empty()) return file;
  const std::size_t slash = wanted.rfind('/');
  const std::string name = slash == std::string::npos ? wanted : wanted.substr(slash + 1);
  const std::string text = fmt::format("{}\n", ::getpid());
  for (const std::string& path : {wanted, "/var/run/" + name, "/var/tmp/" + name, "/tmp/" + name}) {
    // A symbolic link that somebody left in a shared directory is not followed.
    const net::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) continue;
    file.path_ = path;
    log::info("pid file created: {}", path);
    return file;
  }
  log::warning("pidfile {}: {}; no pid file is written", wanted, std::strerror(errno));
  return file;
}

PidFile::~PidFile() {
  if (!path_.empty()) (void)::unlink(path_.c_str());
}

Status detach() {
  if (::daemon(1, 0) != 0) return Error{fmt::format("daemon: {}", std::strerror(errno))};
  return {};
}

Status drop_privileges(const Config& config) {
  if (config.proc_gid && *config.proc_gid != ::getegid() && ::setgid(*config.proc_gid) != 0) {
    const std::string name =
        config.proc_group.empty() ? "proc-user " + config.proc_user : "proc-group " + config.proc_group;
    return Error{fmt::format("{}: cannot take group id {}: {}", name, *config.proc_gid, std::strerror(errno))};
  }
  if (!config.proc_uid || *config.proc_uid == ::geteuid()) return {};
  if (::setgroups(0, nullptr) != 0 || ::setuid(*config.proc_uid) != 0) {
    return Error{fmt::format("proc-user {}: cannot take user id {}: {}", config.proc_user, *config.proc_uid,
                             std::strerror(errno))};
  }
  log::info("running as user {}", config.proc_user);
  return {};
}

}  // namespace turnkit::turnd
