// The checks of RFC 8489, section 9.2.4, in its order; LT-n and NEG-n are the rows of the conformance list.
#include "auth/authenticator.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "auth/opaque_string.h"

namespace turnkit::auth {
namespace {

using stun::Attr;
using stun::Code;
using stun::MacKind;
using stun::PasswordAlgorithm;

constexpr std::array kAlgorithms{PasswordAlgorithm::kSha256, PasswordAlgorithm::kMd5};
// kAlgorithms as entries of algorithm16, length16 (RFC 8489, section 14.11); the tail of 4 bytes is MD5 alone.
constexpr std::array kAlgorithmsValue{std::byte{0}, std::byte{2}, std::byte{0}, std::byte{0},
                                      std::byte{0}, std::byte{1}, std::byte{0}, std::byte{0}};

// Tried where there is no candidate, so that an unknown user costs the time of a wrong password. The verdict is
// ignored.
constexpr Key kDummyMd5{.algorithm = PasswordAlgorithm::kMd5, .data = {}};
constexpr Key kDummySha256{.algorithm = PasswordAlgorithm::kSha256, .data = {}};

// coturn and its clients key HMAC-SHA1 with the first 16 bytes of a token's mac_key of 20, because that is the size of
// long-term keys.
constexpr std::size_t kCoturnMacKeySize = 16;
constexpr std::chrono::seconds kTokenTolerance{5};  // RFC 7635, section 4.1.1: the clocks' difference

}  // namespace

// What a well-formed request says about its sender; views into the request.
struct Authenticator::Claim {
  std::string_view user;          // empty where `userhash` speaks
  std::optional<Bytes> userhash;  // 32 bytes
  std::string_view realm;         // may be missing beside an access token
  std::string_view nonce;
  std::optional<Bytes> token;
  PasswordAlgorithm algorithm = PasswordAlgorithm::kMd5;
  MacKind reply_mac = MacKind::kSha1;

  // LT-1 to LT-4. `tokens`: ACCESS-TOKEN is understood.
  std::optional<Code> read(const stun::MessageView& request, Bytes offered, bool tokens);

 private:
  std::optional<Code> read_names(const stun::MessageView& request);
  std::optional<Code> read_algorithm(const stun::MessageView& request, Bytes offered);
};

// LT-2: USERNAME or USERHASH, REALM and NONCE must be there and be possible.
std::optional<Code> Authenticator::Claim::read_names(const stun::MessageView& request) {
  const auto username = request.find(Attr::kUsername);
  const auto hash = request.find(Attr::kUserhash);
  const auto realm_attribute = request.find(Attr::kRealm);
  const auto nonce_attribute = request.find(Attr::kNonce);
  if ((!realm_attribute && !token) || !nonce_attribute) return Code::kBadRequest;
  // Exactly one names the user, so that look-up and log cannot disagree (NEG-066).
  if (username.has_value() == hash.has_value()) return Code::kBadRequest;
  if (username) {
    if (username->value.size() > stun::kMaxTextBytes) return Code::kBadRequest;  // NEG-055
    user = bare_name(as_text(username->value));
    if (user.empty()) return Code::kBadRequest;  // NEG-054
  } else {
    if (hash->value.size() != Userhash{}.size()) return Code::kBadRequest;  // NEG-065
    userhash = hash->value;
  }
  if (realm_attribute) realm = bare_name(as_text(realm_attribute->value));
  nonce = as_text(nonce_attribute->value);
  return std::nullopt;
}

// LT-3 and LT-4. This server's nonces all have bit 0 set, so the bit is not read back from the client's copy (NEG-059).
std::optional<Code> Authenticator::Claim::read_algorithm(const stun::MessageView& request, Bytes offered) {
  const auto list = request.find(Attr::kPasswordAlgorithms);
  const auto choice = request.find(Attr::kPasswordAlgorithm);
  if (!list && !choice) return std::nullopt;                   // LT-3: an RFC 5389 client, MD5
  if (!list || !choice) return Code::kBadRequest;              // LT-4, NEG-060
  if (!equal(list->value, offered)) return Code::kBadRequest;  // LT-4, NEG-061 to NEG-063
  const auto entry = stun::decode_password_algorithm(choice->value);
  if (!entry || !entry->parameters.empty()) return Code::kBadRequest;                           // NEG-064
  if (!stun::password_algorithms_contain(offered, entry->algorithm)) return Code::kBadRequest;  // LT-4
  algorithm = static_cast<PasswordAlgorithm>(entry->algorithm);
  reply_mac = MacKind::kSha256;  // LT-8
  return std::nullopt;
}

std::optional<Code> Authenticator::Claim::read(const stun::MessageView& request, Bytes offered, bool tokens) {
  const MacKind mac = stun::deciding_mac(request);
  if (mac == MacKind::kNone) return Code::kUnauthenticated;  // LT-1
  if (mac == MacKind::kMalformed) return Code::kBadRequest;  // NEG-042, NEG-043, NEG-045
  reply_mac = mac;
  if (const auto attribute = tokens ? request.find(Attr::kAccessToken) : std::nullopt) token = attribute->value;
  if (const auto error = read_names(request)) return error;
  return read_algorithm(request, offered);
}

namespace {

bool same_realm(std::string_view claimed, std::string_view ours) {
  return claimed == ours || (!is_printable_ascii(claimed) && opaque_string(claimed) == ours);
}

// The user of a claim. Empty: unknown, or a name that is no text (NEG-056).
struct Subject {
  std::string user;
  bool is_established = false;
};

Subject find_subject(std::string_view user, std::optional<Bytes> claimed_hash, const CredentialStore& store,
                     std::string_view realm, const Identity* established) {
  if (!claimed_hash) {
    if (established != nullptr && user == established->user) return {established->user, true};
    return {is_plain_text(user) ? std::string(user) : std::string(), false};
  }
  Userhash hash;
  std::copy(claimed_hash->begin(), claimed_hash->end(), hash.begin());
  if (established != nullptr && hash == userhash(established->user, realm)) return {established->user, true};
  return {store.user_of(hash, realm).value_or(std::string()), false};
}

// The candidate under whose key the request is authentic. Without candidates the request is checked all the same.
const Candidate* find_match(const stun::MessageView& request, std::span<const Candidate> candidates,
                            PasswordAlgorithm algorithm) {
  if (candidates.empty()) {
    const Key& dummy = algorithm == PasswordAlgorithm::kMd5 ? kDummyMd5 : kDummySha256;
    (void)stun::verify_integrity(request, dummy.bytes());
  }
  for (const Candidate& candidate : candidates) {
    if (stun::verify_integrity(request, candidate.key.bytes())) return &candidate;
  }
  return nullptr;
}

AuthResult failed(Code code, std::string_view realm) { return {.error = code, .identity = {}, .realm = realm}; }

}  // namespace

Authenticator::Authenticator(AuthConfig config, const CredentialStore& store, const NonceKey& nonce_key)
    : config_(std::move(config)),
      realms_(config_.realm, config_.origin_realms),
      store_(&store),
      nonce_key_(nonce_key),
      features_{.password_algorithms = true, .username_anonymity = store.can_resolve_userhash()},
      algorithms_(kAlgorithms),
      algorithms_value_(kAlgorithmsValue) {
  if (config_.server_name.empty()) config_.server_name = realms_.default_realm();
  if (!store.has_sha256_keys()) {
    algorithms_ = algorithms_.last(1);
    algorithms_value_ = algorithms_value_.last(4);
  }
}

AuthResult Authenticator::check(const stun::MessageView& request, const Address& client, WallTime now,
                                const Identity* established) const {
  const bool of_session = established != nullptr && !established->realm.empty();
  const std::string_view realm = of_session ? established->realm : realms_.realm_of(request);
  Claim claim;
  if (const auto error = claim.read(request, algorithms_value_, config_.oauth_keys != nullptr)) {
    return failed(*error, realm);
  }
  AuthResult result =
      claim.token ? check_token(request, claim, now, realm) : check_long_term(request, claim, now, realm, established);
  // LT-7 comes after the MAC: 438 says that the credentials are right.
  if (!result.error &&
      nonce_key_.check(claim.nonce, client, now, config_.nonce_lifetime) != NonceKey::Verdict::kFresh) {
    result.error = Code::kStaleNonce;
  }
  return result;  // LT-8
}

// LT-5 and LT-6.
AuthResult Authenticator::check_long_term(const stun::MessageView& request, const Claim& claim, WallTime now,
                                          std::string_view realm, const Identity* established) const {
  // A session of a token's key may be in another realm than the one that the client was told.
  const bool of_token = established != nullptr && established->third_party;
  if (!of_token && !same_realm(claim.realm, realm)) return failed(Code::kUnauthenticated, realm);  // NEG-057

  // Nothing is authentic under a token that is over, whether the request repeats it or not (TPA-007).
  const auto end = of_token ? established->valid_until : std::nullopt;
  if (end && now >= *end + kTokenTolerance) return failed(Code::kUnauthenticated, realm);

  // An unknown user leaves `candidates` empty, and is refused together with a wrong MAC.
  Subject subject = find_subject(claim.user, claim.userhash, *store_, realm, established);
  thread_local std::vector<Candidate> candidates;
  candidates.clear();
  if (subject.is_established && (of_token || established->key.algorithm == claim.algorithm)) {
    candidates.push_back({.key = established->key, .quota_name = established->quota_name});
  } else if (!subject.user.empty()) {
    store_->find(subject.user, realm, claim.algorithm, now, candidates);
  }
  const Candidate* match = find_match(request, candidates, claim.algorithm);
  if (match == nullptr) return failed(Code::kUnauthenticated, realm);

  AuthResult result{.error = {},
                    .identity = {.user = std::move(subject.user),
                                 .quota_name = match->quota_name,
                                 .key = match->key,
                                 .reply_mac = claim.reply_mac,
                                 .realm = std::string(realm)},
                    .realm = realm};
  if (of_token && subject.is_established) {
    result.identity.third_party = true;
    result.identity.valid_until = established->valid_until;
  }
  return result;
}

// RFC 7635, sections 4.1.1 and 9.1: TPA-004 to TPA-007 and TPA-010.
AuthResult Authenticator::check_token(const stun::MessageView& request, const Claim& claim, WallTime now,
                                      std::string_view realm) const {
  const auto key = claim.user.empty() ? std::nullopt : config_.oauth_keys->find(claim.user);
  if (!key || !key->is_valid(now - kTokenTolerance)) return failed(Code::kUnauthenticated, realm);
  const auto token = open_token(*key, config_.server_name, *claim.token);
  if (!token || now >= token->ends() + kTokenTolerance) return failed(Code::kUnauthenticated, realm);

  const bool sha256 = stun::deciding_mac(request) == MacKind::kSha256;
  const std::size_t size = token->mac_key.size();
  if (size != (sha256 ? sizeof(Sha256) : sizeof(Sha1))) return failed(Code::kUnauthenticated, realm);
  const std::size_t used = stun::verify_integrity(request, token->mac_key) ? size : kCoturnMacKeySize;
  const bool authentic =
      used == size || (!sha256 && stun::verify_integrity(request, Bytes(token->mac_key).first(used)));
  if (!authentic) return failed(Code::kUnauthenticated, realm);
  Identity identity{.user = std::string(claim.user),
                    .quota_name = {},
                    .key = {.algorithm = sha256 ? PasswordAlgorithm::kSha256 : PasswordAlgorithm::kMd5,
                            .data = {},
                            .mac_key_size = static_cast<std::uint8_t>(used)},
                    .reply_mac = claim.reply_mac,
                    .realm = key->realm.empty() ? std::string(realm) : key->realm,
                    .origin = {},
                    .third_party = true,
                    .valid_until = token->ends()};
  std::copy(token->mac_key.begin(), token->mac_key.end(), identity.key.data.begin());
  return {.error = {}, .identity = std::move(identity), .realm = realm};
}

void Authenticator::add_challenge(stun::Builder& answer, const Address& client, WallTime now,
                                  std::string_view realm) const {
  const NonceText nonce = nonce_key_.issue(features_, client, now);
  answer.text(Attr::kRealm, realm.empty() ? realms_.default_realm() : realm)
      .text(Attr::kNonce, {nonce.data(), nonce.size()})
      .password_algorithms(algorithms_);
  if (config_.oauth_keys != nullptr) answer.text(Attr::kThirdPartyAuthorization, config_.server_name);
}

std::size_t Authenticator::challenge_size(std::string_view realm) const {
  const auto attribute = [](std::size_t size) { return stun::kAttributeHeaderSize + ((size + 3) & ~std::size_t{3}); };
  const std::size_t realm_size = realm.empty() ? realms_.default_realm().size() : realm.size();
  return attribute(realm_size) + attribute(kNonceSize) + attribute(algorithms_value_.size()) +
         (config_.oauth_keys != nullptr ? attribute(config_.server_name.size()) : 0);
}

bool Authenticator::has_own_nonce(const stun::MessageView& request, const Address& client, WallTime now) const {
  const auto nonce = request.find(stun::Attr::kNonce);
  return nonce &&
         nonce_key_.check(as_text(nonce->value), client, now, config_.nonce_lifetime) != NonceKey::Verdict::kForeign;
}

}  // namespace turnkit::auth
