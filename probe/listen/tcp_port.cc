#include "probe/listen/tcp_port.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "net/sockaddr.h"

namespace turnkit::probe {
namespace {

constexpr std::size_t kMaxConnections = 256;
constexpr std::size_t kMaxPerClient = 32;
constexpr auto kIdleLimit = std::chrono::seconds(120);  // a person may think before typing
constexpr std::size_t kMaxInput = 1024;                 // of an unfinished message or line
constexpr std::size_t kMaxOutput = 8192;                // beyond, nothing more is read until the peer takes it
constexpr int kAcceptsPerWakeUp = 16;

}  // namespace

// One connection. The first two bytes decide: the length of a turn-probe's message, or anything else.
class TcpPort::Connection final : public net::IoHandler {
 public:
  Connection(TcpPort& port, net::UniqueFd fd, const Address& remote, const Address& local)
      : port_(port), fd_(std::move(fd)), remote_(remote), local_(local), watch_(port.loop_, fd_.get(), *this) {}

  void on_readable() override;
  void on_writable() override { flush(); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const Address& remote() const { return remote_; }
  TimePoint last_active{};
  bool closing = false;

 private:
  enum class Mode : std::uint8_t { kUndecided, kFramed, kPlain };
  void consume(TimePoint now);
  bool consume_frame(TimePoint now);
  bool consume_plain(TimePoint now);
  void reply(const Responder::Reply& reply, TimePoint now);
  void flush();
  void stop() {
    closing = true;
    port_.close_later(*this);
  }

  TcpPort& port_;
  net::UniqueFd fd_;
  Address remote_;
  Address local_;
  Mode mode_ = Mode::kUndecided;
  std::vector<std::byte> input_;
  std::vector<std::byte> output_;
  net::IoWatch watch_;
};

void TcpPort::Connection::on_readable() {
  if (closing) return;
  std::array<std::byte, kMaxInput> chunk;
  const ssize_t size = ::recv(fd_.get(), chunk.data(), chunk.size() - input_.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return stop();
  const TimePoint now = port_.loop_.now().mono;
  last_active = now;
  input_.insert(input_.end(), chunk.begin(), chunk.begin() + size);
  consume(now);
}

void TcpPort::Connection::consume(TimePoint now) {
  if (mode_ == Mode::kUndecided) {
    if (input_.size() < kFrameHeaderSize && input_.front() == std::byte{0}) return;
    const bool framed = input_.size() >= kFrameHeaderSize && load_be16(input_.data()) == kRequestSize;
    mode_ = framed ? Mode::kFramed : Mode::kPlain;
  }
  while (!closing && !input_.empty() && (mode_ == Mode::kFramed ? consume_frame(now) : consume_plain(now))) {
  }
  if (!closing) flush();
}

// True when more of the input may be consumed.
bool TcpPort::Connection::consume_frame(TimePoint now) {
  if (input_.size() < kFrameHeaderSize) return false;
  const std::size_t length = load_be16(input_.data());
  if (length != kRequestSize) {
    mode_ = Mode::kPlain;  // a turn-probe that turns to a person
    return true;
  }
  if (input_.size() < kFrameHeaderSize + length) return false;
  const Bytes frame = Bytes(input_).subspan(kFrameHeaderSize, length);
  const Responder::Reply answer = port_.responder_.on_frame(frame, remote_, local_, now);
  std::array<std::byte, kFrameHeaderSize> header;
  store_be16(header.data(), static_cast<std::uint16_t>(answer.answer.size()));
  if (!answer.answer.empty()) output_.insert(output_.end(), header.begin(), header.end());
  reply(answer, now);
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(kFrameHeaderSize + length));
  return true;
}

bool TcpPort::Connection::consume_plain(TimePoint now) {
  const auto line_end = std::find(input_.begin(), input_.end(), std::byte{'\n'});
  const bool has_line = line_end != input_.end();
  const auto end = has_line ? line_end + 1 : input_.end();
  const Bytes bytes = Bytes(input_).first(static_cast<std::size_t>(end - input_.begin()));
  reply(port_.responder_.on_stream_bytes(bytes, remote_, local_, now), now);
  input_.erase(input_.begin(), end);
  return has_line;
}

void TcpPort::Connection::reply(const Responder::Reply& reply, TimePoint now) {
  if (reply.is_line) port_.on_line_(*reply.source);
  if (reply.answer.empty()) return;
  output_.insert(output_.end(), reply.answer.begin(), reply.answer.end());
  port_.responder_.sent(reply, 0, now);
}

void TcpPort::Connection::flush() {
  while (!output_.empty()) {
    const ssize_t size = ::send(fd_.get(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size < 0) return stop();
    output_.erase(output_.begin(), output_.begin() + size);
  }
  watch_.want_write(!output_.empty());
  watch_.want_read(output_.size() < kMaxOutput);
}

Result<std::unique_ptr<TcpPort>> TcpPort::open(const Address& local, net::EventLoop& loop, Responder& responder,
                                               LineHandler on_line) {
  const auto failure = [&local] {
    return Error{"cannot listen on TCP " + local.to_string() + ": " + std::strerror(errno)};
  };
  const bool v4 = local.ip.is_v4();
  net::UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return failure();
  const int on = 1;
  // On Linux two listeners cannot share an address with SO_REUSEADDR; it only passes over connections in TIME-WAIT.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (!v4) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  net::SockAddr name{};
  const socklen_t size = net::to_sockaddr(local, name);
  if (::bind(fd.get(), &name.base, size) != 0 || ::listen(fd.get(), 128) != 0) return failure();
  return std::unique_ptr<TcpPort>(new TcpPort(std::move(fd), loop, responder, std::move(on_line)));
}

TcpPort::TcpPort(net::UniqueFd fd, net::EventLoop& loop, Responder& responder, LineHandler on_line)
    : fd_(std::move(fd)),
      loop_(loop),
      responder_(responder),
      on_line_(std::move(on_line)),
      watch_(loop, fd_.get(), *this) {}

TcpPort::~TcpPort() = default;

void TcpPort::on_readable() {
  for (int i = 0; i < kAcceptsPerWakeUp; ++i) {
    net::SockAddr name{};
    socklen_t size = sizeof(name);
    net::UniqueFd fd(::accept4(fd_.get(), &name.base, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!fd) return;
    if (const auto remote = net::from_sockaddr(name)) adopt(std::move(fd), *remote);
  }
}

void TcpPort::adopt(net::UniqueFd fd, const Address& remote) {
  const auto local = net::local_address(fd.get());
  if (!local || is_full_for(remote.ip)) return;
  const TimePoint now = loop_.now().mono;
  responder_.on_connection(remote, *local, now);
  const int key = fd.get();
  auto connection = std::make_unique<Connection>(*this, std::move(fd), remote, *local);
  connection->last_active = now;
  connections_[key] = std::move(connection);
}

bool TcpPort::is_full_for(const IpAddress& remote) const {
  const auto same = [&remote](const auto& entry) { return entry.second->remote().ip == remote; };
  return connections_.size() >= kMaxConnections ||
         static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(), same)) >= kMaxPerClient;
}

// A connection must not die inside its own handler.
void TcpPort::close_later(Connection& connection) {
  loop_.post([this, key = connection.fd(), which = &connection] {
    const auto found = connections_.find(key);
    if (found != connections_.end() && found->second.get() == which) connections_.erase(found);
  });
}

void TcpPort::sweep() {
  const TimePoint now = loop_.now().mono;
  std::erase_if(connections_, [now](const auto& entry) {
    return entry.second->closing || now - entry.second->last_active > kIdleLimit;
  });
}

}  // namespace turnkit::probe
