#include "probe/stun/exchange.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "net/send_one.h"
#include "probe/port/icmp.h"
#include "probe/wire.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;

constexpr auto kIcmpGrace = milliseconds(300);  // an answer may still overtake an ICMP error
constexpr std::size_t kMaxRequest = 65507;

}  // namespace

struct UdpExchange::Transaction {
  BindingPlan plan;
  stun::TransactionId id;
  std::vector<std::byte> request;
  BindingOutcome outcome;
  TimePoint starts;
  TimePoint last_sent{};
  std::optional<client::Retransmission> timer;
  std::optional<TimePoint> refused_at;
  bool done = false;

  [[nodiscard]] TimePoint due() const {
    if (!timer) return starts;
    return refused_at ? std::min(timer->deadline(), *refused_at + kIcmpGrace) : timer->deadline();
  }
};

Bytes encode_binding(const BindingPlan& plan, const stun::TransactionId& id, MutableBytes buffer) {
  stun::Builder builder(buffer, stun::Class::kRequest, stun::Method::kBinding, id);
  if (plan.change != 0) builder.u32(stun::Attr::kChangeRequest, plan.change);
  if (plan.response_port) builder.response_port(*plan.response_port);
  if (plan.size != 0) {
    const std::size_t used = buffer.size() - builder.remaining();
    const std::size_t fixed = used + 2 * stun::kAttributeHeaderSize + 4;  // the filling's header, and FINGERPRINT
    if (plan.size < fixed || plan.size % 4 != 0 || plan.size > buffer.size()) return {};
    const std::vector<std::byte> zeros(plan.size - fixed);
    builder.raw(plan.padding ? stun::Attr::kPadding : static_cast<stun::Attr>(kProbeAttribute), zeros);
  }
  builder.fingerprint();
  return builder.finish().value_or(Bytes());
}

UdpExchange::UdpExchange() = default;

Result<std::size_t> UdpExchange::open(const Address& local) {
  net::UdpOptions options;
  options.gro = false;
  options.receive_errors = true;
  Result<net::UdpSocket> socket = net::UdpSocket::bind(local, options);
  if (!socket) return socket.error();
  sockets_.push_back(*std::move(socket));
  return sockets_.size() - 1;
}

void UdpExchange::send(Transaction& transaction) {
  const int error = net::send_one(sockets_[transaction.plan.socket], transaction.plan.to, transaction.request);
  transaction.last_sent = read_clock().mono;
  if (error == 0) {
    ++transaction.outcome.sends;
  } else {
    transaction.outcome.send_errno = error;
  }
}

// What time asks for. False: nothing was due.
bool UdpExchange::act(Transaction& transaction, TimePoint now) {
  if (transaction.done || now < transaction.due()) return false;
  if (!transaction.timer) {
    transaction.timer.emplace(transaction.plan.retransmit, now);
    send(transaction);
  } else if (transaction.refused_at && now >= *transaction.refused_at + kIcmpGrace) {
    transaction.done = true;
  } else if (transaction.timer->on_time(now) == client::Retransmission::Due::kResend) {
    send(transaction);
  } else {
    transaction.done = true;
  }
  // What the own system refuses for lack of a route, a rule or size stays refused.
  const int error = transaction.outcome.send_errno;
  if (transaction.outcome.sends == 0 && error != 0 && error != EAGAIN && error != ENOBUFS) transaction.done = true;
  return true;
}

void UdpExchange::on_datagram(std::size_t socket, Bytes datagram, const Address& source,
                              std::vector<Transaction>& transactions) {
  const bool has_id = datagram.size() >= stun::kHeaderSize;
  const auto owner = std::find_if(transactions.begin(), transactions.end(), [&](const Transaction& transaction) {
    return has_id && equal(datagram.subspan(8, 12), Bytes(transaction.id.bytes));
  });
  if (owner == transactions.end()) {
    // Strangers find open ports, too; only what comes from a server asked counts.
    for (Transaction& transaction : transactions) {
      const bool from_there = source == transaction.plan.to && transaction.plan.socket == socket;
      if (!from_there || transaction.outcome.foreign.kind != Foreign::kNone) continue;
      transaction.outcome.foreign = classify_foreign(datagram, {Bytes(transaction.request)});
    }
    return;
  }
  BindingOutcome& outcome = owner->outcome;
  if (equal(datagram, owner->request)) {
    if (source == owner->plan.to && owner->plan.socket == socket) {
      outcome.foreign = classify_foreign(datagram, {Bytes(owner->request)});  // an echo service
    } else if (!outcome.own_request) {
      outcome.own_request = source;
    }
    return;
  }
  auto answer = decode_stun_answer(datagram, owner->id, &outcome.bad_fingerprint);
  if (!answer) {
    if (outcome.foreign.kind == Foreign::kNone) {
      outcome.foreign = classify_foreign(datagram, {});
      if (outcome.foreign.kind == Foreign::kStun) outcome.foreign.kind = Foreign::kOther;  // malformed
    }
    return;
  }
  if (outcome.answer) {
    ++outcome.more_answers;
    return;
  }
  answer->source = source;
  outcome.answer = std::move(answer);
  outcome.arrived_on = socket;
  outcome.sends_before_answer = outcome.sends;
  outcome.rtt_ms = std::chrono::duration<double, std::milli>(read_clock().mono - owner->last_sent).count();
  owner->done = true;
}

void UdpExchange::receive(std::size_t socket, std::vector<Transaction>& transactions) {
  const auto take_errors = [&] {
    // Each error is taken from the queue once, and told to all that it may be about.
    std::vector<Address> targets;
    net::IcmpError error;
    while (net::next_icmp_error(sockets_[socket].fd(), error)) {
      for (Transaction& transaction : transactions) {
        if (transaction.plan.socket != socket || transaction.plan.to.ip != error.destination.ip) continue;
        if (error.destination.port != 0 && error.destination.port != transaction.plan.to.port) continue;
        add_icmp(error, transaction.outcome.icmp);
        if (deciding(transaction.outcome.icmp) != nullptr && !transaction.refused_at) {
          transaction.refused_at = read_clock().mono;
        }
      }
    }
  };
  take_errors();
  for (int rounds = 0; rounds < 64; ++rounds) {
    const net::RecvBatch::Received received = batch_.receive(sockets_[socket]);
    for (const net::Datagram& datagram : received.datagrams) {
      on_datagram(socket, datagram.data, datagram.source, transactions);
    }
    batch_.clear();
    if (received.error != 0 && received.error != EAGAIN) {
      take_errors();  // that call took a pending ICMP error
      continue;
    }
    if (received.drained || received.error != 0) return;
  }
}

std::vector<BindingOutcome> UdpExchange::run(std::span<const BindingPlan> plans, milliseconds pace) {
  std::vector<std::byte> buffer(kMaxRequest);
  std::vector<Transaction> transactions(plans.size());
  const TimePoint begun = read_clock().mono;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    Transaction& transaction = transactions[i];
    transaction.plan = plans[i];
    random_.fill(transaction.id.bytes);
    const Bytes request = encode_binding(plans[i], transaction.id, buffer);
    transaction.request.assign(request.begin(), request.end());
    transaction.starts = begun + static_cast<int>(i) * pace;
    transaction.outcome.to = plans[i].to;
    transaction.outcome.local = sockets_[plans[i].socket].local();
    transaction.outcome.size = request.size();
    if (request.empty()) transaction.done = true;
  }
  std::vector<pollfd> fds;
  for (const net::UdpSocket& socket : sockets_) fds.push_back({socket.fd(), POLLIN, 0});
  for (;;) {
    const TimePoint now = read_clock().mono;
    TimePoint next = TimePoint::max();
    for (Transaction& transaction : transactions) {
      act(transaction, now);
      if (!transaction.done) next = std::min(next, transaction.due());
    }
    if (next == TimePoint::max()) break;
    const auto wait = std::chrono::ceil<milliseconds>(next - read_clock().mono).count();
    if (::poll(fds.data(), fds.size(), static_cast<int>(std::clamp<long long>(wait, 0, 60'000))) <= 0) continue;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].revents != 0) receive(i, transactions);
    }
  }
  std::vector<BindingOutcome> out;
  for (Transaction& transaction : transactions) out.push_back(std::move(transaction.outcome));
  return out;
}

BindingOutcome UdpExchange::run_one(const BindingPlan& plan) { return std::move(run({&plan, 1}).front()); }

}  // namespace turnkit::probe
