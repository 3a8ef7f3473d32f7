#include "turnd/file_keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

namespace turnkit::turnd {

namespace {

constexpr int kKeeperSocket = 3;
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;  // a FIFO must not hold anybody up
constexpr timeval kAnswerWithin{5, 0};

// Both have the number of the request, so that an answer that came too late is not taken for the next one's.
struct Request {
  std::uint32_t number = 0;
  std::uint32_t path = 0;  // its place among those of the start
};
struct Answer {
  std::uint32_t number = 0;
  std::int32_t error = 0;  // 0: a descriptor comes with it
};

// Opens a regular file; -1 with errno otherwise.
int open_regular(const char* path) {
  const int fd = ::open(path, kOpenFlags);
  if (fd < 0) return -1;
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) return fd;
  ::close(fd);
  errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
  return -1;
}

// An iovec and room for one descriptor, for sendmsg(2) and recvmsg(2).
struct Envelope {
  iovec part{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};

  Envelope(void* data, std::size_t size) {
    part = {data, size};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
  }
  Envelope(const Envelope&) = delete;
  Envelope& operator=(const Envelope&) = delete;
  void use_control() {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }
};

void send_answer(int socket, Answer answer, int fd) {
  Envelope envelope(&answer, sizeof(answer));
  if (fd >= 0) {
    envelope.use_control();
    cmsghdr* message = CMSG_FIRSTHDR(&envelope.header);
    message->cmsg_level = SOL_SOCKET;
    message->cmsg_type = SCM_RIGHTS;
    message->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(message), &fd, sizeof(fd));
  }
  (void)::sendmsg(socket, &envelope.header, MSG_NOSIGNAL);
}

// Of root's capabilities only the one that reads other users' files stays.
void keep_read_capability_only() {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return;
  const std::uint32_t kept = data[0].permitted & (1U << CAP_DAC_READ_SEARCH);
  data = {};
  data[0].permitted = data[0].effective = kept;
  (void)::syscall(SYS_capset, &header, data.data());
}

// The keeper process, from its fork on. Allocates nothing and logs nothing.
[[noreturn]] void keep(int socket, pid_t parent, const std::vector<std::string>& paths) {
  (void)::prctl(PR_SET_NAME, "turnd-files");
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE}) ::signal(number, SIG_IGN);
  const int nowhere = ::open("/dev/null", O_RDWR);
  for (const int standard : {0, 1, 2}) (void)::dup2(nowhere, standard);
  if (socket != kKeeperSocket && ::dup2(socket, kKeeperSocket) < 0) ::_exit(1);
  if (::close_range(kKeeperSocket + 1, ~0U, 0) != 0) ::_exit(1);
  const rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  keep_read_capability_only();
  (void)::prctl(PR_SET_DUMPABLE, 0);

  for (;;) {
    Request request;
    const ssize_t n = ::recv(kKeeperSocket, &request, sizeof(request), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n != sizeof(request)) ::_exit(0);  // turnd is gone
    errno = ENOENT;
    const int fd = request.path < paths.size() ? open_regular(paths[request.path].c_str()) : -1;
    send_answer(kKeeperSocket, {request.number, fd < 0 ? errno : 0}, fd);
    if (fd >= 0) ::close(fd);
  }
}

Error cannot(std::string_view verb, const std::string& path, int error) {
  switch (error) {
    case EISDIR:
      return Error{fmt::format("{}: this is a directory; name a file", path)};
    case EINVAL:
      return Error{fmt::format("{}: this is no regular file; name one", path)};
    default:
      return Error{fmt::format("{}: cannot {} it: {}", path, verb, std::strerror(error))};
  }
}

}  // namespace

FileKeeper::~FileKeeper() {
  if (pid_ == 0) return;
  socket_.reset();
  (void)::waitpid(pid_, nullptr, 0);
}

Status FileKeeper::start(std::vector<std::string> paths) {
  std::erase(paths, std::string());
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Error{fmt::format("cannot make a socket for the reader of root's files: {}", std::strerror(errno))};
  }
  net::UniqueFd ours(ends[0]);
  const net::UniqueFd theirs(ends[1]);
  (void)::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerWithin, sizeof(kAnswerWithin));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return Error{fmt::format("cannot start the reader of root's files: {}", std::strerror(errno))};
  if (child == 0) keep(theirs.get(), parent, paths);
  paths_ = std::move(paths);
  socket_ = std::move(ours);
  pid_ = child;
  return {};
}

net::UniqueFd FileKeeper::ask(std::size_t index, int& error) const {
  error = EIO;
  const Request request{++requests_, static_cast<std::uint32_t>(index)};
  ssize_t sent = 0;
  do sent = ::send(socket_.get(), &request, sizeof(request), MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent != sizeof(request)) return {};
  for (;;) {
    Answer answer;
    Envelope envelope(&answer, sizeof(answer));
    envelope.use_control();
    const ssize_t n = ::recvmsg(socket_.get(), &envelope.header, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;  // a signal for the event loop
    if (n != sizeof(answer)) return {};
    net::UniqueFd fd;
    if (const cmsghdr* message = CMSG_FIRSTHDR(&envelope.header);
        message != nullptr && message->cmsg_level == SOL_SOCKET && message->cmsg_type == SCM_RIGHTS) {
      int received = -1;
      std::memcpy(&received, CMSG_DATA(message), sizeof(received));
      fd = net::UniqueFd(received);
    }
    if (answer.number != request.number) continue;
    error = answer.error;
    return fd;
  }
}

Result<net::UniqueFd> FileKeeper::open(const std::string& path) const {
  net::UniqueFd fd(open_regular(path.c_str()));
  if (fd) return fd;
  int error = errno;
  if (pid_ != 0 && (error == EACCES || error == EPERM)) {
    const auto it = std::find(paths_.begin(), paths_.end(), path);
    if (it != paths_.end()) fd = ask(static_cast<std::size_t>(it - paths_.begin()), error);
    if (fd) return fd;
  }
  Error out = cannot("read", path, error);
  if (pid_ != 0 && (error == EACCES || error == EPERM)) {
    out.text += "; as root only files that were named at the start are read, so let proc-user read it, or restart";
  }
  return out;
}

Result<std::string> FileKeeper::read(const std::string& path) const {
  const Result<net::UniqueFd> fd = open(path);
  if (!fd) return fd.error();
  std::string text;
  std::array<char, 16384> piece{};
  for (;;) {
    const ssize_t n = ::read(fd->get(), piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot("read", path, errno);
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > kMaxFile) {
      return Error{fmt::format("{}: it is larger than {} MiB; name another file", path, kMaxFile >> 20)};
    }
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace turnkit::turnd
