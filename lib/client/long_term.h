// The client's side of the long-term credential mechanism (RFC 8489, section 9.2.5): answers challenges, protects
// requests, checks answers, and refuses to be bid down. Sans I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/credentials.h"
#include "base/clock.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::client {

// A user and a password; both empty: none.
struct Credentials {
  std::string user;
  std::string password;

  // TURN REST credentials: user name = expiry, or expiry SEP id; the password follows from `secret`.
  static Credentials from_secret(std::string_view secret, std::string_view id, WallTime expiry, char separator = ':');
  [[nodiscard]] bool empty() const { return user.empty(); }
};

// Which keys and MACs the client is ready to use.
enum class AlgorithmPolicy : std::uint8_t {
  kBest,        // SHA-256 where the server offers it (RFC 8656, section 6), MD5 and MESSAGE-INTEGRITY otherwise
  kSha256Only,  // refuses servers that do not offer SHA-256
  kLegacy,      // as an RFC 5389 client: ignores what the nonce cookie promises, MD5 and MESSAGE-INTEGRITY only
};

// What a challenge (401 or 438) means for the request that it answers.
enum class ChallengeVerdict : std::uint8_t {
  kRetry,             // send the request again, in a new transaction
  kWrongCredentials,  // 401 to a request with these very credentials
  kNoCredentials,     // the server wants credentials and there are none
  kMalformed,         // REALM or NONCE is missing or unusable
  kBidDown,           // the nonce cookie promises password algorithms that are missing, or SHA-256 was in use before
  kNoAlgorithm,       // none of the offered algorithms may be used
  kTooMany,           // one challenge after the other without end
};
std::string_view explain(ChallengeVerdict verdict);

// Whether an answer may be believed.
enum class AnswerVerdict : std::uint8_t {
  kAuthentic,
  kUnprotected,  // there is no MAC, and the request had none either
  kDiscard,      // missing or wrong MAC, or a nonce cookie without its algorithms: as if it had never come
};

class LongTermClient {
 public:
  explicit LongTermClient(Credentials credentials, AlgorithmPolicy policy = AlgorithmPolicy::kBest);

  // True once a challenge was accepted: requests then carry credentials.
  [[nodiscard]] bool armed() const { return armed_; }

  // Adds USERNAME or USERHASH, REALM, NONCE, the algorithms and the MAC; nothing while not armed(). Only FINGERPRINT
  // may follow.
  void protect(stun::Builder& request) const;

  // `challenge` is a 401 or 438. `had_credentials`: the request it answers was protected.
  // `challenges_before`: how many challenges that request has met before this one.
  ChallengeVerdict on_challenge(const stun::MessageView& challenge, stun::Code code, bool had_credentials,
                                int challenges_before);

  // For any answer but a challenge. `had_credentials` as above.
  AnswerVerdict check(const stun::MessageView& answer, bool had_credentials);

  [[nodiscard]] const std::string& realm() const { return realm_; }
  [[nodiscard]] const std::string& nonce() const { return nonce_; }
  [[nodiscard]] bool uses_sha256() const { return algorithm_ == stun::PasswordAlgorithm::kSha256; }
  [[nodiscard]] bool uses_userhash() const { return userhash_; }
  [[nodiscard]] const Credentials& credentials() const { return credentials_; }
  // The key of the present realm and algorithm, for tests that build requests of their own. Requires: armed().
  [[nodiscard]] const auth::Key& key() const { return key_; }

 private:
  struct Offer;
  std::optional<Offer> choose(const stun::MessageView& challenge, std::string_view nonce, ChallengeVerdict& why) const;

  Credentials credentials_;
  AlgorithmPolicy policy_;
  bool armed_ = false;
  bool proven_sha256_ = false;  // an answer under SHA-256 was authentic
  std::string realm_;
  std::string nonce_;
  bool userhash_ = false;
  bool with_algorithms_ = false;    // PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM are sent
  std::vector<std::byte> offered_;  // the server's PASSWORD-ALGORITHMS, byte for byte
  stun::PasswordAlgorithm algorithm_ = stun::PasswordAlgorithm::kMd5;
  auth::Key key_;
};

}  // namespace turnkit::client
