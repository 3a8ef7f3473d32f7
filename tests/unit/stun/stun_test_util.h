// Shared by the codec's tests: bytes from hex, and messages made in place.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/encoding.h"
#include "stun/builder.h"
#include "stun/message.h"

namespace turnkit::stun {

using Buffer = std::vector<std::byte>;

// The bytes of `text`, in which blanks do not count.
inline Buffer hex(std::string_view text) {
  std::string digits(text);
  digits.erase(std::remove_if(digits.begin(), digits.end(), [](unsigned char c) { return std::isspace(c) != 0; }),
               digits.end());
  const auto bytes = from_hex(digits);
  EXPECT_TRUE(bytes) << "not hex: " << digits;
  return bytes.value_or(Buffer{});
}

inline Buffer copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

inline Buffer concat(std::initializer_list<Bytes> parts) {
  Buffer out;
  for (const Bytes part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

// Why parse() refuses `message`; kNone when it takes it.
inline ParseError parse_error(Bytes message, Cookie cookie = Cookie::kRequired) {
  ParseError why = ParseError::kTooShort;
  const auto view = MessageView::parse(message, &why, cookie);
  EXPECT_EQ(view.has_value(), why == ParseError::kNone);
  return why;
}

// The transaction id 00 01 ... 0b of the hand-made messages.
inline TransactionId test_id() {
  TransactionId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::byte>(i);
  return id;
}

// A message whose attributes are what `add` writes.
template <typename F>
Buffer build(Class cls, Method method, F&& add, std::size_t capacity = 70000) {
  Buffer buffer(capacity);
  Builder builder(buffer, cls, method, test_id());
  add(builder);
  const auto message = builder.finish();
  EXPECT_TRUE(message);
  return message ? copy(*message) : Buffer{};
}

inline std::vector<Attr> types_of(const MessageView& view) {
  std::vector<Attr> types;
  for (const Attribute attribute : view) types.push_back(attribute.type);
  return types;
}

}  // namespace turnkit::stun
