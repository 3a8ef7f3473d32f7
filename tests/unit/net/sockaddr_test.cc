// Addresses to sockaddr and back, the host's interfaces, and names.
#include "net/sockaddr.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "net/interfaces.h"
#include "net/resolver.h"
#include "net_test_support.h"

namespace turnkit::net {
namespace {

TEST(SockAddr, WritesWhatTheSystemReads) {
  SockAddr name;
  EXPECT_EQ(to_sockaddr({IpAddress::v4(192, 0, 2, 1), 3478}, name), sizeof(sockaddr_in));
  EXPECT_EQ(name.v4.sin_family, AF_INET);
  EXPECT_EQ(ntohs(name.v4.sin_port), 3478);
  EXPECT_EQ(ntohl(name.v4.sin_addr.s_addr), 0xC0000201U);

  EXPECT_EQ(to_sockaddr({*IpAddress::parse("fe80::5"), 65535}, name, 7), sizeof(sockaddr_in6));
  EXPECT_EQ(name.v6.sin6_family, AF_INET6);
  EXPECT_EQ(ntohs(name.v6.sin6_port), 65535);
  EXPECT_EQ(name.v6.sin6_scope_id, 7U);
  EXPECT_EQ(name.v6.sin6_flowinfo, 0U);
  in6_addr expected;
  ASSERT_EQ(inet_pton(AF_INET6, "fe80::5", &expected), 1);
  EXPECT_EQ(std::memcmp(&name.v6.sin6_addr, &expected, 16), 0);
}

TEST(SockAddr, ComesBackUnchanged) {
  for (const char* text : {"0.0.0.0:0", "192.0.2.1:3478", "255.255.255.255:65535", "[::]:0", "[2001:db8::1]:3478",
                           "[::ffff:192.0.2.1]:80"}) {
    const Address address = *Address::parse(text);
    SockAddr name;
    std::memset(&name, 0xFF, sizeof(name));
    to_sockaddr(address, name);
    EXPECT_EQ(from_sockaddr(name), address) << text;
  }
}

TEST(SockAddr, KeepsMappedAddressesIPv6) {
  SockAddr name;
  to_sockaddr(*Address::parse("[::ffff:192.0.2.1]:80"), name);
  EXPECT_EQ(from_sockaddr(name)->family(), Family::kIPv6);
}

TEST(SockAddr, RefusesOtherFamilies) {
  SockAddr name{};
  name.base.sa_family = AF_UNIX;
  EXPECT_EQ(from_sockaddr(name), std::nullopt);
}

TEST(SockAddr, LocalAddressOfNoSocketIsNothing) { EXPECT_EQ(local_address(-1), std::nullopt); }

TEST(Interfaces, ListsLoopbackOfAFreshNamespace) {
  std::vector<InterfaceAddress> found;
  if (!testing::in_namespace(1500, [&] { found = interface_addresses(); })) {
    GTEST_SKIP() << "needs root, to make a network namespace";
  }
  ASSERT_FALSE(found.empty());
  for (const InterfaceAddress& entry : found) {
    EXPECT_EQ(entry.device, "lo");
    EXPECT_TRUE(entry.ip.is_loopback()) << entry.ip.to_string();
    EXPECT_EQ(entry.scope_id, 0U);
  }
  EXPECT_EQ(found.front().ip, IpAddress::v4(127, 0, 0, 1));
}

TEST(Resolver, TakesLiteralsAsTheyAre) {
  const auto v4 = resolve("192.0.2.7");
  ASSERT_TRUE(v4);
  EXPECT_EQ(*v4, std::vector{IpAddress::v4(192, 0, 2, 7)});
  const auto v6 = resolve("[2001:db8::1]");
  ASSERT_TRUE(v6);
  EXPECT_EQ(*v6, std::vector{*IpAddress::parse("2001:db8::1")});
}

TEST(Resolver, FindsLocalhostOnce) {
  const auto found = resolve("localhost");
  ASSERT_TRUE(found) << found.error().text;
  ASSERT_FALSE(found->empty());
  for (const IpAddress& ip : *found) {
    EXPECT_TRUE(ip.is_loopback()) << ip.to_string();
    EXPECT_EQ(std::count(found->begin(), found->end(), ip), 1);
  }
}

TEST(Resolver, NamesTheHostItCannotFind) {
  const auto found = resolve("no such host\n");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().text.find("\"no such host\\x0a\""), std::string::npos) << found.error().text;
}

}  // namespace
}  // namespace turnkit::net
