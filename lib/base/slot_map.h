// SlotMap<T>: objects in stable slots, named by handles that a later object in the same slot does not answer to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace turnkit {

// index in the low 32 bits of the pair, generation beside it. A default handle names nothing.
template <typename Tag>
struct Handle {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;  // 0: names nothing
  friend bool operator==(const Handle&, const Handle&) = default;
  explicit operator bool() const { return generation != 0; }
};

// Handles are checked: get() of a handle whose object is gone returns nullptr. Pointers stay valid until erase().
template <typename T, typename Tag = T>
class SlotMap {
 public:
  using HandleType = Handle<Tag>;

  template <typename... Args>
  HandleType emplace(Args&&... args) {
    std::uint32_t index;
    if (free_.empty()) {
      index = static_cast<std::uint32_t>(slots_.size());
      slots_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    Slot& slot = slots_[index];
    slot.object = std::make_unique<T>(std::forward<Args>(args)...);
    ++size_;
    return {index, slot.generation};
  }

  [[nodiscard]] T* get(HandleType handle) const {
    if (handle.index >= slots_.size()) return nullptr;
    const Slot& slot = slots_[handle.index];
    return slot.generation == handle.generation ? slot.object.get() : nullptr;
  }

  // Returns false when the handle names nothing any more.
  bool erase(HandleType handle) {
    if (get(handle) == nullptr) return false;
    Slot& slot = slots_[handle.index];
    slot.object.reset();
    if (++slot.generation == 0) slot.generation = 1;
    free_.push_back(handle.index);
    --size_;
    return true;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

  // Calls f(handle, object) for each object; f may erase the object it is given.
  template <typename F>
  void for_each(F&& f) {
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].object) f(HandleType{i, slots_[i].generation}, *slots_[i].object);
    }
  }

 private:
  struct Slot {
    std::unique_ptr<T> object;
    std::uint32_t generation = 1;
  };
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace turnkit
