// A TURN server for the client's tests: real authentication (lib/auth), canned answers to everything else, and knobs to
// misbehave. Sans I/O; UdpFakeServer in udp_fake_server.h puts it behind a socket.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "auth/credentials.h"
#include "base/random.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::client {

using Datagram = std::vector<std::byte>;

inline const Address kClientAddress{IpAddress::v4(192, 0, 2, 10), 40000};
inline const Address kServerAddress{IpAddress::v4(192, 0, 2, 1), 3478};
inline const Address kRelayedAddress{IpAddress::v4(192, 0, 2, 1), 50000};
inline const Address kPeerAddress{IpAddress::v4(198, 51, 100, 7), 9000};

// A store of one user with both keys; `sha256` off plays a database of MD5 keys.
struct OneUser final : auth::CredentialStore {
  std::string name = "alice";
  std::string password = "wonderland";
  bool sha256 = true;
  bool anonymity = true;

  void find(std::string_view user, std::string_view realm, stun::PasswordAlgorithm algorithm, WallTime,
            std::vector<auth::Candidate>& out) const override {
    if (user == name) out.push_back({auth::long_term_key(algorithm, user, realm, password), name});
  }
  std::optional<std::string> user_of(const auth::Userhash& hash, std::string_view realm) const override {
    if (hash == auth::userhash(name, realm)) return name;
    return std::nullopt;
  }
  bool has_sha256_keys() const override { return sha256; }
  bool can_resolve_userhash() const override { return anonymity; }
};

struct FakeServer {
  FakeServer() : nonce_key(auth::NonceKey::random(random)) {}

  OneUser users;
  std::string realm = "example.org";
  bool authenticate = true;
  std::chrono::seconds nonce_lifetime{600};
  std::uint32_t lifetime = 600;
  Address mapped = kClientAddress;
  Address relayed = kRelayedAddress;
  // Replaces the answer to an authentic request: writes attributes after the header. Nothing: the usual answer.
  std::function<bool(const stun::MessageView& request, stun::Class& cls,
                     std::vector<std::function<void(stun::Builder&)>>&)>
      override_answer;
  // Changes or replaces an answer before it leaves; empty: it is lost.
  std::function<Datagram(Datagram)> mangle;
  // Leaves the MAC out of authentic answers.
  bool skip_mac = false;

  WallTime now{std::chrono::seconds(1'800'000'000)};
  SeededRandom random{7};
  auth::NonceKey nonce_key;
  std::vector<Datagram> requests;  // all that came, in order

  std::optional<Datagram> handle(Bytes datagram) {
    requests.emplace_back(datagram.begin(), datagram.end());
    const auto request = stun::MessageView::parse(datagram);
    if (!request || request->cls() != stun::Class::kRequest) return std::nullopt;
    Datagram out = answer(*request);
    if (mangle) out = mangle(std::move(out));
    if (out.empty()) return std::nullopt;
    return out;
  }

 private:
  Datagram answer(const stun::MessageView& request) {
    std::array<std::byte, 2048> buffer;
    const stun::TransactionId id = request.transaction_id();
    const auth::Authenticator authenticator({realm, nonce_lifetime}, users, nonce_key);
    auth::AuthResult result;
    if (authenticate) result = authenticator.check(request, kClientAddress, now);
    if (result.error) {
      stun::Builder b(buffer, stun::Class::kError, request.method(), id);
      b.error_code(*result.error, stun::reason_phrase(*result.error));
      if (*result.error != stun::Code::kBadRequest) authenticator.add_challenge(b, kClientAddress, now);
      return finished(b);
    }
    std::vector<std::function<void(stun::Builder&)>> extra;
    stun::Class cls = stun::Class::kSuccess;
    const bool overridden = override_answer && override_answer(request, cls, extra);
    stun::Builder b(buffer, cls, request.method(), id);
    if (overridden) {
      for (const auto& write : extra) write(b);
    } else {
      write_usual(b, request, id);
    }
    if (authenticate && !skip_mac) {
      if (result.identity.reply_mac == stun::MacKind::kSha256) {
        b.integrity_sha256(result.identity.key.bytes());
      } else {
        b.integrity_sha1(result.identity.key.bytes());
      }
    }
    return finished(b);
  }

  void write_usual(stun::Builder& b, const stun::MessageView& request, const stun::TransactionId&) const {
    if (request.method() == stun::Method::kAllocate) {
      b.xor_address(stun::Attr::kXorRelayedAddress, relayed).xor_address(stun::Attr::kXorMappedAddress, mapped);
      b.u32(stun::Attr::kLifetime, lifetime);
    } else if (request.method() == stun::Method::kRefresh) {
      const auto asked = request.find(stun::Attr::kLifetime);
      const std::uint32_t seconds = asked ? stun::decode_u32(asked->value).value_or(lifetime) : lifetime;
      b.u32(stun::Attr::kLifetime, std::min(seconds, lifetime));
    } else if (request.method() == stun::Method::kBinding) {
      b.xor_address(stun::Attr::kXorMappedAddress, mapped);
    }
  }

  static Datagram finished(stun::Builder& b) {
    b.fingerprint();
    const auto message = b.finish();
    return message ? Datagram(message->begin(), message->end()) : Datagram();
  }
};

}  // namespace turnkit::client
