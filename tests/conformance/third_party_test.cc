// Third-party authorization (RFC 7635).
#include "auth/access_token.h"
#include "base/encoding.h"
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kServerName = "turn.example.org";

std::vector<std::byte> key_material(std::size_t size, unsigned char fill) {
  return std::vector<std::byte>(size, std::byte{fill});
}

auth::OAuthKey key_of(std::string_view kid, auth::TokenAlgorithm algorithm = auth::TokenAlgorithm::kA256Gcm,
                      std::string_view realm = {}) {
  auth::OAuthKey key;
  key.kid = kid;
  key.key = key_material(auth::token_key_size(algorithm), static_cast<unsigned char>(kid.size()));
  key.algorithm = algorithm;
  key.realm = realm;
  return key;
}

// What an authorization server gave a client.
struct Grant {
  auth::OAuthKey key = key_of("north");
  std::string server_name{kServerName};
  auth::AccessToken token;
  bool sha256 = false;
  std::size_t used = std::string::npos;  // bytes of the mac_key that go into the MAC
  [[nodiscard]] Bytes key_bytes() const { return Bytes(token.mac_key).first(std::min(used, token.mac_key.size())); }
};

}  // namespace

class ThirdPartyTest {
 public:
  ThirdPartyTest(Fixture&, Client& client, const Options& options, Now now) : client_(client), options_(options) {
    now_ = now;
  }

  [[nodiscard]] Grant grant(std::chrono::seconds lifetime = 1h, std::string_view kid = "north") const {
    Grant grant;
    for (const auth::OAuthKey& key : options_.oauth_keys) {
      if (key.kid == kid) grant.key = key;
    }
    grant.token.mac_key = key_material(20, 0x5A);
    grant.token.seconds = static_cast<std::uint64_t>(now_.wall.time_since_epoch().count());
    grant.token.lifetime = static_cast<std::uint32_t>(lifetime.count());
    return grant;
  }

  // USERNAME, ACCESS-TOKEN where wanted, REALM, NONCE and the MAC.
  [[nodiscard]] ByteVector message(Method method, const Grant& grant, const Fill& fill = {}, bool with_token = true) {
    if (client_.challenge().nonce.empty()) client_.learn();
    static std::uint64_t nonces = 0;
    std::array<std::byte, auth::kTokenNonceSize> nonce{};
    store_be64(nonce.data(), ++nonces);
    const auto sealed = auth::seal_token(grant.key, grant.server_name, grant.token, nonce);
    return make_message(Class::kRequest, method, [&](stun::Builder& m) {
      if (fill) fill(m);
      m.text(Attr::kUsername, grant.key.kid);
      m.text(Attr::kRealm, client_.challenge().realm).text(Attr::kNonce, client_.challenge().nonce);
      if (with_token) m.raw(Attr::kAccessToken, sealed);
      grant.sha256 ? m.integrity_sha256(grant.key_bytes()) : m.integrity_sha1(grant.key_bytes());
    });
  }
  Answer allocate(const Grant& grant, const Fill& more = {}) {
    return client_.exchange(message(Method::kAllocate, grant, [&](stun::Builder& m) {
      m.requested_transport(17);
      if (more) more(m);
    }));
  }

 private:
  Client& client_;
  const Options& options_;
  Now now_;
};

class ThirdParty : public Turn {
 protected:
  ThirdParty() {
    options.server_name = kServerName;
    options.oauth_keys = {key_of("north"), key_of("union", auth::TokenAlgorithm::kA128Gcm, "north.gov"),
                          key_of("oldempire")};
  }
  Client& stranger() {
    client_ = &client();
    party_.emplace(*this, *client_, options, harness().now());
    return *client_;
  }
  ThirdPartyTest& party() {
    if (!party_) stranger();
    return *party_;
  }
  Client* client_ = nullptr;

 private:
  std::optional<ThirdPartyTest> party_;
};

INSTANTIATE_TEST_SUITE_P(Conformance, ThirdParty, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const auto& kind) { return kind.param == Kind::kEngine ? "engine" : "binary"; });

TEST_P(ThirdParty, TPA_001_a_challenge_names_the_server) {
  const Answer answer = stranger().learn();
  EXPECT_TRUE(failed(answer, 401));
  EXPECT_EQ(answer.text(Attr::kThirdPartyAuthorization), kServerName);
  EXPECT_TRUE(answer.has(Attr::kRealm) && answer.has(Attr::kNonce));
}

TEST_P(ThirdParty, TPA_002_a_client_that_knows_no_tokens_uses_its_password) {
  EXPECT_TRUE(succeeded(client().allocate()));
  EXPECT_TRUE(succeeded(client({.style = Style::kSha256}).allocate()));
}

TEST_P(ThirdParty, TPA_003_a_token_lets_in_and_answers_are_keyed_with_its_mac_key) {
  for (const std::string_view kid : {"north", "union", "oldempire"}) {
    stranger();
    const Grant grant = party().grant(1h, kid);
    const Answer answer = party().allocate(grant);
    ASSERT_TRUE(succeeded(answer)) << kid;
    EXPECT_TRUE(stun::verify_integrity(answer.view(), grant.token.mac_key)) << "no MD5 step";
  }
}

TEST_P(ThirdParty, TPA_003_the_realm_is_not_needed_but_the_nonce_is) {
  stranger().learn();
  const Grant grant = party().grant();
  std::array<std::byte, auth::kTokenNonceSize> nonce{std::byte{0xEE}};
  const auto token = auth::seal_token(grant.key, grant.server_name, grant.token, nonce);
  const auto send = [&](bool with_nonce) {
    return client_->exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17).text(Attr::kUsername, grant.key.kid).raw(Attr::kAccessToken, token);
      if (with_nonce) m.text(Attr::kNonce, client_->challenge().nonce);
      m.integrity_sha1(grant.token.mac_key);
    }));
  };
  EXPECT_TRUE(failed(send(false), 400));
  EXPECT_TRUE(succeeded(send(true)));
}

TEST_P(ThirdParty, TPA_004_an_unknown_kid_gets_401) {
  Grant grant = party().grant();
  grant.key.kid = "south";
  const Answer answer = party().allocate(grant);
  EXPECT_TRUE(failed(answer, 401));
  EXPECT_TRUE(answer.has(Attr::kThirdPartyAuthorization)) << "with a new challenge";
}

TEST_F(TurnEngine, TPA_004_a_key_past_its_own_lifetime_gets_401) {
  auth::OAuthKey key = key_of("north");
  key.from = WallTime(1'800'000'000s);
  key.lifetime = 100s;
  options.oauth_keys = {key};
  options.server_name = kServerName;
  Client& c = client();
  ThirdPartyTest early(*this, c, options, harness().now());
  EXPECT_TRUE(succeeded(early.allocate(early.grant())));
  harness().advance(104s);
  Client& later = client();
  ThirdPartyTest tolerated(*this, later, options, harness().now());
  EXPECT_TRUE(succeeded(tolerated.allocate(tolerated.grant()))) << "5 s of tolerance";
  harness().advance(2s);
  Client& last = client();
  ThirdPartyTest late(*this, last, options, harness().now());
  EXPECT_TRUE(failed(late.allocate(late.grant()), 401));
}

TEST_P(ThirdParty, TPA_005_a_token_that_does_not_open_gets_401) {
  stranger();
  Grant other_name = party().grant();
  other_name.server_name = "turn.example.net";
  EXPECT_TRUE(failed(party().allocate(other_name), 401)) << "the server's name is authenticated";
  Grant other_key = party().grant();
  other_key.key.key.back() ^= std::byte{1};
  EXPECT_TRUE(failed(party().allocate(other_key), 401));
  Grant other_algorithm = party().grant(1h, "union");
  other_algorithm.key.kid = "north";
  EXPECT_TRUE(failed(party().allocate(other_algorithm), 401));

  const Grant grant = party().grant();
  const auto token = auth::seal_token(grant.key, grant.server_name, grant.token, key_material(12, 1));
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{14}, std::size_t{30}, token.size() - 1}) {
    const Answer answer = client_->exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17).text(Attr::kUsername, "north").raw(Attr::kAccessToken, Bytes(token).first(size));
      m.text(Attr::kRealm, client_->challenge().realm).text(Attr::kNonce, client_->challenge().nonce);
      m.integrity_sha1(grant.token.mac_key);
    }));
    EXPECT_TRUE(failed(answer, 401)) << size << " bytes of a token";
  }
}

TEST_P(ThirdParty, TPA_006_a_wrong_mac_gets_401) {
  Grant grant = party().grant();
  ByteVector message = party().message(Method::kAllocate, grant, [](stun::Builder& m) { m.requested_transport(17); });
  message.back() ^= std::byte{1};
  EXPECT_TRUE(failed(client_->exchange(message), 401));
}

TEST_P(ThirdParty, TPA_007_a_token_is_good_until_5_s_after_its_end) {
  stranger();
  Grant over = party().grant(60s);
  over.token.seconds -= 66;
  EXPECT_TRUE(failed(party().allocate(over), 401));
  Grant tolerated = party().grant(60s);
  tolerated.token.seconds -= 61;
  EXPECT_TRUE(succeeded(party().allocate(tolerated)));
}

TEST_P(ThirdParty, TPA_008_an_allocation_ends_with_its_token) {
  stranger();
  const Answer answer = party().allocate(party().grant(120s), [](stun::Builder& m) { m.u32(Attr::kLifetime, 1800); });
  ASSERT_TRUE(succeeded(answer));
  EXPECT_LE(answer.lifetime(), 120);
  EXPECT_GE(answer.lifetime(), 110);
  const Answer refreshed = client_->exchange(
      party().message(Method::kRefresh, party().grant(300s), [](stun::Builder& m) { m.u32(Attr::kLifetime, 1800); }));
  ASSERT_TRUE(succeeded(refreshed));
  EXPECT_LE(refreshed.lifetime(), 300) << "a newer token lets it live longer";
  EXPECT_GE(refreshed.lifetime(), 290);
}

TEST_P(ThirdParty, TPA_009_a_session_goes_on_under_the_latest_token) {
  stranger();
  const Grant first = party().grant();
  ASSERT_TRUE(succeeded(party().allocate(first)));
  const auto permit = [&](const Grant& grant, bool with_token) {
    return client_->exchange(party().message(
        Method::kCreatePermission, grant,
        [&](stun::Builder& m) {
          m.xor_address(Attr::kXorPeerAddress, {harness().ip(2), 0});
        },
        with_token));
  };
  EXPECT_TRUE(succeeded(permit(first, true)));
  EXPECT_TRUE(succeeded(permit(first, false))) << "coturn's clients send the token with Allocate and Refresh only";

  Grant second = party().grant(1h, "union");
  second.token.mac_key = key_material(20, 0x77);
  EXPECT_TRUE(failed(permit(second, false), 401)) << "not before the server has seen the token";
  EXPECT_TRUE(succeeded(client_->exchange(party().message(Method::kRefresh, second))));
  EXPECT_TRUE(succeeded(permit(second, false)));
  EXPECT_TRUE(failed(permit(first, false), 401)) << "its mac_key is over";
}

TEST_P(ThirdParty, TPA_009_a_refused_request_leaves_the_token_as_it_was) {
  stranger();
  const Grant first = party().grant();
  ASSERT_TRUE(succeeded(party().allocate(first)));
  Grant second = party().grant(1h, "union");
  second.token.mac_key = key_material(20, 0x77);
  const auto unknown = [](stun::Builder& m) { m.u32(static_cast<Attr>(0x0777), 1); };
  EXPECT_TRUE(failed(client_->exchange(party().message(Method::kRefresh, second, unknown)), 420));
  const auto permit = [&](const Grant& grant) {
    const auto peer = [&](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, {harness().ip(2), 0}); };
    return client_->exchange(party().message(Method::kCreatePermission, grant, peer, false));
  };
  EXPECT_TRUE(failed(permit(second), 401));
  EXPECT_TRUE(succeeded(permit(first)));
}

TEST_P(ThirdParty, TPA_009_a_password_does_not_take_over_a_tokens_session_nor_the_other_way) {
  stranger();
  ASSERT_TRUE(succeeded(party().allocate(party().grant())));
  EXPECT_TRUE(failed(client_->refresh(0), 441));
  Client& c = stranger();
  ASSERT_TRUE(succeeded(c.allocate()));
  EXPECT_TRUE(failed(c.exchange(party().message(Method::kRefresh, party().grant())), 441));
}

TEST_P(ThirdParty, TPA_010_the_mac_keys_size_goes_with_the_mac) {
  stranger();
  Grant grant = party().grant();
  for (const std::size_t size : {0U, 16U, 19U, 21U, 32U, 64U}) {
    grant.token.mac_key = key_material(size, 3);
    EXPECT_TRUE(failed(party().allocate(grant), 401)) << size;
  }
  grant.sha256 = true;
  grant.token.mac_key = key_material(20, 3);
  EXPECT_TRUE(failed(party().allocate(grant), 401)) << "MESSAGE-INTEGRITY-SHA256 needs 32 bytes";
  grant.token.mac_key = key_material(32, 3);
  const Answer answer = party().allocate(grant);
  ASSERT_TRUE(succeeded(answer));
  EXPECT_TRUE(answer.has(Attr::kMessageIntegritySha256));
  EXPECT_TRUE(stun::verify_integrity(answer.view(), grant.token.mac_key));
}

TEST_P(ThirdParty, TPA_010_coturns_clients_use_16_bytes_of_20) {
  stranger();
  Grant grant = party().grant();
  grant.used = 16;
  const Answer answer = party().allocate(grant);
  ASSERT_TRUE(succeeded(answer));
  EXPECT_TRUE(stun::verify_integrity(answer.view(), Bytes(grant.token.mac_key).first(16))) << "and so do its answers";
  EXPECT_TRUE(succeeded(client_->exchange(party().message(Method::kRefresh, grant, {}, false))));
  for (const std::size_t used : {0U, 15U, 17U, 19U}) {
    stranger();
    grant.used = used;
    EXPECT_TRUE(failed(party().allocate(grant), 401)) << used;
  }
  stranger();
  grant.sha256 = true;
  grant.used = 16;
  grant.token.mac_key = key_material(32, 3);
  EXPECT_TRUE(failed(party().allocate(grant), 401)) << "not with SHA-256";
}

TEST_P(ThirdParty, a_stale_nonce_gets_438_with_a_challenge) {
  stranger().learn();
  client_->challenge().nonce.back() ^= 1;
  const Answer answer = party().allocate(party().grant());
  EXPECT_TRUE(failed(answer, 438));
  EXPECT_TRUE(answer.has(Attr::kThirdPartyAuthorization));
}

TEST_P(Turn, without_oauth_a_token_is_an_unknown_attribute) {
  Client& c = client();
  const Answer answer = c.request(Method::kAllocate, [](stun::Builder& m) {
    m.requested_transport(17).raw(Attr::kAccessToken, key_material(64, 1));
  });
  EXPECT_TRUE(failed(answer, 420));
  EXPECT_THAT(answer.unknown_attributes(), testing::ElementsAre(Attr::kAccessToken));
}

TEST_F(TurnEngine, a_tokens_session_is_counted_in_the_realm_of_its_key) {
  options.oauth_keys = {key_of("north"), key_of("union", auth::TokenAlgorithm::kA128Gcm, "north.gov")};
  options.server_name = kServerName;
  options.realm_quotas["north.gov"].total = 1;
  Client& c = client();
  ThirdPartyTest first(*this, c, options, harness().now());
  ASSERT_TRUE(succeeded(first.allocate(first.grant(1h, "north"))));
  EXPECT_EQ(engine().quotas().total("example.org"), 1U);
  EXPECT_TRUE(succeeded(c.exchange(first.message(Method::kRefresh, first.grant(1h, "union")))));
  EXPECT_EQ(engine().quotas().total("example.org"), 0U);
  EXPECT_EQ(engine().quotas().total("north.gov"), 1U);

  Client& other = client();
  ThirdPartyTest second(*this, other, options, harness().now());
  ASSERT_TRUE(succeeded(second.allocate(second.grant(1h, "north"))));
  EXPECT_TRUE(failed(other.exchange(second.message(Method::kRefresh, second.grant(1h, "union"))), 486));
  EXPECT_EQ(engine().quotas().total("example.org"), 1U) << "where it is refused, it stays";
}

}  // namespace turnkit::conformance
