// Messages that tests send, and answers that own their bytes.
#include "tests/conformance/harness/message.h"

#include <algorithm>
#include <memory>

#include "base/encoding.h"
#include "base/random.h"
#include "stun/channel_data.h"

namespace turnkit::conformance {

namespace {

constexpr std::size_t kMaxMessage = stun::kHeaderSize + 65535;

}  // namespace

stun::TransactionId next_transaction_id() {
  static SeededRandom random(0x7472616e73);
  stun::TransactionId id;
  random.fill(id.bytes);
  return id;
}

ByteVector make_message(stun::Class cls, stun::Method method, const Fill& fill, const stun::TransactionId& id) {
  const std::unique_ptr<std::byte[]> buffer(new std::byte[kMaxMessage]);
  stun::Builder builder(MutableBytes(buffer.get(), kMaxMessage), cls, method, id);
  if (fill) fill(builder);
  const Bytes message = builder.finish().value();
  return {message.begin(), message.end()};
}

ByteVector make_channel_data(std::uint16_t number, std::string_view data) {
  ByteVector message(stun::kChannelHeaderSize);
  stun::write_channel_header(message.data(), number, data.size());
  const Bytes bytes = as_bytes(data);
  message.insert(message.end(), bytes.begin(), bytes.end());
  return message;
}

void fix_length(ByteVector& message) {
  store_be16(message.data() + 2, static_cast<std::uint16_t>(message.size() - stun::kHeaderSize));
}

stun::TransactionId id_of(Bytes message) {
  stun::TransactionId id;
  std::copy_n(message.begin() + 8, id.bytes.size(), id.bytes.begin());
  return id;
}

int Answer::error() const {
  if (!arrived() || view().cls() != stun::Class::kError) return 0;
  const auto attribute = value(stun::Attr::kErrorCode);
  const auto error = attribute ? stun::decode_error_code(*attribute) : std::nullopt;
  return error ? error->code : -1;
}

std::optional<Bytes> Answer::value(stun::Attr type) const {
  if (!arrived()) return std::nullopt;
  const auto attribute = view().find(type);
  return attribute ? std::optional(attribute->value) : std::nullopt;
}

std::optional<std::uint32_t> Answer::u32(stun::Attr type) const {
  const auto bytes = value(type);
  return bytes ? stun::decode_u32(*bytes) : std::nullopt;
}

std::optional<std::uint64_t> Answer::u64(stun::Attr type) const {
  const auto bytes = value(type);
  return bytes ? stun::decode_u64(*bytes) : std::nullopt;
}

std::optional<Address> Answer::xor_address(stun::Attr type) const {
  const auto bytes = value(type);
  return bytes ? stun::decode_xor_address(*bytes, view().transaction_id()) : std::nullopt;
}

std::string Answer::text(stun::Attr type) const { return std::string(as_text(value(type).value_or(Bytes{}))); }

std::vector<Address> Answer::relayed_addresses() const {
  std::vector<Address> out;
  if (!arrived()) return out;
  const stun::MessageView message = view();
  for (const stun::Attribute& attribute : message) {
    if (attribute.type != stun::Attr::kXorRelayedAddress) continue;
    if (const auto address = stun::decode_xor_address(attribute.value, message.transaction_id()))
      out.push_back(*address);
  }
  return out;
}

Address Answer::relayed() const {
  const std::vector<Address> all = relayed_addresses();
  return all.empty() ? Address{} : all.front();
}

int Answer::lifetime() const {
  const auto seconds = u32(stun::Attr::kLifetime);
  return seconds ? static_cast<int>(*seconds) : -1;
}

std::vector<stun::Attr> Answer::unknown_attributes() const {
  const auto bytes = value(stun::Attr::kUnknownAttributes);
  return bytes ? stun::decode_unknown_attributes(*bytes) : std::vector<stun::Attr>{};
}

std::vector<stun::Attr> Answer::attribute_types() const {
  std::vector<stun::Attr> types;
  if (!arrived()) return types;
  const stun::MessageView message = view();
  for (const stun::Attribute& attribute : message) types.push_back(attribute.type);
  return types;
}

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  if (!answer.arrived()) return out << "no answer";
  if (!stun::MessageView::parse(answer.bytes())) return out << "not STUN: " << to_hex(answer.bytes());
  out << stun::method_name(answer.view().method());
  if (answer.ok()) {
    out << " success:";
  } else {
    out << " error " << answer.error() << ':';
  }
  for (const stun::Attr type : answer.attribute_types()) out << ' ' << stun::attribute_name(type);
  return out;
}

}  // namespace turnkit::conformance
