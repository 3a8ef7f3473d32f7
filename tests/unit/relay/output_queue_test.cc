#include "turnd/relay/output_queue.h"

#include <gtest/gtest.h>

#include <random>

namespace turnkit::relay {
namespace {

TEST(OutputQueue, KeepsBytesInOrderHoweverTheyComeAndGo) {
  BlockPool pool;
  constexpr std::size_t kBound = 200'000;
  OutputQueue queue(pool, kBound);
  std::mt19937 random(7);
  std::uint8_t next_in = 0;
  std::uint8_t next_out = 0;
  for (int step = 0; step < 4000; ++step) {
    const std::size_t size = random() % 9000;
    if (queue.size() + size <= kBound) {
      std::byte* at = queue.extend(size);
      for (std::size_t i = 0; i < size; ++i) at[i] = std::byte{next_in++};
    }
    const std::size_t taken = random() % (queue.size() + 1) / (1 + random() % 8);
    for (const std::byte b : queue.bytes().first(taken)) ASSERT_EQ(b, std::byte{next_out++}) << step;
    queue.consume(taken);
    ASSERT_LE(queue.capacity(), kBound + BlockPool::kBlock);
  }
}

TEST(OutputQueue, OwnsNothingWhenEmpty) {
  BlockPool pool;
  OutputQueue queue(pool, 1 << 20);
  EXPECT_EQ(queue.capacity(), 0U);
  queue.append(as_bytes("hello"));
  EXPECT_EQ(queue.capacity(), BlockPool::kBlock);
  EXPECT_EQ(as_text(queue.bytes()), "hello");
  queue.consume(5);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.capacity(), 0U);
}

TEST(OutputQueue, TakesMoreThanItsBoundWhenItMust) {
  BlockPool pool;
  OutputQueue queue(pool, 1000);
  (void)queue.extend(300'000);
  EXPECT_EQ(queue.size(), 300'000U);
}

}  // namespace
}  // namespace turnkit::relay
