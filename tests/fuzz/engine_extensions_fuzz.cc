// The engine with everything on: tokens, realms, redirection, behaviour discovery, RFC 3489, limits that change. The
// input is a script of Binding and TURN requests, signed with a password or a token or not at all. Whoever proves
// nothing changes nothing, and at the end everything has been given back.
#include <algorithm>
#include <array>

#include "auth/access_token.h"
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

constexpr IpAddress kFirst = IpAddress::v4(192, 0, 2, 1);
constexpr IpAddress kSecond = IpAddress::v4(192, 0, 2, 2);
constexpr std::string_view kRealm = "example.org";
constexpr std::string_view kOrigin = "https://shop.example.com";
constexpr std::size_t kMaxSteps = 48;
constexpr std::array kMethods{Method::kAllocate, Method::kRefresh, Method::kCreatePermission, Method::kBinding};
constexpr std::array kTypes{Attr::kOrigin,       Attr::kAccessToken, Attr::kChangeRequest,
                            Attr::kResponsePort, Attr::kPadding,     Attr::kDraftBandwidth,
                            Attr::kLifetime,     Attr::kBandwidth,   Attr::kRequestedTransport,
                            Attr::kUsername,     Attr::kRealm,       Attr::kNonce};

auth::OAuthKey key_of(std::string_view kid, std::string_view realm) {
  auth::OAuthKey key;
  key.kid = kid;
  key.key.assign(32, std::byte{9});
  key.realm = realm;
  return key;
}

struct Fixed {
  Fixed() {
    require(users.add("alice", kRealm, "wonder") && users.add("alice", "shop", "wonder"), "plain users are taken");
    auto keys = std::make_shared<auth::OAuthKeys>();
    require(static_cast<bool>(keys->add(key_of("north", ""))) && keys->add(key_of("union", "shop")), "keys are taken");
    authenticator.emplace(auth::AuthConfig{.realm = std::string(kRealm),
                                           .origin_realms = {{std::string(kOrigin), "shop"}},
                                           .oauth_keys = keys,
                                           .server_name = "turn"},
                          users, nonce_key);
  }
  auth::StaticUsers users;
  auth::NonceKey nonce_key = auth::NonceKey::from_shared_secret("fuzz");
  std::optional<auth::Authenticator> authenticator;
  turnd::PeerPolicy policy;
};

class Answers final : public engine::Observer {
 public:
  void on_event(const engine::Event&) override {}
  void on_request(const engine::RequestEvent&) override { ++count; }
  std::size_t count = 0;
};

class Run {
 public:
  Run(const Fixed& fixed, Bytes script) : fixed_(fixed), script_(script) {
    config_.detailed_reasons = true;
    config_.mapped_address = true;
    config_.serve_rfc3489 = true;
    config_.server_relay = true;
    config_.check_origin = true;
    config_.discovery = *engine::Discovery::make({kFirst, kSecond}, {{3478, 3479}});
    engine_.set_rules(rules());
  }

  void all() {
    for (std::size_t step = 0; step < kMaxSteps && script_.remaining() > 0; ++step) {
      const std::uint8_t choice = script_.u8() % 8;
      if (choice == 0) {
        deliver(copy(script_.take(std::min<std::size_t>(script_.u8(), script_.remaining()))), false);
      } else if (choice == 1) {
        change();
      } else if (choice == 2) {
        const std::chrono::seconds passed(script_.u8());
        now_.mono += passed;
        now_.wall += passed;
        engine_.sweep(now_);
      } else {
        request();
      }
    }
    engine_.clear("end");
    require(engine_.allocations() == 0 && ports_.live() == ports_.reserved(), "clear() ends all");
    require(quotas_.total() == 0 && quotas_.total(kRealm) == 0 && quotas_.total("shop") == 0, "quotas come back");
  }

 private:
  class Path final : public engine::ClientPath {};

  [[nodiscard]] std::shared_ptr<const engine::Rules> rules() const {
    return std::make_shared<engine::Rules>(engine::Rules{config_, *fixed_.authenticator, fixed_.policy});
  }

  void change() {
    const std::uint8_t choice = script_.u8();
    config_.draining = (choice & 1) != 0;
    config_.secure_stun = (choice & 2) != 0;
    config_.alternates = {};
    if ((choice & 4) != 0) config_.alternates.any = {{IpAddress::v4(198, 51, 100, 1), 3478}};
    config_.unauthorized_rps = (choice & 8) != 0 ? 2 : 0;
    config_.check_origin = (choice & 16) == 0;
    engine_.set_rules(rules());
    engine::QuotaLimits limits;
    limits.per_user = choice >> 5;
    limits.max_bps = (choice & 32) != 0 ? 1000 : 0;
    limits.bps_capacity = (choice & 32) != 0 ? 3000 : 0;
    limits.realms["shop"].total = 2;
    quotas_.set_limits(limits);
  }

  [[nodiscard]] engine::FiveTuple tuple() const {
    return {{IpAddress::v4(192, 0, 2, 7), static_cast<std::uint16_t>(40000 + (who_ & 3))},
            {(who_ & 4) != 0 ? kSecond : kFirst, static_cast<std::uint16_t>((who_ & 8) != 0 ? 3479 : 3478)},
            static_cast<engine::Transport>((who_ >> 4) & 3)};
  }

  void attributes(stun::Builder& m) {
    for (std::uint8_t left = script_.u8() % 4; left > 0; --left) {
      const std::uint8_t choice = script_.u8();
      const Attr type = kTypes[choice % kTypes.size()];
      if (type == Attr::kOrigin && (choice & 0x80) == 0) {
        m.text(type, kOrigin);
      } else {
        m.raw(type, script_.take(std::min<std::size_t>(script_.u8() % 40, script_.remaining())));
      }
    }
  }

  void request() {
    who_ = script_.u8();
    const std::uint8_t choice = script_.u8();
    const Method method = kMethods[choice & 3];
    std::array<std::byte, 4096> buffer;
    stun::TransactionId id;
    store_be64(id.bytes.data(), (choice & 4) != 0 ? sent_ : ++sent_);
    stun::Builder m(buffer, Class::kRequest, method, id, (choice & 8) != 0 ? 0x01020304 : stun::kMagicCookie);
    if (method == Method::kAllocate) m.requested_transport(17);
    attributes(m);
    const unsigned proof = choice >> 6;  // none, a password, a token, the token's key alone
    const std::string_view realm = (choice & 16) != 0 ? "shop" : kRealm;
    const auth::NonceText nonce = fixed_.nonce_key.issue({true, true}, tuple().client, now_.wall);
    if (proof == 1) {
      m.text(Attr::kUsername, "alice").text(Attr::kRealm, realm).text(Attr::kNonce, {nonce.data(), nonce.size()});
      m.integrity_sha1(auth::long_term_key(stun::PasswordAlgorithm::kMd5, "alice", realm, "wonder").bytes());
    } else if (proof >= 2) {
      const std::string_view kid = (choice & 32) != 0 ? "union" : "north";
      auth::AccessToken token;
      token.mac_key.assign(20, std::byte{script_.u8()});
      token.seconds = static_cast<std::uint64_t>(now_.wall.time_since_epoch().count());
      token.lifetime = script_.u8();
      std::array<std::byte, auth::kTokenNonceSize> token_nonce{};
      m.text(Attr::kUsername, kid).text(Attr::kNonce, {nonce.data(), nonce.size()}).text(Attr::kRealm, realm);
      if (proof == 2) m.raw(Attr::kAccessToken, auth::seal_token(key_of(kid, ""), "turn", token, token_nonce));
      m.integrity_sha1(token.mac_key);
    }
    if (const std::optional<Bytes> message = m.finish()) deliver(copy(*message), proof != 0);
  }

  void deliver(const Buffer& bytes, bool may_change) {
    (void)engine_.find(tuple(), now_);
    const std::size_t before = engine_.allocations();
    const std::size_t answered = answers_.count;
    const engine::Outcome outcome = engine_.on_message(bytes, tuple(), path_, now_);
    require(may_change || engine_.allocations() == before, "allocations come and go by authenticated requests only");
    require(engine_.allocations() == quotas_.total(), "each allocation has its place in the quotas");
    require((answers_.count - answered) == (outcome.answer.empty() ? 0U : 1U), "each answer is reported once");
    require(!outcome.answer.empty() || outcome.drop != engine::Drop::kNone || outcome.relay != nullptr, "or a reason");
    if (outcome.answer.empty()) return;
    const auto request = stun::MessageView::parse(bytes, nullptr, stun::Cookie::kAny);
    const auto answer = stun::MessageView::parse(outcome.answer, nullptr, stun::Cookie::kAny);
    require(request && request->cls() == Class::kRequest && answer, "only requests are answered");
    require(equal(request->bytes().subspan(4, 16), answer->bytes().subspan(4, 16)), "to this very transaction");
    if (const auto code = answer->find(Attr::kErrorCode)) {
      const bool redirected = stun::decode_error_code(code->value)->code == 300;
      require(redirected == answer->has(Attr::kAlternateServer), "300 says where to");
      require(!redirected || request->method() == Method::kAllocate, "only Allocate is redirected");
    }
    const bool elsewhere = outcome.answer_from || outcome.answer_to;
    require(!elsewhere || tuple().transport == engine::Transport::kUdp, "a connection keeps its addresses");
    require(!elsewhere || request->method() == Method::kBinding, "only Binding goes elsewhere");
    if (outcome.answer_to) require(outcome.answer_to->ip == tuple().client.ip, "never to another address");
    if (outcome.answer_from) {
      require(outcome.answer_from->ip == kFirst || outcome.answer_from->ip == kSecond, "from a listener's address");
    }
    require(outcome.answer.size() <= 5 * bytes.size() + 80, "answers stay small");
  }

  const Fixed& fixed_;
  Reader script_;
  SeededRandom random_{1};
  Now now_{TimePoint(std::chrono::hours(1)), WallTime(std::chrono::seconds(1'800'000'000))};
  Answers answers_;
  engine::EngineConfig config_;
  engine::Quotas quotas_{{}};
  conformance::FakePorts ports_{{.ips = {kFirst}, .min_port = 50000, .max_port = 50015}, random_};
  Path path_;
  engine::Engine engine_{{rules(), ports_, quotas_, answers_}, 0};
  unsigned who_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Fixed fixed;
  const Buffer script = input(data, size);
  Run(fixed, script).all();
  return 0;
}
