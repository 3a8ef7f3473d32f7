// Quotas, token buckets, and the limit of answers to one source.
#include <gtest/gtest.h>

#include <thread>

#include "turnd/engine/quota.h"
#include "turnd/engine/source_limit.h"
#include "turnd/engine/token_bucket.h"

namespace turnkit::engine {
namespace {

using namespace std::chrono_literals;
using Refusal = Quotas::Refusal;

constexpr TimePoint kStart{1h};

TEST(Quotas, UsersAndRealmsAreCountedApart) {
  Quotas quotas({.per_user = 1, .total = 2});
  const auto first = quotas.acquire("a", "alice");
  EXPECT_EQ(first.refusal, Refusal::kNone);
  EXPECT_EQ(quotas.acquire("a", "alice").refusal, Refusal::kUser);
  const auto namesake = quotas.acquire("b", "alice");
  EXPECT_EQ(namesake.refusal, Refusal::kNone);
  const auto second = quotas.acquire("a", "bob");
  EXPECT_EQ(quotas.acquire("a", "carol").refusal, Refusal::kTotal);
  EXPECT_EQ(quotas.acquire("a", "").refusal, Refusal::kTotal) << "anonymous sessions count, too";
  EXPECT_EQ(quotas.total("a"), 2U);
  EXPECT_EQ(quotas.total("b"), 1U);
  EXPECT_EQ(quotas.total("c"), 0U);
  EXPECT_EQ(quotas.total(), 3U);
}

TEST(Quotas, ARealmsOwnLimitsGoBeforeTheServers) {
  QuotaLimits limits{.per_user = 5, .total = 5, .max_bps = 1000};
  limits.realms["small"] = {.per_user = 1, .max_bps = 10};
  limits.realms["free"] = {.per_user = 0, .total = 0, .max_bps = 0};
  Quotas quotas(limits);
  const auto small = quotas.acquire("small", "alice");
  EXPECT_EQ(small.ticket.bandwidth(), 10U);
  EXPECT_EQ(quotas.acquire("small", "alice").refusal, Refusal::kUser);
  EXPECT_EQ(quotas.acquire("other", "alice").ticket.bandwidth(), 1000U);
  std::vector<Quotas::Answer> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(quotas.acquire("free", "alice"));
    EXPECT_EQ(many.back().refusal, Refusal::kNone) << "0 is no limit";
    EXPECT_EQ(many.back().ticket.bandwidth(), 0U);
  }
}

TEST(Quotas, PlacesComeBack) {
  Quotas quotas({.per_user = 1, .total = 1, .max_bps = 100, .bps_capacity = 100});
  {
    auto answer = quotas.acquire("a", "alice");
    QuotaTicket moved = std::move(answer.ticket);
    EXPECT_EQ(quotas.total(), 1U);
    moved = QuotaTicket();
    EXPECT_EQ(quotas.total(), 0U);
  }
  EXPECT_EQ(quotas.acquire("a", "alice").refusal, Refusal::kNone);
  EXPECT_EQ(quotas.total(), 0U);
}

TEST(Quotas, CapacityIsSharedOutAndTheLastOneGetsTheRest) {
  Quotas quotas({.max_bps = 100, .bps_capacity = 250});
  auto first = quotas.acquire("a", "x");
  auto second = quotas.acquire("b", "y");
  auto third = quotas.acquire("a", "z");
  EXPECT_EQ(first.ticket.bandwidth(), 100U);
  EXPECT_EQ(third.ticket.bandwidth(), 50U);
  EXPECT_EQ(quotas.acquire("a", "z").refusal, Refusal::kBandwidth);
  second.ticket = QuotaTicket();
  EXPECT_EQ(quotas.acquire("a", "z").ticket.bandwidth(), 100U);
}

TEST(Quotas, NewLimitsHoldForWhatComes) {
  Quotas quotas({});
  auto first = quotas.acquire("a", "alice");
  auto second = quotas.acquire("a", "alice");
  quotas.set_limits({.total = 2, .max_bps = 10, .bps_capacity = 10});
  EXPECT_EQ(quotas.acquire("a", "bob").refusal, Refusal::kTotal);
  first.ticket = QuotaTicket();
  auto third = quotas.acquire("a", "bob");
  EXPECT_EQ(third.ticket.bandwidth(), 10U) << "those without a limit have reserved nothing";
  quotas.set_limits({});
  third.ticket = QuotaTicket();
  quotas.set_limits({.max_bps = 10, .bps_capacity = 10});
  EXPECT_EQ(quotas.acquire("a", "bob").refusal, Refusal::kNone) << "what was reserved under other limits came back";
}

TEST(Quotas, MovingChangesTheRealmOrNothing) {
  QuotaLimits limits;
  limits.realms["b"] = {.total = 1};
  Quotas quotas(limits);
  auto first = quotas.acquire("a", "alice");
  auto second = quotas.acquire("a", "");
  EXPECT_EQ(quotas.move(first.ticket, "b", ""), Refusal::kNone);
  EXPECT_EQ(quotas.move(first.ticket, "b", ""), Refusal::kNone) << "its own place is free for it";
  EXPECT_EQ(quotas.move(second.ticket, "b", ""), Refusal::kTotal);
  EXPECT_EQ(quotas.total("a"), 1U);
  EXPECT_EQ(quotas.total("b"), 1U);
  EXPECT_EQ(quotas.total(), 2U);
  QuotaTicket none;
  EXPECT_EQ(quotas.move(none, "b", ""), Refusal::kNone);
}

TEST(Quotas, WorkersMayAskAtTheSameTime) {
  Quotas quotas({.per_user = 8, .total = 8});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        auto answer = quotas.acquire("a", "alice");
        EXPECT_LE(quotas.total(), 8U);
        if (i % 500 == 0) quotas.set_limits({.per_user = 8, .total = 8});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(quotas.total(), 0U);
}

TEST(TokenBucket, LetsTheRateThroughSmoothly) {
  TokenBucket bucket(1'000'000, 200ms, kStart);
  EXPECT_EQ(bucket.rate(), 1'000'000U);
  std::size_t passed = 0;
  while (bucket.take(1000, kStart)) ++passed;
  EXPECT_EQ(passed, 200U) << "a burst of 200 ms";
  for (int ms = 1; ms <= 1000; ++ms) {
    int now = 0;
    while (bucket.take(1000, kStart + std::chrono::milliseconds(ms))) ++now;
    EXPECT_EQ(now, 1) << "at " << ms << " ms: no second is worse at its end than at its beginning";
  }
}

TEST(TokenBucket, ABurstHasAnyLengthButNeverLessThanADatagram) {
  TokenBucket slow(100, 1ms, kStart);
  EXPECT_TRUE(slow.take(65'507, kStart));
  EXPECT_FALSE(slow.take(65'507, kStart));
  TokenBucket patient(100'000, 10'000ms, kStart);
  EXPECT_TRUE(patient.take(1'000'000, kStart));
  EXPECT_FALSE(patient.take(1, kStart));
  EXPECT_TRUE(patient.take(1'000'000, kStart + 10s)) << "a long pause fills it again";
}

TEST(TokenBucket, HugeRatesDoNotOverflow) {
  TokenBucket bucket(~std::uint64_t{0}, 10'000ms, kStart);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(bucket.take(65'507, kStart + std::chrono::hours(i)));
}

TEST(SourceLimit, CountsEachSourceForASecond) {
  SourceLimit limit(7);
  const IpAddress one = IpAddress::v4(192, 0, 2, 1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.allow(one, 3, kStart));
  EXPECT_FALSE(limit.allow(one, 3, kStart + 999ms));
  EXPECT_TRUE(limit.allow(IpAddress::v4(192, 0, 2, 2), 3, kStart));
  EXPECT_TRUE(limit.allow(one, 3, kStart + 1s));
}

TEST(SourceLimit, AnIPv6SourceIsItsSlash64) {
  SourceLimit limit(7);
  EXPECT_TRUE(limit.allow(*IpAddress::parse("2001:db8::1"), 1, kStart));
  EXPECT_FALSE(limit.allow(*IpAddress::parse("2001:db8::2"), 1, kStart));
  EXPECT_FALSE(limit.allow(*IpAddress::parse("2001:db8::ffff:1:2:3"), 1, kStart));
  EXPECT_TRUE(limit.allow(*IpAddress::parse("2001:db8:0:1::1"), 1, kStart));
}

TEST(SourceLimit, AFloodFromEverywhereMakesItLooserNeverTighter) {
  SourceLimit limit(7);
  const auto source = [](unsigned i) {
    return IpAddress::v4(10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                         static_cast<std::uint8_t>(i));
  };
  for (unsigned i = 0; i < 200'000; ++i) ASSERT_TRUE(limit.allow(source(i), 1, kStart)) << "a new source is let in";
  unsigned refused = 0;
  for (unsigned i = 199'000; i < 200'000; ++i) refused += limit.allow(source(i), 1, kStart) ? 0 : 1;
  EXPECT_GT(refused, 100U) << "it remembers the latest";
}

}  // namespace
}  // namespace turnkit::engine
