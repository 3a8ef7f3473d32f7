// Long-term credentials on the client: see long_term.h.
#include "client/long_term.h"

#include "auth/nonce.h"
#include "auth/opaque_string.h"
#include "stun/attributes.h"
#include "stun/integrity.h"

namespace turnkit::client {

using stun::Attr;
using stun::PasswordAlgorithm;

namespace {

constexpr int kMaxChallenges = 4;

// Text as it enters keys and hashes. Text that OpaqueString refuses is taken as it is: RFC 5389 peers do the same.
std::string prepared(std::string_view text) {
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  if (auto opaque = auth::opaque_string(text)) return *std::move(opaque);
  return std::string(text);
}

std::optional<std::string_view> text_of(const stun::MessageView& message, Attr type) {
  const auto attribute = message.find(type);
  if (!attribute) return std::nullopt;
  return stun::decode_text(attribute->value);
}

}  // namespace

Credentials Credentials::from_secret(std::string_view secret, std::string_view id, WallTime expiry, char separator) {
  Credentials credentials;
  credentials.user = std::to_string(expiry.time_since_epoch().count());
  if (!id.empty()) {
    credentials.user += separator;
    credentials.user += id;
  }
  credentials.password = auth::rest_password(secret, credentials.user);
  return credentials;
}

std::string_view explain(ChallengeVerdict verdict) {
  switch (verdict) {
    case ChallengeVerdict::kRetry:
      return "the request is sent again";
    case ChallengeVerdict::kWrongCredentials:
      return "the server does not accept this user name and password";
    case ChallengeVerdict::kNoCredentials:
      return "the server wants credentials and none were given";
    case ChallengeVerdict::kMalformed:
      return "the challenge lacks a usable REALM or NONCE";
    case ChallengeVerdict::kBidDown:
      return "the challenge hides the password algorithms that the server supports, as a bid-down attack would";
    case ChallengeVerdict::kNoAlgorithm:
      return "the server offers none of the password algorithms that may be used";
    case ChallengeVerdict::kTooMany:
      return "the server meets every new request with another challenge";
  }
  return "unknown";
}

// What a challenge leads to when it is accepted.
struct LongTermClient::Offer {
  PasswordAlgorithm algorithm = PasswordAlgorithm::kMd5;
  bool with_algorithms = false;
  bool userhash = false;
  Bytes offered;
};

LongTermClient::LongTermClient(Credentials credentials, AlgorithmPolicy policy)
    : credentials_(std::move(credentials)), policy_(policy) {}

void LongTermClient::protect(stun::Builder& request) const {
  if (!armed_) return;
  if (userhash_) {
    const auth::Userhash hash = auth::userhash(prepared(credentials_.user), prepared(realm_));
    request.raw(Attr::kUserhash, hash);
  } else {
    request.text(Attr::kUsername, credentials_.user);
  }
  request.text(Attr::kRealm, realm_).text(Attr::kNonce, nonce_);
  if (!with_algorithms_) {
    request.integrity_sha1(key_.bytes());
    return;
  }
  request.raw(Attr::kPasswordAlgorithms, offered_).password_algorithm(algorithm_).integrity_sha256(key_.bytes());
}

// RFC 8489, section 9.2.5, the paragraphs on 401 and 438; RFC 8656, section 6, on the choice of SHA-256.
std::optional<LongTermClient::Offer> LongTermClient::choose(const stun::MessageView& challenge, std::string_view nonce,
                                                            ChallengeVerdict& why) const {
  Offer offer;
  if (policy_ == AlgorithmPolicy::kLegacy) return offer;
  const auth::SecurityFeatures features = auth::features_of(nonce);
  const auto list = challenge.find(Attr::kPasswordAlgorithms);
  offer.userhash = features.username_anonymity;
  if (!features.password_algorithms) {
    // Whoever strips the cookie from a server that proved SHA-256 before wants weaker MACs.
    if (proven_sha256_) {
      why = ChallengeVerdict::kBidDown;
    } else if (policy_ == AlgorithmPolicy::kSha256Only) {
      why = ChallengeVerdict::kNoAlgorithm;
    } else {
      return offer;
    }
    return std::nullopt;
  }
  if (!list) {
    why = ChallengeVerdict::kBidDown;
    return std::nullopt;
  }
  offer.with_algorithms = true;
  offer.offered = list->value;
  const auto has = [&](PasswordAlgorithm algorithm) {
    return stun::password_algorithms_contain(list->value, static_cast<std::uint16_t>(algorithm));
  };
  if (has(PasswordAlgorithm::kSha256)) {
    offer.algorithm = PasswordAlgorithm::kSha256;
    return offer;
  }
  if (proven_sha256_) {
    why = ChallengeVerdict::kBidDown;
    return std::nullopt;
  }
  if (has(PasswordAlgorithm::kMd5) && policy_ != AlgorithmPolicy::kSha256Only) return offer;
  why = ChallengeVerdict::kNoAlgorithm;
  return std::nullopt;
}

ChallengeVerdict LongTermClient::on_challenge(const stun::MessageView& challenge, stun::Code code, bool had_credentials,
                                              int challenges_before) {
  const auto realm = text_of(challenge, Attr::kRealm);
  const auto nonce = text_of(challenge, Attr::kNonce);
  // A 438 may leave the realm out where RFC 5389 servers do: it is the one in use.
  if (!nonce || nonce->empty()) return ChallengeVerdict::kMalformed;
  if (!realm && !(code == stun::Code::kStaleNonce && armed_)) return ChallengeVerdict::kMalformed;
  if (credentials_.empty()) return ChallengeVerdict::kNoCredentials;

  ChallengeVerdict why = ChallengeVerdict::kRetry;
  const std::optional<Offer> offer = choose(challenge, *nonce, why);
  if (!offer) return why;

  const std::string new_realm(realm.value_or(realm_));
  if (challenges_before >= kMaxChallenges) return ChallengeVerdict::kTooMany;
  if (code != stun::Code::kStaleNonce && had_credentials && new_realm == realm_ && offer->algorithm == algorithm_ &&
      offer->userhash == userhash_ && offer->with_algorithms == with_algorithms_) {
    return ChallengeVerdict::kWrongCredentials;  // RFC 8489, section 9.2.5: never again with the same credentials
  }

  const bool new_key = !armed_ || new_realm != realm_ || offer->algorithm != algorithm_;
  realm_ = new_realm;
  nonce_ = *nonce;
  userhash_ = offer->userhash;
  with_algorithms_ = offer->with_algorithms;
  offered_.assign(offer->offered.begin(), offer->offered.end());
  algorithm_ = offer->algorithm;
  if (new_key) {
    key_ =
        auth::long_term_key(algorithm_, prepared(credentials_.user), prepared(realm_), prepared(credentials_.password));
  }
  armed_ = true;
  return ChallengeVerdict::kRetry;
}

AnswerVerdict LongTermClient::check(const stun::MessageView& answer, bool had_credentials) {
  const auto nonce = text_of(answer, Attr::kNonce);
  if (nonce && auth::features_of(*nonce).password_algorithms && !answer.has(Attr::kPasswordAlgorithms) &&
      policy_ != AlgorithmPolicy::kLegacy) {
    return AnswerVerdict::kDiscard;  // RFC 8489, section 9.2.5: "the response MUST be ignored"
  }
  if (!had_credentials || !armed_) return AnswerVerdict::kUnprotected;
  const stun::MacKind mac = stun::deciding_mac(answer);
  const stun::MacKind wanted = with_algorithms_ ? stun::MacKind::kSha256 : stun::MacKind::kSha1;
  if (mac != wanted || !stun::verify_integrity(answer, key_.bytes())) return AnswerVerdict::kDiscard;
  if (uses_sha256()) proven_sha256_ = true;
  return AnswerVerdict::kAuthentic;
}

}  // namespace turnkit::client
