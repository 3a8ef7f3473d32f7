// From evidence to the names of RFC 4787 and what they mean. The same against real NATs is in tests/lab/nat_test.py.
#include "probe/nat/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <tuple>

#include "probe/nat/meaning.h"
#include "probe/nat/measure.h"
#include "probe/nat/verdict.h"
#include "probe/stun/scope.h"

namespace turnkit::probe {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using B = Behaviour;

const Address kFirst{IpAddress::v4(198, 51, 100, 10), 3478};
const Address kOther{IpAddress::v4(198, 51, 100, 11), 3479};
const IpAddress kInside = IpAddress::v4(192, 168, 1, 2);
const IpAddress kPublic = IpAddress::v4(203, 0, 113, 7);

BindingOutcome seen_as(const Address& to, const Address& local, const Address& mapped) {
  BindingOutcome out;
  out.to = to;
  out.local = local;
  out.sends = out.sends_before_answer = 1;
  out.answer.emplace();
  out.answer->source = to;
  out.answer->xor_mapped = mapped;
  out.answer->other = kOther;
  return out;
}

BindingOutcome silent(const Address& to) {
  BindingOutcome out;
  out.to = to;
  out.sends = 3;
  return out;
}

// A NAT of the test's own: what it does to each question.
struct Nat {
  B mapping = B::kEndpointIndependent;
  B filtering = B::kEndpointIndependent;
  bool keeps_ports = false;
  bool nat = true;

  [[nodiscard]] Address mapped(std::uint16_t local, const Address& to) const {
    if (!nat) return {kInside, local};
    unsigned port = keeps_ports ? local : local + 1000U;
    if (mapping != B::kEndpointIndependent && to.ip == kOther.ip) port += 7;
    if (mapping == B::kAddressAndPortDependent && to.port == kOther.port) port += 13;
    return {kPublic, static_cast<std::uint16_t>(port)};
  }
  [[nodiscard]] bool lets_in(const Address& from) const {
    if (filtering == B::kEndpointIndependent) return true;
    return filtering == B::kAddressDependent && from.ip == kFirst.ip;
  }

  [[nodiscard]] FilterTest filter_test(std::uint16_t local, const Address& expected) const {
    FilterTest out{seen_as(kFirst, {kInside, local}, mapped(local, kFirst)), silent(kFirst), expected};
    if (lets_in(expected)) {
      out.changed = seen_as(kFirst, {kInside, local}, mapped(local, kFirst));
      out.changed.answer->source = expected;
    }
    return out;
  }

  [[nodiscard]] NatEvidence evidence() const {
    NatEvidence e;
    e.server = kFirst;
    e.local = kInside;
    e.basic = seen_as(kFirst, {kInside, 40000}, mapped(40000, kFirst));
    e.both = filter_test(40001, kOther);
    e.ip_only = filter_test(40002, {kOther.ip, kFirst.port});
    e.port_only = filter_test(40003, {kFirst.ip, kOther.port});
    if (!lets_in(kOther)) {
      e.opened = seen_as(kOther, {kInside, 40001}, mapped(40001, kOther));
      e.control = silent(kFirst);
      if (mapped(40001, kOther) == mapped(40001, kFirst)) {
        e.control = seen_as(kFirst, {kInside, 40001}, mapped(40001, kFirst));
        e.control->answer->source = kOther;
      }
    }
    for (const Address& to :
         {kFirst, Address{kOther.ip, kFirst.port}, kOther, Address{kFirst.ip, kOther.port}, kFirst}) {
      e.mapping.push_back({to, seen_as(to, {kInside, 40004}, mapped(40004, to))});
    }
    for (std::uint16_t port = 40010; port < 40014; ++port) e.ports.push_back({port, mapped(port, kFirst)});
    return e;
  }
};

TEST(NatFindings, NameEveryMappingAndFiltering) {
  for (const B mapping : {B::kEndpointIndependent, B::kAddressDependent, B::kAddressAndPortDependent}) {
    for (const B filtering : {B::kEndpointIndependent, B::kAddressDependent, B::kAddressAndPortDependent}) {
      const NatEvidence e = Nat{mapping, filtering}.evidence();
      const NatFindings found = findings_of(e);
      EXPECT_EQ(found.mapping.behaviour, mapping);
      EXPECT_EQ(found.mapping.confidence, Confidence::kHigh);
      EXPECT_EQ(found.filtering.behaviour, filtering);
      const bool proven = mapping == B::kEndpointIndependent || filtering == B::kEndpointIndependent;
      EXPECT_EQ(found.filtering.confidence, proven ? Confidence::kHigh : Confidence::kMedium);
      EXPECT_EQ(found.presence, Presence::kNat);
      EXPECT_FALSE(found.one_to_one);
    }
  }
}

TEST(NatFindings, NoNatIsEndpointIndependent) {
  NatEvidence e = Nat{.filtering = B::kAddressAndPortDependent, .nat = false}.evidence();
  const NatFindings found = findings_of(e);
  EXPECT_EQ(found.presence, Presence::kNone);
  EXPECT_EQ(found.mapping.behaviour, B::kEndpointIndependent);
  EXPECT_EQ(found.filtering.behaviour, B::kAddressAndPortDependent);
}

TEST(NatFindings, KeptPortsMakeAnIndependentMappingUnsure) {
  Nat nat{.filtering = B::kAddressAndPortDependent, .keeps_ports = true};
  EXPECT_EQ(findings_of(nat.evidence()).mapping.confidence, Confidence::kMedium);
  // Packets from elsewhere at the mapping: then it is no mapping by destination.
  nat.filtering = B::kAddressDependent;
  EXPECT_EQ(findings_of(nat.evidence()).mapping.confidence, Confidence::kHigh);
}

TEST(NatFindings, APortThatIsTakenAfterAStrangersPacketIsAMappingByDestination) {
  NatEvidence e = Nat{.filtering = B::kAddressAndPortDependent, .keeps_ports = true}.evidence();
  e.opened->answer->xor_mapped->port = 1024;
  e.control = silent(kFirst);
  const NatFindings found = findings_of(e);
  EXPECT_EQ(found.mapping.behaviour, B::kAddressAndPortDependent);
  EXPECT_EQ(found.mapping.confidence, Confidence::kMedium);
  EXPECT_EQ(found.filtering.behaviour, B::kAddressAndPortDependent);
}

TEST(NatFindings, OneToOneTakesAllThreeSigns) {
  EXPECT_TRUE(findings_of(Nat{.keeps_ports = true}.evidence()).one_to_one);
  EXPECT_FALSE(findings_of(Nat{}.evidence()).one_to_one);
  EXPECT_FALSE(findings_of(Nat{.filtering = B::kAddressDependent, .keeps_ports = true}.evidence()).one_to_one);
  EXPECT_FALSE(findings_of(Nat{.keeps_ports = true, .nat = false}.evidence()).one_to_one);
}

struct FilterRow {
  const char* what;
  std::function<void(NatEvidence&)> change;
  const char* reason;
};

TEST(NatFindings, FilteringIsUnknownWhereTheServerMayBeToBlame) {
  const std::vector<FilterRow> rows = {
      {"no OTHER-ADDRESS", [](NatEvidence& e) { e.basic.answer->other.reset(); }, "no-other-address"},
      {"the same address",
       [](NatEvidence& e) {
         e.basic.answer->other = Address{kFirst.ip, 3479};
       },
       "no-other-address"},
      {"the same port",
       [](NatEvidence& e) {
         e.basic.answer->other = Address{kOther.ip, 3478};
       },
       "no-other-address"},
      {"another family", [](NatEvidence& e) { e.basic.answer->other = *Address::parse("[2001:db8::1]:3479"); },
       "no-other-address"},
      {"420",
       [](NatEvidence& e) {
         e.both->changed = seen_as(kFirst, {}, {});
         e.both->changed.answer->error_code = 420;
       },
       "change-request-refused"},
      {"answers from the address asked",
       [](NatEvidence& e) {
         e.both->changed = seen_as(kFirst, {kInside, 1}, {kPublic, 1});
       },
       "change-request-ignored"},
      {"answers from a third address",
       [](NatEvidence& e) {
         e.both->changed = seen_as(kFirst, {kInside, 1}, {kPublic, 1});
         e.both->changed.answer->source.port = 9;
       },
       "answered-from-elsewhere"},
      {"the other address is dead", [](NatEvidence& e) { e.opened = silent(kOther), e.control.reset(); },
       "other-address-silent"},
      {"the control is silent", [](NatEvidence& e) { e.control = silent(kFirst); }, "change-request-silent"},
      {"the first request is lost", [](NatEvidence& e) { e.port_only->first = silent(kFirst); }, "no-answer"},
      {"address passes, port too, both not",
       [](NatEvidence& e) {
         for (auto* test : {&e.ip_only, &e.port_only}) {
           (*test)->changed = seen_as(kFirst, {}, {kPublic, 1});
           (*test)->changed.answer->source = (*test)->expected;
         }
       },
       "contradictory"},
      {"by port",
       [](NatEvidence& e) {
         e.ip_only->changed = seen_as(kFirst, {}, {kPublic, 1});
         e.ip_only->changed.answer->source = e.ip_only->expected;
       },
       "port-dependent"},
  };
  for (const FilterRow& row : rows) {
    NatEvidence e = Nat{.filtering = B::kAddressAndPortDependent}.evidence();
    row.change(e);
    const Known filtering = filtering_of(e, mapping_of(e));
    EXPECT_EQ(filtering.behaviour, B::kUnknown) << row.what;
    EXPECT_EQ(filtering.reason, row.reason) << row.what;
  }
}

TEST(NatFindings, MappingIsUnknownWithoutASecondAddress) {
  NatEvidence e = Nat{}.evidence();
  for (MappingTest& test : e.mapping) {
    if (test.to.ip == kOther.ip) test.outcome = silent(test.to);
  }
  EXPECT_EQ(mapping_of(e).reason, "other-address-silent");
  EXPECT_EQ(mapping_of(e).behaviour, B::kUnknown);
  // Its other port alone can show that a mapping depends on ports, and nothing else.
  e.mapping[3].outcome.answer->xor_mapped->port = 1;
  EXPECT_EQ(mapping_of(e).behaviour, B::kAddressAndPortDependent);
}

TEST(NatFindings, AMappingThatChangesByItselfSaysNothing) {
  NatEvidence e = Nat{}.evidence();
  e.mapping.back().outcome.answer->xor_mapped->port = 1;
  EXPECT_EQ(mapping_of(e).behaviour, B::kUnknown);
  EXPECT_EQ(mapping_of(e).reason, "mapping-changes");
}

TEST(NatFindings, ServersOfOneAddressAreCompared) {
  NatEvidence e = Nat{}.evidence();
  e.basic.answer->other.reset();
  const Address second{IpAddress::v4(198, 51, 100, 99), 3478};
  e.compared = {{second, seen_as(second, {kInside, 40004}, Nat{}.mapped(40004, kFirst))}};
  EXPECT_EQ(mapping_of(e).behaviour, B::kEndpointIndependent);
  EXPECT_EQ(mapping_of(e).confidence, Confidence::kMedium);
  e.compared[0].outcome.answer->xor_mapped->port = 1;
  EXPECT_EQ(mapping_of(e).behaviour, B::kUnknown);  // by address, or by port, too
  EXPECT_TRUE(mapping_of(e).depends);
  // Another name for the same server is no second one.
  e.compared = {{{kFirst.ip, 3479}, seen_as(kFirst, {kInside, 40004}, {kPublic, 1})}};
  EXPECT_EQ(mapping_of(e).reason, "no-other-address");
}

TEST(NatFindings, Ports) {
  NatEvidence e = Nat{}.evidence();
  EXPECT_EQ(ports_of(e).kept, 0U);
  EXPECT_TRUE(ports_of(e).contiguous);
  EXPECT_EQ(ports_of(e).same_parity, 4U);
  e.ports[2].mapped = {IpAddress::v4(203, 0, 113, 8), e.ports[2].local};
  EXPECT_EQ(ports_of(e).kept, 1U);
  EXPECT_FALSE(ports_of(e).contiguous);
  EXPECT_TRUE(ports_of(e).several_addresses);
  e.ports.clear();
  EXPECT_EQ(ports_of(e).tested, 0U);
  EXPECT_FALSE(ports_of(e).contiguous);
}

TEST(NatLayers, AreSeenOnThePath) {
  const auto layers = [](std::vector<Hop> path, const char* local = "192.168.1.2", const char* mapped = "203.0.113.7") {
    NatEvidence e = Nat{}.evidence();
    e.local = *IpAddress::parse(local);
    e.basic.answer->xor_mapped->ip = *IpAddress::parse(mapped);
    e.path = std::move(path);
    return layers_of(e).layers;
  };
  const auto hop = [](unsigned ttl, const char* ip) { return Hop{ttl, IpAddress::parse(ip)}; };
  EXPECT_EQ(layers({}), Layers::kUnknown);
  EXPECT_EQ(layers({{1, std::nullopt}, {2, std::nullopt}}), Layers::kUnknown);
  EXPECT_EQ(layers({hop(1, "192.168.1.1")}), Layers::kNothingSeen);
  EXPECT_EQ(layers({hop(1, "192.168.1.1"), hop(2, "10.0.0.1")}), Layers::kPossible);
  EXPECT_EQ(layers({hop(1, "192.168.1.1"), hop(2, "100.64.0.1")}), Layers::kCarrier);
  EXPECT_EQ(layers({{1, std::nullopt}, hop(2, "100.127.0.1")}), Layers::kCarrier);
  // Carriers number their routers privately, too: behind the first public one that is no NAT.
  EXPECT_EQ(layers({hop(1, "192.168.1.1"), hop(2, "203.0.113.1"), hop(3, "10.0.0.1"), hop(4, "100.64.0.1")}),
            Layers::kNothingSeen);
  EXPECT_EQ(layers({}, "100.64.3.4"), Layers::kCarrier);
  EXPECT_EQ(layers({}, "192.168.1.2", "100.64.3.4"), Layers::kCarrier);
}

TEST(PairMatrix, NeedsARelayWhereOneSidesPortCannotBeKnownAndTheOtherOneIsStrict) {
  const auto possible = [](B a, B fa, B b, B fb) {
    EXPECT_EQ(direct_possible(a, fa, b, fb), direct_possible(b, fb, a, fa));
    return direct_possible(a, fa, b, fb);
  };
  const B ei = B::kEndpointIndependent;
  const B ad = B::kAddressDependent;
  const B apd = B::kAddressAndPortDependent;
  EXPECT_EQ(possible(ei, apd, ei, apd), true);
  EXPECT_EQ(possible(ei, ei, apd, apd), true);
  EXPECT_EQ(possible(ei, ad, apd, apd), true);
  EXPECT_EQ(possible(ei, apd, apd, apd), false);
  EXPECT_EQ(possible(ei, apd, ad, ad), false);
  EXPECT_EQ(possible(apd, apd, apd, apd), false);
  EXPECT_EQ(possible(ad, ei, apd, ei), false);
  EXPECT_EQ(possible(B::kUnknown, apd, ei, ei), std::nullopt);
  EXPECT_EQ(possible(ei, B::kUnknown, apd, apd), std::nullopt);
  EXPECT_EQ(possible(ei, B::kUnknown, ei, apd), true);
}

TEST(ClassicalNames, AreThoseOfRfc3489) {
  EXPECT_EQ(classical_name(B::kEndpointIndependent, B::kEndpointIndependent), "full cone");
  EXPECT_EQ(classical_name(B::kEndpointIndependent, B::kAddressDependent), "restricted cone");
  EXPECT_EQ(classical_name(B::kEndpointIndependent, B::kAddressAndPortDependent), "port restricted cone");
  EXPECT_EQ(classical_name(B::kAddressAndPortDependent, B::kUnknown), "symmetric");
  EXPECT_EQ(classical_name(B::kEndpointIndependent, B::kUnknown), "");
  EXPECT_EQ(classical_name(B::kUnknown, B::kEndpointIndependent), "");
}

TEST(NatLifetime, LiesBetweenTheLastAliveAndTheFirstGone) {
  LifetimeEvidence e;
  e.tests = {{seconds(2), true}, {seconds(4), true}, {seconds(6), false}, {seconds(8), false}};
  EXPECT_EQ(lifetime_of(e).alive, seconds(4));
  EXPECT_EQ(lifetime_of(e).expired, seconds(6));
  EXPECT_FALSE(lifetime_of(e).contradictory);
  e.tests[3].alive = true;
  EXPECT_TRUE(lifetime_of(e).contradictory);
  e.tests = {{seconds(2), false}};
  EXPECT_FALSE(lifetime_of(e).alive);
}

TEST(NatLifetime, IsUnknownWhereTheServerCannotTest) {
  NatEvidence e = Nat{}.evidence();
  e.lifetime.emplace();
  const auto reason_of = [&e] {
    for (const Check& check : judge_nat(e)) {
      if (check.id == "nat-lifetime-ipv4") return check.reason + (check.status == Verdict::kUnconfirmed ? "?" : "!");
    }
    return std::string();
  };
  EXPECT_EQ(reason_of(), "no-answer?");
  e.lifetime->opened = true;
  EXPECT_EQ(reason_of(), "response-port-silent?");
  e.lifetime->error_code = 420;
  EXPECT_EQ(reason_of(), "response-port-refused?");
  e.lifetime->supported = true;
  e.lifetime->tests = {{seconds(20), true}};
  EXPECT_EQ(reason_of(), "longer-than-tested!");
  e.lifetime->tests = {{seconds(20), false}, {seconds(30), true}};
  EXPECT_EQ(reason_of(), "contradictory?");
  e.lifetime->tests = {{seconds(10), true}, {seconds(15), false}};
  EXPECT_EQ(reason_of(), "short!");
  e.lifetime->tests = {{seconds(60), true}, {seconds(90), false}};
  EXPECT_EQ(reason_of(), "measured!");
}

TEST(NatLifetime, IdleTimesAscendToTheLimit) {
  EXPECT_THAT(idle_times(seconds(2)), ElementsAre(seconds(2)));
  EXPECT_THAT(idle_times(seconds(7)), ElementsAre(seconds(2), seconds(4), seconds(6), seconds(7)));
  for (const int limit : {20, 21, 60, 130, 3600}) {
    const auto times = idle_times(seconds(limit));
    EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
    EXPECT_EQ(times.back(), seconds(limit));
    EXPECT_LE(times.size(), 26U);
  }
}

TEST(NatVerdict, SilenceOverUdpIsBlamedOnlyWhereTcpAnswers) {
  NatEvidence e;
  e.server = kFirst;
  e.basic = silent(kFirst);
  for (const auto& [tcp, status, reason] : {std::tuple{TcpReach::kAnswers, Verdict::kFail, "udp-blocked"},
                                            {TcpReach::kConnects, Verdict::kUnconfirmed, "no-answer"},
                                            {TcpReach::kFails, Verdict::kUnconfirmed, "no-answer"}}) {
    e.tcp = tcp;
    const std::vector<Check> checks = judge_nat(e);
    ASSERT_EQ(checks.size(), 1U);
    EXPECT_EQ(checks[0].status, status);
    EXPECT_EQ(checks[0].reason, reason);
  }
}

TEST(NatVerdict, SaysWhatItMeansForAMediaServer) {
  const auto meaning = [](const Nat& nat) {
    return meaning_for_media_server(findings_of(nat.evidence()), {kPublic, 1});
  };
  EXPECT_THAT(meaning({.mapping = B::kAddressAndPortDependent}),
              HasSubstr("no address that a STUN server tells is right"));
  EXPECT_THAT(meaning({.keeps_ports = true}), HasSubstr("set ICE Host Override to 203.0.113.7"));
  EXPECT_THAT(meaning({.filtering = B::kAddressAndPortDependent}), HasSubstr("Needs a static forward"));
  EXPECT_THAT(meaning({.filtering = B::kAddressAndPortDependent}), HasSubstr("changes ports"));
  EXPECT_THAT(meaning({.nat = false}), HasSubstr("Nothing to override"));
  EXPECT_THAT(meaning({.filtering = B::kAddressDependent, .nat = false}), HasSubstr("open its ports"));
}

TEST(NatVerdict, EveryCheckHasWordsForAPerson) {
  for (const bool nat : {false, true}) {
    NatEvidence e = Nat{.nat = nat}.evidence();
    e.sizes = {{576, true, {}}, {1200, true, {}}, {1500, false, kFirst.ip}};
    e.hairpin_tried = true;
    e.lifetime.emplace().opened = e.lifetime->supported = true;
    e.lifetime->tests = {{seconds(5), true}, {seconds(10), false}};
    const std::vector<Check> checks = judge_nat(e);
    EXPECT_EQ(checks.size(), nat ? 10U : 7U);
    for (const Check& check : checks) {
      EXPECT_FALSE(check.headline.empty()) << check.id;
      EXPECT_FALSE(check.reason.empty()) << check.id;
    }
  }
}

TEST(NatVerdict, SizesThatVanishWithoutIcmpAreABlackHole) {
  NatEvidence e = Nat{}.evidence();
  e.sizes = {{576, true, {}}, {1200, true, {}}, {1280, false, {}}, {1500, false, {}}};
  const auto size_of = [&e] {
    for (Check& check : judge_nat(e)) {
      if (check.id == "nat-size-ipv4") return check;
    }
    return Check{};
  };
  EXPECT_EQ(size_of().status, Verdict::kWarn);
  EXPECT_EQ(size_of().confidence, Confidence::kLow);
  EXPECT_THAT(size_of().details, Contains(HasSubstr("black hole")));
  e.sizes[3].passed = true;
  EXPECT_EQ(size_of().reason, "contradictory");
}

TEST(Scope, KnowsTheRanges) {
  EXPECT_EQ(scope_of(*IpAddress::parse("203.0.113.1")), Scope::kPublic);
  EXPECT_EQ(scope_of(*IpAddress::parse("172.31.255.255")), Scope::kPrivate);
  EXPECT_EQ(scope_of(*IpAddress::parse("172.32.0.0")), Scope::kPublic);
  EXPECT_EQ(scope_of(*IpAddress::parse("100.64.0.0")), Scope::kShared);
  EXPECT_EQ(scope_of(*IpAddress::parse("100.128.0.0")), Scope::kPublic);
  EXPECT_EQ(scope_of(*IpAddress::parse("169.254.1.1")), Scope::kLocal);
  EXPECT_EQ(scope_of(*IpAddress::parse("127.0.0.1")), Scope::kLocal);
  EXPECT_EQ(scope_of(*IpAddress::parse("fd00::1")), Scope::kPrivate);
  EXPECT_EQ(scope_of(*IpAddress::parse("fe80::1")), Scope::kLocal);
  EXPECT_EQ(scope_of(*IpAddress::parse("2001:db8::1")), Scope::kPublic);
}

}  // namespace
}  // namespace turnkit::probe
