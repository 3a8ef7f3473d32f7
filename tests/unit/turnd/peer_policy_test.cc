// PeerPolicy: every class of address, allow and deny lines, ports, and the server's own addresses.
#include "turnd/peer_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace turnkit::turnd {
namespace {

using enum PeerVerdict;
using ::testing::HasSubstr;

IpAddress ip(const char* text) { return *IpAddress::parse(text); }
Address at(const char* text) { return *Address::parse(text, 9); }

std::vector<PeerRule> rules(std::initializer_list<const char*> texts) {
  std::vector<PeerRule> out;
  for (const char* text : texts) {
    const Result<PeerRule> rule = PeerRule::parse(text);
    if (!rule) ADD_FAILURE() << rule.error().text;
    if (rule) out.push_back(*rule);
  }
  return out;
}

PeerPolicy policy(std::initializer_list<const char*> allowed, std::initializer_list<const char*> denied = {},
                  std::initializer_list<const char*> only = {}) {
  PeerRules all;
  all.allowed = rules(allowed);
  all.denied = rules(denied);
  all.only = rules(only);
  return PeerPolicy(all);
}

struct RuleCase {
  const char* text;
  const char* first;
  const char* last;
  std::uint16_t first_port;
  std::uint16_t last_port;
};

TEST(PeerRule, Parses) {
  const RuleCase cases[] = {
      {"10.0.0.5", "10.0.0.5", "10.0.0.5", 0, 65535},
      {"10.0.0.5-10.0.0.9", "10.0.0.5", "10.0.0.9", 0, 65535},
      {"10.0.0.0/24", "10.0.0.0", "10.0.0.255", 0, 65535},
      {"10.0.0.77/24", "10.0.0.0", "10.0.0.255", 0, 65535},
      {"0.0.0.0/0", "0.0.0.0", "255.255.255.255", 0, 65535},
      {"10.0.0.5:8443", "10.0.0.5", "10.0.0.5", 8443, 8443},
      {"10.0.0.0/24:8443-8445", "10.0.0.0", "10.0.0.255", 8443, 8445},
      {"10.0.0.1-10.0.0.2:1-65535", "10.0.0.1", "10.0.0.2", 1, 65535},
      {"2001:db8::1", "2001:db8::1", "2001:db8::1", 0, 65535},
      {"2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 0, 65535},
      {"2001:db8::1-2001:db8::9", "2001:db8::1", "2001:db8::9", 0, 65535},
      {"[2001:db8::1]", "2001:db8::1", "2001:db8::1", 0, 65535},
      {"[2001:db8::1]:8443", "2001:db8::1", "2001:db8::1", 8443, 8443},
      {"[2001:db8::/120]:8443-8445", "2001:db8::", "2001:db8::ff", 8443, 8445},
      {"[2001:db8::1-2001:db8::9]:53", "2001:db8::1", "2001:db8::9", 53, 53},
      {"[2001:db8::1]-[2001:db8::9]:53", "2001:db8::1", "2001:db8::9", 53, 53},
  };
  for (const RuleCase& c : cases) {
    SCOPED_TRACE(c.text);
    const Result<PeerRule> rule = PeerRule::parse(c.text);
    ASSERT_TRUE(rule) << rule.error().text;
    EXPECT_EQ(rule->range.first, ip(c.first));
    EXPECT_EQ(rule->range.last, ip(c.last));
    EXPECT_EQ(rule->first_port, c.first_port);
    EXPECT_EQ(rule->last_port, c.last_port);
    const Result<PeerRule> again = PeerRule::parse(rule->to_string());
    ASSERT_TRUE(again) << rule->to_string();
    EXPECT_EQ(*again, *rule);
  }
}

TEST(PeerRule, RefusesWhatIsNotOne) {
  for (const char* text : {"",
                           "x",
                           "10.0.0",
                           "10.0.0.256",
                           "10.0.0.9-10.0.0.5",
                           "10.0.0.1-2001:db8::1",
                           "10.0.0.0/33",
                           "10.0.0.0/",
                           "10.0.0.0/-1",
                           "10.0.0.5:",
                           "10.0.0.5:0",
                           "10.0.0.5:65536",
                           "10.0.0.5:9-8",
                           "10.0.0.5:8-",
                           "10.0.0.5:-8",
                           "10.0.0.5:http",
                           "10.0.0.5:80,81",
                           "10.0.0.5 10.0.0.6",
                           "10.0.0.5 # x",
                           "2001:db8::1/129",
                           "[2001:db8::1]:",
                           "[2001:db8::1]:x",
                           ":8443",
                           "example.org",
                           "10.0.0.5:80:90",
                           "10.0.0.5:+80",
                           "10.0.0.5: 80"}) {
    const Result<PeerRule> rule = PeerRule::parse(text);
    EXPECT_FALSE(rule) << text;
    if (!rule) {
      EXPECT_THAT(rule.error().text, HasSubstr("expected IP, IP-IP or IP/LENGTH")) << text;
    }
  }
}

struct ClassCase {
  const char* peer;
  PeerVerdict verdict;
  friend void PrintTo(const ClassCase& c, std::ostream* out) { *out << c.peer; }
};

class PeerClass : public ::testing::TestWithParam<ClassCase> {};

TEST_P(PeerClass, IsJudgedWithoutAnyLine) {
  EXPECT_EQ(PeerPolicy().check({ip(GetParam().peer), 5000}), GetParam().verdict);
  EXPECT_EQ(PeerPolicy().check_ip(ip(GetParam().peer)).verdict, GetParam().verdict);
  EXPECT_FALSE(PeerPolicy().check_ip(ip(GetParam().peer)).ports_differ);
}

// A broad line is not a name: none of the special addresses opens.
TEST_P(PeerClass, IsNotOpenedByABroadLine) {
  const PeerPolicy broad = policy({"0.0.0.0/0", "::/0"});
  EXPECT_EQ(broad.check({ip(GetParam().peer), 5000}), GetParam().verdict);
}

TEST_P(PeerClass, IsOpenedByItsNameUnlessItIsATunnel) {
  PeerRules named;
  named.allowed.push_back(PeerRule{{ip(GetParam().peer).canonical(), ip(GetParam().peer).canonical()}, 0, 65535});
  const PeerVerdict expected = GetParam().verdict == kDeniedTunnel ? kDeniedTunnel : kAllowed;
  EXPECT_EQ(PeerPolicy(named).check({ip(GetParam().peer), 5000}), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Special, PeerClass,
    ::testing::Values(ClassCase{"0.0.0.0", kDeniedUnspecified}, ClassCase{"0.255.1.2", kDeniedUnspecified},
                      ClassCase{"::", kDeniedUnspecified}, ClassCase{"127.0.0.1", kDeniedLoopback},
                      ClassCase{"127.255.255.255", kDeniedLoopback}, ClassCase{"::1", kDeniedLoopback},
                      ClassCase{"169.254.0.1", kDeniedLinkLocal}, ClassCase{"fe80::1", kDeniedLinkLocal},
                      ClassCase{"febf::1", kDeniedLinkLocal}, ClassCase{"224.0.0.1", kDeniedMulticast},
                      ClassCase{"239.255.255.255", kDeniedMulticast}, ClassCase{"240.0.0.1", kDeniedMulticast},
                      ClassCase{"255.255.255.255", kDeniedMulticast}, ClassCase{"ff02::1", kDeniedMulticast},
                      ClassCase{"fc00::1", kDeniedUniqueLocal}, ClassCase{"fdff::1", kDeniedUniqueLocal},
                      ClassCase{"fec0::1", kDeniedUniqueLocal}, ClassCase{"169.254.169.254", kDeniedMetadata},
                      ClassCase{"169.254.170.2", kDeniedMetadata}, ClassCase{"168.63.129.16", kDeniedMetadata},
                      ClassCase{"100.100.100.200", kDeniedMetadata}, ClassCase{"192.0.0.192", kDeniedMetadata},
                      ClassCase{"fd00:ec2::254", kDeniedMetadata}, ClassCase{"fd20:ce::254", kDeniedMetadata}));

INSTANTIATE_TEST_SUITE_P(
    IPv4InIPv6, PeerClass,
    ::testing::Values(ClassCase{"::ffff:127.0.0.1", kDeniedLoopback}, ClassCase{"::127.0.0.1", kDeniedLoopback},
                      ClassCase{"64:ff9b::127.0.0.1", kDeniedLoopback}, ClassCase{"::ffff:0.0.0.0", kDeniedUnspecified},
                      ClassCase{"::ffff:169.254.169.254", kDeniedMetadata},
                      ClassCase{"64:ff9b::169.254.169.254", kDeniedMetadata},
                      ClassCase{"64:ff9b::169.254.0.1", kDeniedLinkLocal},
                      ClassCase{"::ffff:224.0.0.1", kDeniedMulticast},
                      ClassCase{"::ffff:255.255.255.255", kDeniedMulticast}, ClassCase{"64:ff9b::1.2.3.4", kAllowed}));

INSTANTIATE_TEST_SUITE_P(Tunnels, PeerClass,
                         ::testing::Values(ClassCase{"2002:cb00:7105::1", kDeniedTunnel},
                                           ClassCase{"2002:7f00:1::1", kDeniedTunnel},
                                           ClassCase{"2001:0:4136:e378:8000:63bf:3fff:fdd2", kDeniedTunnel},
                                           ClassCase{"64:ff9b:1::1.2.3.4", kDeniedTunnel}));

INSTANTIATE_TEST_SUITE_P(Ordinary, PeerClass,
                         ::testing::Values(ClassCase{"203.0.113.5", kAllowed}, ClassCase{"10.0.0.5", kAllowed},
                                           ClassCase{"192.168.1.1", kAllowed}, ClassCase{"100.64.0.1", kAllowed},
                                           ClassCase{"1.0.0.0", kAllowed}, ClassCase{"223.255.255.255", kAllowed},
                                           ClassCase{"2001:db8::1", kAllowed}, ClassCase{"2001:1::1", kAllowed},
                                           ClassCase{"fb00::1", kAllowed}, ClassCase{"::ffff:10.0.0.5", kAllowed}));

TEST(PeerPolicy, LocalNat64IsOpenedByItsRange) {
  EXPECT_EQ(policy({"64:ff9b:1::/48"}).check({ip("64:ff9b:1::1.2.3.4"), 1}), kAllowed);
  EXPECT_EQ(policy({"64:ff9b:1::/48"}).check({ip("64:ff9b:1::127.0.0.1"), 1}), kDeniedLoopback);
}

TEST(PeerPolicy, ReducesTheTranslatedForm) {
  EXPECT_EQ(PeerPolicy().check({ip("::ffff:0:127.0.0.1"), 1}), kDeniedLoopback);
  EXPECT_EQ(policy({"127.0.0.1"}).check({ip("::ffff:0:127.0.0.1"), 1}), kAllowed);
}

TEST(PeerPolicy, TunnelsAreNeverOpened) {
  EXPECT_EQ(policy({"2002::/16", "2001::/32"}).check({ip("2002:cb00:7105::1"), 1}), kDeniedTunnel);
  EXPECT_EQ(policy({"2001::/32"}).check({ip("2001:0:4136:e378:8000:63bf:3fff:fdd2"), 1}), kDeniedTunnel);
}

TEST(PeerPolicy, OptionsOpenLoopbackAndMulticast) {
  PeerRules open;
  open.allow_loopback = true;
  open.deny_multicast = false;
  const PeerPolicy p(open);
  EXPECT_EQ(p.check(at("127.0.0.1:5000")), kAllowed);
  EXPECT_EQ(p.check(at("[::1]:5000")), kAllowed);
  EXPECT_EQ(p.check(at("[::ffff:127.0.0.1]:5000")), kAllowed);
  EXPECT_EQ(p.check(at("224.0.0.1:5000")), kAllowed);
  EXPECT_EQ(p.check(at("0.0.0.0:5000")), kDeniedUnspecified);
  open.denied = rules({"127.0.0.2"});
  EXPECT_EQ(PeerPolicy(open).check(at("127.0.0.2:5000")), kDeniedByRule);
}

TEST(PeerPolicy, ANameIsARangeInsideTheSpecialOne) {
  EXPECT_EQ(policy({"127.0.0.0/8"}).check(at("127.1.2.3:1")), kAllowed);
  EXPECT_EQ(policy({"127.0.0.0/30"}).check(at("127.1.2.3:1")), kDeniedLoopback);
  EXPECT_EQ(policy({"126.0.0.0/7"}).check(at("127.0.0.1:1")), kDeniedLoopback);
  EXPECT_EQ(policy({"169.254.0.0/16"}).check(at("169.254.1.1:1")), kAllowed);
  EXPECT_EQ(policy({"169.254.0.0/16"}).check(at("169.254.169.254:1")), kDeniedMetadata);
  EXPECT_EQ(policy({"169.254.169.254"}).check(at("169.254.169.254:1")), kAllowed);
  EXPECT_EQ(policy({"fd00::/8"}).check(at("[fd00::1]:1")), kAllowed);
  EXPECT_EQ(policy({"fd00::/8"}).check(at("[fd00:ec2::254]:1")), kDeniedMetadata);
  EXPECT_EQ(policy({"127.0.0.1:8443"}).check(at("127.0.0.1:8443")), kAllowed);
  EXPECT_EQ(policy({"127.0.0.1:8443"}).check(at("127.0.0.1:8444")), kDeniedLoopback);
}

TEST(PeerPolicy, AllowedWinsOverDenied) {
  const PeerPolicy p = policy({"10.0.0.5"}, {"10.0.0.0-10.255.255.255"});
  EXPECT_EQ(p.check(at("10.0.0.5:1")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.6:1")), kDeniedByRule);
  EXPECT_EQ(p.check(at("[::ffff:10.0.0.6]:1")), kDeniedByRule);
  EXPECT_EQ(p.check(at("[64:ff9b::10.0.0.6]:1")), kDeniedByRule);
  EXPECT_EQ(p.check(at("11.0.0.6:1")), kAllowed);
}

// Files that deny the mapped forms as ranges of IPv6 do not deny IPv4 by that.
TEST(PeerPolicy, DeniedMappedRangeConcernsMappedAddressesOnly) {
  const PeerPolicy p = policy({}, {"::ffff:0.0.0.0-::ffff:255.255.255.255", "64:ff9b::-64:ff9b::ffff:ffff"});
  EXPECT_EQ(p.check(at("203.0.113.5:1")), kAllowed);
  EXPECT_EQ(p.check(at("[::ffff:203.0.113.5]:1")), kDeniedByRule);
  EXPECT_EQ(p.check(at("[64:ff9b::203.0.113.5]:1")), kDeniedByRule);
}

TEST(PeerPolicy, OnlyOneMediaServer) {
  const PeerPolicy p = policy({}, {}, {"10.0.0.5:8443"});
  EXPECT_EQ(p.check(at("10.0.0.5:8443")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.5:8444")), kDeniedNotListed);
  EXPECT_EQ(p.check(at("203.0.113.5:8443")), kDeniedNotListed);
  EXPECT_EQ(p.check(at("[2001:db8::1]:8443")), kDeniedNotListed);
  EXPECT_EQ(p.check_ip(ip("10.0.0.5")).verdict, kAllowed);
  EXPECT_TRUE(p.check_ip(ip("10.0.0.5")).ports_differ);
  EXPECT_EQ(p.check_ip(ip("10.0.0.6")).verdict, kDeniedNotListed);
  const PeerPolicy beside = policy({}, {}, {"127.0.0.1:8443"});
  EXPECT_EQ(beside.check(at("127.0.0.1:8443")), kAllowed);
}

TEST(PeerPolicy, OnlyAndAllowedAddUpAndWinOverDenied) {
  const PeerPolicy p = policy({"192.0.2.1"}, {"0.0.0.0/0"}, {"192.0.2.2"});
  EXPECT_EQ(p.check(at("192.0.2.1:1")), kAllowed);
  EXPECT_EQ(p.check(at("192.0.2.2:1")), kAllowed);
  EXPECT_EQ(p.check(at("192.0.2.3:1")), kDeniedByRule);
}

TEST(PeerPolicy, PortRules) {
  const PeerPolicy p = policy({"10.0.0.5:8443-8445"}, {"10.0.0.0/8", "192.0.2.1:53"});
  EXPECT_EQ(p.check(at("10.0.0.5:8442")), kDeniedByRule);
  EXPECT_EQ(p.check(at("10.0.0.5:8443")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.5:8445")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.5:8446")), kDeniedByRule);
  EXPECT_EQ(p.check(at("192.0.2.1:53")), kDeniedByRule);
  EXPECT_EQ(p.check(at("192.0.2.1:54")), kAllowed);
  EXPECT_TRUE(p.check_ip(ip("192.0.2.1")).ports_differ);
  EXPECT_EQ(p.check_ip(ip("192.0.2.1")).verdict, kAllowed);
  EXPECT_FALSE(p.check_ip(ip("192.0.2.2")).ports_differ);
  EXPECT_EQ(p.check_ip(ip("10.0.0.6")).verdict, kDeniedByRule);
  // Ranges that together leave no port.
  const PeerPolicy none = policy({}, {"192.0.2.1:1-30000", "192.0.2.1:30001-65535"});
  EXPECT_EQ(none.check_ip(ip("192.0.2.1")).verdict, kDeniedByRule);
}

TEST(PeerPolicy, CheckIpAgreesWithCheckOfEveryPort) {
  PeerPolicy p = policy({"10.0.0.5:100-200", "10.0.0.5:300"}, {"10.0.0.0/8:150-65535"});
  p.set_own_ports({at("10.0.0.5:120"), at("10.0.0.6:65535")});
  p.set_relay_range({ip("10.0.0.6")}, 49152, 65535);
  for (const char* text : {"10.0.0.5", "10.0.0.6", "10.0.0.7", "11.0.0.1"}) {
    unsigned allowed = 0;
    for (unsigned port = 1; port <= 65535; ++port) {
      if (p.check({ip(text), static_cast<std::uint16_t>(port)}) == kAllowed) ++allowed;
    }
    const PeerPolicy::IpDecision decision = p.check_ip(ip(text));
    EXPECT_EQ(decision.verdict == kAllowed, allowed != 0) << text;
    EXPECT_EQ(decision.ports_differ, allowed != 0 && allowed != 65535) << text;
  }
}

TEST(PeerPolicy, OwnPortsAreDeniedUnlessNamedExactly) {
  PeerRules lines;
  lines.allowed = rules({"10.0.0.1"});
  PeerPolicy p(lines);
  p.set_own_ports({at("10.0.0.1:3478"), at("0.0.0.0:9641")});
  p.set_host_addresses({ip("10.0.0.1"), ip("10.0.0.2"), ip("2001:db8::1")});
  EXPECT_EQ(p.check(at("10.0.0.1:3478")), kDeniedOwnPort);
  EXPECT_EQ(p.check(at("[::ffff:10.0.0.1]:3478")), kDeniedOwnPort);
  EXPECT_EQ(p.check(at("10.0.0.2:3478")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.2:9641")), kDeniedOwnPort);
  EXPECT_EQ(p.check(at("10.0.0.3:9641")), kAllowed);
  EXPECT_EQ(p.check(at("[2001:db8::1]:9641")), kAllowed);  // 0.0.0.0 is not a socket of IPv6
  EXPECT_TRUE(p.check_ip(ip("10.0.0.1")).ports_differ);

  lines.allowed = rules({"10.0.0.1:3478"});
  PeerPolicy named(lines);
  named.set_own_ports({at("10.0.0.1:3478")});
  EXPECT_EQ(named.check(at("10.0.0.1:3478")), kAllowed);
}

TEST(PeerPolicy, OwnRelayedPortsAreAlwaysAllowed) {
  PeerRules lines;
  lines.denied = rules({"10.0.0.0/8"});
  lines.only = rules({"192.0.2.1"});
  lines.deny_private = true;
  PeerPolicy p(lines);
  p.set_own_ports({at("10.0.0.1:50000")});
  p.set_host_addresses({ip("10.0.0.1")});
  p.set_relay_range({ip("10.0.0.1"), ip("fd00::1"), ip("127.0.0.1")}, 49152, 50000);
  EXPECT_EQ(p.check(at("10.0.0.1:49152")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.1:49999")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.1:50000")), kDeniedOwnPort);
  EXPECT_EQ(p.check(at("10.0.0.1:49151")), kDeniedByRule);
  EXPECT_EQ(p.check(at("10.0.0.2:49999")), kDeniedByRule);
  EXPECT_EQ(p.check(at("[fd00::1]:49999")), kAllowed);
  EXPECT_EQ(p.check(at("[fd00::1]:1")), kDeniedUniqueLocal);
  EXPECT_EQ(p.check(at("127.0.0.1:49999")), kDeniedLoopback);
  EXPECT_TRUE(p.check_ip(ip("10.0.0.1")).ports_differ);
}

TEST(PeerPolicy, NoPrivatePeers) {
  PeerRules lines;
  lines.deny_private = true;
  lines.allowed = rules({"10.0.0.5:8443"});
  PeerPolicy p(lines);
  p.set_host_addresses({ip("203.0.113.5")});
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "198.18.0.1"}) {
    EXPECT_EQ(p.check({ip(text), 1}), kDeniedPrivate) << text;
  }
  EXPECT_EQ(p.check(at("[::ffff:192.168.0.1]:1")), kDeniedPrivate);
  EXPECT_EQ(p.check(at("172.32.0.1:1")), kAllowed);
  EXPECT_EQ(p.check(at("203.0.113.5:1")), kDeniedHost);
  EXPECT_EQ(p.check(at("203.0.113.6:1")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.5:8443")), kAllowed);
  EXPECT_EQ(p.check(at("10.0.0.5:8444")), kDeniedPrivate);
}

TEST(PeerPolicy, AllowLoopbackPeersWinsOverNoPrivatePeers) {
  PeerRules lines;
  lines.deny_private = true;
  lines.allow_loopback = true;
  PeerPolicy p(lines);
  p.set_host_addresses({ip("127.0.0.1"), ip("10.0.0.1")});
  p.set_own_ports({at("127.0.0.1:3478")});
  EXPECT_EQ(p.check(at("127.0.0.1:8443")), kAllowed);
  EXPECT_EQ(p.check(at("127.0.0.1:3478")), kDeniedOwnPort);
  EXPECT_EQ(p.check(at("10.0.0.1:8443")), kDeniedHost);
}

TEST(PeerPolicy, ExplainsDenialsWithTheLineThatWouldAllow) {
  PeerRules lines;
  lines.deny_private = true;
  lines.denied = rules({"192.0.2.0/24"});
  PeerPolicy p(lines);
  p.set_own_ports({at("203.0.113.5:3478")});
  const std::pair<const char*, const char*> cases[] = {
      {"10.0.0.5:8443",
       "peer 10.0.0.5:8443 is denied: private address, and no-private-peers is on; this line would allow it: "
       "allowed-peer-ip=10.0.0.5"},
      {"[::ffff:127.0.0.1]:1", "loopback address; this line would allow it: allowed-peer-ip=127.0.0.1"},
      {"192.0.2.7:1", "denied-peer-ip=192.0.2.0-192.0.2.255; this line would allow it: allowed-peer-ip=192.0.2.7"},
      {"203.0.113.5:3478", "a port of this server itself; this line would allow it: allowed-peer-ip=203.0.113.5:3478"},
      {"[2002::1]:1", "no line allows it"},
      {"169.254.169.254:80", "cloud metadata service; this line would allow it: allowed-peer-ip=169.254.169.254"},
      {"203.0.113.9:1", "peer 203.0.113.9:1 is allowed"},
  };
  for (const auto& [peer, text] : cases) EXPECT_THAT(p.explain(at(peer)), HasSubstr(text));
  EXPECT_THAT(p.explain({ip("10.0.0.5"), 0}), HasSubstr("peer 10.0.0.5 is denied: private"));
  EXPECT_THAT(policy({}, {}, {"192.0.2.1"}).explain(at("192.0.2.2:5")), HasSubstr("only-peer-ip=192.0.2.2"));
}

// The line that explain() names does allow the peer.
TEST(PeerPolicy, TheNamedLineHelps) {
  PeerRules lines;
  lines.deny_private = true;
  lines.denied = rules({"192.0.2.0/24"});
  for (const char* text : {"10.0.0.5:8443", "127.0.0.1:1", "[::ffff:127.0.0.1]:1", "192.0.2.7:1", "203.0.113.5:3478",
                           "224.0.0.1:1", "[fd00::1]:1", "169.254.169.254:80", "0.0.0.0:1", "[64:ff9b:1::1.2.3.4]:1"}) {
    PeerPolicy before(lines);
    before.set_own_ports({at("203.0.113.5:3478")});
    const std::string reason = before.explain(at(text));
    const std::size_t equals = reason.rfind('=');
    ASSERT_NE(equals, std::string::npos) << reason;
    PeerRules more = lines;
    more.allowed = rules({reason.substr(equals + 1).c_str()});
    PeerPolicy after(more);
    after.set_own_ports({at("203.0.113.5:3478")});
    EXPECT_EQ(after.check(at(text)), kAllowed) << reason;
  }
}

TEST(PeerPolicy, EveryVerdictHasAName) {
  for (std::size_t i = 0; i < kPeerVerdicts; ++i) {
    EXPECT_NE(to_string(static_cast<PeerVerdict>(i)), "unknown") << i;
  }
  EXPECT_EQ(to_string(static_cast<PeerVerdict>(kPeerVerdicts)), "unknown");
}

}  // namespace
}  // namespace turnkit::turnd
