// TurnSession against a server in the same process: the exchange, the upkeep, and the client's duties of RFC 8656.
#include "client/turn_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

#include "fake_server.h"
#include "stun/channel_data.h"

namespace turnkit::client {
namespace {

using std::chrono::seconds;
using stun::Attr;
using stun::Method;

struct TurnSessionTest : testing::Test {
  TurnSessionTest() { options.credentials = {"alice", "wonderland"}; }

  TurnSession& session() {
    if (!session_) session_.emplace(kServerAddress, options, random);
    return *session_;
  }

  // Carries datagrams to and fro until both are quiet; collects events.
  void exchange() {
    for (auto output = session().take_output(); !output.empty(); output = session().take_output()) {
      for (const Datagram& datagram : output) {
        if (const auto answer = server.handle(datagram)) session().on_datagram(*answer, now);
      }
    }
    for (Event& event : session().take_events()) events.push_back(std::move(event));
  }
  // Lets time pass, deadline by deadline.
  void advance(Duration by) {
    const TimePoint end = now + by;
    for (;;) {
      const auto deadline = session().deadline();
      if (!deadline || *deadline > end) break;
      ASSERT_GE(*deadline, now) << "a deadline in the past makes a loop spin";
      server.now += std::chrono::floor<seconds>(*deadline - now);
      now = *deadline;
      session().on_time(now);
      exchange();
      ASSERT_LT(++turns, 10000) << "the session does not come to rest";
    }
    now = end;
  }
  void allocate() {
    session().allocate(now);
    exchange();
  }
  template <typename T>
  const T* last() const {
    return events.empty() ? nullptr : std::get_if<T>(&events.back());
  }
  std::size_t requests_of(Method method) const {
    std::size_t count = 0;
    for (const Datagram& datagram : server.requests) {
      const auto message = stun::MessageView::parse(datagram);
      if (message && message->method() == method) ++count;
    }
    return count;
  }
  stun::MessageView request(std::size_t index) const { return *stun::MessageView::parse(server.requests.at(index)); }
  // The server answers authentic requests of this method with an error.
  void answer_error(Method method, int code, std::function<void(stun::Builder&)> more = {}) {
    server.override_answer = [=](const stun::MessageView& asked, stun::Class& cls, auto& extra) {
      if (asked.method() != method) return false;
      cls = stun::Class::kError;
      extra.push_back([=](stun::Builder& b) { b.error_code(static_cast<stun::Code>(code), "Nope"); });
      if (more) extra.push_back(more);
      return true;
    };
  }

  SeededRandom random{1};
  SessionOptions options;
  FakeServer server;
  TimePoint now{std::chrono::hours(1)};
  std::vector<Event> events;
  int turns = 0;

 private:
  std::optional<TurnSession> session_;
};

TEST_F(TurnSessionTest, AllocatesAfterOneChallenge) {
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_EQ(last<Allocated>()->relayed, kRelayedAddress);
  EXPECT_EQ(last<Allocated>()->mapped, kClientAddress);
  EXPECT_EQ(last<Allocated>()->lifetime, seconds(600));
  ASSERT_EQ(server.requests.size(), 2u);
  EXPECT_FALSE(request(0).has(Attr::kUsername));  // the first request carries no credentials
  EXPECT_FALSE(request(0).has(Attr::kNonce));
  EXPECT_NE(request(0).transaction_id(), request(1).transaction_id());
  EXPECT_TRUE(session().allocated());
}

TEST_F(TurnSessionTest, UsesSha256AndUserhashWhereOffered) {
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_TRUE(request(1).has(Attr::kUserhash));
  EXPECT_FALSE(request(1).has(Attr::kUsername));
  EXPECT_TRUE(request(1).has(Attr::kMessageIntegritySha256));
  EXPECT_FALSE(request(1).has(Attr::kMessageIntegrity));
  EXPECT_TRUE(session().auth().uses_sha256());
}

TEST_F(TurnSessionTest, TURN_198_UserhashHidesTheName) {
  allocate();
  const std::string_view bytes = as_text(server.requests.at(1));
  EXPECT_EQ(bytes.find("alice"), std::string_view::npos);
}

TEST_F(TurnSessionTest, UsesTheMd5KeyUnderSha256MacWhereOnlyMd5IsOffered) {
  server.users.sha256 = false;
  server.users.anonymity = false;
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_FALSE(session().auth().uses_sha256());
  EXPECT_TRUE(request(1).has(Attr::kUsername));
  EXPECT_TRUE(request(1).has(Attr::kMessageIntegritySha256));  // RFC 8489, section 9.2.5: once algorithms were offered
}

TEST_F(TurnSessionTest, LegacyPolicyIgnoresTheCookie) {
  options.algorithms = AlgorithmPolicy::kLegacy;
  allocate();
  EXPECT_TRUE(request(1).has(Attr::kMessageIntegrity));
  EXPECT_TRUE(request(1).has(Attr::kUsername));
  EXPECT_FALSE(request(1).has(Attr::kPasswordAlgorithm));
}

TEST_F(TurnSessionTest, WorksWithoutCredentialsWhereNoneAreWanted) {
  server.authenticate = false;
  options.credentials = {};
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_EQ(server.requests.size(), 1u);
}

TEST_F(TurnSessionTest, SaysThatCredentialsAreWanted) {
  options.credentials = {};
  allocate();
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->kind, Failure::Kind::kChallenge);
  EXPECT_EQ(last<Failure>()->code, 401);
  EXPECT_EQ(last<Failure>()->challenge, ChallengeVerdict::kNoCredentials);
}

TEST_F(TurnSessionTest, GivesUpOnWrongCredentialsAfterOneTry) {
  options.credentials = {"alice", "looking-glass"};
  allocate();
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->challenge, ChallengeVerdict::kWrongCredentials);
  EXPECT_EQ(server.requests.size(), 2u);
}

TEST_F(TurnSessionTest, RetriesStaleNonceOnceWithTheNewOne) {
  server.nonce_lifetime = seconds(60);
  options.keep_alive = false;
  allocate();
  server.now += seconds(120);
  session().refresh(seconds(300), now);
  exchange();
  ASSERT_NE(last<Refreshed>(), nullptr);
  EXPECT_EQ(last<Refreshed>()->lifetime, seconds(300));
  EXPECT_EQ(server.requests.size(), 4u);
}

TEST_F(TurnSessionTest, EndlessStaleNoncesEnd) {
  allocate();
  server.nonce_lifetime = seconds(1);
  server.mangle = [this](Datagram d) {
    server.now += seconds(60);  // each nonce is stale by the time it is used
    return d;
  };
  session().refresh(std::nullopt, now);
  server.now += seconds(60);
  exchange();
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->challenge, ChallengeVerdict::kTooMany);
  EXPECT_LT(server.requests.size(), 10u);
}

TEST_F(TurnSessionTest, RetransmitsAndTimesOut) {
  server.mangle = [](Datagram) { return Datagram(); };
  allocate();
  advance(seconds(60));
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->kind, Failure::Kind::kTimeout);
  EXPECT_EQ(server.requests.size(), 7u);
  EXPECT_EQ(server.requests.front(), server.requests.back());  // the same bytes, the same transaction
  EXPECT_EQ(session().deadline(), std::nullopt);
}

TEST_F(TurnSessionTest, SurvivesLoss) {
  int count = 0;
  server.mangle = [&](Datagram d) { return ++count % 3 == 0 ? std::move(d) : Datagram(); };
  allocate();
  advance(seconds(30));
  EXPECT_NE(last<Allocated>(), nullptr);
}

TEST_F(TurnSessionTest, UnprotectedAnswersAreDiscardedAndReportedAtTheEnd) {
  server.skip_mac = true;
  allocate();
  EXPECT_TRUE(events.empty());
  advance(seconds(60));
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->kind, Failure::Kind::kIntegrity);
  EXPECT_FALSE(session().allocated());
}

TEST_F(TurnSessionTest, A400WithoutMacIsDiscarded) {
  server.skip_mac = true;
  answer_error(Method::kAllocate, 400);
  allocate();
  EXPECT_TRUE(events.empty());
  advance(seconds(60));
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->kind, Failure::Kind::kIntegrity);
  EXPECT_EQ(last<Failure>()->code, 400);
}

TEST_F(TurnSessionTest, TamperedAnswersAreDiscarded) {
  server.mangle = [](Datagram d) {
    const auto message = stun::MessageView::parse(d);
    if (message->cls() != stun::Class::kSuccess) return d;
    d[30] ^= std::byte{1};          // inside XOR-RELAYED-ADDRESS
    d.erase(d.end() - 8, d.end());  // without FINGERPRINT, which would give it away
    store_be16(d.data() + 2, static_cast<std::uint16_t>(d.size() - 20));
    return d;
  };
  allocate();
  EXPECT_TRUE(events.empty());
  EXPECT_GT(session().ignored(), 0u);
}

TEST_F(TurnSessionTest, IcmpRefusalFailsAtOnce) {
  session().allocate(now);
  session().on_unreachable();
  exchange();
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->kind, Failure::Kind::kUnreachable);
}

TEST_F(TurnSessionTest, SendsTheOptionsThatWereAskedFor) {
  options.family = Family::kIPv4;
  options.even_port = true;
  options.dont_fragment = true;
  options.lifetime = seconds(777);
  options.software = "turnkit test";
  allocate();
  const stun::MessageView allocate_request = request(1);
  EXPECT_EQ(stun::decode_requested_transport(allocate_request.find(Attr::kRequestedTransport)->value), 17);
  EXPECT_EQ(stun::decode_address_family(allocate_request.find(Attr::kRequestedAddressFamily)->value), 1);
  EXPECT_EQ(stun::decode_even_port(allocate_request.find(Attr::kEvenPort)->value), true);
  EXPECT_EQ(stun::decode_u32(allocate_request.find(Attr::kLifetime)->value), 777u);
  EXPECT_TRUE(allocate_request.has(Attr::kDontFragment));
  EXPECT_TRUE(allocate_request.has(Attr::kSoftware));
  EXPECT_TRUE(allocate_request.has(Attr::kFingerprint));
}

TEST_F(TurnSessionTest, ReadsBothAddressesAndTheToken) {
  const Address second = *Address::parse("[2001:db8::1]:50002");
  server.override_answer = [&](const stun::MessageView&, stun::Class&, auto& extra) {
    extra.push_back([&](stun::Builder& b) {
      b.xor_address(Attr::kXorRelayedAddress, kRelayedAddress).xor_address(Attr::kXorRelayedAddress, second);
      b.u32(Attr::kLifetime, 600).u64(Attr::kReservationToken, 0x1122334455667788);
      b.xor_address(Attr::kXorMappedAddress, kClientAddress);
    });
    return true;
  };
  options.additional_ipv6 = true;
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_EQ(last<Allocated>()->relayed, kRelayedAddress);
  EXPECT_EQ(last<Allocated>()->additional, second);
  EXPECT_EQ(last<Allocated>()->reservation_token, 0x1122334455667788u);
}

TEST_F(TurnSessionTest, TURN_192_ReportsTheErrorOfTheSecondAddress) {
  server.override_answer = [&](const stun::MessageView&, stun::Class&, auto& extra) {
    extra.push_back([&](stun::Builder& b) {
      b.xor_address(Attr::kXorRelayedAddress, kRelayedAddress).xor_address(Attr::kXorMappedAddress, kClientAddress);
      b.u32(Attr::kLifetime, 600);
      b.address_error_code(Family::kIPv6, stun::Code::kAddressFamilyNotSupported, "no");
    });
    return true;
  };
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_EQ(last<Allocated>()->additional_error, stun::Code::kAddressFamilyNotSupported);
}

TEST_F(TurnSessionTest, TURN_194_DeletesAnAllocationOfTheWrongFamily) {
  options.family = Family::kIPv6;
  allocate();
  ASSERT_GE(events.size(), 2u);
  EXPECT_NE(std::get_if<Failure>(&events[0]), nullptr);
  EXPECT_NE(last<Deleted>(), nullptr);
  EXPECT_FALSE(session().allocated());
  EXPECT_EQ(stun::decode_u32(request(server.requests.size() - 1).find(Attr::kLifetime)->value), 0u);
}

TEST_F(TurnSessionTest, TURN_195_RefreshesAMinuteBeforeTheServersExpiry) {
  server.lifetime = 300;
  options.lifetime = seconds(3600);
  allocate();
  advance(seconds(239));
  EXPECT_EQ(requests_of(Method::kRefresh), 0u);
  advance(seconds(2));
  EXPECT_EQ(requests_of(Method::kRefresh), 1u);
  advance(seconds(3000));
  EXPECT_TRUE(session().allocated());
}

TEST_F(TurnSessionTest, TURN_196_RenewsPermissionsAndChannelsInTime) {
  allocate();
  session().create_permission(std::array{kPeerAddress}, now);
  session().bind_channel(0x4000, kPeerAddress, now);
  exchange();
  EXPECT_NE(last<ChannelBound>(), nullptr);
  advance(seconds(299));
  EXPECT_EQ(requests_of(Method::kCreatePermission), 2u);
  EXPECT_EQ(requests_of(Method::kChannelBind), 2u);
  advance(seconds(300));
  EXPECT_EQ(requests_of(Method::kCreatePermission), 3u);
  EXPECT_EQ(requests_of(Method::kChannelBind), 3u);
}

TEST_F(TurnSessionTest, KeepAliveCanBeOff) {
  options.keep_alive = false;
  allocate();
  advance(seconds(601));
  EXPECT_EQ(requests_of(Method::kRefresh), 0u);
  EXPECT_NE(last<Deleted>(), nullptr);  // the server has let it expire
  EXPECT_FALSE(session().allocated());
}

TEST_F(TurnSessionTest, HugeLifetimesDoNotOverflow) {
  server.lifetime = 0xFFFFFFFF;
  allocate();
  ASSERT_NE(last<Allocated>(), nullptr);
  EXPECT_GT(session().deadline(), now);
}

TEST_F(TurnSessionTest, CloseDeletes) {
  allocate();
  session().close(now);
  exchange();
  EXPECT_NE(last<Deleted>(), nullptr);
  EXPECT_FALSE(session().allocated());
  EXPECT_EQ(session().deadline(), std::nullopt);
}

TEST_F(TurnSessionTest, CloseTakes437AsDeleted) {
  allocate();
  answer_error(Method::kRefresh, 437);
  session().close(now);
  exchange();
  EXPECT_NE(last<Deleted>(), nullptr);
}

TEST_F(TurnSessionTest, ALost437AllocationIsForgotten) {
  allocate();
  answer_error(Method::kRefresh, 437);
  session().refresh(std::nullopt, now);
  exchange();
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_EQ(last<Failure>()->advice(), Failure::Advice::kReallocate);
  EXPECT_FALSE(session().allocated());
}

struct AdviceCase {
  Request request;
  int code;
  Failure::Advice advice;
};

TEST(Failure, TURN_190_191_197_AdvisesWhatTheRfcWants) {
  using A = Failure::Advice;
  for (const AdviceCase& c :
       {AdviceCase{Request::kAllocate, 437, A::kNewLocalPort}, AdviceCase{Request::kAllocate, 486, A::kWaitAMinute},
        AdviceCase{Request::kAllocate, 508, A::kWaitAMinute}, AdviceCase{Request::kAllocate, 440, A::kGiveUp},
        AdviceCase{Request::kAllocate, 420, A::kRetryWithoutOptions}, AdviceCase{Request::kAllocate, 300, A::kGiveUp},
        AdviceCase{Request::kChannelBind, 400, A::kReallocate}, AdviceCase{Request::kAllocate, 400, A::kGiveUp},
        AdviceCase{Request::kCreatePermission, 403, A::kGiveUp}}) {
    Failure failure;
    failure.kind = Failure::Kind::kError;
    failure.request = c.request;
    failure.code = static_cast<std::uint16_t>(c.code);
    EXPECT_EQ(failure.advice(), c.advice) << request_name(c.request) << ' ' << c.code;
  }
}

TEST_F(TurnSessionTest, TURN_193_NamesTheUnknownAttribute) {
  options.dont_fragment = true;
  answer_error(Method::kAllocate, 420, [](stun::Builder& b) { b.unknown_attributes(std::array{Attr::kDontFragment}); });
  allocate();
  ASSERT_NE(last<Failure>(), nullptr);
  EXPECT_THAT(last<Failure>()->unknown_attributes, testing::ElementsAre(Attr::kDontFragment));
  EXPECT_THAT(last<Failure>()->text(), testing::HasSubstr("DONT-FRAGMENT"));
}

TEST_F(TurnSessionTest, ChannelDataAndIndicationsComeFromKnownPeersOnly) {
  allocate();
  std::array<std::byte, 200> buffer;
  const auto indication = [&](const Address& peer) {
    stun::Builder b(buffer, stun::Class::kIndication, Method::kData, {});
    b.xor_address(Attr::kXorPeerAddress, peer).text(Attr::kData, "hello");
    const Bytes m = *b.finish();
    return Datagram(m.begin(), m.end());
  };
  session().on_datagram(indication(kPeerAddress), now);
  EXPECT_TRUE(session().take_events().empty());  // no permission was asked for

  session().create_permission(std::array{kPeerAddress}, now);
  session().bind_channel(0x4001, kPeerAddress, now);
  exchange();
  const Datagram from_peer = indication(kPeerAddress);
  session().on_datagram(from_peer, now);
  Datagram channel(4);
  stun::write_channel_header(channel.data(), 0x4001, 2);
  channel.insert(channel.end(), {std::byte{'h'}, std::byte{'i'}});
  session().on_datagram(channel, now);
  const auto got = session().take_events();
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(as_text(std::get<DataReceived>(got[0]).data), "hello");
  EXPECT_EQ(std::get<DataReceived>(got[0]).channel, std::nullopt);
  EXPECT_EQ(as_text(std::get<DataReceived>(got[1]).data), "hi");
  EXPECT_EQ(std::get<DataReceived>(got[1]).channel, 0x4001);
  EXPECT_EQ(std::get<DataReceived>(got[1]).peer, kPeerAddress);

  store_be16(channel.data(), 0x4002);  // never bound
  session().on_datagram(channel, now);
  EXPECT_TRUE(session().take_events().empty());
}

TEST_F(TurnSessionTest, TURN_125_DataIndicationsWithoutPeerOrContentAreDiscarded) {
  allocate();
  session().create_permission(std::array{kPeerAddress}, now);
  exchange();
  std::ignore = session().take_events();
  std::array<std::byte, 200> buffer;
  const auto deliver = [&](bool with_peer, bool with_data) {
    stun::Builder b(buffer, stun::Class::kIndication, Method::kData, {});
    if (with_peer) b.xor_address(Attr::kXorPeerAddress, kPeerAddress);
    if (with_data) b.text(Attr::kData, "hello");
    session().on_datagram(*b.finish(), now);
    return session().take_events().size();
  };
  EXPECT_EQ(deliver(false, true), 0u);
  EXPECT_EQ(deliver(true, false), 0u);
  EXPECT_EQ(deliver(true, true), 1u);
}

TEST_F(TurnSessionTest, TURN_159_ChannelDataBeforeTheAnswerDoesNoHarm) {
  allocate();
  session().bind_channel(0x4001, kPeerAddress, now);
  Datagram channel(4);
  stun::write_channel_header(channel.data(), 0x4001, 0);
  session().on_datagram(channel, now);
  exchange();
  std::ignore = session().take_events();
  session().on_datagram(channel, now);
  const auto got = session().take_events();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(std::get<DataReceived>(got[0]).channel, 0x4001);
}

TEST_F(TurnSessionTest, ReportsIcmp) {
  allocate();
  session().create_permission(std::array{kPeerAddress}, now);
  exchange();
  std::array<std::byte, 200> buffer;
  stun::Builder b(buffer, stun::Class::kIndication, Method::kData, {});
  b.xor_address(Attr::kXorPeerAddress, kPeerAddress).icmp({3, 4, 1280});
  session().on_datagram(*b.finish(), now);
  const auto got = session().take_events();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(std::get<IcmpReceived>(got[0]).icmp.error_data, 1280u);
}

TEST_F(TurnSessionTest, KeepsNoMoreThanTenRequestsUnderWay) {
  allocate();
  for (std::uint16_t i = 0; i < 25; ++i) {
    Address peer = kPeerAddress;
    peer.port = static_cast<std::uint16_t>(peer.port + i);
    session().bind_channel(static_cast<std::uint16_t>(0x4000 + i), peer, now);
  }
  EXPECT_EQ(session().take_output().size(), TurnSession::kMaxUnderWay);
  EXPECT_EQ(session().requests_under_way(), 25u);
  advance(seconds(5));  // the first ten are sent again, and each that ends lets another begin
  EXPECT_EQ(session().requests_under_way(), 0u);
  EXPECT_EQ(std::count_if(events.begin(), events.end(),
                          [](const Event& e) { return std::holds_alternative<ChannelBound>(e); }),
            25);
}

TEST_F(TurnSessionTest, SendIndicationRoundTrips) {
  std::array<std::byte, 256> buffer;
  const auto bytes = session().send_indication(buffer, kPeerAddress, as_bytes("data"));
  ASSERT_TRUE(bytes);
  const auto message = stun::MessageView::parse(*bytes);
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->is(stun::Class::kIndication, Method::kSend));
  EXPECT_EQ(stun::decode_xor_address(message->find(Attr::kXorPeerAddress)->value, message->transaction_id()),
            kPeerAddress);
  EXPECT_EQ(as_text(message->find(Attr::kData)->value), "data");
  EXPECT_EQ(session().send_indication(MutableBytes(buffer).first(30), kPeerAddress, as_bytes("data")), std::nullopt);
}

}  // namespace
}  // namespace turnkit::client
