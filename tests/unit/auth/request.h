// What the tests of lib/auth share: a fixed client and time, requests under construction, and answers as plain values.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/authenticator.h"
#include "base/encoding.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::auth::testing {

using stun::Attr;
using stun::Code;
using stun::MacKind;
using stun::PasswordAlgorithm;

inline constexpr Address kClient{IpAddress::v4(192, 0, 2, 7), 40000};
inline constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};
inline constexpr std::string_view kRealm = "example.org";

inline std::string text(const NonceText& nonce) { return {nonce.data(), nonce.size()}; }

inline std::vector<std::byte> bytes_of_hex(std::string_view hex) {
  auto bytes = from_hex(hex);
  EXPECT_TRUE(bytes.has_value()) << hex;
  return bytes.value_or(std::vector<std::byte>());
}

// A value of PASSWORD-ALGORITHMS, or with one entry of PASSWORD-ALGORITHM.
inline std::vector<std::byte> algorithm_list(std::initializer_list<std::uint16_t> numbers) {
  std::vector<std::byte> value(numbers.size() * 4);
  std::size_t at = 0;
  for (const std::uint16_t number : numbers) {
    store_be16(value.data() + at, number);
    at += 4;
  }
  return value;
}

// A message under construction. `message()` may be called once, at the end.
class Request {
 public:
  explicit Request(stun::Method method = stun::Method::kAllocate)
      : buffer_(66'000), builder_(buffer_, stun::Class::kRequest, method, stun::TransactionId{}) {}

  stun::Builder* operator->() { return &builder_; }
  stun::MessageView message() {
    const auto bytes = builder_.finish();
    EXPECT_TRUE(bytes.has_value());
    auto view = stun::MessageView::parse(*bytes);
    EXPECT_TRUE(view.has_value());
    return *view;
  }

 private:
  std::vector<std::byte> buffer_;
  stun::Builder builder_;
};

// The attributes of a challenge, as a client sees them.
struct Challenge {
  std::string realm;
  std::string nonce;
  std::vector<std::byte> algorithms;
  std::size_t attributes = 0;  // how many there are in all
};

inline Challenge challenge_of(const Authenticator& authenticator, const Address& client = kClient,
                              WallTime now = kNow) {
  std::vector<std::byte> buffer(1500);
  stun::Builder answer(buffer, stun::Class::kError, stun::Method::kAllocate, {});
  authenticator.add_challenge(answer, client, now);
  const auto bytes = answer.finish();
  const auto view = stun::MessageView::parse(*bytes);
  Challenge out;
  for (const stun::Attribute attribute : *view) {
    ++out.attributes;
    if (attribute.type == Attr::kRealm) out.realm = as_text(attribute.value);
    if (attribute.type == Attr::kNonce) out.nonce = as_text(attribute.value);
    if (attribute.type == Attr::kPasswordAlgorithms) {
      out.algorithms.assign(attribute.value.begin(), attribute.value.end());
    }
  }
  return out;
}

// A server with one user, "alice" of password "wonder", and a client that knows how to ask.
class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() { EXPECT_TRUE(users_.add("alice", kRealm, "wonder")); }

  // An authenticator over users_, made when first needed, so that a test may add users before.
  Authenticator& server() {
    if (!server_) server_.emplace(config_, users_, nonce_key_);
    return *server_;
  }
  std::string nonce() { return challenge_of(server()).nonce; }
  static Key key_of(PasswordAlgorithm algorithm, std::string_view user = "alice",
                    std::string_view password = "wonder") {
    return long_term_key(algorithm, user, kRealm, password);
  }
  static Key md5_key() { return key_of(PasswordAlgorithm::kMd5); }
  static Key sha256_key() { return key_of(PasswordAlgorithm::kSha256); }

  // USERNAME, REALM and NONCE as an RFC 5389 client sends them; the MAC is still to come.
  void add_names(Request& request, std::string_view user = "alice") {
    request->text(Attr::kUsername, user).text(Attr::kRealm, kRealm).text(Attr::kNonce, nonce());
  }
  // The same and the algorithms, as an RFC 8489 client sends them.
  void add_names_and_algorithms(Request& request, PasswordAlgorithm choice, std::string_view user = "alice") {
    add_names(request, user);
    request->raw(Attr::kPasswordAlgorithms, algorithm_list({2, 1})).password_algorithm(choice);
  }
  AuthResult check(Request& request, const Identity* established = nullptr) {
    return server().check(request.message(), kClient, kNow, established);
  }

  AuthConfig config_{.realm = std::string(kRealm), .nonce_lifetime = std::chrono::seconds(600)};
  StaticUsers users_;
  NonceKey nonce_key_ = NonceKey::from_shared_secret("fleet");

 private:
  std::optional<Authenticator> server_;
};

}  // namespace turnkit::auth::testing
