// RFC 8489, section 9.2.4 (rows LT-1 to LT-8), and TURN REST credentials end to end (rows REST-001 to REST-010).
#include "auth/nonce.h"
#include "base/encoding.h"
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

Fill transport() {
  return [](stun::Builder& m) { m.requested_transport(17); };
}

// Holds a challenge that a client can use at once.
void expect_challenge(const Answer& answer) {
  EXPECT_EQ(answer.text(Attr::kRealm), "example.org");
  EXPECT_TRUE(answer.has(Attr::kNonce));
  EXPECT_TRUE(answer.has(Attr::kPasswordAlgorithms));
  for (const Attr type : {Attr::kUsername, Attr::kUserhash, Attr::kMessageIntegrity, Attr::kMessageIntegritySha256}) {
    EXPECT_FALSE(answer.has(type)) << answer;
  }
}

void expect_nothing_to_learn(const Answer& answer) {
  for (const Attr type : {Attr::kUsername, Attr::kUserhash, Attr::kRealm, Attr::kNonce}) {
    EXPECT_FALSE(answer.has(type)) << answer;
  }
}

}  // namespace

TEST_P(Turn, LT_1_no_mac_is_challenged) {
  Client& c = client();
  const Answer answer = c.exchange(make_message(Class::kRequest, Method::kAllocate, transport()));
  EXPECT_TRUE(failed(answer, 401));
  expect_challenge(answer);
  const auth::SecurityFeatures features = auth::features_of(answer.text(Attr::kNonce));
  EXPECT_TRUE(features.password_algorithms) << "bit 0 goes with PASSWORD-ALGORITHMS";
  EXPECT_TRUE(features.username_anonymity);
  c.learn();
  EXPECT_TRUE(failed(c.exchange(make_message(Class::kRequest, Method::kAllocate,
                                             [&](stun::Builder& m) {
                                               m.requested_transport(17);
                                               c.add_names(m);
                                             })),
                     401))
      << "names without a MAC are no credentials";
}

TEST_P(Turn, LT_2_a_mac_without_user_realm_or_nonce_gets_400) {
  Client& c = client();
  c.learn();
  for (const int missing : {0, 1, 2}) {
    const Answer answer = c.exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17);
      if (missing != 0) m.text(Attr::kUsername, "alice");
      if (missing != 1) m.text(Attr::kRealm, c.challenge().realm);
      if (missing != 2) m.text(Attr::kNonce, c.challenge().nonce);
      c.add_mac(m);
    }));
    EXPECT_TRUE(failed(answer, 400));
    expect_nothing_to_learn(answer);
    EXPECT_FALSE(answer.has(Attr::kMessageIntegrity));
  }
}

TEST_P(Turn, LT_3_without_algorithm_attributes_md5_is_meant) {
  EXPECT_TRUE(succeeded(client({.style = Style::kLegacy}).allocate()));
}

TEST_P(Turn, LT_4_both_algorithm_attributes_must_fit_the_challenge) {
  Client& c = client({.style = Style::kSha256});
  c.learn();
  const auto allocate_with = [&](const std::optional<std::string>& list, const std::optional<std::string>& choice) {
    return c.exchange(make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
      m.requested_transport(17).text(Attr::kUsername, "alice");
      m.text(Attr::kRealm, c.challenge().realm).text(Attr::kNonce, c.challenge().nonce);
      if (list) m.raw(Attr::kPasswordAlgorithms, *from_hex(*list));
      if (choice) m.raw(Attr::kPasswordAlgorithm, *from_hex(*choice));
      c.add_mac(m);
    }));
  };
  const std::string offered = "0002000000010000";
  EXPECT_TRUE(failed(allocate_with(std::nullopt, "00020000"), 400));
  EXPECT_TRUE(failed(allocate_with(offered, std::nullopt), 400));
  EXPECT_TRUE(failed(allocate_with("0001000000020000", "00020000"), 400)) << "another order";
  EXPECT_TRUE(failed(allocate_with("00010000", "00010000"), 400)) << "a bid-down";
  EXPECT_TRUE(failed(allocate_with(offered, "00030000"), 400)) << "not in the list";
  EXPECT_TRUE(succeeded(allocate_with(offered, "00020000")));
}

TEST_P(Turn, LT_5_an_unknown_user_is_challenged) {
  for (const bool userhash : {false, true}) {
    Client& c = client({.user = "nobody", .password = "x", .style = Style::kSha256, .userhash = userhash});
    const Answer answer = c.allocate();
    EXPECT_TRUE(failed(answer, 401));
    expect_challenge(answer);
  }
}

TEST_P(Turn, LT_6_a_wrong_mac_is_challenged_just_as_an_unknown_user) {
  Client& wrong = client({.user = "alice", .password = "wrong"});
  Client& unknown = client({.user = "nobody", .password = "wrong"});
  const Answer one = wrong.allocate();
  const Answer other = unknown.allocate();
  EXPECT_TRUE(failed(one, 401));
  expect_challenge(one);
  EXPECT_EQ(one.attribute_types(), other.attribute_types());
  EXPECT_EQ(one.bytes().size(), other.bytes().size());
}

TEST_P(Turn, LT_7_an_expired_nonce_gets_438_only_with_the_right_mac) {
  options.nonce_lifetime = scaled(600s, 1s);
  Client& c = client();
  c.learn();
  harness().advance(options.nonce_lifetime + 1100ms);
  c.credentials().password = "wrong";
  EXPECT_TRUE(failed(c.allocate(), 401)) << "438 would say that the password is right";
  c.credentials().password = "wonderland";
  const Answer stale = c.allocate();
  EXPECT_TRUE(failed(stale, 438));
  expect_challenge(stale);
  c.challenge().nonce = stale.text(Attr::kNonce);
  EXPECT_TRUE(succeeded(c.allocate()));
}

TEST_P(Turn, LT_8_what_passes_is_answered_with_the_same_mac_and_nothing_else_of_the_credentials) {
  for (const Credentials& credentials : std::vector<Credentials>{{.style = Style::kLegacy},
                                                                 {.style = Style::kMd5},
                                                                 {.style = Style::kSha256},
                                                                 {.style = Style::kSha256, .userhash = true},
                                                                 {.style = Style::kLegacy, .userhash = true}}) {
    Client& c = client(credentials);
    const Answer answer = c.allocate();  // checks the MAC
    EXPECT_TRUE(succeeded(answer));
    expect_nothing_to_learn(answer);
    EXPECT_FALSE(answer.has(Attr::kPasswordAlgorithms));
    EXPECT_TRUE(succeeded(c.refresh(0)));
  }
}

// REST credentials: the user name holds the time when it ends, the password is the MAC over it.
class Rest : public Turn {
 protected:
  Rest() { options.secrets = {"north wind"}; }

  Credentials until(std::chrono::seconds from_now, const std::string& id = "", Style style = Style::kLegacy) {
    const auto end = harness().now().wall + from_now;
    std::string user = std::to_string(end.time_since_epoch().count());
    if (!id.empty()) user += ':' + id;
    return named(user, style);
  }
  static Credentials named(const std::string& user, Style style = Style::kLegacy,
                           std::string_view secret = "north wind") {
    return {.user = user, .password = auth::rest_password(secret, user), .style = style};
  }
};

INSTANTIATE_TEST_SUITE_P(Conformance, Rest, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const testing::TestParamInfo<Kind>& kind) {
                           return std::string(kind.param == Kind::kEngine ? "engine" : "binary");
                         });

TEST_P(Rest, REST_001_the_user_name_is_the_end_with_or_without_an_id) {
  EXPECT_TRUE(succeeded(client(until(1h)).allocate()));
  EXPECT_TRUE(succeeded(client(until(1h, "carol")).allocate()));
  EXPECT_TRUE(succeeded(client(until(1h, "carol:from:home")).allocate()));
  EXPECT_TRUE(succeeded(client().allocate())) << "named users go on beside them";
}

// printf %s '1999999999:carol' | openssl dgst -sha1 -hmac 'north wind' -binary | base64
TEST_P(Rest, REST_002_the_password_is_base64_of_hmac_sha1) {
  EXPECT_TRUE(succeeded(client({.user = "1999999999:carol", .password = "cQfzxQYheKsP1vVDj7AP1wrmBhE="}).allocate()));
  Credentials wrong = until(1h);
  wrong.password.front() = wrong.password.front() == 'A' ? 'B' : 'A';
  EXPECT_TRUE(failed(client(wrong).allocate(), 401));
}

TEST_P(Rest, REST_003_an_ended_credential_gets_401) {
  EXPECT_TRUE(failed(client(until(-1s)).allocate(), 401));
  EXPECT_TRUE(failed(client(until(-24h, "carol")).allocate(), 401));
  EXPECT_TRUE(succeeded(client(until(24h, "carol", Style::kSha256)).allocate()));
}

TEST_P(Rest, REST_004_the_end_does_not_end_allocations) {
  Client& c = client(until(scaled(60s, 2s), "carol"));
  Socket& p = peer();
  const Address relayed = relay_for(c, p);
  harness().advance(scaled(61s, 3s));
  EXPECT_TRUE(succeeded(c.refresh()));
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(reaches(p, relayed, c));
  Client& late = client(c.credentials());
  EXPECT_TRUE(failed(late.allocate(), 401));
  c.credentials() = until(1h, "carol");
  EXPECT_TRUE(failed(c.refresh(), 441)) << "a new credential is another user name";
}

TEST_P(Rest, REST_005_two_secrets_count_at_once) {
  options.secrets = {"north wind", "south wind"};
  EXPECT_TRUE(succeeded(client(until(1h, "carol")).allocate()));
  EXPECT_TRUE(succeeded(client(named(until(1h, "carol").user, Style::kSha256, "south wind")).allocate()));
  EXPECT_TRUE(failed(client(named(until(1h, "carol").user, Style::kLegacy, "west wind")).allocate(), 401));
}

TEST_P(Rest, REST_007_times_that_are_no_plain_numbers_get_401) {
  for (const char* user : {"carol", "tomorrow:carol", "-1:carol", "+1999999999:carol", " 1999999999:carol",
                           "1999999999 :carol", "0x7fffffff", "99999999999999999999:carol",
                           "340282366920938463463374607431768211456", ":carol", ":", "1999999999.5"}) {
    EXPECT_TRUE(failed(client(named(user)).allocate(), 401)) << user;
  }
}

TEST_P(Rest, REST_008_there_is_no_grace) {
  Client& c = client(until(scaled(60s, 2s)));
  c.learn();
  harness().advance(scaled(60s, 2s) + 1s);
  EXPECT_TRUE(failed(c.allocate(), 401));
}

TEST_P(Rest, REST_009_userhash_is_not_offered) {
  Client& c = client();
  c.learn();
  EXPECT_FALSE(auth::features_of(c.challenge().nonce).username_anonymity);
  EXPECT_TRUE(auth::features_of(c.challenge().nonce).password_algorithms);
}

TEST_P(Rest, REST_010_the_quota_counts_the_id) {
  options.user_quota = 1;
  EXPECT_TRUE(succeeded(client(until(1h, "carol")).allocate()));
  EXPECT_TRUE(failed(client(until(2h, "carol")).allocate(), 486)) << "a new credential is no new quota";
  EXPECT_TRUE(succeeded(client(until(1h, "dave")).allocate()));
}

}  // namespace turnkit::conformance
