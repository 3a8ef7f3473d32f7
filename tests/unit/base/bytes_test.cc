// Byte order, Reader and Writer.
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace turnkit {
namespace {

TEST(ByteOrder, EverySixteenBitValue) {
  std::array<std::byte, 4> b{};
  for (unsigned v = 0; v <= 0xFFFF; ++v) {
    store_be16(b.data() + 1, static_cast<std::uint16_t>(v));  // unaligned
    ASSERT_EQ(std::to_integer<unsigned>(b[1]), v >> 8);
    ASSERT_EQ(std::to_integer<unsigned>(b[2]), v & 0xFF);
    ASSERT_EQ(load_be16(b.data() + 1), v);
  }
  EXPECT_EQ(b[0], std::byte{});
  EXPECT_EQ(b[3], std::byte{});
}

TEST(ByteOrder, WiderValuesAtTheirBoundaries) {
  std::array<std::byte, 10> b{};
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t v :
         {std::uint64_t{1} << shift, (std::uint64_t{1} << shift) - 1, ~(std::uint64_t{1} << shift)}) {
      store_be64(b.data() + 1, v);
      ASSERT_EQ(load_be64(b.data() + 1), v);
      ASSERT_EQ(load_be32(b.data() + 1), v >> 32);
      ASSERT_EQ(load_be32(b.data() + 5), v & 0xFFFFFFFF);
      store_be32(b.data() + 3, static_cast<std::uint32_t>(v));
      ASSERT_EQ(load_be32(b.data() + 3), static_cast<std::uint32_t>(v));
    }
  }
  static_assert([] {
    std::array<std::byte, 8> c{};
    store_be64(c.data(), 0x0102030405060708);
    return load_be64(c.data()) == 0x0102030405060708 && c[0] == std::byte{1} && c[7] == std::byte{8};
  }());
}

TEST(Text, BytesAndTextAreTheSameMemory) {
  const std::string_view text = "abc";
  EXPECT_EQ(as_text(as_bytes(text)).data(), text.data());
  EXPECT_TRUE(equal(as_bytes("abc"), as_bytes(text)));
  EXPECT_FALSE(equal(as_bytes("abd"), as_bytes(text)));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes(text)));
  EXPECT_TRUE(equal({}, {}));
}

TEST(Reader, ReadsForward) {
  const std::vector<std::byte> data = [] {
    std::vector<std::byte> d(20);
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = static_cast<std::byte>(i + 1);
    return d;
  }();
  Reader r(data);
  EXPECT_EQ(r.u8(), 0x01);
  EXPECT_EQ(r.u16(), 0x0203);
  EXPECT_EQ(r.u32(), 0x04050607U);
  EXPECT_EQ(r.u64(), 0x08090A0B0C0D0E0FU);
  r.skip(1);
  EXPECT_EQ(r.take(2).data(), data.data() + 16);
  EXPECT_EQ(r.remaining(), 2U);
  EXPECT_EQ(r.rest().data(), data.data() + 18);
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.take(0).empty());
  EXPECT_TRUE(r.ok());
}

TEST(Reader, FailureSticks) {
  const std::array<std::byte, 3> data{std::byte{1}, std::byte{2}, std::byte{3}};
  Reader r(data);
  EXPECT_EQ(r.u32(), 0U);
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.u8(), 0);  // nothing is left to misread
  EXPECT_EQ(r.remaining(), 0U);
  EXPECT_FALSE(r.ok());
  Reader huge(data);
  EXPECT_TRUE(huge.take(static_cast<std::size_t>(-1)).empty());
  EXPECT_FALSE(huge.ok());
}

TEST(Writer, WritesForwardAndPatches) {
  std::array<std::byte, 24> buffer{};
  Writer w(buffer);
  w.u8(1);
  w.u16(0x0203);
  w.u32(0x04050607);
  w.u64(0x08090A0B0C0D0E0F);
  w.bytes(as_bytes("ab"));
  w.zeros(3);
  w.patch_u16(1, 0xFFEE);
  EXPECT_TRUE(w.ok());
  EXPECT_EQ(w.size(), 20U);
  Reader r(w.written());
  EXPECT_EQ(r.u8(), 1);
  EXPECT_EQ(r.u16(), 0xFFEE);
  EXPECT_EQ(r.u32(), 0x04050607U);
  EXPECT_EQ(r.u64(), 0x08090A0B0C0D0E0FU);
  EXPECT_EQ(as_text(r.take(2)), "ab");
}

TEST(Writer, OverflowSticksAndWritesNothing) {
  for (std::size_t capacity = 0; capacity < 8; ++capacity) {
    std::array<std::byte, 16> buffer;
    buffer.fill(std::byte{0xAA});
    Writer w(MutableBytes(buffer).first(capacity));
    w.u64(1);
    EXPECT_FALSE(w.ok());
    w.u8(1);
    w.bytes(as_bytes("x"));
    w.zeros(static_cast<std::size_t>(-1));
    EXPECT_FALSE(w.ok());
    EXPECT_EQ(w.size(), 0U);
    for (const std::byte b : buffer) EXPECT_EQ(b, std::byte{0xAA});
  }
}

}  // namespace
}  // namespace turnkit
