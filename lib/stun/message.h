// MessageView: a STUN message (RFC 8489, section 5) validated once and read in place. No heap, no copy, no sockets.
//
//   0                   1                   2                   3
//   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//  |0 0|     STUN Message Type     |         Message Length        |
//  |                         Magic Cookie                          |
//  |                     Transaction ID (96 bits)                  |
//  then attributes: type16, length16 (without padding), value, 0-3 bytes of padding
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "stun/types.h"

namespace turnkit::stun {

// An attribute in place. `value` excludes padding and lives as long as the message's buffer.
struct Attribute {
  Attr type{};
  Bytes value;
};

// Why bytes are not a STUN message. Each is a drop reason of the programs.
enum class ParseError : std::uint8_t {
  kNone,
  kTooShort,          // fewer than 20 bytes
  kNotStun,           // the first two bits are not 00
  kBadLength,         // length not a multiple of 4, or not exactly the bytes after the header
  kBadCookie,         // RFC 3489, or not STUN
  kBadMethod,         // a method we do not know, or a class that the method does not have (RFC 8489, section 6.3)
  kBadAttribute,      // an attribute runs past the end
  kBadFingerprint,    // FINGERPRINT is not last, not 4 bytes, or wrong
};

enum class Cookie : std::uint8_t { kRequired, kAny };

class MessageView {
 public:
  // Validates header, lengths, the class of the method, and FINGERPRINT where there is one (RFC 8489, sections 6.3 and 14.7).
  // `datagram` must be exactly one message and must outlive the view. Cookie::kAny also takes RFC 3489 messages.
  static std::optional<MessageView> parse(Bytes datagram, ParseError* why = nullptr, Cookie cookie = Cookie::kRequired);

  [[nodiscard]] Class cls() const { return class_of(type()); }
  [[nodiscard]] Method method() const { return method_of(type()); }
  [[nodiscard]] std::uint16_t type() const { return load_be16(bytes_.data()); }
  [[nodiscard]] bool is(Class cls, Method method) const { return type() == encode_type(cls, method); }
  [[nodiscard]] TransactionId transaction_id() const;
  [[nodiscard]] bool has_cookie() const { return load_be32(bytes_.data() + 4) == kMagicCookie; }
  [[nodiscard]] Bytes bytes() const { return bytes_; }  // the whole message

  // The first attribute of this type that counts: what follows a MAC is ignored but for the MAC's successor and FINGERPRINT
  // (RFC 8489, sections 14.5 and 14.6). O(1) for the attributes of types.h.
  [[nodiscard]] std::optional<Attribute> find(Attr type) const;
  [[nodiscard]] bool has(Attr type) const { return find(type).has_value(); }

  // Offset in bytes() of the MAC's attribute header, which is also how many bytes the MAC covers; nullopt when there is none.
  [[nodiscard]] std::optional<std::size_t> offset_of(Attr mac) const;

  // Visits, in order, the attributes that count.
  class Iterator {
   public:
    Iterator(const MessageView* view, std::size_t offset) : view_(view), offset_(offset) {}
    Attribute operator*() const { return view_->attribute_at(offset_); }
    Iterator& operator++() {
      offset_ = view_->next_counting(offset_);
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const MessageView* view_;
    std::size_t offset_;
  };
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const { return {this, bytes_.size()}; }

 private:
  // One slot for each attribute of types.h that the O(1) find() knows; see attribute_slot() in message.cc.
  static constexpr std::size_t kSlots = 64;

  MessageView() = default;
  [[nodiscard]] Attribute attribute_at(std::size_t offset) const;
  [[nodiscard]] std::size_t next_counting(std::size_t offset) const;
  ParseError index(Bytes datagram, Cookie cookie);

  Bytes bytes_;
  std::array<std::uint16_t, kSlots> offsets_{};  // 0: absent
};

}  // namespace turnkit::stun
