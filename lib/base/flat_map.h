// FlatMap<Key, Value>: a map in one sorted vector. For the small tables of an allocation, where it costs least memory
// and a look-up touches one or two cache lines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace turnkit {

template <typename Key, typename Value>
class FlatMap {
 public:
  using Entry = std::pair<Key, Value>;

  [[nodiscard]] Value* find(const Key& key) {
    const auto it = lower_bound(key);
    return it != entries_.end() && it->first == key ? &it->second : nullptr;
  }
  [[nodiscard]] const Value* find(const Key& key) const { return const_cast<FlatMap*>(this)->find(key); }

  // The value of `key`, made from `value` when it was absent. Invalidates pointers.
  Value& insert(const Key& key, Value value) {
    auto it = lower_bound(key);
    if (it == entries_.end() || it->first != key) it = entries_.insert(it, Entry(key, std::move(value)));
    return it->second;
  }
  bool erase(const Key& key) {
    const auto it = lower_bound(key);
    if (it == entries_.end() || it->first != key) return false;
    entries_.erase(it);
    return true;
  }
  // Erases every entry for which f(key, value) is true.
  template <typename F>
  void erase_if(F&& f) {
    std::erase_if(entries_, [&](Entry& e) { return f(e.first, e.second); });
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] auto begin() const { return entries_.begin(); }
  [[nodiscard]] auto end() const { return entries_.end(); }

 private:
  auto lower_bound(const Key& key) {
    if (entries_.size() == 1) return entries_.front().first < key ? entries_.end() : entries_.begin();
    return std::lower_bound(entries_.begin(), entries_.end(), key,
                            [](const Entry& e, const Key& k) { return e.first < k; });
  }

  std::vector<Entry> entries_;
};

}  // namespace turnkit
