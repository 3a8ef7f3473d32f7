// Which comprehension-required attributes this server does not understand (RFC 8489, section 6.3.1). Those of
// extensions that it does not offer are unknown to it.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "stun/message.h"

namespace turnkit::engine {

// Extensions that may be off.
struct Offers {
  bool tokens = false;     // RFC 7635
  bool behaviour = false;  // RFC 5780, at the address that the request came to
};

// Each type once, and not more than an answer has room for.
struct UnknownList {
  static constexpr std::size_t kMost = 16;
  std::array<stun::Attr, kMost> types;
  std::size_t size = 0;
  [[nodiscard]] std::span<const stun::Attr> span() const { return std::span(types).first(size); }
};

UnknownList unknown_attributes(const stun::MessageView& message, const Offers& offers);

}  // namespace turnkit::engine
