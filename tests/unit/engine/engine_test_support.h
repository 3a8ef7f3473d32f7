// An engine with relayed addresses of a table and a clock of its own, and clients on any transport that sign what they
// send.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/authenticator.h"
#include "stun/attributes.h"
#include "stun/builder.h"
#include "stun/message.h"
#include "tests/conformance/harness/fake_ports.h"
#include "turnd/engine/engine.h"

namespace turnkit::engine {

using namespace std::chrono_literals;
using stun::Attr;
using stun::Class;
using stun::Code;
using stun::Method;

using Fill = std::function<void(stun::Builder&)>;

inline constexpr Address kServer{IpAddress::v4(192, 0, 2, 1), 3478};
inline constexpr Address kPeer{IpAddress::v4(192, 0, 2, 64), 7000};
inline constexpr Address kOtherPeer{IpAddress::v4(192, 0, 2, 65), 7000};
inline constexpr Address kDeniedPeer{IpAddress::v4(198, 51, 100, 1), 7000};

// What came out of the engine, with bytes of its own.
struct Reply {
  std::vector<std::byte> bytes;
  Outcome outcome;

  [[nodiscard]] bool arrived() const { return !bytes.empty(); }
  [[nodiscard]] stun::MessageView view() const { return *stun::MessageView::parse(bytes); }
  [[nodiscard]] bool ok() const { return arrived() && view().cls() == Class::kSuccess; }
  [[nodiscard]] int error() const {
    const auto attribute = arrived() ? view().find(Attr::kErrorCode) : std::nullopt;
    return attribute ? stun::decode_error_code(attribute->value)->code : 0;
  }
  [[nodiscard]] bool has(Attr type) const { return arrived() && view().has(type); }
  [[nodiscard]] std::string text(Attr type) const {
    const auto attribute = arrived() ? view().find(type) : std::nullopt;
    return attribute ? std::string(as_text(attribute->value)) : std::string();
  }
  [[nodiscard]] std::uint32_t u32(Attr type) const {
    const auto attribute = arrived() ? view().find(type) : std::nullopt;
    return attribute ? stun::decode_u32(attribute->value).value_or(0) : 0;
  }
  [[nodiscard]] Address address(Attr type) const {
    const auto attribute = arrived() ? view().find(type) : std::nullopt;
    return attribute ? stun::decode_xor_address(attribute->value, view().transaction_id()).value_or(Address{})
                     : Address{};
  }
};

class EngineTest : public testing::Test, public Observer {
 protected:
  class Path final : public ClientPath {};

  struct Client {
    FiveTuple tuple;
    std::string user = "alice";
    Path path;
  };

  // Takes effect with the first call of anything below.
  EngineConfig config;
  QuotaLimits limits;

  Engine& engine() {
    if (engine_ == nullptr) {
      turnd::PeerRules rules;
      rules.denied = {*turnd::PeerRule::parse("198.51.100.0/24")};
      policy_ = turnd::PeerPolicy(rules);
      quotas_ = std::make_unique<Quotas>(limits);
      engine_ = std::make_unique<Engine>(
          Surroundings{std::make_shared<Rules>(Rules{config, authenticator_, policy_}), ports, *quotas_, *this},
          kWorker);
    }
    return *engine_;
  }
  ~EngineTest() override {
    if (engine_ == nullptr) return;
    engine_->clear("end of test");
    EXPECT_EQ(ports.live(), 0U);
    EXPECT_EQ(quotas_->total(), 0U);
    EXPECT_EQ(count(Event::Kind::kPeerDisconnected), count(Event::Kind::kPeerConnected));
  }

  Client& client(Transport transport = Transport::kTcp, std::string user = "alice") {
    clients_.push_back(std::make_unique<Client>());
    Client& made = *clients_.back();
    made.tuple = {{IpAddress::v4(192, 0, 2, 7), next_port_++}, kServer, transport};
    made.user = std::move(user);
    return made;
  }

  // A request signed by the client's user, with a nonce of its own unless that of another client is to be used.
  Reply request(Client& from, Method method, const Fill& fill = {},
                std::optional<stun::TransactionId> repeated = std::nullopt, const Client* nonce_of = nullptr) {
    Engine& e = engine();
    stun::TransactionId id = last_id_ = repeated.value_or(next_id());
    std::array<std::byte, 2048> buffer;
    stun::Builder m(buffer, Class::kRequest, method, id);
    if (fill) fill(m);
    const auth::NonceText nonce =
        nonce_key_.issue({true, true}, (nonce_of != nullptr ? *nonce_of : from).tuple.client, now.wall);
    m.text(Attr::kUsername, from.user).text(Attr::kRealm, kRealm).text(Attr::kNonce, {nonce.data(), nonce.size()});
    const auth::Key key = key_of(from.user);
    m.integrity_sha1(key.bytes());
    const Bytes message = *m.finish();
    Reply reply = keep(e.on_message(message, from.tuple, from.path, now));
    if (reply.ok()) {
      EXPECT_TRUE(stun::verify_integrity(reply.view(), key.bytes())) << "success needs a MAC";
    }
    return reply;
  }
  Reply unsigned_request(Client& from, Method method, const Fill& fill = {}) {
    return message(from, Class::kRequest, method, fill);
  }
  Reply message(Client& from, Class cls, Method method, const Fill& fill = {}) {
    std::array<std::byte, 2048> buffer;
    stun::Builder m(buffer, cls, method, next_id());
    if (fill) fill(m);
    return keep(engine().on_message(*m.finish(), from.tuple, from.path, now));
  }

  Reply allocate(Client& from, std::uint8_t protocol, const Fill& more = {}) {
    return request(from, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(protocol);
      if (more) more(m);
    });
  }
  Reply permit(Client& from, const Address& peer) {
    return request(from, Method::kCreatePermission,
                   [&](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, peer); });
  }

  // Time passes in sweeps, as in a worker.
  void pass(Duration duration) {
    for (; duration > Duration::zero(); duration -= Engine::kSweepInterval) {
      pass_unswept(Engine::kSweepInterval);
      engine().sweep(now);
    }
  }
  void pass_unswept(Duration duration) {
    now.mono += duration;
    now.wall = WallTime(std::chrono::seconds(1'800'000'000) +
                        std::chrono::floor<std::chrono::seconds>(now.mono - TimePoint(1h)));
  }

  Allocation& allocation_of(Client& of) {
    Allocation* found = engine().find(of.tuple, now);
    EXPECT_NE(found, nullptr);
    return *found;
  }
  [[nodiscard]] std::size_t count(Event::Kind kind) const { return counts_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] const stun::TransactionId& last_id() const { return last_id_; }
  static Reply keep(const Outcome& outcome) { return {{outcome.answer.begin(), outcome.answer.end()}, outcome}; }

  static constexpr unsigned kWorker = 5;
  static constexpr std::string_view kRealm = "example.org";
  Now now{TimePoint(1h), WallTime(std::chrono::seconds(1'800'000'000))};
  std::size_t answers = 0;  // reported

 private:
  void on_event(const Event& event) override { ++counts_[static_cast<std::size_t>(event.kind)]; }
  void on_request(const RequestEvent&) override { ++answers; }

  static auth::Key key_of(std::string_view user) {
    return auth::long_term_key(stun::PasswordAlgorithm::kMd5, user, kRealm, "secret");
  }
  stun::TransactionId next_id() {
    stun::TransactionId id;
    store_be64(id.bytes.data(), ++sent_);
    return id;
  }

  std::uint64_t sent_ = 0;
  std::uint16_t next_port_ = 40000;
  stun::TransactionId last_id_;
  SeededRandom random_{1};
  auth::StaticUsers users_ = [] {
    auth::StaticUsers users;
    EXPECT_TRUE(users.add("alice", kRealm, "secret"));
    EXPECT_TRUE(users.add("bob", kRealm, "secret"));
    return users;
  }();
  auth::NonceKey nonce_key_ = auth::NonceKey::random(random_);
  auth::Authenticator authenticator_{{.realm = std::string(kRealm)}, users_, nonce_key_};
  turnd::PeerPolicy policy_;
  std::unique_ptr<Quotas> quotas_;
  std::array<std::size_t, 16> counts_{};

 protected:
  conformance::FakePorts ports{
      {.ips = {IpAddress::v4(192, 0, 2, 1), *IpAddress::parse("2001:db8::2")}, .min_port = 50000, .max_port = 50999},
      random_};

 private:
  std::unique_ptr<Engine> engine_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace turnkit::engine
