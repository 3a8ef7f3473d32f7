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

// What a well-formed request says about its sender; views into the request.
struct Claim {
  std::string_view user;          // empty where `userhash` speaks
  std::optional<Bytes> userhash;  // 32 bytes
  std::string_view realm;
  std::string_view nonce;
  PasswordAlgorithm algorithm = PasswordAlgorithm::kMd5;
  MacKind reply_mac = MacKind::kSha1;
};

// LT-2: USERNAME or USERHASH, REALM and NONCE must be there and be possible.
std::optional<Code> read_names(const stun::MessageView& request, Claim& claim) {
  const auto username = request.find(Attr::kUsername);
  const auto userhash = request.find(Attr::kUserhash);
  const auto realm = request.find(Attr::kRealm);
  const auto nonce = request.find(Attr::kNonce);
  if (!realm || !nonce) return Code::kBadRequest;
  // Exactly one names the user, so that look-up and log cannot disagree (NEG-066).
  if (username.has_value() == userhash.has_value()) return Code::kBadRequest;
  if (username) {
    if (username->value.size() > stun::kMaxTextBytes) return Code::kBadRequest;  // NEG-055
    claim.user = bare_name(as_text(username->value));
    if (claim.user.empty()) return Code::kBadRequest;  // NEG-054
  } else {
    if (userhash->value.size() != Userhash{}.size()) return Code::kBadRequest;  // NEG-065
    claim.userhash = userhash->value;
  }
  claim.realm = bare_name(as_text(realm->value));
  claim.nonce = as_text(nonce->value);
  return std::nullopt;
}

// LT-3 and LT-4. This server's nonces all have bit 0 set, so the bit is not read back from the client's copy (NEG-059).
std::optional<Code> read_algorithm(const stun::MessageView& request, Bytes offered, Claim& claim) {
  const auto list = request.find(Attr::kPasswordAlgorithms);
  const auto choice = request.find(Attr::kPasswordAlgorithm);
  if (!list && !choice) return std::nullopt;                   // LT-3: an RFC 5389 client, MD5
  if (!list || !choice) return Code::kBadRequest;              // LT-4, NEG-060
  if (!equal(list->value, offered)) return Code::kBadRequest;  // LT-4, NEG-061 to NEG-063
  const auto entry = stun::decode_password_algorithm(choice->value);
  if (!entry || !entry->parameters.empty()) return Code::kBadRequest;                           // NEG-064
  if (!stun::password_algorithms_contain(offered, entry->algorithm)) return Code::kBadRequest;  // LT-4
  claim.algorithm = static_cast<PasswordAlgorithm>(entry->algorithm);
  claim.reply_mac = MacKind::kSha256;  // LT-8
  return std::nullopt;
}

// LT-1 to LT-4.
std::optional<Code> read_claim(const stun::MessageView& request, Bytes offered, Claim& claim) {
  const MacKind mac = stun::deciding_mac(request);
  if (mac == MacKind::kNone) return Code::kUnauthenticated;  // LT-1
  if (mac == MacKind::kMalformed) return Code::kBadRequest;  // NEG-042, NEG-043, NEG-045
  claim.reply_mac = mac;
  if (const auto error = read_names(request, claim)) return error;
  return read_algorithm(request, offered, claim);
}

bool same_realm(std::string_view claimed, std::string_view ours) {
  return claimed == ours || (!is_printable_ascii(claimed) && opaque_string(claimed) == ours);
}

// The user of a claim. Empty: unknown, or a name that is no text (NEG-056).
struct Subject {
  std::string user;
  bool is_established = false;
};

Subject find_subject(const Claim& claim, const CredentialStore& store, std::string_view realm,
                     const Identity* established) {
  if (!claim.userhash) {
    if (established != nullptr && claim.user == established->user) return {established->user, true};
    return {is_plain_text(claim.user) ? std::string(claim.user) : std::string(), false};
  }
  Userhash hash;
  std::copy(claim.userhash->begin(), claim.userhash->end(), hash.begin());
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

AuthResult failed(Code code) { return {.error = code, .identity = {}}; }

}  // namespace

Authenticator::Authenticator(AuthConfig config, const CredentialStore& store, const NonceKey& nonce_key)
    : config_(std::move(config)),
      store_(&store),
      nonce_key_(nonce_key),
      features_{.password_algorithms = true, .username_anonymity = store.can_resolve_userhash()},
      algorithms_(kAlgorithms),
      algorithms_value_(kAlgorithmsValue) {
  if (auto realm = opaque_string(bare_name(config_.realm))) config_.realm = *std::move(realm);
  if (!store.has_sha256_keys()) {
    algorithms_ = algorithms_.last(1);
    algorithms_value_ = algorithms_value_.last(4);
  }
}

AuthResult Authenticator::check(const stun::MessageView& request, const Address& client, WallTime now,
                                const Identity* established) const {
  Claim claim;
  if (const auto error = read_claim(request, algorithms_value_, claim)) return failed(*error);
  if (!same_realm(claim.realm, config_.realm)) return failed(Code::kUnauthenticated);  // NEG-057

  // LT-5: an unknown user leaves `candidates` empty, and is refused together with a wrong MAC.
  Subject subject = find_subject(claim, *store_, config_.realm, established);
  thread_local std::vector<Candidate> candidates;
  candidates.clear();
  if (subject.is_established && established->key.algorithm == claim.algorithm) {
    candidates.push_back({.key = established->key, .quota_name = established->quota_name});
  } else if (!subject.user.empty()) {
    store_->find(subject.user, config_.realm, claim.algorithm, now, candidates);
  }

  // LT-6
  const Candidate* match = find_match(request, candidates, claim.algorithm);
  if (match == nullptr) return failed(Code::kUnauthenticated);

  // LT-7 comes after the MAC: 438 says that the credentials are right.
  AuthResult result{.error = {},
                    .identity = {.user = std::move(subject.user),
                                 .quota_name = match->quota_name,
                                 .key = match->key,
                                 .reply_mac = claim.reply_mac}};
  if (nonce_key_.check(claim.nonce, client, now, config_.nonce_lifetime) != NonceKey::Verdict::kFresh) {
    result.error = Code::kStaleNonce;
  }
  return result;  // LT-8
}

void Authenticator::add_challenge(stun::Builder& answer, const Address& client, WallTime now) const {
  const NonceText nonce = nonce_key_.issue(features_, client, now);
  answer.text(Attr::kRealm, config_.realm)
      .text(Attr::kNonce, {nonce.data(), nonce.size()})
      .password_algorithms(algorithms_);
}

std::size_t Authenticator::challenge_size() const {
  const auto attribute = [](std::size_t size) { return stun::kAttributeHeaderSize + ((size + 3) & ~std::size_t{3}); };
  return attribute(config_.realm.size()) + attribute(kNonceSize) + attribute(algorithms_value_.size());
}

}  // namespace turnkit::auth
