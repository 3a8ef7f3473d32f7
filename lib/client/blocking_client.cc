// A blocking TURN client: see blocking_client.h.
#include "client/blocking_client.h"

#include <cerrno>
#include <deque>

#include "client/transport.h"
#include "stun/builder.h"
#include "stun/channel_data.h"
#include "stun/message.h"

namespace turnkit::client {

namespace {
constexpr int kMaxRedirects = 5;
constexpr Duration kRedirectMemory = std::chrono::minutes(5);
constexpr std::size_t kMaxQueued = 4096;  // data events kept for receive(); more are dropped
constexpr std::size_t kMaxDatagram = 65507;
constexpr std::size_t kMaxChannelData = 65535;

TimePoint mono() { return read_clock().mono; }
}  // namespace

struct BlockingTurnClient::Impl {
  Impl(const Address& server, BlockingOptions all, std::unique_ptr<Transport> opened)
      : options(std::move(all)), transport(std::move(opened)), session(server, options.session, random) {}

  static Result<std::unique_ptr<Transport>> connect(const Address& server, const BlockingOptions& options,
                                                    const std::optional<Address>& local) {
    TransportOptions how;
    how.kind = options.transport;
    how.local = local;
    how.tls = options.tls;
    return open_transport(server, how);
  }

  // Starts over on a new local port, or with another server.
  Status reopen(const Address& server) {
    std::optional<Address> local = options.local;
    if (local) local->port = 0;
    auto opened = connect(server, options, local);
    if (!opened) return opened.error();
    transport = *std::move(opened);
    session = TurnSession(server, options.session, random);
    return {};
  }

  void flush() {
    for (const auto& datagram : session.take_output()) {
      if (Status sent = transport->send(datagram); !sent) send_problem = sent.error().text;
    }
  }

  // One round of input: waits for a datagram, a deadline of the session, or `until`. Data is queued; the other events
  // are returned.
  std::vector<Event> turn(TimePoint until) {
    flush();
    const auto deadline = session.deadline();
    const auto received = transport->receive(deadline ? std::min(*deadline, until) : until);
    const TimePoint now = mono();
    if (received.error == 0) {
      session.on_datagram(received.message, now);
    } else if (received.error == ECONNREFUSED || transport->is_closed()) {
      session.on_unreachable();
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
  std::unique_ptr<Transport> transport;
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
  auto transport = Impl::connect(server, options, options.local);
  if (!transport) return transport.error();
  if ((*transport)->is_stream()) options.session.retransmit = options.session.retransmit.once();
  return BlockingTurnClient(std::make_unique<Impl>(server, std::move(options), *std::move(transport)));
}

Result<Allocated> BlockingTurnClient::allocate() {
  Impl& impl = *impl_;
  impl.asked.emplace_back(impl.transport->server(), mono());
  int mismatches = 0;
  int redirects = 0;
  for (;;) {
    impl.session.allocate(mono());
    auto allocated = impl.wait<Allocated>(Request::kAllocate);
    if (allocated || !impl.failure) return allocated;
    Address next = impl.transport->server();
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
  return impl_->transport->send(*message);
}

Status BlockingTurnClient::send_channel(std::uint16_t number, Bytes data) {
  const bool stream = impl_->transport->is_stream();
  if (data.size() > (stream ? kMaxChannelData : kMaxDatagram - stun::kChannelHeaderSize)) {
    return Error{"A ChannelData message cannot hold " + std::to_string(data.size()) + " bytes of data."};
  }
  std::vector<std::byte> message(stun::kChannelHeaderSize);
  stun::write_channel_header(message.data(), number, data.size());
  message.insert(message.end(), data.begin(), data.end());
  if (stream) message.resize((message.size() + 3) / 4 * 4);  // RFC 8656, section 12.5
  return impl_->transport->send(message);
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
  } while (!impl_->data.empty() || (mono() < until && !impl_->transport->is_closed()));
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
  } while (!impl_->icmp.empty() || (mono() < until && !impl_->transport->is_closed()));
  return std::nullopt;
}

Status BlockingTurnClient::send_raw(Bytes datagram) { return impl_->transport->send(datagram); }

std::optional<std::vector<std::byte>> BlockingTurnClient::receive_raw(Milliseconds timeout) {
  const TimePoint until = mono() + timeout;
  for (;;) {
    const auto received = impl_->transport->receive(until);
    if (received.error == 0) return std::vector<std::byte>(received.message.begin(), received.message.end());
    if (received.error == ETIMEDOUT || impl_->transport->is_closed() || mono() >= until) return std::nullopt;
  }
}

std::optional<std::vector<std::byte>> BlockingTurnClient::transact_raw(Bytes request, Milliseconds timeout) {
  if (request.size() < stun::kHeaderSize) return std::nullopt;
  const Bytes id = request.subspan(8, 12);
  const TimePoint until = mono() + timeout;
  Retransmission timer(impl_->options.session.retransmit, mono());
  if (!send_raw(request)) return std::nullopt;
  while (mono() < until) {
    const auto received = impl_->transport->receive(std::min(until, timer.deadline()));
    if (received.error == 0) {
      const Bytes answer = received.message;
      if (answer.size() >= stun::kHeaderSize && equal(answer.subspan(8, 12), id)) {
        return std::vector<std::byte>(answer.begin(), answer.end());
      }
      continue;
    }
    if (impl_->transport->is_closed()) return std::nullopt;
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

const Address& BlockingTurnClient::local() const { return impl_->transport->local(); }
const Address& BlockingTurnClient::server() const { return impl_->transport->server(); }
const TurnSession& BlockingTurnClient::session() const { return impl_->session; }
const Transport& BlockingTurnClient::transport() const { return *impl_->transport; }
Random& BlockingTurnClient::random() { return impl_->random; }

}  // namespace turnkit::client
