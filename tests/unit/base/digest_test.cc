// Known answers: RFC 1321, RFC 6234, RFC 2202 and RFC 4231.
#include "base/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/encoding.h"

namespace turnkit {
namespace {

std::vector<std::byte> repeated(unsigned value, std::size_t count) {
  return std::vector<std::byte>(count, std::byte(value));
}

TEST(Digest, KnownAnswers) {
  EXPECT_EQ(to_hex(md5({})), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(to_hex(md5({as_bytes("message digest")})), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(to_hex(md5({as_bytes("user"), as_bytes(":realm:"), as_bytes("pass")})), "8493fbc53ba582fb4c044c456bdc40eb");
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256({as_bytes("a"), {}, as_bytes("bc")})),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hmac, Rfc2202Sha1) {
  EXPECT_EQ(to_hex(hmac_sha1(repeated(0x0b, 20), {as_bytes("Hi There")})), "b617318655057264e28bc0b6fb378c8ef146be00");
  EXPECT_EQ(to_hex(hmac_sha1(as_bytes("Jefe"), {as_bytes("what do ya want "), as_bytes("for nothing?")})),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(to_hex(hmac_sha1(repeated(0xaa, 80), {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
            "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

TEST(Hmac, Rfc4231Sha256) {
  EXPECT_EQ(to_hex(hmac_sha256(repeated(0x0b, 20), {as_bytes("Hi There")})),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256(as_bytes("Jefe"), {as_bytes("what do ya want for nothing?")})),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      to_hex(hmac_sha256(repeated(0xaa, 131), {as_bytes("Test Using Larger Than Block-Size Key - Hash Key First")})),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Hmac, EmptyKeyAndMessage) {
  EXPECT_EQ(to_hex(hmac_sha1({}, {})), "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
  EXPECT_EQ(to_hex(hmac_sha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// RFC 2104: a key over the block is its hash; one of a block's length is itself.
TEST(Hmac, KeysAroundTheBlock) {
  const auto message = as_bytes("m");
  EXPECT_NE(hmac_sha256(repeated(1, 64), {message}), hmac_sha256(sha256({repeated(1, 64)}), {message}));
  EXPECT_EQ(hmac_sha256(repeated(1, 65), {message}), hmac_sha256(sha256({repeated(1, 65)}), {message}));
  auto padded = repeated(1, 63);
  padded.push_back(std::byte{});
  EXPECT_EQ(hmac_sha1(repeated(1, 63), {message}), hmac_sha1(padded, {message}));
}

TEST(Hmac, ThreadsDoNotDisturbEachOther) {
  const Sha1 expected = hmac_sha1(as_bytes("key"), {as_bytes("message")});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&expected] {
      for (int i = 0; i < 2000; ++i) ASSERT_EQ(hmac_sha1(as_bytes("key"), {as_bytes("message")}), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ConstantTimeEqual, ComparesContentAndLength) {
  EXPECT_TRUE(constant_time_equal({}, {}));
  EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("ab")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), {}));
}

}  // namespace
}  // namespace turnkit
