// Builder round trip: a message of random attributes parses to exactly these, and each value decodes to what was put
// in. The first two bytes bound the buffer; whether the message fits must be known from the sizes alone.
#include "stun/builder.h"

#include <functional>
#include <string>

#include "fuzz.h"
#include "stun/integrity.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using stun::Attr;

namespace {

const Bytes kKey = as_bytes("key");

// Writes attributes and keeps, for each, a check of its value.
class Script {
 public:
  Script(stun::Builder& builder, const stun::TransactionId& id) : builder_(builder), id_(id) {}

  void step(Reader& in) {
    switch (in.u8() % 12) {
      case 0: {
        // Not FINGERPRINT and not a MAC: those have their own steps.
        const std::uint16_t type = in.u16();
        const bool special = type == 0x0008 || type == 0x001C || type == 0x8028;
        const Buffer value = copy(in.take(std::min<std::size_t>(in.u8(), in.remaining())));
        const Attr attr = special ? Attr::kSoftware : Attr{type};
        builder_.raw(attr, value);
        return expect(attr, value.size(), [value](Bytes v) { return equal(v, value); });
      }
      case 1: {
        const std::uint32_t number = in.u32();
        builder_.u32(Attr::kLifetime, number);
        return expect(Attr::kLifetime, 4, [number](Bytes v) { return stun::decode_u32(v) == number; });
      }
      case 2: {
        const std::uint64_t number = in.u64();
        builder_.u64(Attr::kReservationToken, number);
        return expect(Attr::kReservationToken, 8, [number](Bytes v) { return stun::decode_u64(v) == number; });
      }
      case 3: {
        const Address address = read_address(in);
        builder_.address(Attr::kOtherAddress, address);
        return expect(Attr::kOtherAddress, 4 + address.ip.bytes().size(),
                      [address](Bytes v) { return stun::decode_address(v) == address; });
      }
      case 4: {
        const Address address = read_address(in);
        builder_.xor_address(Attr::kXorPeerAddress, address);
        return expect(Attr::kXorPeerAddress, 4 + address.ip.bytes().size(),
                      [address, id = id_](Bytes v) { return stun::decode_xor_address(v, id) == address; });
      }
      case 5: {
        const std::uint16_t number = in.u16();
        builder_.channel_number(number);
        return expect(Attr::kChannelNumber, 4, [number](Bytes v) { return stun::decode_channel_number(v) == number; });
      }
      case 6: {
        const bool reserve = in.u8() % 2 != 0;
        builder_.even_port(reserve);
        return expect(Attr::kEvenPort, 1, [reserve](Bytes v) { return stun::decode_even_port(v) == reserve; });
      }
      case 7: {
        const auto code = static_cast<std::uint16_t>(300 + in.u16() % 400);
        const std::string reason(as_text(in.take(std::min<std::size_t>(in.u8(), in.remaining()))));
        builder_.error_code(stun::Code{code}, reason);
        return expect(Attr::kErrorCode, 4 + reason.size(), [code, reason](Bytes v) {
          const auto error = stun::decode_error_code(v);
          return error && error->code == code && error->reason == reason;
        });
      }
      case 8: {
        std::vector<Attr> types(in.u8() % 16);
        for (Attr& type : types) type = Attr{in.u16()};
        builder_.unknown_attributes(types);
        return expect(Attr::kUnknownAttributes, types.size() * 2,
                      [types](Bytes v) { return stun::decode_unknown_attributes(v) == types; });
      }
      case 9: {
        const std::uint16_t port = in.u16();
        builder_.response_port(port);
        return expect(Attr::kResponsePort, 2, [port](Bytes v) { return stun::decode_response_port(v) == port; });
      }
      case 10: {
        const stun::Icmp icmp{in.u8(), in.u8(), in.u32()};
        builder_.icmp(icmp);
        return expect(Attr::kIcmp, 8, [icmp](Bytes v) {
          const auto back = stun::decode_icmp(v);
          return back && back->type == icmp.type && back->code == icmp.code && back->error_data == icmp.error_data;
        });
      }
      default: {
        const std::vector<stun::PasswordAlgorithm> list(1 + in.u8() % 4, stun::PasswordAlgorithm::kSha256);
        builder_.password_algorithms(list);
        return expect(Attr::kPasswordAlgorithms, list.size() * 4, [](Bytes v) {
          return stun::password_algorithms_contain(v, 2) && !stun::password_algorithms_contain(v, 1);
        });
      }
    }
  }

  void expect(Attr type, std::size_t length, std::function<bool(Bytes)> check) {
    size += 4 + (length + 3) / 4 * 4;
    expected.push_back({type, std::move(check)});
  }

  struct Expected {
    Attr type;
    std::function<bool(Bytes)> check;
  };
  std::vector<Expected> expected;
  std::size_t size = stun::kHeaderSize;

 private:
  static Address read_address(Reader& in) {
    const bool v6 = in.u8() % 2 != 0;
    Buffer bytes = copy(in.take(v6 ? 16 : 4));
    bytes.resize(v6 ? 16 : 4);
    return {IpAddress::from_bytes(bytes), in.u16()};
  }
  stun::Builder& builder_;
  stun::TransactionId id_;
};

// What was read is written again: for zero padding, the bytes are the same.
void rewrite(const stun::MessageView& view) {
  Buffer buffer(view.bytes().size());
  stun::Builder builder(buffer, view.cls(), view.method(), view.transaction_id());
  for (const stun::Attribute a : view) builder.raw(a.type, a.value);
  const auto again = builder.finish();
  require(again && equal(*again, view.bytes()), "encode(decode(x)) == x");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer bytes = input(data, size);
  Reader in(bytes);
  const std::size_t capacity = in.u16() % 3000;
  const unsigned ending = in.u8();
  stun::TransactionId id;
  for (std::byte& b : id.bytes) b = static_cast<std::byte>(in.u8());

  Buffer buffer(capacity);
  stun::Builder builder(buffer, stun::Class::kRequest, stun::Method::kAllocate, id);
  Script script(builder, id);
  while (in.remaining() > 0 && script.expected.size() < 100) script.step(in);
  const auto anything = [](Bytes) { return true; };
  const bool sha1 = (ending & 1) != 0;
  const bool sha256 = (ending & 2) != 0;
  if (sha1) script.expect((builder.integrity_sha1(kKey), Attr::kMessageIntegrity), 20, anything);
  if (sha256) script.expect((builder.integrity_sha256(kKey), Attr::kMessageIntegritySha256), 32, anything);
  if ((ending & 4) != 0) script.expect((builder.fingerprint(), Attr::kFingerprint), 4, anything);

  const auto message = builder.finish();
  require(message.has_value() == (script.size <= capacity), "fits exactly when the sizes say so");
  if (!message) return 0;
  require(message->size() == script.size, "has the size that the sizes say");
  const auto view = stun::MessageView::parse(*message);
  require(view.has_value(), "parses");
  std::size_t n = 0;
  for (const stun::Attribute a : *view) {
    require(n < script.expected.size() && a.type == script.expected[n].type, "same attributes in order");
    require(script.expected[n].check(a.value), "decode(encode(x)) == x");
    ++n;
  }
  require(n == script.expected.size(), "all attributes come back");
  require(stun::verify_integrity(*view, kKey) == (sha1 || sha256), "MACs verify");
  require(!stun::verify_integrity(*view, as_bytes("other")), "with this key only");
  rewrite(*view);
  return 0;
}
