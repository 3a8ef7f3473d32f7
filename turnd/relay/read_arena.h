// ReadArena: where a worker's streams and DTLS sessions put what they received. Queued datagrams refer to it, so it is
// emptied only after they have left.
#pragma once

#include <cstddef>
#include <memory>

#include "base/bytes.h"

namespace turnkit::relay {

class ReadArena {
 public:
  static constexpr std::size_t kSize = 256 * 1024;

  ReadArena() : block_(new std::byte[kSize]) {}

  [[nodiscard]] bool fits(std::size_t size) const { return size <= kSize - used_; }
  // Room for `size` bytes; keep() makes the first of them stay. Requires: fits(size).
  [[nodiscard]] MutableBytes space(std::size_t size) const { return {block_.get() + used_, size}; }
  void keep(std::size_t size) { used_ += size; }
  void clear() { used_ = 0; }

 private:
  std::unique_ptr<std::byte[]> block_;
  std::size_t used_ = 0;
};

}  // namespace turnkit::relay
