// Scratch: bytes that must stay until the next flush (answers and Data indications), handed out from one block.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>

#include "base/bytes.h"

namespace turnkit::relay {

class Scratch {
 public:
  static constexpr std::size_t kSize = 256 * 1024;

  Scratch() : block_(new std::byte[kSize]) {}

  // Requires: fits(size).
  MutableBytes take(std::size_t size) {
    MutableBytes out(block_.get() + used_, size);
    used_ += size;
    return out;
  }
  Bytes keep(Bytes bytes) {
    const MutableBytes out = take(bytes.size());
    if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  [[nodiscard]] bool fits(std::size_t size) const { return size <= kSize - used_; }
  void clear() { used_ = 0; }

 private:
  std::unique_ptr<std::byte[]> block_;
  std::size_t used_ = 0;
};

}  // namespace turnkit::relay
