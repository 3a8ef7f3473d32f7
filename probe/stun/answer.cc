#include "probe/stun/answer.h"

#include <fmt/core.h>

#include "base/encoding.h"
#include "stun/attributes.h"
#include "stun/message.h"

namespace turnkit::probe {
namespace {

using stun::Attr;

constexpr std::size_t kMaxAttributes = 64;  // kept for showing

bool is_plain_address(Attr type) {
  switch (type) {
    case Attr::kMappedAddress:
    case Attr::kSourceAddress:
    case Attr::kChangedAddress:
    case Attr::kReflectedFrom:
    case Attr::kAlternateServer:
    case Attr::kResponseOrigin:
    case Attr::kOtherAddress:
      return true;
    default:
      return false;
  }
}

std::optional<Address> address_of(const stun::Attribute& attribute, const stun::TransactionId& id) {
  if (attribute.type == Attr::kXorMappedAddress) return stun::decode_xor_address(attribute.value, id);
  if (is_plain_address(attribute.type)) return stun::decode_address(attribute.value);
  return std::nullopt;
}

std::string name_of(Attr type) {
  const std::string_view known = stun::attribute_name(type);
  return known.empty() ? fmt::format("0x{:04x}", static_cast<unsigned>(type)) : std::string(known);
}

std::string value_of(const stun::Attribute& attribute, const std::optional<Address>& address) {
  if (address) return address->to_string();
  switch (attribute.type) {
    case Attr::kSoftware:
    case Attr::kRealm:
    case Attr::kNonce:
      return "\"" + escaped(attribute.value) + "\"";
    case Attr::kErrorCode:
      if (const auto error = stun::decode_error_code(attribute.value)) {
        return fmt::format("{} \"{}\"", error->code, escaped(error->reason));
      }
      break;
    case Attr::kPadding:
      return fmt::format("{} bytes", attribute.value.size());
    default:
      break;
  }
  constexpr std::size_t kShown = 32;
  const bool cut = attribute.value.size() > kShown;
  return to_hex(cut ? attribute.value.first(kShown) : attribute.value) + (cut ? "..." : "");
}

void read_address(Attr type, const Address& address, StunAnswer& out) {
  const auto first = [&address](std::optional<Address>& slot) {
    if (!slot) slot = address;
  };
  if (type == Attr::kXorMappedAddress) first(out.xor_mapped);
  if (type == Attr::kMappedAddress) first(out.mapped);
  if (type == Attr::kResponseOrigin || type == Attr::kSourceAddress) first(out.origin);
  if (type == Attr::kOtherAddress || type == Attr::kChangedAddress) first(out.other);
  if (type == Attr::kAlternateServer) first(out.alternate);
}

}  // namespace

std::optional<StunAnswer> decode_stun_answer(Bytes bytes, const stun::TransactionId& id, bool* bad_fingerprint) {
  stun::ParseError why{};
  const auto message = stun::MessageView::parse(bytes, &why);
  if (!message) {
    const bool ours = bytes.size() >= stun::kHeaderSize && equal(bytes.subspan(8, 12), Bytes(id.bytes));
    if (bad_fingerprint != nullptr && ours && why == stun::ParseError::kBadFingerprint) *bad_fingerprint = true;
    return std::nullopt;
  }
  const bool is_error = message->is(stun::Class::kError, stun::Method::kBinding);
  if (message->transaction_id() != id) return std::nullopt;
  if (!is_error && !message->is(stun::Class::kSuccess, stun::Method::kBinding)) return std::nullopt;
  StunAnswer out;
  out.bytes = bytes.size();
  for (const stun::Attribute attribute : *message) {
    const auto address = address_of(attribute, id);
    if (address) read_address(attribute.type, *address, out);
    if (attribute.type == Attr::kPadding) out.padding = attribute.value.size();
    if (out.attributes.size() == kMaxAttributes) continue;
    const std::string value = value_of(attribute, address);
    out.attributes.push_back({attribute.type, attribute.value.size(),
                              value.empty() ? name_of(attribute.type) : name_of(attribute.type) + " " + value});
  }
  // An old CHANGED-ADDRESS never outdoes OTHER-ADDRESS, wherever it stands.
  if (const auto other = message->find(Attr::kOtherAddress)) {
    if (const auto address = stun::decode_address(other->value)) out.other = address;
  }
  if (const auto software = message->find(Attr::kSoftware)) out.software = escaped(software->value);
  out.fingerprint = message->has(Attr::kFingerprint);
  if (is_error) {
    const auto attribute = message->find(Attr::kErrorCode);
    const auto error = attribute ? stun::decode_error_code(attribute->value) : std::nullopt;
    out.error_code = error ? error->code : -1;
    if (error) out.reason = escaped(error->reason);
    if (const auto unknown = message->find(Attr::kUnknownAttributes)) {
      out.unknown = stun::decode_unknown_attributes(unknown->value);
    }
  }
  return out;
}

}  // namespace turnkit::probe
