// OutputQueue: the bytes that wait for a stream, in one contiguous block, so that one write takes them all. Empty
// queues own no memory; blocks are shared by the streams of a worker.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace turnkit::relay {

// Blocks of one size that come and go with every turn.
class BlockPool {
 public:
  static constexpr std::size_t kBlock = 64 * 1024;
  using Block = std::unique_ptr<std::byte[]>;

  Block take() {
    if (free_.empty()) return Block(new std::byte[kBlock]);
    Block block = std::move(free_.back());
    free_.pop_back();
    return block;
  }
  void give_back(Block block) {
    if (free_.size() < kKept) free_.push_back(std::move(block));
  }

 private:
  static constexpr std::size_t kKept = 16;
  std::vector<Block> free_;
};

class OutputQueue {
 public:
  // `bound`: about how much the owner will ever have in it; the block does not grow far beyond.
  OutputQueue(BlockPool& pool, std::size_t bound) : pool_(&pool), max_capacity_(bound + BlockPool::kBlock) {}
  ~OutputQueue() { release(); }
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  [[nodiscard]] bool empty() const { return begin_ == end_; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] Bytes bytes() const { return {block_.get() + begin_, size()}; }

  // Room for `size` more bytes at the end; all of it counts as written.
  std::byte* extend(std::size_t size) {
    if (capacity_ - end_ < size) make_room(size);
    std::byte* at = block_.get() + end_;
    end_ += size;
    return at;
  }
  void append(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }
  // Removes bytes from the front. Requires: count <= size().
  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) release();
  }

 private:
  void make_room(std::size_t size) {
    const std::size_t used = this->size();
    const bool worth_growing = used + size > capacity_ / 4 * 3 && capacity_ < max_capacity_;
    if (used + size > capacity_ || worth_growing) {
      const std::size_t doubled = block_ ? std::min(2 * capacity_, max_capacity_) : BlockPool::kBlock;
      const std::size_t wanted = std::max(used + size, doubled);
      BlockPool::Block grown = wanted == BlockPool::kBlock ? pool_->take() : BlockPool::Block(new std::byte[wanted]);
      if (used != 0) std::memcpy(grown.get(), block_.get() + begin_, used);
      release();
      block_ = std::move(grown);
      capacity_ = wanted;
    } else {
      std::memmove(block_.get(), block_.get() + begin_, used);
    }
    begin_ = 0;
    end_ = used;
  }
  void release() {
    if (capacity_ == BlockPool::kBlock) pool_->give_back(std::move(block_));
    block_.reset();
    capacity_ = begin_ = end_ = 0;
  }

  BlockPool* pool_;
  std::size_t max_capacity_;
  BlockPool::Block block_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace turnkit::relay
