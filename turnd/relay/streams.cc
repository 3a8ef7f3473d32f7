#include "turnd/relay/streams.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "net/stream.h"
#include "turnd/relay/connection.h"
#include "turnd/relay/stream_client.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {
namespace {

constexpr int kAcceptBatch = 64;  // connections a turn and listener
constexpr std::chrono::milliseconds kAcceptPause{250};
constexpr std::chrono::seconds kWarningPause{10};

}  // namespace

// One listening socket of this worker.
class Streams::Listener final : public net::IoHandler {
 public:
  Listener(Streams& streams, net::UniqueFd socket, const StreamListenerOptions& listener_options)
      : options(listener_options),
        streams_(streams),
        fd_(std::move(socket)),
        watch_(streams.worker().loop(), fd_.get(), *this) {}

  void on_readable() override { streams_.accept_from(*this); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  void pause(TimePoint until) {
    resume_at_ = until;
    watch_.want_read(false);
  }
  void resume_when_due(TimePoint now) {
    if (resume_at_ == TimePoint{} || resume_at_ > now) return;
    resume_at_ = {};
    watch_.want_read(true);
  }

  const StreamListenerOptions options;

 private:
  Streams& streams_;
  net::UniqueFd fd_;
  net::IoWatch watch_;
  TimePoint resume_at_{};  // default: not paused
};

Streams::Streams(Worker& worker, std::shared_ptr<ConnectionCounts> counts)
    : worker_(worker),
      counts_(counts ? std::move(counts) : std::make_shared<ConnectionCounts>()),
      config_(std::make_shared<const StreamConfig>()),
      peek_buffer_(new std::byte[kPeekBuffer]) {}

Streams::~Streams() = default;

void Streams::add_listener(net::UniqueFd listening, const StreamListenerOptions& options) {
  listeners_.push_back(std::make_unique<Listener>(*this, std::move(listening), options));
}

void Streams::accept_from(Listener& listener) {
  const Now& now = worker_.loop().now();
  for (int i = 0; i < kAcceptBatch; ++i) {
    net::Accepted accepted = net::tcp_accept(listener.fd());
    if (!accepted.fd) {
      if (accepted.error == 0) return;
      // Out of descriptors or memory: the connection waits in the kernel, and trying at once would only spin.
      warn(fmt::format("cannot accept a TCP connection: {}; trying again", std::strerror(accepted.error)));
      return listener.pause(now.mono + kAcceptPause);
    }
    make_half_open_room();
    auto connection =
        std::make_unique<Connection>(*this, std::move(accepted.fd), accepted.peer, accepted.local, listener.options);
    Connection& entered = *connection;
    enter(opening_, std::move(connection));
    entered.on_readable();
  }
}

void Streams::enter(StreamSession::List& list, std::unique_ptr<StreamSession> session) {
  StreamSession& entered = *session;
  list.push_back(std::move(session));
  entered.list_ = &list;
  entered.place_ = std::prev(list.end());
  entered.since_ = worker_.loop().now().mono;
}

void Streams::move_to(StreamSession::List& list, StreamSession& session) {
  list.splice(list.end(), *session.list_, session.place_);
  session.list_ = &list;
  session.since_ = worker_.loop().now().mono;
}

void Streams::retire(StreamSession& session) {
  if (session.list_ != &retired_) move_to(retired_, session);
}

ConnectionTicket Streams::admit(const IpAddress& source) {
  return counts_->admit(source, config_->limits.max_connections, config_->limits.max_connections_per_ip);
}

bool Streams::has_allocation(const StreamSession& session) {
  return worker_.engine().find(static_cast<const StreamClient&>(session).tuple(), worker_.loop().now()) != nullptr;
}

// Honest clients are half open for a round trip or two; so the oldest are the ones to go.
void Streams::make_half_open_room() {
  const std::size_t limit = std::max<std::size_t>(config_->limits.max_half_open / workers_, 1);
  while (half_open() >= limit) {
    const bool from_opening =
        unallocated_.empty() || (!opening_.empty() && opening_.front()->since_ <= unallocated_.front()->since_);
    if (from_opening) {
      static_cast<Connection&>(*opening_.front()).end("too many half-open connections");
    } else if (StreamSession& oldest = *unallocated_.front(); has_allocation(oldest)) {
      move_to(settled_, oldest);
    } else {
      static_cast<StreamClient&>(oldest).end("too many connections without an allocation");
    }
  }
}

StreamClient* Streams::adopt(DetachedStream connection) {
  auto client = std::make_unique<StreamClient>(worker_, *this, std::move(connection));
  StreamClient& adopted = *client;
  enter(unallocated_, std::move(client));
  adopted.start();
  return adopted.list_ == &retired_ ? nullptr : &adopted;
}

Tunnel& Streams::open_tunnel(TunnelEnd a, TunnelEnd b, const TunnelLimits& limits, TunnelOwner* owner,
                             ConnectionTicket ticket) {
  auto tunnel = std::make_unique<Tunnel>(*this, std::move(a), std::move(b), limits, owner, std::move(ticket));
  Tunnel& opened = *tunnel;
  enter(tunnels_, std::move(tunnel));
  opened.start();
  return opened;
}

void Streams::close(Tunnel& tunnel) {
  tunnel.owner_ = nullptr;
  tunnel.end("closed");
}

void Streams::read_again(StreamClient& client) {
  if (std::exchange(client.reading_again_, true)) return;
  if (reading_again_.empty()) worker_.loop().post([this] { read_all_again(); });
  reading_again_.push_back(&client);
}

void Streams::read_all_again() {
  reading_now_.swap(reading_again_);
  while (!reading_now_.empty()) {
    StreamClient& client = *reading_now_.back();
    reading_now_.pop_back();
    client.reading_again_ = false;
    client.on_readable();
  }
}

void Streams::forget_reading(StreamClient& client) {
  std::erase(reading_again_, &client);
  std::erase(reading_now_, &client);
}

void Streams::warn(std::string_view text) {
  const TimePoint now = worker_.loop().now().mono;
  if (now < next_warning_) return;
  next_warning_ = now + kWarningPause;
  log::warning("{}", text);
}

void Streams::sweep() {
  const TimePoint now = worker_.loop().now().mono;
  for (const auto& listener : listeners_) listener->resume_when_due(now);
  sweep_half_open();
  sweep_settled();
  sweep_tunnels();
}

void Streams::sweep_half_open() {
  const TimePoint now = worker_.loop().now().mono;
  while (!opening_.empty() && opening_.front()->since_ + config_->limits.opening <= now) {
    static_cast<Connection&>(*opening_.front()).end("said nothing sensible in time");
  }
  while (!unallocated_.empty() && unallocated_.front()->since_ + config_->limits.without_allocation <= now) {
    StreamSession& oldest = *unallocated_.front();
    if (has_allocation(oldest)) {
      move_to(settled_, oldest);
    } else {
      static_cast<StreamClient&>(oldest).end("no allocation");
    }
  }
}

// Looks at a part of the settled clients: all of them in eight seconds.
void Streams::sweep_settled() {
  constexpr std::size_t kParts = 64;
  for (std::size_t visits = settled_.size() / kParts + 1; visits != 0 && !settled_.empty(); --visits) {
    StreamSession& session = *settled_.front();
    move_to(has_allocation(session) ? settled_ : unallocated_, session);
  }
}

void Streams::sweep_tunnels() {
  const TimePoint now = worker_.loop().now().mono;
  for (auto it = tunnels_.begin(); it != tunnels_.end();) {
    auto& tunnel = static_cast<Tunnel&>(**it++);
    if (const std::string_view overdue = tunnel.overdue(now); !overdue.empty()) {
      tunnel.end(overdue);
    } else if (tunnel.is_paused()) {
      tunnel.resume();
    }
  }
}

void Streams::end_turn() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) dirty_[i]->on_end_of_turn();
  dirty_.clear();
  handshakes_ = 0;
  retired_.clear();
}

void Streams::close_all() {
  listeners_.clear();
  while (!tunnels_.empty()) static_cast<Tunnel&>(*tunnels_.front()).end("server is shutting down");
  while (!opening_.empty()) static_cast<Connection&>(*opening_.front()).end("server is shutting down");
  for (StreamSession::List* list : {&unallocated_, &settled_}) {
    while (!list->empty()) static_cast<StreamClient&>(*list->front()).end("server is shutting down");
  }
  end_turn();
}

}  // namespace turnkit::relay
