// Validation and indexing of a message in one pass.
#include "stun/message.h"

#include <cstring>

#include "stun/attribute_table.h"
#include "stun/integrity.h"

namespace turnkit::stun {

namespace {

constexpr std::size_t kMacSlot = attribute_slot(Attr::kMessageIntegrity);
constexpr std::size_t kMac256Slot = attribute_slot(Attr::kMessageIntegritySha256);
constexpr std::size_t kFingerprintSlot = attribute_slot(Attr::kFingerprint);

constexpr std::size_t padded(std::size_t length) { return (length + 3) & ~std::size_t{3}; }

// The classes that a method has (RFC 8489, section 6.3; RFC 8656, section 5; RFC 6062, section 6.1).
constexpr bool is_known(Class cls, Method method) {
  switch (method) {
    case Method::kBinding:
      return true;
    case Method::kAllocate:
    case Method::kRefresh:
    case Method::kCreatePermission:
    case Method::kChannelBind:
    case Method::kConnect:
    case Method::kConnectionBind:
    case Method::kGoogPing:
      return cls != Class::kIndication;
    case Method::kSend:
    case Method::kData:
    case Method::kConnectionAttempt:
      return cls == Class::kIndication;
  }
  return false;
}

}  // namespace

std::optional<MessageView> MessageView::parse(Bytes datagram, ParseError* why, Cookie cookie) {
  std::optional<MessageView> view(MessageView{});
  const ParseError error = view->index(datagram, cookie);
  if (why != nullptr) *why = error;
  if (error != ParseError::kNone) view.reset();
  return view;
}

ParseError MessageView::index(Bytes datagram, Cookie cookie) {
  if (datagram.size() < kHeaderSize) return ParseError::kTooShort;
  bytes_ = datagram;
  if ((type() & 0xC000) != 0) return ParseError::kNotStun;
  const std::size_t length = load_be16(datagram.data() + 2);
  if (length % 4 != 0 || length != datagram.size() - kHeaderSize) return ParseError::kBadLength;
  if (cookie == Cookie::kRequired && !has_cookie()) return ParseError::kBadCookie;
  if (!is_known(cls(), method())) return ParseError::kBadMethod;

  // Offsets are multiples of 4 and up to 65548, so a quarter of each fits 16 bits. All sizes are, so an attribute that
  // fits has room for its padding.
  const std::byte* const data = datagram.data();
  const std::size_t end = datagram.size();
  bool after_mac = false;
  for (std::size_t offset = kHeaderSize; offset < end;) {
    const Attr attr{load_be16(data + offset)};
    const std::size_t size = load_be16(data + offset + 2);
    if (size > end - offset - kAttributeHeaderSize) return ParseError::kBadAttribute;
    const std::size_t slot = attribute_slot(attr);
    // A second MESSAGE-INTEGRITY-SHA256 finds its slot taken.
    const bool counts = !after_mac || slot == kFingerprintSlot || slot == kMac256Slot;
    if (slot != 0 && counts && offsets_[slot] == 0) offsets_[slot] = static_cast<std::uint16_t>(offset / 4);
    after_mac = after_mac || slot == kMacSlot || slot == kMac256Slot;
    const std::size_t next = offset + kAttributeHeaderSize + padded(size);
    if (slot == kFingerprintSlot) {
      if (size != 4 || next != end) return ParseError::kBadFingerprint;
      const std::uint32_t value = load_be32(data + offset + kAttributeHeaderSize);
      if (value != fingerprint_of(datagram.first(offset))) return ParseError::kBadFingerprint;
    }
    offset = next;
  }
  return ParseError::kNone;
}

TransactionId MessageView::transaction_id() const {
  TransactionId id;
  std::memcpy(id.bytes.data(), bytes_.data() + 8, id.bytes.size());
  return id;
}

Attribute MessageView::attribute_at(std::size_t offset) const {
  const std::byte* const header = bytes_.data() + offset;
  return {Attr{load_be16(header)}, bytes_.subspan(offset + kAttributeHeaderSize, load_be16(header + 2))};
}

std::optional<Attribute> MessageView::find(Attr type) const {
  if (const std::size_t slot = attribute_slot(type); slot != 0) {
    if (offsets_[slot] == 0) return std::nullopt;
    return attribute_at(std::size_t{offsets_[slot]} * 4);
  }
  for (const Attribute attribute : *this) {
    if (attribute.type == type) return attribute;
  }
  return std::nullopt;
}

std::optional<std::size_t> MessageView::offset_of(Attr mac) const {
  const std::size_t slot = attribute_slot(mac);
  if (slot == 0 || offsets_[slot] == 0) return std::nullopt;
  return std::size_t{offsets_[slot]} * 4;
}

MessageView::Iterator MessageView::begin() const { return {this, kHeaderSize}; }

// Up to the first MAC every attribute counts; after it the slots know the only two that can.
std::size_t MessageView::next_counting(std::size_t offset) const {
  const std::size_t sha1 = std::size_t{offsets_[kMacSlot]} * 4;
  const std::size_t sha256 = std::size_t{offsets_[kMac256Slot]} * 4;
  const std::size_t first_mac = sha1 != 0 ? sha1 : sha256;
  if (first_mac == 0 || offset < first_mac) {
    return offset + kAttributeHeaderSize + padded(load_be16(bytes_.data() + offset + 2));
  }
  if (sha256 > offset) return sha256;
  const std::size_t fingerprint = std::size_t{offsets_[kFingerprintSlot]} * 4;
  return fingerprint > offset ? fingerprint : bytes_.size();
}

}  // namespace turnkit::stun
