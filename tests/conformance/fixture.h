// The fixtures of the conformance tests. Suite Turn runs each of its cases against the engine and against the binary;
// TurnEngine and TurnBinary hold what only one of them can show.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/harness/client.h"
#include "tests/conformance/harness/engine_harness.h"
#include "tests/conformance/harness/harness.h"

namespace turnkit::conformance {

using stun::Attr;
using stun::Class;
using stun::Method;

inline constexpr std::uint16_t kChannel = 0x4000;

class Fixture : public testing::Test {
 protected:
  explicit Fixture(Kind kind) : kind_(kind) {}

  // Takes effect with the first call of anything below.
  Options options;

  Harness& harness();
  [[nodiscard]] bool is_engine() const { return kind_ == Kind::kEngine; }
  // Where time is real, lifetimes are cut to what a test can wait for.
  [[nodiscard]] std::chrono::seconds scaled(std::chrono::seconds real, std::chrono::seconds brief) const {
    return is_engine() ? real : brief;
  }
  // Waits until `lifetime` is over for what was made before now; and until shortly before, for what was made at
  // `since`.
  void outlive(Duration lifetime);
  void wait_until_shortly_before(TimePoint end);

  // They live as long as the test. Clients are on 127.x.x.1, or on ::1.
  Client& client(const Credentials& credentials = {}, std::size_t server = 0);
  Client& client_v6(const Credentials& credentials = {});
  Client& allocated(const Fill& more = {});
  Socket& peer(unsigned n = 2, std::uint16_t port = 0) { return open({harness().ip(n), port}); }
  Socket& peer_v6(std::uint16_t port = 0) { return open({*IpAddress::parse("::1"), port}); }
  Socket& open(const Address& local);
  // An allocation of `client` with a permission for the peer. Returns the relayed address.
  Address relay_for(Client& client, const Socket& peer);

  // Whether a datagram gets through, and unchanged.
  testing::AssertionResult sends(Client& client, Socket& peer);                            // Send indication
  testing::AssertionResult sends_on(Client& client, std::uint16_t channel, Socket& peer);  // ChannelData
  testing::AssertionResult reaches(Socket& peer, const Address& relayed, Client& client,
                                   std::string text = {});  // the way back, in any form
  // Nothing has reached the peer, nor will of what was sent before.
  testing::AssertionResult silent(Client& client, Socket& peer);

 private:
  testing::AssertionResult came_through(Client& client, Socket& peer, std::string_view text);
  std::string unique_text();

  const Kind kind_;
  int texts_ = 0;
  std::unique_ptr<Harness> harness_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

class Turn : public Fixture, public testing::WithParamInterface<Kind> {
 protected:
  Turn() : Fixture(GetParam()) {}
};

class TurnEngine : public Fixture {
 protected:
  TurnEngine() : Fixture(Kind::kEngine) {}
  EngineHarness& engine() { return static_cast<EngineHarness&>(harness()); }
};

class TurnBinary : public Fixture {
 protected:
  TurnBinary() : Fixture(Kind::kBinary) {}
  // Ends the server; whether it then logged `text`, such as a count of what it dropped.
  bool stop_and_find(std::string_view text);
};

// ::1 may be missing on the machine; the engine does not need it.
#define REQUIRE_IPV6() \
  options.ipv6 = true; \
  if (!is_engine() && !host_has_ipv6()) GTEST_SKIP() << "no IPv6 here"

}  // namespace turnkit::conformance
