// A link that loses, repeats and delays: a client that retransmits must end up with the same answers, and with the same
// state, as one on a perfect link.
#include <gtest/gtest.h>

#include <random>

#include "tests/conformance/harness/client.h"
#include "tests/conformance/harness/engine_harness.h"

namespace turnkit::sim {

using conformance::Answer;
using conformance::ByteVector;
using conformance::Client;
using conformance::EngineHarness;
using conformance::Fill;
using stun::Attr;
using stun::Class;
using stun::Method;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kWorldSeed = 7;

conformance::Options server_options() {
  conformance::Options options;
  options.ipv6 = true;
  options.nonce_lifetime = 0s;
  return options;
}

// A client and its server. Two of them with the same seed make the same random choices.
struct World {
  World() : harness(server_options(), kWorldSeed), client(harness, {}, {harness.ip(1), 30000}, harness.server()) {
    client.learn();
  }
  EngineHarness harness;
  Client client;
};

struct Step {
  Method method;
  Fill fill;
};

class Script {
 public:
  explicit Script(std::uint64_t seed) : dice_(seed) {}
  std::uint32_t below(std::uint32_t bound) { return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(dice_); }

  Step next() {
    const Address peer{IpAddress::v4(127, 0, 0, static_cast<std::uint8_t>(2 + below(4))), 5000};
    const Address peer6{*IpAddress::parse("2001:db8::1"), 5000};
    const auto channel = static_cast<std::uint16_t>(0x4000 + below(4));
    switch (below(8)) {
      case 0:
        return {Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17).even_port(true); }};
      case 1:
        return {Method::kAllocate, [](stun::Builder& m) {
                  m.requested_transport(17).address_family(Attr::kAdditionalAddressFamily, Family::kIPv6);
                }};
      case 2:
        return {Method::kRefresh,
                [lifetime = below(2) == 0 ? 0U : 900U](stun::Builder& m) { m.u32(Attr::kLifetime, lifetime); }};
      case 3:
        return {Method::kRefresh, [](stun::Builder& m) {
                  m.u32(Attr::kLifetime, 0).address_family(Attr::kRequestedAddressFamily, Family::kIPv6);
                }};
      case 4:
        return {Method::kCreatePermission, [=](stun::Builder& m) {
                  m.xor_address(Attr::kXorPeerAddress, peer).xor_address(Attr::kXorPeerAddress, peer6);
                }};
      case 5:
        return {Method::kCreatePermission, [=](stun::Builder& m) { m.xor_address(Attr::kXorPeerAddress, peer); }};
      case 6:
        return {Method::kChannelBind,
                [=](stun::Builder& m) { m.channel_number(channel).xor_address(Attr::kXorPeerAddress, peer6); }};
      default:
        return {Method::kChannelBind,
                [=](stun::Builder& m) { m.channel_number(channel).xor_address(Attr::kXorPeerAddress, peer); }};
    }
  }

 private:
  std::mt19937_64 dice_;
};

// The answer without LIFETIME, which may tell the time that is left to a repeated Allocate.
ByteVector without_lifetime(const Answer& answer) {
  ByteVector out;
  const stun::MessageView view = answer.view();
  for (const stun::Attribute& attribute : view) {
    const bool is_mac = attribute.type == Attr::kMessageIntegrity;
    if (attribute.type == Attr::kLifetime || is_mac) continue;
    const auto type = static_cast<std::uint16_t>(attribute.type);
    out.push_back(static_cast<std::byte>(type >> 8));
    out.push_back(static_cast<std::byte>(type & 0xFF));
    out.insert(out.end(), attribute.value.begin(), attribute.value.end());
  }
  return out;
}

}  // namespace

class LinkTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(LinkTest, a_lossy_link_with_retransmissions_changes_nothing) {
  Script script(GetParam());
  World perfect;
  World lossy;
  ASSERT_EQ(perfect.client.challenge().nonce, lossy.client.challenge().nonce);
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    SCOPED_TRACE("seed " + std::to_string(GetParam()) + ", request " + std::to_string(i));
    const Step step = script.next();
    const ByteVector request = perfect.client.signed_message(step.method, step.fill);
    const Answer expected = perfect.client.exchange(request);
    Duration passed{0};
    // RFC 8489, section 6.2.1: sends at 0, 500, 1500, 3500 ms and so on. The request or its answer may get lost each
    // time, and either may come twice.
    Duration pause = 500ms;
    const std::uint32_t sends = 1 + script.below(5);
    for (std::uint32_t send = 1; send <= sends; ++send) {
      const bool last = send == sends;
      const bool request_lost = !last && script.below(3) == 0;
      if (!request_lost) {
        for (std::uint32_t copies = 1 + script.below(2); copies > 0; --copies) {
          const Answer answer = lossy.client.exchange(request);
          EXPECT_EQ(answer.error(), expected.error()) << answer;
          EXPECT_EQ(without_lifetime(answer), without_lifetime(expected)) << answer << " instead of " << expected;
          EXPECT_LE(expected.lifetime() - answer.lifetime(), 1 + passed / 1s);
        }
      }
      if (last) break;
      lossy.harness.advance(pause);
      passed += pause;
      pause *= 2;
    }
    perfect.harness.advance(passed);
    EXPECT_EQ(perfect.harness.engine().allocations(), lossy.harness.engine().allocations());
    const auto relaying = [](World& world) { return world.harness.ports().live() - world.harness.ports().reserved(); };
    EXPECT_EQ(relaying(perfect), relaying(lossy));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LinkTest, testing::Range<std::uint64_t>(1, 21));

}  // namespace turnkit::sim
