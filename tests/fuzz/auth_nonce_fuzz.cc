// NonceKey::check and features_of on any text: nothing but what the key issued is taken for its own.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "auth/nonce.h"

using namespace turnkit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auth::NonceKey key = auth::NonceKey::from_shared_secret("fuzz");
  constexpr Address kClient{IpAddress::v4(192, 0, 2, 7), 40000};
  constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

  const std::string nonce(data, data + size);
  const auth::SecurityFeatures features = auth::features_of(nonce);
  if ((features.password_algorithms || features.username_anonymity) && !nonce.starts_with("obMatJos2")) std::abort();

  const auto verdict = key.check(nonce, kClient, kNow, std::chrono::seconds(600));
  const auth::NonceText issued = key.issue(features, kClient, kNow);
  const bool ours = nonce == std::string_view(issued.data(), issued.size());
  if (ours && verdict != auth::NonceKey::Verdict::kFresh) std::abort();
  if (!ours && verdict == auth::NonceKey::Verdict::kFresh) std::abort();
  return 0;
}
