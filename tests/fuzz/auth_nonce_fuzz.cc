// NonceKey::check and features_of on any text: nothing but what the key issued is taken for its own.
#include <string>

#include "auth/nonce.h"
#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auth::NonceKey key = auth::NonceKey::from_shared_secret("fuzz");
  constexpr Address kClient{IpAddress::v4(192, 0, 2, 7), 40000};
  constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

  const std::string nonce(data, data + size);
  const auth::SecurityFeatures features = auth::features_of(nonce);
  require(nonce.starts_with("obMatJos2") || !(features.password_algorithms || features.username_anonymity),
          "only a cookie carries features");

  const auto verdict = key.check(nonce, kClient, kNow, std::chrono::seconds(600));
  const auth::NonceText issued = key.issue(features, kClient, kNow);
  const bool ours = nonce == std::string_view(issued.data(), issued.size());
  require(ours == (verdict == auth::NonceKey::Verdict::kFresh), "fresh is what the key issued, nothing else");
  return 0;
}
