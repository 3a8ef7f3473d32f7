// Bytes and byte order. Everything that reads or writes multi-byte integers of a wire format goes through here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace turnkit {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// Big-endian (network order) loads and stores. Requires: the bytes from `p` exist. No alignment is needed.
constexpr std::uint16_t load_be16(const std::byte* p) {
  return static_cast<std::uint16_t>((std::to_integer<unsigned>(p[0]) << 8) | std::to_integer<unsigned>(p[1]));
}
constexpr std::uint32_t load_be32(const std::byte* p) { return (std::uint32_t{load_be16(p)} << 16) | load_be16(p + 2); }
constexpr std::uint64_t load_be64(const std::byte* p) { return (std::uint64_t{load_be32(p)} << 32) | load_be32(p + 4); }
constexpr void store_be16(std::byte* p, std::uint16_t v) {
  p[0] = static_cast<std::byte>(v >> 8);
  p[1] = static_cast<std::byte>(v & 0xFF);
}
constexpr void store_be32(std::byte* p, std::uint32_t v) {
  store_be16(p, static_cast<std::uint16_t>(v >> 16));
  store_be16(p + 2, static_cast<std::uint16_t>(v & 0xFFFF));
}
constexpr void store_be64(std::byte* p, std::uint64_t v) {
  store_be32(p, static_cast<std::uint32_t>(v >> 32));
  store_be32(p + 4, static_cast<std::uint32_t>(v & 0xFFFFFFFF));
}

// Text and bytes are the same memory seen twice; these are the only casts between the two.
inline Bytes as_bytes(std::string_view text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

inline bool equal(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Reads forward through a buffer. A read past the end returns zero or an empty span and makes ok() false for good.
class Reader {
 public:
  explicit constexpr Reader(Bytes bytes) : rest_(bytes) {}

  constexpr std::uint8_t u8() {
    const Bytes b = take(1);
    return b.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(b[0]);
  }
  constexpr std::uint16_t u16() {
    const Bytes b = take(2);
    return b.empty() ? std::uint16_t{0} : load_be16(b.data());
  }
  constexpr std::uint32_t u32() {
    const Bytes b = take(4);
    return b.empty() ? 0 : load_be32(b.data());
  }
  constexpr std::uint64_t u64() {
    const Bytes b = take(8);
    return b.empty() ? 0 : load_be64(b.data());
  }
  // The next `n` bytes, or an empty span (and ok() false) when fewer are left.
  constexpr Bytes take(std::size_t n) {
    if (n > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const Bytes out = rest_.first(n);
    rest_ = rest_.subspan(n);
    return out;
  }
  constexpr void skip(std::size_t n) { (void)take(n); }
  [[nodiscard]] constexpr Bytes rest() const { return rest_; }
  [[nodiscard]] constexpr std::size_t remaining() const { return rest_.size(); }
  [[nodiscard]] constexpr bool ok() const { return ok_; }

 private:
  Bytes rest_;
  bool ok_ = true;
};

// Writes forward into a caller's buffer. A write that does not fit writes nothing and makes ok() false for good.
class Writer {
 public:
  explicit constexpr Writer(MutableBytes buffer) : buffer_(buffer) {}

  constexpr void u8(std::uint8_t v) {
    if (std::byte* p = reserve(1)) p[0] = static_cast<std::byte>(v);
  }
  constexpr void u16(std::uint16_t v) {
    if (std::byte* p = reserve(2)) store_be16(p, v);
  }
  constexpr void u32(std::uint32_t v) {
    if (std::byte* p = reserve(4)) store_be32(p, v);
  }
  constexpr void u64(std::uint64_t v) {
    if (std::byte* p = reserve(8)) store_be64(p, v);
  }
  void bytes(Bytes b) {
    std::byte* p = reserve(b.size());
    if (p != nullptr && !b.empty()) std::memcpy(p, b.data(), b.size());
  }
  void zeros(std::size_t n) {
    std::byte* p = reserve(n);
    if (p != nullptr && n != 0) std::memset(p, 0, n);
  }
  // Overwrites two bytes already written. Requires: offset + 2 <= size().
  constexpr void patch_u16(std::size_t offset, std::uint16_t v) { store_be16(buffer_.data() + offset, v); }

  [[nodiscard]] constexpr std::size_t size() const { return size_; }
  [[nodiscard]] constexpr bool ok() const { return ok_; }
  [[nodiscard]] constexpr Bytes written() const { return buffer_.first(size_); }

 private:
  constexpr std::byte* reserve(std::size_t n) {
    if (!ok_ || n > buffer_.size() - size_) {
      ok_ = false;
      return nullptr;
    }
    std::byte* p = buffer_.data() + size_;
    size_ += n;
    return p;
  }

  MutableBytes buffer_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace turnkit
