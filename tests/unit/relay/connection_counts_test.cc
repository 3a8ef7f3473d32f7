#include "turnd/relay/connection_counts.h"

#include <gtest/gtest.h>

#include <vector>

namespace turnkit::relay {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

TEST(ConnectionCounts, LimitsEachSourceAndTheWhole) {
  const auto counts = std::make_shared<ConnectionCounts>();
  std::vector<ConnectionTicket> held;
  held.push_back(counts->admit(ip("192.0.2.1"), 3, 2));
  held.push_back(counts->admit(ip("192.0.2.1"), 3, 2));
  EXPECT_FALSE(counts->admit(ip("192.0.2.1"), 3, 2));
  held.push_back(counts->admit(ip("192.0.2.2"), 3, 2));
  EXPECT_FALSE(counts->admit(ip("192.0.2.3"), 3, 2));
  for (const ConnectionTicket& ticket : held) EXPECT_TRUE(ticket);
  held.erase(held.begin());
  EXPECT_EQ(counts->total(), 2U);
  EXPECT_TRUE(counts->admit(ip("192.0.2.1"), 3, 2));
  held.clear();
  EXPECT_EQ(counts->total(), 0U);
}

TEST(ConnectionCounts, NoLimitIsZero) {
  const auto counts = std::make_shared<ConnectionCounts>();
  std::vector<ConnectionTicket> held;
  for (int i = 0; i < 100; ++i) held.push_back(counts->admit(ip("192.0.2.1"), 0, 0));
  EXPECT_EQ(counts->total(), 100U);
}

// A host has a whole /64 to pick its source from.
TEST(ConnectionCounts, Ipv6SourcesCountByTheirNetwork) {
  const auto counts = std::make_shared<ConnectionCounts>();
  const ConnectionTicket first = counts->admit(ip("2001:db8::1"), 0, 1);
  EXPECT_TRUE(first);
  EXPECT_FALSE(counts->admit(ip("2001:db8::2"), 0, 1));
  EXPECT_TRUE(counts->admit(ip("2001:db8:0:1::1"), 0, 1));
}

TEST(ConnectionCounts, TicketsMayMoveAndOutliveTheirMaker) {
  auto counts = std::make_shared<ConnectionCounts>();
  ConnectionTicket a = counts->admit(ip("192.0.2.1"), 0, 0);
  ConnectionTicket b = std::move(a);
  a = std::move(b);
  EXPECT_TRUE(a);
  EXPECT_EQ(counts->total(), 1U);
  a = counts->admit(ip("192.0.2.2"), 0, 0);
  counts.reset();
}

}  // namespace
}  // namespace turnkit::relay
