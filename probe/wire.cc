#include "probe/wire.h"

#include <algorithm>

#include "base/encoding.h"
#include "stun/attributes.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

constexpr std::uint32_t kMagic = 0x546E6B50;  // "TnkP"
constexpr std::size_t kValueSize = 88;

std::string username_of(const Nonce& nonce) { return "probe-" + nonce.hex() + ":x"; }

void write_observed(Writer& writer, const std::optional<Address>& observed) {
  if (!observed) {
    writer.zeros(1 + 2 + 16);
    return;
  }
  writer.u8(static_cast<std::uint8_t>(observed->family()));
  writer.u16(observed->port);
  writer.bytes(observed->ip.bytes());
  writer.zeros(16 - observed->ip.bytes().size());
}

std::array<std::byte, kValueSize> encode_value(const Packet& packet) {
  std::array<std::byte, kValueSize> value;
  Writer writer(value);
  writer.u32(kMagic);
  writer.u8(kWireVersion);
  writer.u8(static_cast<std::uint8_t>(packet.kind));
  writer.u16(packet.flags);
  writer.bytes(packet.nonce.bytes);
  writer.u32(packet.sequence);
  writer.u32(packet.token);
  writer.u64(packet.sent_at_us);
  writer.u64(packet.echoed_at_us);
  writer.u32(packet.received);
  writer.u32(packet.sent);
  writer.u32(packet.send_errors);
  writer.u16(packet.send_errno);
  writer.u16(packet.half_open);
  writer.u16(packet.accepted);
  writer.u16(packet.subject_port);
  writer.u8(static_cast<std::uint8_t>(packet.subject_protocol));
  write_observed(writer, packet.observed);
  return value;
}

bool read_observed(Reader& reader, std::optional<Address>& out) {
  const std::uint8_t family = reader.u8();
  const std::uint16_t port = reader.u16();
  const Bytes ip = reader.take(16);
  if (!reader.ok() || family > 2) return false;
  out.reset();
  if (family != 0) out = Address{IpAddress::from_bytes(ip.first(family == 1 ? 4 : 16)), port};
  return true;
}

Decoded decode_value(Bytes value, Packet& out) {
  Reader reader(value);
  if (reader.u32() != kMagic) return Decoded::kNotOurs;
  const std::uint8_t version = reader.u8();
  if (!reader.ok()) return Decoded::kNotOurs;
  if (version != kWireVersion) return Decoded::kOtherVersion;
  if (value.size() != kValueSize) return Decoded::kNotOurs;
  const std::uint8_t kind = reader.u8();
  if (kind < static_cast<std::uint8_t>(Kind::kProbe) || kind > static_cast<std::uint8_t>(Kind::kReport))
    return Decoded::kNotOurs;
  out.kind = static_cast<Kind>(kind);
  out.flags = reader.u16();
  const Bytes nonce = reader.take(out.nonce.bytes.size());
  std::copy(nonce.begin(), nonce.end(), out.nonce.bytes.begin());
  out.sequence = reader.u32();
  out.token = reader.u32();
  out.sent_at_us = reader.u64();
  out.echoed_at_us = reader.u64();
  out.received = reader.u32();
  out.sent = reader.u32();
  out.send_errors = reader.u32();
  out.send_errno = reader.u16();
  out.half_open = reader.u16();
  out.accepted = reader.u16();
  out.subject_port = reader.u16();
  const std::uint8_t protocol = reader.u8();
  if (protocol != static_cast<std::uint8_t>(Protocol::kUdp) && protocol != static_cast<std::uint8_t>(Protocol::kTcp)) {
    return Decoded::kNotOurs;
  }
  out.subject_protocol = static_cast<Protocol>(protocol);
  return read_observed(reader, out.observed) ? Decoded::kOk : Decoded::kNotOurs;
}

// A message of `cls` with FINGERPRINT and a PROBE attribute whose nonce and sequence make its transaction id.
Decoded decode_message(Bytes bytes, stun::Class cls, Packet& out) {
  const auto message = stun::MessageView::parse(bytes);
  if (!message || !message->is(cls, stun::Method::kBinding) || !message->has(stun::Attr::kFingerprint))
    return Decoded::kNotOurs;
  const auto attribute = message->find(static_cast<stun::Attr>(kProbeAttribute));
  if (!attribute) return Decoded::kNotOurs;
  const Decoded decoded = decode_value(attribute->value, out);
  if (decoded != Decoded::kOk) return decoded;
  if (message->transaction_id() != transaction_id_of(out.nonce, out.sequence)) return Decoded::kNotOurs;
  if (cls == stun::Class::kRequest) {
    const auto username = message->find(stun::Attr::kUsername);
    return username && as_text(username->value) == username_of(out.nonce) ? Decoded::kOk : Decoded::kNotOurs;
  }
  const auto mapped = message->find(stun::Attr::kXorMappedAddress);
  if (!mapped) return Decoded::kNotOurs;
  out.mapped = stun::decode_xor_address(mapped->value, message->transaction_id());
  return out.mapped ? Decoded::kOk : Decoded::kNotOurs;
}

}  // namespace

std::string_view protocol_name(Protocol protocol) { return protocol == Protocol::kUdp ? "UDP" : "TCP"; }

Nonce Nonce::random(Random& random) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  Nonce nonce;
  random.fill(nonce.bytes);
  for (std::byte& b : nonce.bytes) b = as_bytes(kAlphabet)[std::to_integer<std::size_t>(b) % kAlphabet.size()];
  return nonce;
}

std::string Nonce::hex() const { return to_hex(bytes); }

stun::TransactionId transaction_id_of(const Nonce& nonce, std::uint32_t sequence) {
  stun::TransactionId id;
  std::copy_n(nonce.bytes.begin(), 8, id.bytes.begin());
  store_be32(id.bytes.data() + 8, sequence);
  return id;
}

Bytes encode_request(const Packet& packet, RequestBuffer& buffer) {
  stun::Builder builder(buffer, stun::Class::kRequest, stun::Method::kBinding,
                        transaction_id_of(packet.nonce, packet.sequence));
  builder.text(stun::Attr::kUsername, username_of(packet.nonce))
      .raw(static_cast<stun::Attr>(kProbeAttribute), encode_value(packet))
      .fingerprint();
  return builder.finish().value_or(Bytes());
}

Bytes encode_answer(const Packet& packet, AnswerBuffer& buffer) {
  stun::Builder builder(buffer, stun::Class::kSuccess, stun::Method::kBinding,
                        transaction_id_of(packet.nonce, packet.sequence));
  builder.xor_address(stun::Attr::kXorMappedAddress, *packet.mapped)
      .raw(static_cast<stun::Attr>(kProbeAttribute), encode_value(packet))
      .fingerprint();
  return builder.finish().value_or(Bytes());
}

Decoded decode_request(Bytes bytes, Packet& out) {
  if (bytes.size() != kRequestSize) {
    // Another version may have another size; only its version is of interest then.
    return decode_message(bytes, stun::Class::kRequest, out) == Decoded::kOtherVersion ? Decoded::kOtherVersion
                                                                                       : Decoded::kNotOurs;
  }
  const Decoded decoded = decode_message(bytes, stun::Class::kRequest, out);
  if (decoded == Decoded::kOk && out.kind != Kind::kProbe && out.kind != Kind::kAsk) return Decoded::kNotOurs;
  return decoded;
}

Decoded decode_answer(Bytes bytes, Packet& out) {
  const Decoded decoded = decode_message(bytes, stun::Class::kSuccess, out);
  if (decoded == Decoded::kOk && out.kind != Kind::kEcho && out.kind != Kind::kReport) return Decoded::kNotOurs;
  return decoded;
}

}  // namespace turnkit::probe
