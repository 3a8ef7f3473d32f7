// The engine's state machine: the input is a script of requests that are signed as one known user signs them, of
// whatever else a client may send, of peers' datagrams and of time that passes. Nothing may come out that the rules do
// not allow, and nothing may be left over.
#include <algorithm>
#include <array>
#include <tuple>

#include "auth/authenticator.h"
#include "fuzz.h"
#include "tests/conformance/harness/fake_ports.h"
#include "turnd/engine/engine.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using stun::Attr;
using stun::Class;
using stun::Method;

namespace {

constexpr Address kServer{IpAddress::v4(192, 0, 2, 1), 3478};
constexpr std::string_view kRealm = "example.org";
constexpr std::size_t kMaxSteps = 64;
constexpr std::array kMethods{Method::kAllocate, Method::kRefresh, Method::kCreatePermission, Method::kChannelBind,
                              Method::kBinding,  Method::kConnect, Method::kConnectionBind,   Method::kRefresh};
constexpr std::array kTypes{Attr::kRequestedTransport,
                            Attr::kLifetime,
                            Attr::kXorPeerAddress,
                            Attr::kChannelNumber,
                            Attr::kEvenPort,
                            Attr::kReservationToken,
                            Attr::kRequestedAddressFamily,
                            Attr::kAdditionalAddressFamily,
                            Attr::kDontFragment,
                            Attr::kData,
                            Attr::kConnectionId,
                            Attr::kMobilityTicket};

// What all runs share: they change nothing in it.
struct Fixed {
  Fixed() {
    require(users.add("alice", kRealm, "wonder"), "a plain user is taken");
    turnd::PeerRules rules;
    rules.denied = {*turnd::PeerRule::parse("198.51.100.0/24"), *turnd::PeerRule::parse("203.0.113.0/24:1-1000")};
    policy = turnd::PeerPolicy(rules);
  }
  auth::StaticUsers users;
  auth::NonceKey nonce_key = auth::NonceKey::from_shared_secret("fuzz");
  auth::Authenticator authenticator{{.realm = std::string(kRealm)}, users, nonce_key};
  turnd::PeerPolicy policy;
  const auth::Key key = auth::long_term_key(stun::PasswordAlgorithm::kMd5, "alice", kRealm, "wonder");
};

class Balance final : public engine::Observer {
 public:
  void on_event(const engine::Event& event) override {
    using enum engine::Event::Kind;
    switch (event.kind) {
      case kAllocationCreated:
        ++allocations;
        break;
      case kAllocationDeleted:
        require(allocations-- > 0, "no deletion without a creation");
        break;
      case kPermissionAdded:
        ++permissions;
        break;
      case kPermissionRemoved:
        require(permissions-- > 0, "no permission goes that did not come");
        break;
      case kPeerConnected:
        ++connections;
        break;
      case kPeerDisconnected:
        require(connections-- > 0, "no connection goes that did not come");
        break;
      case kChannelBound:
        ++channels;
        break;
      case kChannelUnbound:
        require(channels-- > 0, "no channel goes that did not come");
        break;
      default:
        break;
    }
  }
  void on_request(const engine::RequestEvent&) override { ++answers; }

  int allocations = 0;
  int permissions = 0;
  int channels = 0;
  int connections = 0;
  std::size_t answers = 0;
};

class Run {
 public:
  Run(const Fixed& fixed, Bytes script) : fixed_(fixed), script_(script) {}

  void all() {
    for (std::size_t step = 0; step < kMaxSteps && script_.remaining() > 0; ++step) {
      switch (script_.u8() % 10) {
        case 0:
          deliver(copy(script_.take(std::min<std::size_t>(script_.u8(), script_.remaining()))), false);
          break;
        case 1:
        case 2:
        case 3:
          request();
          break;
        case 4:
          indication();
          break;
        case 5:
          channel_data();
          break;
        case 6:
          peer();
          break;
        case 7:
          tcp();
          break;
        case 8:
          close_path();
          break;
        default:
          pass_time();
      }
    }
    engine_.clear("end");
    require(engine_.allocations() == 0 && balance_.allocations == 0, "clear() ends all");
    require(balance_.connections == 0, "connections with peers, too");
    require(ports_.live() == ports_.reserved(), "no relayed address is left over");
    require(quotas_.total() == 0, "all quota is given back");
  }

 private:
  class Path final : public engine::ClientPath {};

  // Two clients on UDP, two on TCP.
  void choose_client() { who_ = script_.u8() & 3; }
  [[nodiscard]] engine::FiveTuple tuple() const {
    return {{IpAddress::v4(192, 0, 2, 7), static_cast<std::uint16_t>(40000 + who_)},
            kServer,
            who_ < 2 ? engine::Transport::kUdp : engine::Transport::kTcp};
  }
  Address some_address() {
    const std::uint8_t choice = script_.u8();
    const auto low = static_cast<std::uint8_t>(choice & 3);
    const std::uint16_t port = (choice & 0x80) != 0 ? script_.u16() : std::uint16_t{5000};
    switch ((choice >> 2) & 7) {
      case 0:
        return {IpAddress::v4(198, 51, 100, low), port};
      case 1:
        return {IpAddress::v4(203, 0, 113, low), port};
      case 2:
        return {*IpAddress::parse("2001:db8::1"), port};
      case 3:
        return {IpAddress::v4(127, 0, 0, low), port};
      default:
        return {IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(64 + low)), port};
    }
  }

  // Attributes: a good value, or one from the script.
  void attributes(stun::Builder& m) {
    for (std::uint8_t left = script_.u8() % 6; left > 0; --left) {
      const std::uint8_t choice = script_.u8();
      const Attr type = choice >= 0xF0 ? Attr{script_.u16()} : kTypes[choice % kTypes.size()];
      if (type == Attr::kXorPeerAddress && (choice & 0x10) == 0) {
        m.xor_address(type, some_address());
      } else if (type == Attr::kRequestedTransport && (choice & 0x10) == 0) {
        m.requested_transport(17);
      } else if (type == Attr::kReservationToken && (choice & 0x10) == 0) {
        m.u64(type, token_);
      } else if (type == Attr::kConnectionId && (choice & 0x10) == 0) {
        m.u32(type, connection_);
      } else if (type == Attr::kMobilityTicket && (choice & 0x10) == 0) {
        m.raw(type, ticket_);
      } else {
        m.raw(type, script_.take(std::min<std::size_t>(script_.u8() % 24, script_.remaining())));
      }
    }
  }

  void request() {
    const std::uint8_t choice = script_.u8();
    choose_client();
    const Method method = kMethods[(choice >> 1) % kMethods.size()];
    const bool sign = (choice & 0x30) != 0;
    stun::TransactionId id;
    store_be64(id.bytes.data(), ++sent_);
    if ((choice & 0x40) != 0) id = last_id_;
    last_id_ = id;
    std::array<std::byte, 4096> buffer;
    stun::Builder m(buffer, Class::kRequest, method, id);
    if (method == Method::kAllocate && (choice & 0x80) == 0) m.requested_transport(who_ == 3 ? 6 : 17);
    if (method == Method::kAllocate && (choice & 0x01) != 0) m.flag(Attr::kMobilityTicket);
    attributes(m);
    if (sign) {
      const auth::NonceText nonce = fixed_.nonce_key.issue({true, true}, tuple().client, now_.wall);
      m.text(Attr::kUsername, "alice").text(Attr::kRealm, kRealm).text(Attr::kNonce, {nonce.data(), nonce.size()});
      m.integrity_sha1(fixed_.key.bytes());
    }
    const std::optional<Bytes> message = m.finish();
    if (!message) return;
    Buffer bytes = copy(*message);
    const bool flip = script_.u8() >= 0xE0;
    if (flip) bytes[script_.u16() % bytes.size()] ^= std::byte{1};
    deliver(bytes, sign && !flip);
  }

  void indication() {
    choose_client();
    std::array<std::byte, 4096> buffer;
    stun::Builder m(buffer, Class::kIndication, Method::kSend, last_id_);
    m.xor_address(Attr::kXorPeerAddress, some_address());
    if ((script_.u8() & 1) != 0) m.text(Attr::kData, "data");
    attributes(m);
    if (const std::optional<Bytes> message = m.finish()) deliver(copy(*message), false);
  }

  void deliver(const Buffer& bytes, bool may_change) {
    std::ignore = engine_.find(tuple(), now_);  // ends what is over
    const std::size_t before = engine_.allocations();
    const std::size_t answered = balance_.answers;
    const engine::Outcome outcome = engine_.on_message(bytes, tuple(), paths_[who_], now_);
    require(may_change || engine_.allocations() == before, "allocations come and go by authenticated requests only");
    require((balance_.answers - answered) == (outcome.answer.empty() ? 0U : 1U), "each answer is reported once");
    if (outcome.relay != nullptr) {
      require(outcome.answer.empty(), "either an answer or a datagram");
      require(outcome.allocation->permits(outcome.peer.ip, now_.mono), "no datagram without a permission");
      require(outcome.relay->owner() == outcome.allocation, "from the client's own relayed address");
      require(outcome.relay->local().family() == outcome.peer.family(), "of the peer's family");
    }
    if (outcome.pending) require(outcome.answer.empty() && outcome.drop == engine::Drop::kNone, "an answer will come");
    if (outcome.connection != 0) {
      require(may_change && who_ >= 2 && !outcome.answer.empty(), "ConnectionBind succeeds on streams only");
      const engine::PeerConnection* bound = outcome.allocation->tcp->find(outcome.connection);
      require(bound != nullptr && bound->state == engine::PeerConnection::State::kBound, "what is bound is there");
    }
    if (outcome.answer.empty()) return;
    const auto request = stun::MessageView::parse(bytes);
    const auto answer = stun::MessageView::parse(outcome.answer);
    require(request && request->cls() == Class::kRequest, "only requests are answered");
    require(answer && answer->transaction_id() == request->transaction_id(),
            "an answer is a message of this transaction");
    require(answer->method() == request->method(), "of the request's method");
    const bool is_error = answer->cls() == Class::kError;
    require(is_error || answer->cls() == Class::kSuccess, "an answer is a success or an error");
    const bool known = answer->has(Attr::kMessageIntegrity);
    require(known || outcome.answer.size() <= std::max<std::size_t>(4 * bytes.size(), 96), "strangers get little");
    require(known == may_change || is_error || request->method() == Method::kBinding, "success needs credentials");
    if (const auto token = answer->find(Attr::kReservationToken)) token_ = load_be64(token->value.data());
    if (const auto ticket = answer->find(Attr::kMobilityTicket)) ticket_ = copy(ticket->value);
  }

  // What a relayed TCP address reports: attempts that end, peers that connect and that go.
  void tcp() {
    who_ = 3;
    engine::Allocation* allocation = engine_.find(tuple(), now_);
    if (allocation == nullptr || allocation->tcp == nullptr) return;
    const std::uint8_t choice = script_.u8();
    if ((choice & 3) == 0) {
      const Address from = some_address();
      const engine::Outcome outcome = engine_.on_peer_connected(*allocation, from, now_);
      require((outcome.connection == 0) == (outcome.drop != engine::Drop::kNone), "a connection or a reason");
      if (outcome.connection == 0) return;
      require(allocation->permits(from.ip, now_.mono), "no connection without a permission");
      connection_ = outcome.connection;
    } else if (allocation->tcp->size() != 0) {
      const auto entry = allocation->tcp->begin() + choice % static_cast<std::ptrdiff_t>(allocation->tcp->size());
      connection_ = entry->first;
      if ((choice & 3) == 1) return engine_.on_connection_closed(*allocation, connection_, "script");
      const bool asked = entry->second.state == engine::PeerConnection::State::kConnecting;
      const engine::Outcome outcome = engine_.on_connect_result(*allocation, connection_, (choice & 0x80) != 0, now_);
      require(asked != outcome.answer.empty(), "each Connect is answered once");
    }
  }

  void close_path() {
    choose_client();
    if (who_ >= 2) engine_.on_path_closed(tuple(), "script");
  }

  void channel_data() {
    choose_client();
    engine::Allocation* allocation = engine_.find_for_data(tuple(), now_);
    if (allocation == nullptr) return;
    const engine::PeerRoute route = engine_.route_to_peer(*allocation, script_.u16(), now_.mono);
    require((route.relay == nullptr) == (route.drop != engine::Drop::kNone), "a route or a reason");
    if (route.relay != nullptr) require(allocation->permits(route.peer.ip, now_.mono), "no route without a permission");
  }

  void peer() {
    choose_client();
    engine::Allocation* allocation = engine_.find(tuple(), now_);
    if (allocation == nullptr) return;
    const Address from = some_address();
    const engine::ClientRoute route = engine_.route_to_client(*allocation, from, now_.mono);
    if (route.drop == engine::Drop::kNone) {
      require(allocation->permits(from.ip, now_.mono), "no route without a permission");
      std::array<std::byte, engine::Engine::kMaxDataHead> head;
      const std::size_t size = script_.u16();
      const Bytes written = engine_.data_indication_head(from, size, head);
      if (!written.empty()) {
        Buffer message = copy(written);
        message.resize((message.size() + size + 3) & ~std::size_t{3});
        const auto view = stun::MessageView::parse(message);
        require(view && view->find(Attr::kData)->value.size() == size, "a Data indication of this size");
      }
    }
    const engine::Outcome icmp =
        engine_.on_icmp(*allocation, from, {script_.u8(), script_.u8(), script_.u16()}, now_.mono);
    if (!icmp.answer.empty()) require(allocation->permits(from.ip, now_.mono), "no report without a permission");
  }

  void pass_time() {
    const std::uint8_t choice = script_.u8();
    const std::chrono::seconds passed((choice & 0x7F) * 10);
    now_.mono += passed;
    now_.wall += passed;
    if ((choice & 0x80) == 0) engine_.sweep(now_);
    ports_.expire_reservations(now_.mono);
  }

  const Fixed& fixed_;
  Reader script_;
  SeededRandom random_{1};
  Now now_{TimePoint(std::chrono::hours(1)), WallTime(std::chrono::seconds(1'800'000'000))};
  Balance balance_;
  engine::Quotas quotas_{{.per_user = 3, .total = 0, .max_bps = 0, .bps_capacity = 0}};
  conformance::FakePorts ports_{
      {.ips = {IpAddress::v4(192, 0, 2, 1), *IpAddress::parse("2001:db8::2")}, .min_port = 50000, .max_port = 50003},
      random_};
  std::array<Path, 4> paths_;
  engine::Engine engine_{{std::make_shared<engine::Rules>(engine::Rules{[] {
                                                                          engine::EngineConfig config;
                                                                          config.max_permissions = 4;
                                                                          config.max_channels = 4;
                                                                          config.max_tcp_connections = 4;
                                                                          config.mobility = true;
                                                                          config.software = "Turnkit";
                                                                          return config;
                                                                        }(),
                                                                        fixed_.authenticator, fixed_.policy}),
                          ports_, quotas_, balance_},
                         0};
  unsigned who_ = 0;
  std::uint64_t sent_ = 0;
  stun::TransactionId last_id_;
  std::uint64_t token_ = 0;
  std::uint32_t connection_ = 0;
  Buffer ticket_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Fixed fixed;
  const Buffer script = input(data, size);
  Run(fixed, script).all();
  return 0;
}
