// FlatMap against a plain model, and Result.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "base/flat_map.h"
#include "base/random.h"
#include "base/result.h"

namespace turnkit {
namespace {

TEST(FlatMap, AgreesWithStdMap) {
  SeededRandom random(2);
  FlatMap<std::uint32_t, std::uint32_t> flat;
  std::map<std::uint32_t, std::uint32_t> model;
  for (int step = 0; step < 20000; ++step) {
    const std::uint32_t key = random.below(60);
    switch (random.below(4)) {
      case 0:
      case 1: {
        const std::uint32_t value = random.u32();
        EXPECT_EQ(flat.insert(key, value), model.try_emplace(key, value).first->second);
        break;
      }
      case 2:
        EXPECT_EQ(flat.erase(key), model.erase(key) == 1);
        break;
      default: {
        const auto it = model.find(key);
        const std::uint32_t* const found = flat.find(key);
        ASSERT_EQ(found != nullptr, it != model.end());
        if (found != nullptr) {
          EXPECT_EQ(*found, it->second);
        }
      }
    }
    ASSERT_EQ(flat.size(), model.size());
    EXPECT_EQ(flat.empty(), model.empty());
  }
  EXPECT_TRUE(std::equal(flat.begin(), flat.end(), model.begin(), model.end(),
                         [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
  flat.erase_if([](std::uint32_t key, std::uint32_t) { return key % 2 == 0; });
  std::erase_if(model, [](const auto& e) { return e.first % 2 == 0; });
  EXPECT_EQ(flat.size(), model.size());
}

TEST(Result, HoldsAValueOrAnError) {
  Result<std::unique_ptr<int>> good(std::make_unique<int>(3));
  ASSERT_TRUE(good);
  EXPECT_EQ(**good, 3);
  const std::unique_ptr<int> moved = *std::move(good);
  EXPECT_EQ(*moved, 3);
  const Result<std::string> bad(Error{"no"});
  EXPECT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().text, "no");
  EXPECT_TRUE(Status());
  EXPECT_FALSE(Status(Error{"no"}));
  EXPECT_EQ(Status(Error{"no"}).error().text, "no");
}

}  // namespace
}  // namespace turnkit
