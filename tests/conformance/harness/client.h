// Client: a TURN client as the RFCs' rows speak of it. It keeps its credentials and challenge, and nothing else: each
// test says what is sent when.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/credentials.h"
#include "tests/conformance/harness/harness.h"
#include "tests/conformance/harness/message.h"

namespace turnkit::conformance {

// How requests are protected: as RFC 5389 does (MD5 key, HMAC-SHA1), or with RFC 8489's password algorithms.
enum class Style : std::uint8_t { kLegacy, kMd5, kSha256 };

struct Credentials {
  std::string user = "alice";
  std::string password = "wonderland";
  Style style = Style::kLegacy;
  bool userhash = false;
};

class Client {
 public:
  Client(Harness& harness, const Credentials& credentials, const Address& local, const Address& server);

  [[nodiscard]] Socket& socket() { return *socket_; }
  [[nodiscard]] const Address& local() const { return socket_->local(); }
  [[nodiscard]] const Address& server() const { return server_; }
  Credentials& credentials() { return credentials_; }
  [[nodiscard]] auth::Key key() const;

  // The challenge that request() signs with; learn() asks the server for it.
  struct Challenge {
    std::string realm;
    std::string nonce;
    ByteVector algorithms;  // the value of PASSWORD-ALGORITHMS; empty: not offered
  };
  Challenge& challenge() { return challenge_; }
  Answer learn();

  // Adds credentials and MAC as the style wants them.
  void sign(stun::Builder& message) const;
  // The attributes without the MAC.
  void add_names(stun::Builder& message) const;
  void add_mac(stun::Builder& message) const;
  // Sends a signed request with what `fill` writes and returns its answer; learns the challenge first where there is
  // none. Fails the test when there is no answer, or when a MAC in it is wrong.
  Answer request(stun::Method method, const Fill& fill = {});
  [[nodiscard]] ByteVector signed_message(stun::Method method, const Fill& fill = {});

  // TURN's requests. `more` adds attributes.
  Answer allocate(const Fill& more = {});
  Answer refresh(std::optional<std::uint32_t> lifetime = std::nullopt, const Fill& more = {});
  Answer permit(std::initializer_list<Address> peers);
  Answer permit(const IpAddress& peer) { return permit({Address{peer, 0}}); }
  Answer bind(std::uint16_t channel, const Address& peer);
  Answer binding();

  // A Send indication, and ChannelData.
  void send(const Address& peer, std::string_view data, const SendAs& as = {}, bool dont_fragment = false);
  void send_channel(std::uint16_t channel, std::string_view data, const SendAs& as = {});
  // As it is, without waiting.
  void send_raw(Bytes message) { socket_->send(server_, message); }

  // Sends `request` as it is and waits for the answer with its transaction id.
  Answer exchange(Bytes request);
  // What came from a peer, in order; waits for it.
  std::optional<Data> receive_data();
  // The same, after a barrier and without waiting: nullopt proves that nothing came.
  std::optional<Data> data_so_far();

  // What came while an answer was waited for; nullopt: nothing.
  std::optional<ByteVector> take_early();

  // All that this client and its peers sent to the server before has been handled when it returns.
  void barrier();
  // Nothing came, and nothing is under way.
  testing::AssertionResult silent();
  // Sending `message` has no effect that anybody could see.
  testing::AssertionResult ignored(Bytes message);

 private:
  std::optional<Datagram> next_datagram();
  static std::optional<Data> parse_data(const Datagram& datagram);
  void check_mac(const Answer& answer) const;

  Harness& harness_;
  Credentials credentials_;
  Address server_;
  std::unique_ptr<Socket> socket_;
  Challenge challenge_;
  std::deque<Datagram> early_;  // came while an answer was waited for
};

// Assertions that say what came instead.
testing::AssertionResult succeeded(const Answer& answer);
testing::AssertionResult failed(const Answer& answer, int error);

}  // namespace turnkit::conformance
