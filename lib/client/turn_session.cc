// The client of one TURN allocation: see turn_session.h. Requests out and answers in; keeping alive is in
// turn_session_upkeep.cc.
#include "client/turn_session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "stun/builder.h"
#include "stun/channel_data.h"
#include "stun/classify.h"

namespace turnkit::client {

using stun::Attr;
using stun::MessageView;

namespace {

constexpr std::size_t kMaxRequest = 4096;

stun::Method method_of(Request request) {
  switch (request) {
    case Request::kAllocate:
      return stun::Method::kAllocate;
    case Request::kRefresh:
      return stun::Method::kRefresh;
    case Request::kCreatePermission:
      return stun::Method::kCreatePermission;
    case Request::kChannelBind:
      return stun::Method::kChannelBind;
  }
  return stun::Method::kAllocate;
}

std::optional<stun::ErrorCode> error_of(const MessageView& answer) {
  const auto attribute = answer.find(Attr::kErrorCode);
  if (!attribute) return std::nullopt;
  return stun::decode_error_code(attribute->value);
}

// RFC 8489, section 6.3.3: an answer with a comprehension-required attribute that we do not know fails the transaction.
bool has_unknown_required(const MessageView& answer) {
  for (const stun::Attribute& attribute : answer) {
    if (stun::is_comprehension_required(attribute.type) && stun::attribute_name(attribute.type).empty()) return true;
  }
  return false;
}

// RFC 8489, section 10: an alternate server of the same family; never one that a stranger could not reach, unless we do
// already.
bool acceptable_alternate(const Address& alternate, const Address& server) {
  if (alternate.family() != server.family() || alternate.port == 0) return false;
  if (alternate.ip.is_unspecified() || alternate.ip.is_multicast()) return false;
  return !alternate.ip.is_loopback() || server.ip.is_loopback();
}

Failure failure_of(Failure::Kind kind) {
  Failure failure;
  failure.kind = kind;
  return failure;
}

Failure malformed(std::string_view what) {
  Failure failure = failure_of(Failure::Kind::kMalformed);
  failure.reason = what;
  return failure;
}

}  // namespace

TurnSession::TurnSession(const Address& server, SessionOptions options, Random& random)
    : server_(server),
      options_(std::move(options)),
      random_(&random),
      auth_(options_.credentials, options_.algorithms),
      rto_(options_.retransmit.rto) {}

void TurnSession::allocate(TimePoint now) {
  Transaction transaction;
  transaction.request = Request::kAllocate;
  transaction.lifetime = options_.lifetime;
  start(std::move(transaction), now);
}

void TurnSession::refresh(std::optional<std::chrono::seconds> lifetime, TimePoint now) {
  Transaction transaction;
  transaction.request = Request::kRefresh;
  transaction.lifetime = lifetime;
  start(std::move(transaction), now);
}

void TurnSession::close(TimePoint now) { refresh(std::chrono::seconds(0), now); }

void TurnSession::create_permission(std::span<const Address> peers, TimePoint now) {
  Transaction transaction;
  transaction.request = Request::kCreatePermission;
  transaction.peers.assign(peers.begin(), peers.end());
  start(std::move(transaction), now);
}

void TurnSession::bind_channel(std::uint16_t number, const Address& peer, TimePoint now) {
  Transaction transaction;
  transaction.request = Request::kChannelBind;
  transaction.channel = number;
  transaction.peers = {peer};
  start(std::move(transaction), now);
}

std::optional<Bytes> TurnSession::send_indication(MutableBytes buffer, const Address& peer, Bytes data) {
  stun::TransactionId id;
  random_->fill(id.bytes);
  stun::Builder builder(buffer, stun::Class::kIndication, stun::Method::kSend, id);
  builder.xor_address(Attr::kXorPeerAddress, peer).raw(Attr::kData, data);
  if (options_.dont_fragment) builder.flag(Attr::kDontFragment);
  return builder.finish();
}

void TurnSession::start(Transaction transaction, TimePoint now) {
  if (transactions_.size() >= kMaxUnderWay) {
    waiting_.push_back(std::move(transaction));
    return;
  }
  send(std::move(transaction), now);
}

void TurnSession::send(Transaction transaction, TimePoint now) {
  encode(transaction);
  if (transaction.bytes.empty()) {
    fail(transaction, malformed("the request would be too large"));
    return;
  }
  RetransmitConfig timing = options_.retransmit;
  timing.rto = rto_.rto(now);
  transaction.timer = Retransmission(timing, now);
  output_.push_back(transaction.bytes);
  transactions_.push_back(std::move(transaction));
}

void TurnSession::encode(Transaction& transaction) {
  random_->fill(transaction.id.bytes);
  std::array<std::byte, kMaxRequest> buffer;
  stun::Builder builder(buffer, stun::Class::kRequest, method_of(transaction.request), transaction.id);
  if (transaction.request == Request::kAllocate) {
    builder.requested_transport(options_.transport);
    if (options_.family) builder.address_family(Attr::kRequestedAddressFamily, *options_.family);
    if (options_.additional_ipv6) builder.address_family(Attr::kAdditionalAddressFamily, Family::kIPv6);
    if (options_.even_port) builder.even_port(*options_.even_port);
    if (options_.reservation_token) builder.u64(Attr::kReservationToken, *options_.reservation_token);
    if (options_.dont_fragment) builder.flag(Attr::kDontFragment);
  }
  if (transaction.lifetime) builder.u32(Attr::kLifetime, static_cast<std::uint32_t>(transaction.lifetime->count()));
  if (transaction.request == Request::kChannelBind) builder.channel_number(transaction.channel);
  for (const Address& peer : transaction.peers) builder.xor_address(Attr::kXorPeerAddress, peer);
  if (!options_.software.empty()) builder.text(Attr::kSoftware, options_.software);
  auth_.protect(builder);
  transaction.had_credentials = auth_.armed();
  if (options_.fingerprint) builder.fingerprint();
  const auto message = builder.finish();
  transaction.bytes.clear();
  if (message) transaction.bytes.assign(message->begin(), message->end());
}

// Ends a transaction and lets the next one that waits begin.
TurnSession::Transaction TurnSession::take(std::size_t index, TimePoint now) {
  Transaction transaction = std::move(transactions_[index]);
  transactions_.erase(transactions_.begin() + static_cast<std::ptrdiff_t>(index));
  if (!waiting_.empty()) {
    Transaction next = std::move(waiting_.front());
    waiting_.pop_front();
    send(std::move(next), now);
  }
  return transaction;
}

void TurnSession::on_datagram(Bytes datagram, TimePoint now) {
  const stun::PacketKind kind = stun::classify(datagram, stun::kRfc5766Channels);
  if (kind == stun::PacketKind::kChannelData) return on_channel_data(datagram);
  const auto message = kind == stun::PacketKind::kStun ? MessageView::parse(datagram) : std::nullopt;
  if (!message || message->cls() == stun::Class::kRequest) {
    ++ignored_;
    return;
  }
  if (message->cls() == stun::Class::kIndication) return on_indication(*message);
  const stun::TransactionId id = message->transaction_id();
  for (std::size_t i = 0; i < transactions_.size(); ++i) {
    if (transactions_[i].id == id && method_of(transactions_[i].request) == message->method()) {
      return on_answer(i, *message, now);
    }
  }
  ++ignored_;
}

void TurnSession::on_answer(std::size_t index, const MessageView& answer, TimePoint now) {
  Transaction& pending = transactions_[index];
  if (pending.timer.sends() == 1) rto_.sample(now - pending.timer.first_sent(), now);  // Karn's rule
  const bool success = answer.cls() == stun::Class::kSuccess;
  const auto error = success ? std::nullopt : error_of(answer);
  if (error && (error->code == 401 || error->code == 438)) return on_challenge(take(index, now), answer, *error, now);

  const AnswerVerdict verdict = auth_.check(answer, pending.had_credentials);
  if (verdict == AnswerVerdict::kDiscard) {
    pending.discarded_code = error ? error->code : std::uint16_t{0};
    ++ignored_;
    return;
  }
  const Transaction transaction = take(index, now);
  if (has_unknown_required(answer)) {
    return fail(transaction, malformed("it holds a comprehension-required attribute that is unknown"));
  }
  if (success) return on_success(transaction, answer, now);
  on_error(transaction, answer, verdict == AnswerVerdict::kAuthentic);
}

void TurnSession::on_challenge(Transaction transaction, const MessageView& answer, const stun::ErrorCode& error,
                               TimePoint now) {
  // The nonce may have been replaced since this request was sent; the newer one is then worth a try of its own.
  const auto code = static_cast<stun::Code>(error.code);
  const ChallengeVerdict verdict =
      auth_.on_challenge(answer, code, transaction.had_credentials, transaction.challenges);
  if (verdict == ChallengeVerdict::kRetry) {
    ++transaction.challenges;
    transaction.discarded_code.reset();
    return start(std::move(transaction), now);
  }
  Failure failure = failure_of(Failure::Kind::kChallenge);
  failure.code = error.code;
  failure.reason = error.reason;
  failure.challenge = verdict;
  fail(transaction, std::move(failure));
}

void TurnSession::on_error(const Transaction& transaction, const MessageView& answer, bool authentic) {
  const auto error = error_of(answer);
  if (!error) return fail(transaction, malformed("it is an error without a usable ERROR-CODE"));
  Failure failure = failure_of(Failure::Kind::kError);
  failure.code = error->code;
  failure.reason = error->reason.substr(0, error->reason.find_last_not_of('\0') + 1);  // coturn counts a final NUL
  if (const auto unknown = answer.find(Attr::kUnknownAttributes)) {
    failure.unknown_attributes = stun::decode_unknown_attributes(unknown->value);
  }
  if (error->code == 300 && authentic) {  // RFC 8489, section 10: only where the MAC was right
    for (const stun::Attribute& attribute : answer) {
      if (attribute.type != Attr::kAlternateServer || failure.alternate_server) continue;
      const auto alternate = stun::decode_address(attribute.value);
      if (alternate && acceptable_alternate(*alternate, server_)) failure.alternate_server = alternate;
    }
    if (const auto domain = answer.find(Attr::kAlternateDomain)) {
      failure.alternate_domain = stun::decode_text(domain->value).value_or("");
    }
  }
  if (transaction.deletes() && error->code == 437) {  // RFC 8656, section 8.2: it is gone already
    forget_allocation();
    events_.emplace_back(Deleted{});
    return;
  }
  fail(transaction, std::move(failure));
  if (transaction.request != Request::kAllocate && error->code == 437) forget_allocation();
}

void TurnSession::on_success(const Transaction& transaction, const MessageView& answer, TimePoint now) {
  switch (transaction.request) {
    case Request::kAllocate:
      return on_allocated(transaction, answer, now);
    case Request::kRefresh:
      return on_refreshed(transaction, answer, now);
    case Request::kCreatePermission:
      for (const Address& peer : transaction.peers) permit(peer.ip, now + kPermissionUpkeep);
      events_.emplace_back(PermissionsInstalled{transaction.peers});
      return;
    case Request::kChannelBind:
      std::erase_if(channels_, [&](const Channel& c) { return c.number == transaction.channel; });
      channels_.push_back({transaction.channel, transaction.peers.front(), now + kPermissionUpkeep});
      events_.emplace_back(ChannelBound{transaction.channel, transaction.peers.front()});
      return;
  }
}

void TurnSession::on_allocated(const Transaction& transaction, const MessageView& answer, TimePoint now) {
  Allocated allocated;
  std::optional<Address> relayed;
  for (const stun::Attribute& attribute : answer) {
    if (attribute.type != Attr::kXorRelayedAddress) continue;
    const auto address = stun::decode_xor_address(attribute.value, answer.transaction_id());
    if (!address) continue;
    (relayed ? allocated.additional : relayed) = address;
  }
  const auto mapped = answer.find(Attr::kXorMappedAddress);
  const auto mapped_address = mapped ? stun::decode_xor_address(mapped->value, answer.transaction_id()) : std::nullopt;
  const auto lifetime = answer.find(Attr::kLifetime);
  const auto seconds = lifetime ? stun::decode_u32(lifetime->value) : std::nullopt;
  if (!relayed) return fail(transaction, malformed("XOR-RELAYED-ADDRESS is missing or broken"));
  if (!mapped_address) return fail(transaction, malformed("XOR-MAPPED-ADDRESS is missing or broken"));
  if (!seconds) return fail(transaction, malformed("LIFETIME is missing or broken"));

  allocated.relayed = *relayed;
  allocated.mapped = *mapped_address;
  allocated.lifetime = std::chrono::seconds(*seconds);
  if (const auto token = answer.find(Attr::kReservationToken)) {
    allocated.reservation_token = stun::decode_u64(token->value);
  }
  if (const auto error = answer.find(Attr::kAddressErrorCode)) {
    const auto decoded = stun::decode_address_error_code(error->value);
    if (decoded) allocated.additional_error = static_cast<stun::Code>(decoded->error.code);
  }
  if (const auto software = answer.find(Attr::kSoftware)) {
    allocated.software = stun::decode_text(software->value).value_or("");
  }
  allocation_ = allocated;
  set_lifetime(allocated.lifetime, now);
  if (options_.family && relayed->family() != *options_.family) {  // RFC 8656, section 7.3: delete what cannot be used
    fail(transaction, malformed("the relayed address is not of the family that was asked for"));
    return close(now);
  }
  events_.emplace_back(std::move(allocated));
}

void TurnSession::on_refreshed(const Transaction& transaction, const MessageView& answer, TimePoint now) {
  if (transaction.deletes()) {
    forget_allocation();
    events_.emplace_back(Deleted{});
    return;
  }
  const auto attribute = answer.find(Attr::kLifetime);
  const auto seconds = attribute ? stun::decode_u32(attribute->value) : std::nullopt;
  if (!seconds) return fail(transaction, malformed("LIFETIME is missing or broken"));
  set_lifetime(std::chrono::seconds(*seconds), now);
  events_.emplace_back(Refreshed{std::chrono::seconds(*seconds)});
}

void TurnSession::fail(const Transaction& transaction, Failure failure) {
  failure.request = transaction.request;
  failure.peers = transaction.peers;
  failure.channel = transaction.channel;
  events_.emplace_back(std::move(failure));
}

void TurnSession::on_unreachable() {
  const std::vector<Transaction> failed = std::exchange(transactions_, {});
  for (const Transaction& transaction : failed) fail(transaction, failure_of(Failure::Kind::kUnreachable));
  for (const Transaction& transaction : std::exchange(waiting_, {})) {
    fail(transaction, failure_of(Failure::Kind::kUnreachable));
  }
}

std::vector<std::vector<std::byte>> TurnSession::take_output() { return std::exchange(output_, {}); }
std::vector<Event> TurnSession::take_events() { return std::exchange(events_, {}); }

}  // namespace turnkit::client
