// Every decoder on any value: what it takes is written back by the builder to a value that decodes to the same.
#include "stun/attributes.h"

#include "fuzz.h"
#include "stun/builder.h"
#include "stun/message.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using stun::Attr;

namespace {

// The value of the one attribute that `add` writes.
template <typename F>
Buffer written(F&& add) {
  static Buffer buffer(70000);
  stun::Builder builder(buffer, stun::Class::kIndication, stun::Method::kBinding, {});
  add(builder);
  const auto message = builder.finish();
  require(message.has_value(), "fits");
  const auto view = stun::MessageView::parse(*message);
  require(view.has_value(), "parses");
  return copy((*view->begin()).value);
}

// decode(encode(decode(v))) == decode(v)
template <typename Decode, typename Add>
void same_again(Bytes value, Decode decode, Add add) {
  const auto first = decode(value);
  if (!first) return;
  const Buffer again = written([&](stun::Builder& b) { add(b, *first); });
  require(decode(Bytes(again)) == first, "decodes to the same again");
}

void check_lists(Bytes value) {
  const std::vector<Attr> types = stun::decode_unknown_attributes(value);
  require(types.size() == value.size() / 2, "one type for two bytes");
  Reader reader(value);
  bool found = false;
  std::size_t count = 0;
  while (const auto entry = stun::next_password_algorithm(reader)) {
    found = found || entry->algorithm == 2;
    ++count;
  }
  require(count <= value.size() / 4, "an entry takes four bytes at least");
  require(stun::password_algorithms_contain(value, 2) == (found && reader.ok()), "contains what the walk saw");
  const auto single = stun::decode_password_algorithm(value);
  require(single.has_value() == (count == 1 && reader.ok()), "one entry and no more");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer buffer = input(data, std::min<std::size_t>(size, 2000));
  const Bytes value = buffer;
  const stun::TransactionId id;
  same_again(value, stun::decode_address, [](auto& b, const Address& a) { b.address(Attr::kOtherAddress, a); });
  same_again(
      value, [&](Bytes v) { return stun::decode_xor_address(v, id); },
      [](auto& b, const Address& a) { b.xor_address(Attr::kXorPeerAddress, a); });
  same_again(value, stun::decode_u32, [](auto& b, std::uint32_t v) { b.u32(Attr::kLifetime, v); });
  same_again(value, stun::decode_u64, [](auto& b, std::uint64_t v) { b.u64(Attr::kReservationToken, v); });
  same_again(value, stun::decode_channel_number, [](auto& b, std::uint16_t v) { b.channel_number(v); });
  same_again(value, stun::decode_requested_transport, [](auto& b, std::uint8_t v) { b.requested_transport(v); });
  same_again(value, stun::decode_even_port, [](auto& b, bool v) { b.even_port(v); });
  same_again(value, stun::decode_response_port, [](auto& b, std::uint16_t v) { b.response_port(v); });
  const auto error = stun::decode_error_code(value);
  if (error) {
    require(error->code >= 300 && error->code <= 699, "a code of the RFC");
    const Buffer again = written([&](auto& b) { b.error_code(stun::Code{error->code}, error->reason); });
    const auto back = stun::decode_error_code(again);
    require(back && back->code == error->code && back->reason == error->reason, "an error decodes to the same again");
  }
  require(stun::decode_address_error_code(value).has_value() == error.has_value(), "both error codes take the same");
  require(stun::decode_text(value).has_value() == (value.size() <= stun::kMaxTextBytes), "text is bounded");
  require(stun::decode_icmp(value).has_value() == (value.size() == 8), "ICMP has 8 bytes");
  check_lists(value);
  return 0;
}
