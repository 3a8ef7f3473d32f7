// Redirection (RFC 8489, section 10), draining, and what include-reason-string says.
#include "tests/conformance/fixture.h"

namespace turnkit::conformance {

namespace {

class AnyPath final : public engine::ClientPath {};

const Address kFirst{IpAddress::v4(192, 0, 2, 1), 3478};
const Address kSecond{IpAddress::v4(192, 0, 2, 2), 3478};
const Address kSixth{*IpAddress::parse("2001:db8::6"), 3478};

std::optional<Address> alternate(const Answer& answer) {
  const auto value = answer.value(Attr::kAlternateServer);
  return value ? stun::decode_address(*value) : std::nullopt;
}

ByteVector bare_allocate() {
  return make_message(Class::kRequest, Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
}

std::string reason(const Answer& answer) {
  const auto value = answer.value(Attr::kErrorCode);
  return value ? std::string(stun::decode_error_code(*value)->reason) : std::string();
}

}  // namespace

TEST_P(Turn, TURN_056_strangers_are_sent_on_round_robin) {
  options.alternates = {kFirst, kSixth, kSecond};
  Client& c = client();
  std::vector<Address> seen;
  for (int i = 0; i < 4; ++i) {
    const Answer answer = c.exchange(bare_allocate());
    ASSERT_TRUE(failed(answer, 300));
    EXPECT_FALSE(answer.has(Attr::kMessageIntegrity)) << "as coturn does";
    EXPECT_FALSE(answer.has(Attr::kNonce));
    seen.push_back(alternate(answer).value_or(Address{}));
  }
  EXPECT_EQ(seen[0], seen[2]);
  EXPECT_EQ(seen[1], seen[3]);
  EXPECT_THAT(seen, testing::Contains(kFirst));
  EXPECT_THAT(seen, testing::Contains(kSecond));
  EXPECT_THAT(seen, testing::Not(testing::Contains(kSixth))) << "of the family in which the client came";
}

TEST_F(TurnEngine, TURN_056_who_has_credentials_gets_300_with_a_mac) {
  Client& c = client();
  c.learn();
  engine().change_config([](engine::EngineConfig& config) { config.alternates.any = {kFirst}; });
  const Answer answer = c.allocate();
  EXPECT_TRUE(failed(answer, 300));
  EXPECT_TRUE(answer.has(Attr::kMessageIntegrity));
  EXPECT_EQ(alternate(answer), kFirst);
  Client& wrong = client({.password = "guess"});
  wrong.challenge() = c.challenge();
  EXPECT_TRUE(failed(wrong.allocate(), 401));
}

TEST_F(TurnEngine, TURN_056_who_is_here_already_stays) {
  Client& c = client();
  const ByteVector allocate = c.signed_message(Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  ASSERT_TRUE(succeeded(c.exchange(allocate)));
  engine().change_config([](engine::EngineConfig& config) { config.alternates.any = {kFirst}; });
  EXPECT_TRUE(succeeded(c.exchange(allocate))) << "a retransmission";
  EXPECT_TRUE(succeeded(c.refresh()));
}

TEST_P(Turn, TURN_056_the_list_of_the_transport_goes_first) {
  options.alternates = {kFirst};
  options.udp_alternates = {kSecond};
  EXPECT_EQ(alternate(client().exchange(bare_allocate())), kSecond);
}

TEST_F(TurnEngine, TURN_056_a_list_with_our_own_address_redirects_nobody) {
  const Address here = harness().server();
  engine().change_config([&](engine::EngineConfig& config) { config.alternates.any = {kFirst, here}; });
  EXPECT_TRUE(succeeded(client().allocate()));
  const Address outside{IpAddress::v4(198, 51, 100, 7), here.port};
  engine().engine().set_external_ips(engine::ExternalIps({{outside.ip, here.ip}}));
  engine().change_config([&](engine::EngineConfig& config) { config.alternates.any = {kFirst, outside}; });
  EXPECT_TRUE(succeeded(client().allocate())) << "nor one with its public form";
}

TEST_F(TurnEngine, redirection_without_authentication) {
  options.authenticate = false;
  options.alternates = {kFirst};
  EXPECT_EQ(alternate(client().exchange(bare_allocate())), kFirst);
}

TEST_F(TurnEngine, a_draining_server_takes_nobody_and_keeps_whom_it_has) {
  options.include_reason_string = true;
  Client& c = allocated();
  Socket& p = peer();
  engine().change_config([](engine::EngineConfig& config) { config.draining = true; });
  const Answer refused = client().allocate();
  EXPECT_TRUE(failed(refused, 403));
  EXPECT_TRUE(reason(refused).starts_with("Server is draining")) << reason(refused);
  EXPECT_TRUE(succeeded(c.refresh()));
  EXPECT_TRUE(succeeded(c.permit(p.local().ip)));
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(sends_on(c, kChannel, p));
  EXPECT_TRUE(succeeded(c.binding()));

  engine().change_config([](engine::EngineConfig& config) { config.alternates.any = {kFirst}; });
  EXPECT_EQ(alternate(client().exchange(bare_allocate())), kFirst);
}

TEST_F(TurnEngine, bps_capacity_refuses_when_it_is_given_away) {
  options.max_bps = 1000;
  options.bps_capacity = 1500;
  options.include_reason_string = true;
  EXPECT_TRUE(succeeded(client().allocate()));
  const Answer rest = client().allocate();
  EXPECT_TRUE(succeeded(rest)) << "the last one may get what is left";
  EXPECT_EQ(rest.u32(Attr::kDraftBandwidth), 500U / 128);
  const Answer refused = client().allocate();
  EXPECT_TRUE(failed(refused, 486));
  EXPECT_EQ(reason(refused), "Allocation Bandwidth Quota Reached");
}

TEST_P(Turn, bandwidth_of_the_client_lowers_its_limit_and_never_raises_it) {
  options.max_bps = 128'000;
  const auto granted = [&](std::uint32_t units) {
    return client().allocate([&](stun::Builder& m) { m.u32(Attr::kDraftBandwidth, units); }).u32(Attr::kDraftBandwidth);
  };
  EXPECT_EQ(granted(500), 500U);
  EXPECT_EQ(granted(5000), 1000U);
  EXPECT_EQ(granted(0), 1000U);
}

TEST_P(Turn, reasons_are_detailed_only_on_demand) {
  options.include_reason_string = true;
  const Answer detailed = client().allocate([](stun::Builder& m) { m.raw(Attr::kLifetime, {}); });
  EXPECT_TRUE(failed(detailed, 400));
  EXPECT_EQ(reason(detailed), "LIFETIME is malformed");
}

TEST_P(Turn, without_include_reason_string_the_phrase_is_the_rfcs) {
  const Answer plain = client().allocate([](stun::Builder& m) { m.raw(Attr::kLifetime, {}); });
  EXPECT_EQ(reason(plain), "Bad Request");
}

TEST_P(Turn, server_relay_lets_peers_in_without_permission) {
  options.server_relay = true;
  options.denied_peers = {"127.0.0.0/8:1-9"};
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate();
  EXPECT_TRUE(reaches(p, made.relayed(), c));
}

TEST_P(Turn, a_source_gets_few_401s_a_second_and_others_get_theirs) {
  options.unauthorized_rps = 5;
  Client& c = client();
  const TimePoint start = harness().now().mono;
  for (int i = 0; i < 30; ++i) c.send_raw(bare_allocate());
  c.barrier();
  int challenges = 0;
  while (c.take_early()) ++challenges;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(harness().now().mono - start).count();
  EXPECT_GE(challenges, 5);
  EXPECT_LE(challenges, 5 * (seconds + 1));
  auto elsewhere = harness().open({harness().ip(3), 0});
  elsewhere->send(harness().server(), Bytes(bare_allocate()));
  EXPECT_TRUE(elsewhere->receive()) << "another source";
}

TEST_F(TurnEngine, the_limit_of_401s_is_for_udp_and_over_after_a_second) {
  options.unauthorized_rps = 2;
  Client& c = client();
  const ByteVector request = bare_allocate();
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(engine().ask(c.local(), request).empty());
  EXPECT_TRUE(engine().ask(c.local(), request).empty());
  EXPECT_EQ(engine().last_drop(), engine::Drop::kUnauthorizedLimit);
  AnyPath path;
  const engine::FiveTuple tcp{c.local(), harness().server(), engine::Transport::kTcp};
  EXPECT_FALSE(engine().engine().on_message(request, tcp, path, harness().now()).answer.empty());
  harness().advance(1s);
  EXPECT_FALSE(engine().ask(c.local(), request).empty());
}

TEST_P(Turn, TURN_038_TURN_055_an_unknown_token_is_refused_before_the_quota) {
  options.user_quota = 1;
  allocated();
  Client& c = client();
  EXPECT_TRUE(failed(c.allocate([](stun::Builder& m) { m.u64(Attr::kReservationToken, 42); }), 508));
  EXPECT_TRUE(failed(c.allocate(), 486));
}

TEST_P(Turn, TURN_055_a_reservation_survives_a_quota_that_is_full) {
  options.user_quota = 1;
  Client& first = client();
  const Answer made = first.allocate([](stun::Builder& m) { m.even_port(true); });
  ASSERT_TRUE(succeeded(made));
  const std::uint64_t token = made.u64(Attr::kReservationToken).value();
  Client& second = client();
  const auto redeem = [&] { return second.allocate([&](stun::Builder& m) { m.u64(Attr::kReservationToken, token); }); };
  EXPECT_TRUE(failed(redeem(), 486));
  EXPECT_TRUE(succeeded(first.refresh(0)));
  EXPECT_TRUE(succeeded(redeem()));
}

}  // namespace turnkit::conformance
