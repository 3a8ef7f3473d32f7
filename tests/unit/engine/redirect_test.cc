// Which list redirects whom, and the geometry of RFC 5780.
#include "turnd/engine/redirect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "turnd/engine/discovery.h"

namespace turnkit::engine {
namespace {

using testing::ElementsAre;

Address v4(std::uint8_t last, std::uint16_t port = 3478) { return {IpAddress::v4(192, 0, 2, last), port}; }
Address v6(std::string_view text) { return {*IpAddress::parse(text), 3478}; }
FiveTuple from(Transport transport, const Address& server = v4(1)) { return {v4(200, 40000), server, transport}; }

constexpr std::array kTransports{Transport::kUdp, Transport::kTcp, Transport::kTls, Transport::kDtls};

// Whom each transport is sent to, by the last octet; 0: nobody.
std::vector<int> chosen(const Alternates& alternates) {
  std::vector<int> out;
  for (const Transport transport : kTransports) {
    Redirector redirector(0);
    const auto server = redirector.choose(alternates, from(transport), {});
    out.push_back(server ? std::to_integer<int>(server->ip.bytes()[3]) : 0);
  }
  return out;
}

TEST(Redirector, CoturnsOrderOfTheLists) {
  Alternates all{
      .udp = {v4(11)}, .tcp = {v4(12)}, .tls = {v4(13)}, .any = {v4(14)}, .aux = {v4(15)}, .self_balance = true};
  EXPECT_THAT(chosen(all), ElementsAre(11, 12, 12, 11));
  all.udp.clear();
  EXPECT_THAT(chosen(all), ElementsAre(15, 12, 12, 15)) << "self-balance";
  all.tcp.clear();
  EXPECT_THAT(chosen(all), ElementsAre(15, 14, 13, 15));
  all.self_balance = false;
  EXPECT_THAT(chosen(all), ElementsAre(14, 14, 13, 13));
  all.tls.clear();
  EXPECT_THAT(chosen(all), ElementsAre(14, 14, 14, 14));
  all.any.clear();
  EXPECT_THAT(chosen(all), ElementsAre(0, 0, 0, 0)) << "aux servers are listed, but balance nothing";
  EXPECT_TRUE(all.empty());
}

TEST(Redirector, RoundRobinByFamily) {
  const Alternates alternates{.any = {v4(11), v6("2001:db8::1"), v4(12), v6("2001:db8::2")}};
  Redirector redirector(0);
  std::vector<std::string> seen;
  for (int i = 0; i < 4; ++i) {
    seen.push_back(redirector.choose(alternates, from(Transport::kUdp), {})->ip.to_string());
  }
  EXPECT_THAT(seen, ElementsAre("192.0.2.11", "192.0.2.12", "192.0.2.11", "192.0.2.12"));
  seen.clear();
  redirector = Redirector(0);
  for (int i = 0; i < 3; ++i) {
    const FiveTuple tuple{v6("2001:db8::99"), v6("2001:db8::50"), Transport::kTcp};
    seen.push_back(redirector.choose(alternates, tuple, {})->ip.to_string());
  }
  EXPECT_THAT(seen, ElementsAre("2001:db8::1", "2001:db8::2", "2001:db8::1"));
  const Alternates only_v4{.any = {v4(11)}};
  EXPECT_FALSE(redirector.choose(only_v4, {v6("2001:db8::99"), v6("2001:db8::50"), Transport::kUdp}, {}));
}

TEST(Redirector, WorkersBeginAtDifferentPlaces) {
  const Alternates alternates{.any = {v4(11), v4(12), v4(13)}};
  EXPECT_NE(Redirector(0).choose(alternates, from(Transport::kUdp), {}),
            Redirector(1).choose(alternates, from(Transport::kUdp), {}));
}

TEST(Redirector, AListWithOurselvesRedirectsNobody) {
  Redirector redirector(0);
  EXPECT_FALSE(redirector.choose({.any = {v4(11), v4(1)}}, from(Transport::kUdp), {}));
  EXPECT_TRUE(redirector.choose({.any = {v4(11), v4(1, 3479)}}, from(Transport::kUdp), {})) << "another port";
  EXPECT_TRUE(redirector.choose({.udp = {v4(11)}, .any = {v4(1)}}, from(Transport::kUdp), {}));
  const ExternalIps external({{IpAddress::v4(198, 51, 100, 7), v4(1).ip}});
  const Address outside{IpAddress::v4(198, 51, 100, 7), 3478};
  EXPECT_FALSE(redirector.choose({.any = {v4(11), outside}}, from(Transport::kUdp), external));
}

TEST(Redirector, AuxServersRedirectNobodyAndAreNamedByTheirPublicForm) {
  const ExternalIps external({{IpAddress::v4(198, 51, 100, 7), v4(1).ip}});
  const Alternates balancing{.any = {v4(11)}, .aux = {v4(1, 4000)}, .self_balance = true};
  Redirector redirector(0);
  EXPECT_FALSE(redirector.choose(balancing, from(Transport::kUdp, v4(1, 4000)), external));
  EXPECT_FALSE(redirector.choose(balancing, from(Transport::kTcp, v4(1, 4000)), external)) << "whatever the list";
  EXPECT_EQ(redirector.choose(balancing, from(Transport::kUdp), external),
            (Address{IpAddress::v4(198, 51, 100, 7), 4000}));
}

TEST(Discovery, TheOtherAddressIsTheNextOneWithTheAlternatePort) {
  const auto made = Discovery::make({v4(1).ip, v6("2001:db8::1").ip, v4(2).ip, v4(3).ip}, {{3478, 3479}, {5349, 5350}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->other(v4(1, 3478)), v4(2, 3479));
  EXPECT_EQ(made->other(v4(2, 3479)), v4(3, 3478));
  EXPECT_EQ(made->other(v4(3, 5350)), v4(1, 5349));
  EXPECT_FALSE(made->other(v6("2001:db8::1"))) << "the only one of its family";
  EXPECT_FALSE(made->other(v4(1, 80)));
  EXPECT_FALSE(made->other(v4(9)));
  EXPECT_FALSE(Discovery().other(v4(1)));
}

TEST(Discovery, SaysWhatIsMissing) {
  EXPECT_FALSE(Discovery::make({v4(1).ip}, {{3478, 3479}}));
  EXPECT_FALSE(Discovery::make({v4(1).ip, v6("2001:db8::1").ip}, {{3478, 3479}}));
  EXPECT_FALSE(Discovery::make({IpAddress::v4(0, 0, 0, 0), v4(1).ip}, {{3478, 3479}}));
  EXPECT_FALSE(Discovery::make({v4(1).ip, v4(2).ip}, {{3478, 3478}}));
  EXPECT_FALSE(Discovery::make({v4(1).ip, v4(2).ip}, {}));
  EXPECT_FALSE(Discovery::make({v4(1).ip, IpAddress::v4(127, 0, 0, 1)}, {{3478, 3479}}))
      << "loopback is no other address for somebody from outside";
  EXPECT_TRUE(Discovery::make({IpAddress::v4(127, 0, 0, 2), IpAddress::v4(127, 0, 0, 1)}, {{3478, 3479}}));
}

}  // namespace
}  // namespace turnkit::engine
