// Malformed headers and attributes: rows NEG-001 to NEG-038, NEG-050 to NEG-053 and NEG-097 to NEG-102.
#include "base/digest.h"
#include "tests/conformance/negative_fixture.h"

namespace turnkit::conformance {

using testing::ElementsAre;

INSTANTIATE_TEST_SUITE_P(Conformance, Negative, testing::Values(Kind::kEngine, Kind::kBinary),
                         [](const testing::TestParamInfo<Kind>& kind) {
                           return std::string(kind.param == Kind::kEngine ? "engine" : "binary");
                         });

TEST_P(Negative, NEG_001_empty_datagram) { expect_discarded(ByteVector{}); }
TEST_P(Negative, NEG_002_one_byte) { expect_discarded("NEG-002"); }
TEST_P(Negative, NEG_003_header_cut_by_one) { expect_discarded("NEG-003"); }
TEST_P(Negative, NEG_004_top_bits_01_are_an_unbound_channel) { expect_discarded("NEG-004"); }

TEST_P(Negative, NEG_005_top_bits_10_and_11) {
  expect_discarded("NEG-005");
  ByteVector bytes = seed("NEG-005");
  bytes[0] = std::byte{0xC0};
  expect_discarded(bytes);
}

TEST_P(Negative, NEG_006_first_byte_4_to_15) {
  expect_discarded("NEG-006");
  Client& c = client();
  ByteVector bytes = seed("NEG-006");
  for (int first = 4; first < 0x40; ++first) {
    bytes[0] = static_cast<std::byte>(first);
    c.send_raw(bytes);
  }
  EXPECT_TRUE(c.silent());
}

TEST_P(Negative, NEG_007_length_not_a_multiple_of_4) { expect_discarded("NEG-007"); }
TEST_P(Negative, NEG_008_length_beyond_the_datagram) { expect_discarded("NEG-008"); }
TEST_P(Negative, NEG_009_length_fffc) { expect_discarded("NEG-009"); }
TEST_P(Negative, NEG_010_trailing_bytes) { expect_discarded("NEG-010"); }

TEST_P(Negative, NEG_011_length_that_counts_the_header) {
  ByteVector request =
      make_message(Class::kRequest, Method::kAllocate, [](stun::Builder& m) { m.requested_transport(17); });
  store_be16(request.data() + 2, static_cast<std::uint16_t>(request.size()));
  expect_discarded(request);
}

TEST_P(Negative, NEG_012_wrong_cookie_in_a_binding_request) { expect_discarded("NEG-012"); }
TEST_P(Negative, NEG_013_wrong_cookie_in_an_allocate_request) { expect_discarded("NEG-013"); }
TEST_P(Negative, NEG_015_unknown_method) { expect_discarded("NEG-015"); }
TEST_P(Negative, NEG_016_method_0) { expect_discarded("NEG-016"); }
TEST_P(Negative, NEG_017_shared_secret) { expect_discarded("NEG-017"); }
TEST_P(Negative, NEG_018_unsolicited_success) { expect_discarded("NEG-018"); }
TEST_P(Negative, NEG_019_unsolicited_error) { expect_discarded("NEG-019"); }
TEST_P(Negative, NEG_021_allocate_as_indication) { expect_discarded("NEG-021"); }
TEST_P(Negative, NEG_022_send_as_request) { expect_discarded("NEG-022"); }
TEST_P(Negative, NEG_023_data_towards_the_server) { expect_discarded("NEG-023"); }
TEST_P(Negative, NEG_024_connection_attempt_towards_the_server) { expect_discarded("NEG-024"); }
TEST_P(Negative, NEG_025_attribute_header_cut) { expect_discarded("NEG-025"); }
TEST_P(Negative, NEG_026_attribute_length_beyond_the_message) { expect_discarded("NEG-026"); }
TEST_P(Negative, NEG_027_attribute_length_ffff) { expect_discarded("NEG-027"); }
TEST_P(Negative, NEG_028_attribute_length_that_wraps_with_its_padding) { expect_discarded("NEG-028"); }
TEST_P(Negative, NEG_029_padding_does_not_fit) { expect_discarded("NEG-029"); }

TEST_P(Negative, NEG_030_padding_that_is_not_zero_is_accepted) {
  EXPECT_TRUE(succeeded(client().exchange(seed("NEG-030"))));
  // The MAC covers it as it is.
  Client& c = client();
  c.learn();
  ByteVector request = make_message(Class::kRequest, Method::kAllocate, [&](stun::Builder& m) {
    m.requested_transport(17);
    c.add_names(m);
  });
  request.back() = std::byte{0xFF};  // the padding of NONCE, which has 29 characters
  request.resize(request.size() + 24);
  fix_length(request);
  std::byte* attribute = request.data() + request.size() - 24;
  store_be16(attribute, static_cast<std::uint16_t>(Attr::kMessageIntegrity));
  store_be16(attribute + 2, 20);
  const Sha1 digest = hmac_sha1(c.key().bytes(), {Bytes(request).first(request.size() - 24)});
  std::copy(digest.begin(), digest.end(), attribute + 4);
  EXPECT_TRUE(succeeded(c.exchange(request)));
}

TEST_P(Negative, NEG_031_16000_optional_attributes) {
  const ByteVector request = make_message(Class::kRequest, Method::kBinding, [](stun::Builder& m) {
    for (int i = 0; i < 16'000; ++i) m.flag(Attr{0x8030});
  });
  EXPECT_TRUE(succeeded(client().exchange(request)));
  expect_errors(make_message(Class::kRequest, Method::kAllocate,
                             [](stun::Builder& m) {
                               for (int i = 0; i < 16'000; ++i) m.flag(Attr{0x8030});
                             }),
                401, 400);
}

TEST_P(Negative, NEG_032_thousands_of_unknown_attributes) {
  const ByteVector request = make_message(Class::kRequest, Method::kBinding, [](stun::Builder& m) {
    for (std::uint16_t i = 0; i < 4000; ++i) m.flag(Attr{static_cast<std::uint16_t>(0x7001 + i)});
  });
  const Answer answer = client().exchange(request);
  EXPECT_TRUE(failed(answer, 420));
  EXPECT_LT(answer.bytes().size(), request.size());
  EXPECT_GE(answer.unknown_attributes().size(), 16U);
  EXPECT_EQ(answer.unknown_attributes().front(), Attr{0x7001});
}

TEST_P(Negative, NEG_033_the_same_unknown_attribute_1000_times) {
  const ByteVector request = make_message(Class::kRequest, Method::kBinding, [](stun::Builder& m) {
    for (int i = 0; i < 1000; ++i) m.flag(Attr{0x7001});
  });
  EXPECT_THAT(client().exchange(request).unknown_attributes(), ElementsAre(Attr{0x7001}));
}

TEST_P(Negative, NEG_034_unknown_attribute_in_a_binding_request) {
  const Answer answer = client().exchange(seed("NEG-034"));
  EXPECT_TRUE(failed(answer, 420));
  EXPECT_THAT(answer.unknown_attributes(), ElementsAre(Attr{0x7fff}));
}

TEST_P(Negative, NEG_035_unknown_attribute_in_a_binding_indication) { expect_discarded("NEG-035"); }
TEST_P(Negative, NEG_036_unknown_attribute_in_a_response) { expect_discarded("NEG-036"); }

TEST_P(Negative, NEG_037_unknown_optional_attribute) { EXPECT_TRUE(succeeded(client().exchange(seed("NEG-037")))); }

TEST_P(Negative, NEG_038_unknown_attribute_after_the_mac_is_ignored) {
  Client& c = client();
  EXPECT_TRUE(succeeded(c.allocate()));
  ByteVector request = c.signed_message(Method::kRefresh);
  request.insert(request.end(), {std::byte{0x7f}, std::byte{0xff}, std::byte{0}, std::byte{0}});
  fix_length(request);
  EXPECT_TRUE(succeeded(c.exchange(request)));
}

TEST_P(Negative, NEG_050_wrong_fingerprint) { expect_discarded("NEG-050"); }
TEST_P(Negative, NEG_051_fingerprint_not_last) { expect_discarded("NEG-051"); }

TEST_P(Negative, NEG_052_fingerprint_of_0_or_8_bytes) {
  expect_discarded("NEG-052");
  expect_discarded(make_message(Class::kRequest, Method::kBinding,
                                [](stun::Builder& m) { m.raw(Attr::kFingerprint, ByteVector(8)); }));
}

TEST_P(Negative, NEG_053_two_fingerprints) {
  expect_discarded(
      make_message(Class::kRequest, Method::kBinding, [](stun::Builder& m) { m.fingerprint().fingerprint(); }));
}

TEST_P(Negative, NEG_097_channel_data_of_1_to_3_bytes) {
  for (const std::size_t size : {1U, 2U, 3U}) {
    ByteVector bytes = seed("NEG-097");
    bytes.resize(size);
    expect_discarded(bytes);
  }
}

TEST_P(Negative, NEG_098_channel_data_length_beyond_the_datagram) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  EXPECT_TRUE(c.ignored(seed("NEG-098")));
  EXPECT_TRUE(silent(c, p));
}

TEST_P(Negative, NEG_099_channel_data_with_trailing_bytes) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  c.send_raw(seed("NEG-099"));
  EXPECT_EQ(p.receive()->text(), "ab");
}

TEST_P(Negative, NEG_100_channel_data_of_length_0) {
  Client& c = client();
  Socket& p = peer();
  relay_for(c, p);
  EXPECT_TRUE(succeeded(c.bind(kChannel, p.local())));
  c.send_raw(seed("NEG-100"));
  const std::optional<Datagram> got = p.receive();
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->data.empty());
}

TEST_P(Negative, NEG_101_channel_data_beyond_the_range) { expect_discarded("NEG-101"); }
TEST_P(Negative, NEG_102_channel_data_without_an_allocation) { EXPECT_TRUE(client().ignored(seed("NEG-102"))); }

}  // namespace turnkit::conformance
