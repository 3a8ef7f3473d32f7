// Authenticator::check on any message, as it is and signed. The first byte chooses what the target adds to the
// attributes that follow: the server's true nonce, and a MAC under alice's or another's key. Only alice's key may pass
// or be told 438.
#include <algorithm>
#include <array>
#include <vector>

#include "auth/authenticator.h"
#include "fuzz.h"
#include "stun/builder.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

constexpr Address kClient{IpAddress::v4(192, 0, 2, 7), 40000};
constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};
constexpr std::string_view kRealm = "example.org";

enum Choice : unsigned {
  kRawMessage = 1,
  kAddNames = 2,
  kAddAlgorithms = 4,
  kSha256Key = 8,
  kSha256Mac = 16,
  kWrongKey = 32
};

struct World {
  World() { require(users.add("alice", kRealm, "wonder"), "a plain user is taken"); }
  auth::StaticUsers users;
  auth::NonceKey nonce_key = auth::NonceKey::from_shared_secret("fuzz");
  auth::Authenticator server{{.realm = std::string(kRealm)}, users, nonce_key};
};

void judge(const World& world, Bytes bytes, bool may_pass) {
  const auto message = stun::MessageView::parse(bytes);
  if (!message) return;
  const auth::AuthResult result = world.server.check(*message, kClient, kNow);
  const bool authentic = !result.error || *result.error == stun::Code::kStaleNonce;
  require(authentic != result.identity.user.empty(), "an identity is told exactly where the MAC was right");
  if (authentic) {
    require(may_pass && result.identity.user == "alice", "only alice's key opens, and only for alice");
  } else {
    require(*result.error == stun::Code::kBadRequest || *result.error == stun::Code::kUnauthenticated, "400 or 401");
  }
}

// The attributes of `rest` (type16, length16, value), then what `choice` asks for.
std::optional<Bytes> signed_message(const World& world, unsigned choice, Bytes rest, MutableBytes buffer) {
  const auto algorithm = (choice & kSha256Key) != 0 ? stun::PasswordAlgorithm::kSha256 : stun::PasswordAlgorithm::kMd5;
  stun::Builder builder(buffer, stun::Class::kRequest, stun::Method::kAllocate, {});
  Reader reader(rest);
  while (reader.remaining() >= 4) {
    const auto type = static_cast<stun::Attr>(reader.u16());
    const std::size_t length = reader.u16();
    builder.raw(type, reader.take(std::min(length, reader.remaining())));
  }
  if ((choice & kAddNames) != 0) {
    const auto nonce = world.nonce_key.issue({true, true}, kClient, kNow);
    builder.text(stun::Attr::kUsername, "alice").text(stun::Attr::kRealm, kRealm);
    builder.text(stun::Attr::kNonce, {nonce.data(), nonce.size()});
  }
  if ((choice & kAddAlgorithms) != 0) {
    constexpr std::array kOffered{stun::PasswordAlgorithm::kSha256, stun::PasswordAlgorithm::kMd5};
    builder.password_algorithms(kOffered).password_algorithm(algorithm);
  }
  const auth::Key key = auth::long_term_key(algorithm, "alice", kRealm, (choice & kWrongKey) != 0 ? "guess" : "wonder");
  (choice & kSha256Mac) != 0 ? builder.integrity_sha256(key.bytes()) : builder.integrity_sha1(key.bytes());
  return builder.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const World world;
  if (size == 0) return 0;
  const unsigned choice = data[0];
  const Buffer rest = input(data + 1, size - 1);
  if ((choice & kRawMessage) != 0) {
    judge(world, rest, false);
    return 0;
  }
  static Buffer buffer(66'000);
  const auto message = signed_message(world, choice, rest, buffer);
  if (message) judge(world, copy(*message), (choice & kWrongKey) == 0);
  return 0;
}
