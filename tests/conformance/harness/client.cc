// Client: a TURN client as the RFCs' rows speak of it.
#include "tests/conformance/harness/client.h"

#include "base/encoding.h"
#include "stun/channel_data.h"
#include "stun/integrity.h"

namespace turnkit::conformance {

using stun::Attr;
using stun::Class;
using stun::Method;

Client::Client(Harness& harness, const Credentials& credentials, const Address& local, const Address& server)
    : harness_(harness), credentials_(credentials), server_(server), socket_(harness.open(local)) {}

auth::Key Client::key() const {
  const auto algorithm =
      credentials_.style == Style::kSha256 ? stun::PasswordAlgorithm::kSha256 : stun::PasswordAlgorithm::kMd5;
  return auth::long_term_key(algorithm, credentials_.user, challenge_.realm, credentials_.password);
}

Answer Client::learn() {
  const Answer answer =
      exchange(make_message(Class::kRequest, Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); }));
  if (answer.error() == 401) {
    challenge_.realm = answer.text(Attr::kRealm);
    challenge_.nonce = answer.text(Attr::kNonce);
    const Bytes algorithms = answer.value(Attr::kPasswordAlgorithms).value_or(Bytes{});
    challenge_.algorithms.assign(algorithms.begin(), algorithms.end());
  }
  return answer;
}

void Client::add_names(stun::Builder& message) const {
  if (credentials_.userhash) {
    message.raw(Attr::kUserhash, auth::userhash(credentials_.user, challenge_.realm));
  } else {
    message.text(Attr::kUsername, credentials_.user);
  }
  message.text(Attr::kRealm, challenge_.realm).text(Attr::kNonce, challenge_.nonce);
  if (credentials_.style == Style::kLegacy) return;
  message.raw(Attr::kPasswordAlgorithms, challenge_.algorithms);
  message.password_algorithm(credentials_.style == Style::kSha256 ? stun::PasswordAlgorithm::kSha256
                                                                  : stun::PasswordAlgorithm::kMd5);
}

void Client::add_mac(stun::Builder& message) const {
  if (credentials_.style == Style::kLegacy) {
    message.integrity_sha1(key().bytes());
  } else {
    message.integrity_sha256(key().bytes());
  }
}

void Client::sign(stun::Builder& message) const {
  if (!harness_.options().authenticate) return;
  add_names(message);
  add_mac(message);
}

ByteVector Client::signed_message(Method method, const Fill& fill) {
  if (harness_.options().authenticate && challenge_.nonce.empty()) learn();
  return make_message(Class::kRequest, method, [&](stun::Builder& m) {
    if (fill) fill(m);
    sign(m);
  });
}

Answer Client::request(Method method, const Fill& fill) {
  const Answer answer = exchange(signed_message(method, fill));
  check_mac(answer);
  return answer;
}

// Successes must carry a MAC; errors may, and it must be right then, and of the request's kind (RFC 8489,
// section 9.2.4).
void Client::check_mac(const Answer& answer) const {
  if (!answer.arrived() || !harness_.options().authenticate) return;
  const bool sha1 = answer.has(Attr::kMessageIntegrity);
  const bool sha256 = answer.has(Attr::kMessageIntegritySha256);
  EXPECT_FALSE(sha1 && sha256) << answer;
  if (answer.ok()) {
    EXPECT_TRUE(credentials_.style == Style::kLegacy ? sha1 : sha256) << answer;
  }
  if (sha1 || sha256) {
    EXPECT_TRUE(stun::verify_integrity(answer.view(), key().bytes())) << answer;
  }
}

Answer Client::allocate(const Fill& more) {
  return request(Method::kAllocate, [&](stun::Builder& m) {
    m.requested_transport(17);
    if (more) more(m);
  });
}

Answer Client::refresh(std::optional<std::uint32_t> lifetime, const Fill& more) {
  return request(Method::kRefresh, [&](stun::Builder& m) {
    if (lifetime) m.u32(Attr::kLifetime, *lifetime);
    if (more) more(m);
  });
}

Answer Client::permit(std::initializer_list<Address> peers) {
  return request(Method::kCreatePermission, [&](stun::Builder& m) {
    for (const Address& peer : peers) m.xor_address(Attr::kXorPeerAddress, peer);
  });
}

Answer Client::bind(std::uint16_t channel, const Address& peer) {
  return request(Method::kChannelBind,
                 [&](stun::Builder& m) { m.channel_number(channel).xor_address(Attr::kXorPeerAddress, peer); });
}

Answer Client::binding() { return exchange(make_message(Class::kRequest, Method::kBinding)); }

void Client::send(const Address& peer, std::string_view data, const SendAs& as, bool dont_fragment) {
  const ByteVector message = make_message(Class::kIndication, Method::kSend, [&](stun::Builder& m) {
    m.xor_address(Attr::kXorPeerAddress, peer).text(Attr::kData, data);
    if (dont_fragment) m.flag(Attr::kDontFragment);
  });
  socket_->send(server_, message, as);
}

void Client::send_channel(std::uint16_t channel, std::string_view data, const SendAs& as) {
  socket_->send(server_, make_channel_data(channel, data), as);
}

Answer Client::exchange(Bytes request) {
  const stun::TransactionId id = id_of(request);
  socket_->send(server_, request);
  while (std::optional<Datagram> datagram = socket_->receive()) {
    EXPECT_EQ(datagram->from, server_) << "answers leave from the address that the request was sent to";
    const auto message = stun::MessageView::parse(datagram->data);
    const bool is_answer = message && message->transaction_id() == id &&
                           (message->cls() == Class::kSuccess || message->cls() == Class::kError);
    if (is_answer) {
      EXPECT_EQ(message->method(), stun::method_of(load_be16(request.data())));
      return Answer(std::move(datagram->data));
    }
    early_.push_back(*std::move(datagram));
  }
  ADD_FAILURE() << "no answer to " << to_hex(request.first(std::min<std::size_t>(request.size(), 64)));
  return {};
}

std::optional<Datagram> Client::next_datagram() {
  if (early_.empty()) return socket_->receive();
  Datagram datagram = std::move(early_.front());
  early_.pop_front();
  return datagram;
}

std::optional<ByteVector> Client::take_early() {
  if (early_.empty()) return std::nullopt;
  return next_datagram()->data;
}

std::optional<Data> Client::receive_data() {
  const std::optional<Datagram> datagram = next_datagram();
  return datagram ? parse_data(*datagram) : std::nullopt;
}

std::optional<Data> Client::data_so_far() {
  barrier();
  return early_.empty() ? std::nullopt : receive_data();
}

std::optional<Data> Client::parse_data(const Datagram& datagram) {
  Data data;
  data.tos = datagram.tos;
  data.ttl = datagram.ttl;
  if (const auto message = stun::MessageView::parse(datagram.data)) {
    EXPECT_TRUE(message->is(Class::kIndication, Method::kData)) << to_hex(datagram.data);
    const auto peer = message->find(Attr::kXorPeerAddress);
    if (peer) data.peer = stun::decode_xor_address(peer->value, message->transaction_id()).value_or(Address{});
    if (const auto payload = message->find(Attr::kData)) {
      data.has_data = true;
      data.text = as_text(payload->value);
    }
    if (const auto icmp = message->find(Attr::kIcmp)) data.icmp = stun::decode_icmp(icmp->value);
    return data;
  }
  const auto channel_data = stun::parse_channel_data(datagram.data);
  if (!channel_data) {
    ADD_FAILURE() << "neither a Data indication nor ChannelData: " << to_hex(datagram.data);
    return std::nullopt;
  }
  data.channel = channel_data->number;
  data.has_data = true;
  data.text = as_text(channel_data->data);
  return data;
}

// The second answer shows that the turn of the loop that handled what came before the first request is over and
// flushed. Where Binding is switched off, an unsigned Allocate request serves.
void Client::barrier() {
  const Method method = harness_.options().no_stun ? Method::kAllocate : Method::kBinding;
  exchange(make_message(Class::kRequest, method));
  exchange(make_message(Class::kRequest, method));
}

testing::AssertionResult Client::silent() {
  barrier();
  if (early_.empty()) return testing::AssertionSuccess();
  auto result = testing::AssertionFailure() << "came unexpectedly:";
  for (const Datagram& datagram : early_) result << ' ' << to_hex(datagram.data);
  return result;
}

testing::AssertionResult Client::ignored(Bytes message) {
  send_raw(message);
  return silent();
}

testing::AssertionResult succeeded(const Answer& answer) {
  if (answer.ok()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected success, got " << answer;
}

testing::AssertionResult failed(const Answer& answer, int error) {
  if (answer.error() == error) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "expected error " << error << ", got " << answer;
}

}  // namespace turnkit::conformance
