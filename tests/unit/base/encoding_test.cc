// Hex, base64 and escaping.
#include "base/encoding.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace turnkit {
namespace {

TEST(Hex, RoundTripAndRefusals) {
  EXPECT_EQ(to_hex({}), "");
  EXPECT_EQ(to_hex(as_bytes("\x01\xAB\xff")), "01abff");
  for (unsigned v = 0; v < 256; ++v) {
    const std::byte b{static_cast<std::uint8_t>(v)};
    const auto back = from_hex(to_hex(Bytes(&b, 1)));
    ASSERT_TRUE(back);
    EXPECT_EQ((*back)[0], b);
  }
  EXPECT_EQ(as_text(*from_hex("4A4a")), "JJ");
  EXPECT_TRUE(from_hex("")->empty());
  for (const std::string_view bad : {"1", "123", "0g", "g0", "0x12", " 12", "1 2 ", "-1"})
    EXPECT_FALSE(from_hex(bad)) << bad;
}

TEST(Base64, Rfc4648Section10) {
  constexpr std::pair<std::string_view, std::string_view> kRows[] = {{"", ""},
                                                                     {"f", "Zg=="},
                                                                     {"fo", "Zm8="},
                                                                     {"foo", "Zm9v"},
                                                                     {"foob", "Zm9vYg=="},
                                                                     {"fooba", "Zm9vYmE="},
                                                                     {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : kRows) {
    EXPECT_EQ(to_base64(as_bytes(plain)), text);
    ASSERT_TRUE(from_base64(text)) << text;
    EXPECT_EQ(as_text(*from_base64(text)), plain);
  }
  EXPECT_EQ(to_base64(*from_hex("fbff")), "+/8=");
}

TEST(Base64, RandomRoundTrips) {
  SeededRandom random(3);
  for (std::size_t length = 0; length < 200; ++length) {
    std::vector<std::byte> bytes(length);
    random.fill(bytes);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
  }
}

TEST(Base64, OnlyOneSpellingIsTaken) {
  for (const std::string_view bad : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zh==", "Zm9=", "Zm8=Zm8=",
                                     "Zg==Zg==", "Zm 9v", "Zm9v\n", "Zm-_", "Zm9v=", "=m9v", "Z=9v"}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
}

TEST(Escaped, LeavesPrintableTextAlone) {
  EXPECT_EQ(escaped("user@example.org !#$%&()*+,-./:;<=>?[]^_`{|}~"), "user@example.org !#$%&()*+,-./:;<=>?[]^_`{|}~");
  EXPECT_EQ(escaped("\xE3\x83\x9E\xC3\xA9\xF0\x9F\x98\x80"), "\xE3\x83\x9E\xC3\xA9\xF0\x9F\x98\x80");
  EXPECT_EQ(escaped(""), "");
}

TEST(Escaped, NothingReachesATerminalOrEndsAQuotation) {
  EXPECT_EQ(escaped("a\nb\r\t\x1b[2J\x7f"), "a\\x0ab\\x0d\\x09\\x1b[2J\\x7f");
  EXPECT_EQ(escaped("\"'\\"), "\\x22\\x27\\x5c");
  EXPECT_EQ(escaped(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(escaped("\xC2\x9B"), "\\xc2\\x9b");  // U+009B, a one-character CSI
  EXPECT_EQ(escaped("a\xE2\x80\xAE"
                    "b"),
            "a\\xe2\\x80\\xaeb");  // U+202E, right-to-left override
  EXPECT_EQ(escaped("a\xE2\x80\xA8"
                    "b"),
            "a\\xe2\\x80\\xa8b");  // U+2028, line separator
}

TEST(Escaped, BrokenUtf8) {
  EXPECT_EQ(escaped("\xFF\xFE"), "\\xff\\xfe");
  EXPECT_EQ(escaped("\xC0\xAF"), "\\xc0\\xaf");                    // overlong
  EXPECT_EQ(escaped("\xE0\x80\xAF"), "\\xe0\\x80\\xaf");           // overlong
  EXPECT_EQ(escaped("\xED\xA0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(escaped("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(escaped("\xE3\x83"), "\\xe3\\x83");                    // cut
  EXPECT_EQ(escaped("\xE3"
                    "a"),
            "\\xe3"
            "a");
  EXPECT_EQ(escaped("\x80"), "\\x80");
}

TEST(Escaped, CutsAtCharacterBoundaries) {
  EXPECT_EQ(escaped("abcdef", 6), "abcdef");
  EXPECT_EQ(escaped("abcdef", 5), "abcde...");
  EXPECT_EQ(escaped("abcdef", 0), "...");
  EXPECT_EQ(escaped("", 0), "");
  EXPECT_EQ(escaped("ab\xE3\x83\x9E", 4), "ab...");
  EXPECT_EQ(escaped("ab\xE3\x83\x9E", 5), "ab\xE3\x83\x9E");
  EXPECT_EQ(escaped(std::string(1000, 'x')), std::string(128, 'x') + "...");
}

}  // namespace
}  // namespace turnkit
