#include "probe/wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

const Address kV4{IpAddress::v4(192, 0, 2, 7), 50000};
const Address kV6{*IpAddress::parse("2001:db8::7"), 50001};

Packet sample(Kind kind) {
  SeededRandom random(7);
  Packet packet;
  packet.kind = kind;
  packet.flags = kFlagListening | kFlagSessionKnown;
  packet.nonce = Nonce::random(random);
  packet.sequence = 0x01020304;
  packet.token = 0xA0B0C0D0;
  packet.sent_at_us = 0x1122334455667788;
  packet.echoed_at_us = 0x8877665544332211;
  packet.received = 17;
  packet.sent = 20;
  packet.send_errors = 3;
  packet.send_errno = 1;
  packet.half_open = 2;
  packet.accepted = 4;
  packet.subject_port = 8443;
  packet.subject_protocol = Protocol::kTcp;
  packet.observed = kV6;
  return packet;
}

void expect_equal(const Packet& a, const Packet& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.flags, b.flags);
  EXPECT_EQ(a.nonce, b.nonce);
  EXPECT_EQ(a.sequence, b.sequence);
  EXPECT_EQ(a.token, b.token);
  EXPECT_EQ(a.sent_at_us, b.sent_at_us);
  EXPECT_EQ(a.echoed_at_us, b.echoed_at_us);
  EXPECT_EQ(a.received, b.received);
  EXPECT_EQ(a.sent, b.sent);
  EXPECT_EQ(a.send_errors, b.send_errors);
  EXPECT_EQ(a.send_errno, b.send_errno);
  EXPECT_EQ(a.half_open, b.half_open);
  EXPECT_EQ(a.accepted, b.accepted);
  EXPECT_EQ(a.subject_port, b.subject_port);
  EXPECT_EQ(a.subject_protocol, b.subject_protocol);
  EXPECT_EQ(a.observed, b.observed);
  EXPECT_EQ(a.mapped, b.mapped);
}

std::vector<std::byte> request_bytes(const Packet& packet) {
  RequestBuffer buffer;
  const Bytes bytes = encode_request(packet, buffer);
  return {bytes.begin(), bytes.end()};
}

TEST(Wire, RequestsSurviveTheRoundTrip) {
  for (const Kind kind : {Kind::kProbe, Kind::kAsk}) {
    const Packet packet = sample(kind);
    const std::vector<std::byte> bytes = request_bytes(packet);
    EXPECT_EQ(bytes.size(), kRequestSize);
    Packet decoded;
    ASSERT_EQ(decode_request(bytes, decoded), Decoded::kOk);
    expect_equal(decoded, packet);
  }
}

TEST(Wire, AnswersSurviveTheRoundTripAndAreSmallerThanRequests) {
  for (const Kind kind : {Kind::kEcho, Kind::kReport}) {
    for (const Address& mapped : {kV4, kV6}) {
      for (const std::optional<Address>& observed :
           {std::optional<Address>(), std::optional(kV4), std::optional(kV6)}) {
        Packet packet = sample(kind);
        packet.mapped = mapped;
        packet.observed = observed;
        AnswerBuffer buffer;
        const Bytes bytes = encode_answer(packet, buffer);
        ASSERT_FALSE(bytes.empty());
        EXPECT_LT(bytes.size(), kRequestSize);
        Packet decoded;
        ASSERT_EQ(decode_answer(bytes, decoded), Decoded::kOk);
        expect_equal(decoded, packet);
      }
    }
  }
}

TEST(Wire, RequestsAreStunThatRtcdKeepsQuietAbout) {
  const std::vector<std::byte> bytes = request_bytes(sample(Kind::kProbe));
  const auto message = stun::MessageView::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_TRUE(message->is(stun::Class::kRequest, stun::Method::kBinding));
  const auto username = message->find(stun::Attr::kUsername);
  ASSERT_TRUE(username);
  EXPECT_EQ(as_text(username->value), "probe-" + sample(Kind::kProbe).nonce.hex() + ":x");
  for (const stun::Attribute attribute : *message) {
    const bool known = attribute.type == stun::Attr::kUsername || attribute.type == stun::Attr::kFingerprint;
    EXPECT_TRUE(known || !stun::is_comprehension_required(attribute.type));
  }
}

TEST(Wire, RequestsAndAnswersAreNotTakenForEachOther) {
  Packet decoded;
  EXPECT_EQ(decode_answer(request_bytes(sample(Kind::kProbe)), decoded), Decoded::kNotOurs);
  Packet packet = sample(Kind::kEcho);
  packet.mapped = kV4;
  AnswerBuffer buffer;
  EXPECT_EQ(decode_request(encode_answer(packet, buffer), decoded), Decoded::kNotOurs);
  EXPECT_EQ(decode_request(request_bytes(sample(Kind::kEcho)), decoded), Decoded::kNotOurs);
  EXPECT_EQ(decode_request(request_bytes(sample(Kind::kReport)), decoded), Decoded::kNotOurs);
}

TEST(Wire, EveryTruncationAndEveryFlippedBitIsRefused) {
  const std::vector<std::byte> good = request_bytes(sample(Kind::kProbe));
  Packet decoded;
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(decode_request(Bytes(good).first(size), decoded), Decoded::kNotOurs) << size;
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::vector<std::byte> bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_EQ(decode_request(bad, decoded), Decoded::kNotOurs) << "bit " << bit;  // FINGERPRINT covers all of it
  }
  std::vector<std::byte> longer = good;
  longer.resize(good.size() + 4);
  EXPECT_EQ(decode_request(longer, decoded), Decoded::kNotOurs);
}

// A request whose PROBE attribute is `value`, otherwise as a turn-probe would send it.
std::vector<std::byte> request_with(Bytes value, const Nonce& nonce, std::uint32_t sequence) {
  std::vector<std::byte> buffer(2048);
  stun::Builder builder(buffer, stun::Class::kRequest, stun::Method::kBinding, transaction_id_of(nonce, sequence));
  builder.text(stun::Attr::kUsername, "probe-" + nonce.hex() + ":x")
      .raw(static_cast<stun::Attr>(kProbeAttribute), value)
      .fingerprint();
  const auto message = builder.finish();
  EXPECT_TRUE(message);
  return {message->begin(), message->end()};
}

std::vector<std::byte> value_of(const std::vector<std::byte>& request) {
  const auto message = stun::MessageView::parse(request);
  const Bytes value = message->find(static_cast<stun::Attr>(kProbeAttribute))->value;
  return {value.begin(), value.end()};
}

TEST(Wire, HostileValuesAreRefused) {
  const Packet packet = sample(Kind::kProbe);
  const std::vector<std::byte> good = value_of(request_bytes(packet));
  Packet decoded;
  ASSERT_EQ(decode_request(request_with(good, packet.nonce, packet.sequence), decoded), Decoded::kOk);

  struct Case {
    const char* what;
    std::size_t offset;
    unsigned value;
  };
  for (const Case& c : {Case{"magic", 0, 0x55}, Case{"kind 0", 5, 0}, Case{"kind 5", 5, 5}, Case{"protocol", 68, 1},
                        Case{"family", 69, 3}}) {
    std::vector<std::byte> bad = good;
    bad[c.offset] = static_cast<std::byte>(c.value);
    EXPECT_EQ(decode_request(request_with(bad, packet.nonce, packet.sequence), decoded), Decoded::kNotOurs) << c.what;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_NE(decode_request(request_with(Bytes(good).first(size), packet.nonce, packet.sequence), decoded),
              Decoded::kOk)
        << size;
  }
  std::vector<std::byte> longer = good;
  longer.resize(1000);
  EXPECT_NE(decode_request(request_with(longer, packet.nonce, packet.sequence), decoded), Decoded::kOk);
}

TEST(Wire, TransactionIdAndUsernameMustFitTheNonce) {
  const Packet packet = sample(Kind::kProbe);
  const std::vector<std::byte> value = value_of(request_bytes(packet));
  Packet decoded;
  EXPECT_EQ(decode_request(request_with(value, packet.nonce, packet.sequence + 1), decoded), Decoded::kNotOurs);
  Nonce other = packet.nonce;
  other.bytes[15] ^= std::byte{1};  // not part of the transaction id, but of the user name
  EXPECT_EQ(decode_request(request_with(value, other, packet.sequence), decoded), Decoded::kNotOurs);
}

TEST(Wire, AnotherVersionIsToldApart) {
  const Packet packet = sample(Kind::kProbe);
  std::vector<std::byte> value = value_of(request_bytes(packet));
  value[4] = std::byte{2};
  Packet decoded;
  EXPECT_EQ(decode_request(request_with(value, packet.nonce, packet.sequence), decoded), Decoded::kOtherVersion);
  value.resize(60);  // which may have another size
  EXPECT_EQ(decode_request(request_with(value, packet.nonce, packet.sequence), decoded), Decoded::kOtherVersion);
}

TEST(Wire, RandomBytesAreNotOurs) {
  SeededRandom random(42);
  std::vector<std::byte> bytes;
  Packet decoded;
  for (int i = 0; i < 20000; ++i) {
    bytes.resize(random.below(300));
    random.fill(bytes);
    EXPECT_EQ(decode_request(bytes, decoded), Decoded::kNotOurs);
    EXPECT_EQ(decode_answer(bytes, decoded), Decoded::kNotOurs);
  }
}

}  // namespace
}  // namespace turnkit::probe
