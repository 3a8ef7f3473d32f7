// Realms: which one ORIGIN picks, whose users and limits hold in it.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

constexpr std::string_view kShop = "https://shop.example.com";

}  // namespace

class Realms : public Turn {
 protected:
  Realms() {
    options.origin_realms = {{std::string(kShop), "shop.example.com"}, {"https://blog.example.com:8443", "blog"}};
    options.realm_users = {{"shop.example.com", "carol", "chocolate"}, {"blog", "alice", "typewriter"}};
  }
  // The realm that a challenge names to who sends this origin.
  std::string realm_for(std::string_view origin) {
    const Answer answer = client().exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17);
      if (!origin.empty()) m.text(Attr::kOrigin, origin);
    }));
    EXPECT_TRUE(failed(answer, 401));
    return answer.text(Attr::kRealm);
  }
  // A client that was challenged for this origin, and sends it with every request or not.
  Client& visitor(const Credentials& credentials, std::string_view origin) {
    Client& c = client(credentials);
    const Answer answer = c.exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17).text(Attr::kOrigin, origin);
    }));
    c.challenge().realm = answer.text(Attr::kRealm);
    c.challenge().nonce = answer.text(Attr::kNonce);
    return c;
  }
  static Fill with_origin(std::string_view origin) {
    return [origin](stun::Builder& m) { m.text(Attr::kOrigin, origin); };
  }
};

INSTANTIATE_TEST_SUITE_P(Conformance, Realms, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const auto& kind) { return kind.param == Kind::kEngine ? "engine" : "binary"; });

TEST_P(Realms, origin_picks_the_realm_of_the_challenge) {
  EXPECT_EQ(realm_for({}), "example.org");
  EXPECT_EQ(realm_for(kShop), "shop.example.com");
  EXPECT_EQ(realm_for("HTTPS://Shop.Example.COM:443/cart?x=1"), "shop.example.com") << "compared as browsers do";
  EXPECT_EQ(realm_for("https://blog.example.com:8443"), "blog");
  EXPECT_EQ(realm_for("https://blog.example.com"), "example.org") << "another port is another origin";
  EXPECT_EQ(realm_for("http://shop.example.com"), "example.org");
  EXPECT_EQ(realm_for(std::string(128, 'x')), "example.org");
}

TEST_P(Realms, the_users_of_a_realm_are_its_own) {
  const Credentials carol{.user = "carol", .password = "chocolate"};
  EXPECT_TRUE(succeeded(visitor(carol, kShop).allocate(with_origin(kShop))));
  EXPECT_TRUE(succeeded(visitor(carol, kShop).allocate())) << "the realm of the challenge speaks for the origin";
  EXPECT_TRUE(failed(visitor({}, kShop).allocate(with_origin(kShop)), 401)) << "alice is not of this realm";
  EXPECT_TRUE(failed(client(carol).allocate(), 401));
  const Credentials other_alice{.user = "alice", .password = "typewriter"};
  EXPECT_TRUE(succeeded(visitor(other_alice, "https://blog.example.com:8443").allocate()));
}

TEST_P(Realms, a_realm_that_is_not_the_origins_is_challenged_again) {
  Client& c = visitor({}, "https://elsewhere.example.com");
  EXPECT_EQ(c.challenge().realm, "example.org");
  const Answer answer = c.allocate(with_origin(kShop));
  EXPECT_TRUE(failed(answer, 401));
  EXPECT_EQ(answer.text(Attr::kRealm), "shop.example.com");
}

TEST_P(Realms, a_session_stays_in_its_realm) {
  Client& c = visitor({.user = "carol", .password = "chocolate"}, kShop);
  ASSERT_TRUE(succeeded(c.allocate(with_origin(kShop))));
  EXPECT_TRUE(succeeded(c.refresh())) << "without the origin";
  EXPECT_TRUE(succeeded(c.refresh(std::nullopt, with_origin("https://blog.example.com:8443"))))
      << "another origin counts only with check-origin-consistency";
}

TEST_P(Realms, check_origin_consistency_refuses_another_origin) {
  options.check_origin = true;
  Client& c = visitor({.user = "carol", .password = "chocolate"}, kShop);
  ASSERT_TRUE(succeeded(c.allocate(with_origin(kShop))));
  EXPECT_TRUE(succeeded(c.refresh(std::nullopt, with_origin("https://SHOP.example.com/"))));
  EXPECT_TRUE(failed(c.refresh(std::nullopt, with_origin("https://blog.example.com:8443")), 441));
  EXPECT_TRUE(failed(c.refresh(), 441)) << "none is another, too";
  Client& plain = allocated();
  EXPECT_TRUE(succeeded(plain.refresh()));
  EXPECT_TRUE(failed(plain.refresh(std::nullopt, with_origin(kShop)), 441));
}

TEST_P(Realms, quotas_are_counted_for_each_realm) {
  options.total_quota = 2;
  options.user_quota = 1;
  options.realm_quotas["shop.example.com"] = {.per_user = 3, .total = 3};
  const Credentials carol{.user = "carol", .password = "chocolate"};
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(succeeded(visitor(carol, kShop).allocate())) << i;
  EXPECT_TRUE(failed(visitor(carol, kShop).allocate(), 486));
  EXPECT_TRUE(succeeded(client().allocate())) << "the default realm has its own count";
  EXPECT_TRUE(failed(client().allocate(), 486)) << "of its users, too";
  EXPECT_TRUE(succeeded(client({.user = "bob", .password = "builder"}).allocate()));
  const Credentials other_alice{.user = "alice", .password = "typewriter"};
  EXPECT_TRUE(succeeded(visitor(other_alice, "https://blog.example.com:8443").allocate())) << "not the same alice";
}

TEST_P(Realms, max_bps_is_the_realms) {
  options.max_bps = 128'000;
  options.realm_quotas["shop.example.com"] = {.max_bps = 12'800};
  EXPECT_EQ(client().allocate().u32(Attr::kDraftBandwidth), 1000U);
  EXPECT_EQ(visitor({.user = "carol", .password = "chocolate"}, kShop).allocate().u32(Attr::kDraftBandwidth), 100U);
}

TEST_F(TurnEngine, anonymous_sessions_count_in_the_realm_of_their_origin) {
  options.authenticate = false;
  options.origin_realms = {{std::string(kShop), "shop"}};
  Client& c = client();
  ASSERT_TRUE(succeeded(c.allocate([](stun::Builder& m) { m.text(Attr::kOrigin, kShop); })));
  EXPECT_EQ(engine().quotas().total("shop"), 1U);
  EXPECT_EQ(engine().quotas().total(), 1U);
  const auto* allocation = engine().engine().find({c.local(), c.server(), engine::Transport::kUdp}, harness().now());
  ASSERT_NE(allocation, nullptr);
  EXPECT_EQ(allocation->identity.realm, "shop");
  EXPECT_EQ(allocation->identity.origin, kShop);
}

TEST_F(TurnEngine, limits_change_for_allocations_to_come) {
  allocated();
  engine().quotas().set_limits({.per_user = 1});
  EXPECT_TRUE(failed(client().allocate(), 486)) << "those that are there count";
  engine().quotas().set_limits({});
  EXPECT_TRUE(succeeded(client().allocate()));
}

}  // namespace turnkit::conformance
