// SlotMap and FlatMap, each against a plain model, and Result.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "base/flat_map.h"
#include "base/random.h"
#include "base/result.h"
#include "base/slot_map.h"

namespace turnkit {
namespace {

TEST(SlotMap, AHandleOutlivesItsObjectHarmlessly) {
  SlotMap<std::string> map;
  EXPECT_FALSE(Handle<std::string>{});
  EXPECT_EQ(map.get({}), nullptr);
  const auto first = map.emplace("one");
  ASSERT_TRUE(first);
  EXPECT_EQ(*map.get(first), "one");
  EXPECT_TRUE(map.erase(first));
  EXPECT_FALSE(map.erase(first));
  EXPECT_EQ(map.get(first), nullptr);
  const auto second = map.emplace("two");
  EXPECT_EQ(second.index, first.index);  // the slot is used again
  EXPECT_NE(second, first);
  EXPECT_EQ(map.get(first), nullptr);
  EXPECT_EQ(*map.get(second), "two");
  EXPECT_EQ(map.get({12345, 1}), nullptr);
}

TEST(SlotMap, PointersStayValid) {
  SlotMap<int> map;
  const auto handle = map.emplace(7);
  const int* const pointer = map.get(handle);
  for (int i = 0; i < 1000; ++i) map.emplace(i);
  EXPECT_EQ(map.get(handle), pointer);
}

TEST(SlotMap, ForEachMayEraseWhatItIsGiven) {
  SlotMap<int> map;
  for (int i = 0; i < 10; ++i) map.emplace(i);
  int sum = 0;
  map.for_each([&](auto handle, int& value) {
    sum += value;
    if (value % 2 == 0) map.erase(handle);
  });
  EXPECT_EQ(sum, 45);
  EXPECT_EQ(map.size(), 5U);
  map.for_each([](auto, int& value) { EXPECT_EQ(value % 2, 1); });
}

TEST(SlotMap, AgreesWithAModel) {
  SeededRandom random(1);
  SlotMap<std::uint32_t> map;
  std::vector<std::pair<SlotMap<std::uint32_t>::HandleType, std::uint32_t>> live;
  std::vector<SlotMap<std::uint32_t>::HandleType> dead;
  for (int step = 0; step < 20000; ++step) {
    if (live.empty() || random.below(5) < 3) {
      const std::uint32_t value = random.u32();
      live.emplace_back(map.emplace(value), value);
    } else {
      const std::size_t i = random.below(static_cast<std::uint32_t>(live.size()));
      EXPECT_TRUE(map.erase(live[i].first));
      dead.push_back(live[i].first);
      live[i] = live.back();
      live.pop_back();
    }
    ASSERT_EQ(map.size(), live.size());
    if (!dead.empty()) {
      EXPECT_EQ(map.get(dead[random.below(static_cast<std::uint32_t>(dead.size()))]), nullptr);
    }
  }
  for (const auto& [handle, value] : live) EXPECT_EQ(*map.get(handle), value);
}

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
