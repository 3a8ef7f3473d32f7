// A blocking TURN client: see blocking_client.h.
#include "client/blocking_client.h"

#include <cerrno>
#include <deque>

#include "client/udp_client.h"
#include "stun/builder.h"
#include "stun/channel_data.h"
#include "stun/message.h"

namespace turnkit::client {

namespace {
constexpr int kMaxRedirects = 5;
constexpr Duration kRedirectMemory = std::chrono::minutes(5);
constexpr std::size_t kMaxQueued = 4096;  // data events kept for receive(); more are dropped
constexpr std::size_t kMaxDatagram = 65507;

TimePoint mono() { return read_clock().mono; }
}  // namespace

struct BlockingTurnClient::Impl {
  Impl(const Address& server, BlockingOptions all, UdpClient client)
      : options(std::move(all)), socket(std::move(client)), session(server, options.session, random) {}

  // Starts over on a new local port, or with another server.
  Status reopen(const Address& server) {
    std::optional<Address> local = options.local;
    if (local) local->port = 0;
    auto opened = UdpClient::open(server, local);
    if (!opened) return opened.error();
    socket = *std::move(opened);
    session = TurnSession(server, options.session, random);
    return {};
  }

  void flush() {
    for (const auto& datagram : session.take_output()) {
      if (Status sent = socket.send(datagram); !sent) send_problem = sent.error().text;
    }
  }

  // One round of input: waits for a datagram, a deadline of the session, or `until`. Data is queued; the other events
  // are returned.
  std::vector<Event> turn(TimePoint until) {
    flush();
    const auto deadline = session.deadline();
    const auto received = socket.receive(deadline ? std::min(*deadline, until) : until);
    const TimePoint now = mono();
    if (received.error == ECONNREFUSED) {
      session.on_unreachable();
    } else if (received.error == 0) {
      session.on_datagram(received.datagram, now);
    }
    session.on_time(now);
    flush();
    std::vector<Event> rest;
    for (Event& event : session.take_events()) {
      if (const auto* got = std::get_if<DataReceived>(&event)) {
        if (data.size() < kMaxQueued) data.push_back({got->peer, got->channel, {got->data.begin(), got->data.end()}});
      } else if (const auto* error = std::get_if<IcmpReceived>(&event)) {
        if (icmp.size() < kMaxQueued) icmp.push_back(*error);
      } else {
        rest.push_back(std::move(event));
      }
    }
    return rest;
  }

  // Runs until the request that was just started ends in a `Wanted` or in a Failure of its kind.
  template <typename Wanted>
  Result<Wanted> wait(Request request) {
    failure.reset();
    send_problem.clear();
    for (;;) {
      for (Event& event : turn(TimePoint::max())) {
        if (auto* wanted = std::get_if<Wanted>(&event)) return std::move(*wanted);
        auto* failed = std::get_if<Failure>(&event);
        if (failed == nullptr || failed->request != request) continue;
        failure = std::move(*failed);
        return Error{send_problem.empty() ? failure->text() : failure->text() + " " + send_problem};
      }
      if (session.requests_under_way() == 0) return Error{"The allocation ended while the request was under way."};
    }
  }

  // RFC 8489, section 10: not to a server that was asked within the last five minutes.
  bool may_ask(const Address& server) {
    const TimePoint now = mono();
    std::erase_if(asked, [&](const auto& entry) { return now - entry.second > kRedirectMemory; });
    for (const auto& [address, when] : asked) {
      if (address == server) return false;
    }
    asked.emplace_back(server, now);
    return true;
  }

  BlockingOptions options;
  SystemRandom random;
  UdpClient socket;
  TurnSession session;
  std::optional<Failure> failure;
  std::string send_problem;
  std::deque<Received> data;
  std::deque<IcmpReceived> icmp;
  std::vector<std::pair<Address, TimePoint>> asked;
};

BlockingTurnClient::BlockingTurnClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlockingTurnClient::BlockingTurnClient(BlockingTurnClient&&) noexcept = default;
BlockingTurnClient& BlockingTurnClient::operator=(BlockingTurnClient&&) noexcept = default;
BlockingTurnClient::~BlockingTurnClient() = default;

Result<BlockingTurnClient> BlockingTurnClient::open(const Address& server, BlockingOptions options) {
  auto socket = UdpClient::open(server, options.local);
  if (!socket) return socket.error();
  return BlockingTurnClient(std::make_unique<Impl>(server, std::move(options), *std::move(socket)));
}

Result<Allocated> BlockingTurnClient::allocate() {
  Impl& impl = *impl_;
  impl.asked.emplace_back(impl.socket.server(), mono());
  int mismatches = 0;
  int redirects = 0;
  for (;;) {
    impl.session.allocate(mono());
    auto allocated = impl.wait<Allocated>(Request::kAllocate);
    if (allocated || !impl.failure) return allocated;
    Address next = impl.socket.server();
    switch (impl.failure->advice()) {
      case Failure::Advice::kNewLocalPort:
        if (++mismatches >= impl.options.mismatch_tries) return allocated;
        break;
      case Failure::Advice::kRedirect:
        if (!impl.options.follow_redirects || ++redirects > kMaxRedirects) return allocated;
        next = *impl.failure->alternate_server;
        if (!impl.may_ask(next)) return allocated;
        break;
      default:
        return allocated;
    }
    if (Status opened = impl.reopen(next); !opened) return opened.error();
  }
}

Result<std::chrono::seconds> BlockingTurnClient::refresh(std::optional<std::chrono::seconds> lifetime) {
  if (lifetime == std::chrono::seconds(0)) {
    if (Status closed = close(); !closed) return closed.error();
    return std::chrono::seconds(0);
  }
  impl_->session.refresh(lifetime, mono());
  auto refreshed = impl_->wait<Refreshed>(Request::kRefresh);
  if (!refreshed) return refreshed.error();
  return refreshed->lifetime;
}

Status BlockingTurnClient::create_permission(std::span<const Address> peers) {
  impl_->session.create_permission(peers, mono());
  const auto done = impl_->wait<PermissionsInstalled>(Request::kCreatePermission);
  return done ? Status() : Status(done.error());
}

Status BlockingTurnClient::bind_channel(std::uint16_t number, const Address& peer) {
  impl_->session.bind_channel(number, peer, mono());
  const auto done = impl_->wait<ChannelBound>(Request::kChannelBind);
  return done ? Status() : Status(done.error());
}

Status BlockingTurnClient::close() {
  impl_->session.close(mono());
  const auto done = impl_->wait<Deleted>(Request::kRefresh);
  return done ? Status() : Status(done.error());
}

const std::optional<Failure>& BlockingTurnClient::failure() const { return impl_->failure; }

Status BlockingTurnClient::send(const Address& peer, Bytes data) {
  std::vector<std::byte> buffer(data.size() + 128);
  const auto message = impl_->session.send_indication(buffer, peer, data);
  if (!message) return Error{"A Send indication cannot hold " + std::to_string(data.size()) + " bytes of data."};
  return impl_->socket.send(*message);
}

Status BlockingTurnClient::send_channel(std::uint16_t number, Bytes data) {
  if (data.size() > kMaxDatagram - stun::kChannelHeaderSize) {
    return Error{"A ChannelData message cannot hold " + std::to_string(data.size()) + " bytes of data."};
  }
  std::vector<std::byte> message(stun::kChannelHeaderSize);
  stun::write_channel_header(message.data(), number, data.size());
  message.insert(message.end(), data.begin(), data.end());
  return impl_->socket.send(message);
}

std::optional<BlockingTurnClient::Received> BlockingTurnClient::receive(Milliseconds timeout) {
  const TimePoint until = mono() + timeout;
  do {
    if (!impl_->data.empty()) {
      Received first = std::move(impl_->data.front());
      impl_->data.pop_front();
      return first;
    }
    (void)impl_->turn(until);
  } while (!impl_->data.empty() || mono() < until);
  return std::nullopt;
}

std::optional<IcmpReceived> BlockingTurnClient::receive_icmp(Milliseconds timeout) {
  const TimePoint until = mono() + timeout;
  do {
    if (!impl_->icmp.empty()) {
      const IcmpReceived first = impl_->icmp.front();
      impl_->icmp.pop_front();
      return first;
    }
    (void)impl_->turn(until);
  } while (!impl_->icmp.empty() || mono() < until);
  return std::nullopt;
}

Status BlockingTurnClient::send_raw(Bytes datagram) { return impl_->socket.send(datagram); }

std::optional<std::vector<std::byte>> BlockingTurnClient::receive_raw(Milliseconds timeout) {
  const TimePoint until = mono() + timeout;
  for (;;) {
    const auto received = impl_->socket.receive(until);
    if (received.error == 0) return std::vector<std::byte>(received.datagram.begin(), received.datagram.end());
    if (received.error == ETIMEDOUT || mono() >= until) return std::nullopt;
  }
}

std::optional<std::vector<std::byte>> BlockingTurnClient::transact_raw(Bytes request, Milliseconds timeout) {
  if (request.size() < stun::kHeaderSize) return std::nullopt;
  const Bytes id = request.subspan(8, 12);
  const TimePoint until = mono() + timeout;
  Retransmission timer(impl_->options.session.retransmit, mono());
  if (!send_raw(request)) return std::nullopt;
  while (mono() < until) {
    const auto received = impl_->socket.receive(std::min(until, timer.deadline()));
    if (received.error == 0) {
      const Bytes answer = received.datagram;
      if (answer.size() >= stun::kHeaderSize && equal(answer.subspan(8, 12), id)) {
        return std::vector<std::byte>(answer.begin(), answer.end());
      }
      continue;
    }
    switch (timer.on_time(mono())) {
      case Retransmission::Due::kNothing:
        break;
      case Retransmission::Due::kResend:
        if (!send_raw(request)) return std::nullopt;
        break;
      case Retransmission::Due::kTimedOut:
        return std::nullopt;
    }
  }
  return std::nullopt;
}

const Address& BlockingTurnClient::local() const { return impl_->socket.local(); }
const Address& BlockingTurnClient::server() const { return impl_->socket.server(); }
const TurnSession& BlockingTurnClient::session() const { return impl_->session; }
Random& BlockingTurnClient::random() { return impl_->random; }

}  // namespace turnkit::client
