// Random sources and the clock.
#include "base/random.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/clock.h"

namespace turnkit {
namespace {

// Returns a script of 32-bit words.
class Scripted final : public Random {
 public:
  explicit Scripted(std::vector<std::uint32_t> words) : words_(std::move(words)) {}
  void fill(MutableBytes out) override {
    ASSERT_EQ(out.size(), 4U);
    ASSERT_LT(used, words_.size());
    store_be32(out.data(), words_[used++]);
  }
  std::size_t used = 0;

 private:
  std::vector<std::uint32_t> words_;
};

TEST(Random, BelowMapsTheWholeRangeEvenly) {
  EXPECT_EQ(Scripted({0}).below(1), 0U);
  EXPECT_EQ(Scripted({0xFFFFFFFF}).below(1), 0U);
  EXPECT_EQ(Scripted({0}).below(2), 0U);
  EXPECT_EQ(Scripted({0x7FFFFFFF}).below(2), 0U);
  EXPECT_EQ(Scripted({0x80000000}).below(2), 1U);
  EXPECT_EQ(Scripted({0xFFFFFFFF}).below(0xFFFFFFFF), 0xFFFFFFFEU);
}

// 2^32 = 1 mod 3, so exactly one of all words must be rejected: 0.
TEST(Random, BelowRejectsWhatWouldBias) {
  Scripted source({0, 0x80000000});
  EXPECT_EQ(source.below(3), 1U);
  EXPECT_EQ(source.used, 2U);
  Scripted kept({1});
  EXPECT_EQ(kept.below(3), 0U);
  EXPECT_EQ(kept.used, 1U);
}

TEST(Random, BelowIsUniform) {
  SystemRandom system;
  SeededRandom seeded(4);
  for (Random* random : std::initializer_list<Random*>{&system, &seeded}) {
    std::array<int, 7> counts{};
    for (int i = 0; i < 70000; ++i) ++counts[random->below(7)];
    // 10000 expected, standard deviation 93; 7 of them make a false alarm less likely than one in 10^10.
    for (const int count : counts) EXPECT_NEAR(count, 10000, 650);
  }
}

TEST(SystemRandom, FillsEverySizeAndNeverRepeats) {
  SystemRandom random;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(random.u64()).second);
  for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 5000U}) {
    std::vector<std::byte> bytes(size + 1, std::byte{});
    std::vector<bool> touched(size);
    for (int round = 0; round < 20; ++round) {
      random.fill(MutableBytes(bytes).first(size));
      for (std::size_t i = 0; i < size; ++i) touched[i] = touched[i] || bytes[i] != std::byte{};
    }
    EXPECT_EQ(bytes[size], std::byte{});
    for (std::size_t i = 0; i < size; ++i) EXPECT_TRUE(touched[i]) << i << " of " << size;
  }
}

TEST(SeededRandom, IsSplitMix64) {
  SeededRandom random(1234567);  // the published answers for this seed
  EXPECT_EQ(random.u64(), 6457827717110365317U);
  EXPECT_EQ(random.u64(), 3203168211198807973U);
  EXPECT_EQ(random.u64(), 9817491932198370423U);
}

TEST(SeededRandom, SameSeedSameSequence) {
  SeededRandom a(5);
  SeededRandom b(5);
  SeededRandom c(6);
  std::array<std::byte, 13> x;
  std::array<std::byte, 13> y;
  a.fill(x);
  b.fill(y);
  EXPECT_EQ(x, y);
  c.fill(y);
  EXPECT_NE(x, y);
}

TEST(Clock, Advances) {
  const Now first = read_clock();
  const Now second = read_clock();
  EXPECT_GE(second.mono, first.mono);
  EXPECT_GE(second.wall, first.wall);
  EXPECT_GT(first.wall.time_since_epoch().count(), 1600000000);
}

}  // namespace
}  // namespace turnkit
