// How much a stranger gets back for what it sends. RFC 8489 sets no bound; ours is about three times the request, so
// that the server is no use to anybody who forges source addresses.
#include "tests/conformance/negative_fixture.h"

namespace turnkit::conformance {

namespace {

constexpr double kBound = 3.2;
// An Allocate request without any attribute is shorter than a client's can be (REQUESTED-TRANSPORT is required), and
// its challenge cannot be: REALM, NONCE and PASSWORD-ALGORITHMS are all required.
constexpr std::size_t kShortestOfAClient = 28;

}  // namespace

class Amplification : public Negative {
 protected:
  Amplification() { options.realm = "turn"; }

  // The answer, which may be none.
  Answer answer_to(const ByteVector& request) {
    if (stranger_ == nullptr) stranger_ = &client();
    Client& c = *stranger_;
    c.send_raw(request);
    const Answer marker = c.binding();  // comes after it
    EXPECT_TRUE(succeeded(marker));
    return Answer(c.take_early().value_or(ByteVector{}));
  }
  void expect_bounded(const ByteVector& request, std::string_view what) {
    const Answer answer = answer_to(request);
    const std::size_t asked = std::max<std::size_t>(1, request.size());
    const double ratio = static_cast<double>(answer.bytes().size()) / static_cast<double>(asked);
    EXPECT_LE(ratio, kBound) << what << ": " << request.size() << " -> " << answer.bytes().size() << ": " << answer;
  }

 private:
  Client* stranger_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Conformance, Amplification, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const testing::TestParamInfo<Kind>& kind) {
                           return std::string(kind.param == Kind::kEngine ? "engine" : "binary");
                         });

TEST_P(Amplification, every_seed) {
  for (const Seed& row : kSeeds) expect_bounded(seed(row.id), row.id);
}

TEST_P(Amplification, every_request_without_credentials) {
  for (const Method method : {Method::kBinding, Method::kAllocate, Method::kRefresh, Method::kCreatePermission,
                              Method::kChannelBind, Method::kConnect, Method::kConnectionBind, Method::kGoogPing}) {
    for (std::size_t size = 0; size <= 256; size += 4) {
      const ByteVector request = make_message(Class::kRequest, method, [&](stun::Builder& m) {
        if (size >= 4) m.raw(Attr::kSoftware, ByteVector(size - 4));
      });
      if (method == Method::kAllocate && request.size() < kShortestOfAClient) continue;
      expect_bounded(request, stun::method_name(method));
    }
  }
}

TEST_P(Amplification, requests_with_unknown_attributes_or_broken_credentials) {
  for (const Method method : {Method::kBinding, Method::kAllocate, Method::kRefresh}) {
    for (int count = 1; count < 40; ++count) {
      expect_bounded(make_message(Class::kRequest, method,
                                  [&](stun::Builder& m) {
                                    m.requested_transport(17);
                                    for (int i = 0; i < count; ++i)
                                      m.flag(Attr{static_cast<std::uint16_t>(0x7001 + i)});
                                  }),
                     "unknown attributes");
    }
    for (const Attr type : {Attr::kMessageIntegrity, Attr::kMessageIntegritySha256, Attr::kUsername, Attr::kRealm,
                            Attr::kNonce, Attr::kFingerprint, Attr::kUserhash}) {
      for (const std::size_t size : {0U, 4U, 20U, 32U}) {
        expect_bounded(make_message(Class::kRequest, method,
                                    [&](stun::Builder& m) { m.requested_transport(17).raw(type, ByteVector(size)); }),
                       stun::attribute_name(type));
      }
    }
  }
}

TEST_P(Amplification, fingerprint_and_software_do_not_break_the_bound) {
  options.fingerprint = true;
  options.software = true;
  expect_bounded(make_message(Class::kRequest, Method::kBinding), "Binding");
  expect_bounded(make_message(Class::kRequest, Method::kRefresh), "Refresh");
  const Answer challenge =
      answer_to(make_message(Class::kRequest, Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); }));
  EXPECT_FALSE(challenge.has(Attr::kSoftware)) << "strangers are not told";
}

TEST_P(Amplification, a_bare_allocate_gets_its_challenge_and_no_more) {
  const ByteVector request = make_message(Class::kRequest, Method::kAllocate);
  const Answer answer = answer_to(request);
  EXPECT_TRUE(failed(answer, 401));
  EXPECT_LE(answer.bytes().size(), 88U) << "header, a code without its phrase, REALM, NONCE, PASSWORD-ALGORITHMS";
}

TEST_P(Amplification, a_peer_without_permission_gets_nothing) {
  Client& c = client();
  Socket& p = peer();
  const Answer made = c.allocate();
  for (const Seed& row : kSeeds) p.send(made.relayed(), seed(row.id));
  EXPECT_TRUE(silent(c, p));
  EXPECT_TRUE(c.silent());
}

}  // namespace turnkit::conformance
