// Hex, base64 and the escaping of untrusted text.
#include "base/encoding.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace turnkit {

namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr auto kBase64Values = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Digits[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

constexpr unsigned octet(std::byte b) { return std::to_integer<unsigned>(b); }

// A code point at the front of some bytes; size 0 when they are not UTF-8 (RFC 3629: no overlong forms, no surrogates).
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t size = 0;
};

CodePoint decode_utf8(Bytes bytes) {
  const unsigned lead = octet(bytes[0]);
  if (lead < 0x80) return {lead, 1};
  std::size_t size = 0;
  std::uint32_t value = 0;
  std::uint32_t smallest = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2, value = lead & 0x1F, smallest = 0x80;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3, value = lead & 0x0F, smallest = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4, value = lead & 0x07, smallest = 0x10000;
  } else {
    return {};
  }
  if (bytes.size() < size) return {};
  for (std::size_t i = 1; i < size; ++i) {
    const unsigned next = octet(bytes[i]);
    if ((next & 0xC0) != 0x80) return {};
    value = (value << 6) | (next & 0x3F);
  }
  if (value < smallest || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
  return {value, size};
}

// Code points that would move a terminal's cursor, break a line or reorder the text around them, or end a quotation.
constexpr bool must_escape(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == '"' || c == '\'' || c == '\\' || c == 0x061C ||
         (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

}  // namespace

std::string to_hex(Bytes bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    out.push_back(kHexDigits[octet(b) >> 4]);
    out.push_back(kHexDigits[octet(b) & 15]);
  }
  return out;
}

std::optional<std::vector<std::byte>> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> out(hex.size() / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out[i] = static_cast<std::byte>(high * 16 + low);
  }
  return out;
}

std::string to_base64(Bytes bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    const unsigned group =
        (octet(bytes[i]) << 16) | (n > 1 ? octet(bytes[i + 1]) << 8 : 0) | (n > 2 ? octet(bytes[i + 2]) : 0);
    out.push_back(kBase64Digits[group >> 18]);
    out.push_back(kBase64Digits[(group >> 12) & 63]);
    out.push_back(n > 1 ? kBase64Digits[(group >> 6) & 63] : '=');
    out.push_back(n > 2 ? kBase64Digits[group & 63] : '=');
  }
  return out;
}

std::optional<std::vector<std::byte>> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::vector<std::byte> out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const std::size_t digits = i + 4 == text.size() ? 4 - padding : 4;
    unsigned group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const int value = k < digits ? kBase64Values[static_cast<unsigned char>(text[i + k])] : 0;
      if (value < 0) return std::nullopt;
      group = (group << 6) | static_cast<unsigned>(value);
    }
    // The bits that padding leaves over are zero, so that one value has one spelling (RFC 4648, section 3.5).
    if ((digits == 2 && (group & 0xFFFF) != 0) || (digits == 3 && (group & 0xFF) != 0)) return std::nullopt;
    for (std::size_t k = 0; k + 1 < digits; ++k) out.push_back(static_cast<std::byte>((group >> (16 - 8 * k)) & 0xFF));
  }
  return out;
}

std::string escaped(Bytes untrusted, std::size_t max_bytes) {
  std::string out;
  out.reserve(std::min(untrusted.size(), max_bytes) + 3);
  std::size_t i = 0;
  while (i < untrusted.size()) {
    const CodePoint c = decode_utf8(untrusted.subspan(i));
    const std::size_t size = c.size == 0 ? 1 : c.size;
    if (i + size > max_bytes) return out += "...";
    const Bytes piece = untrusted.subspan(i, size);
    if (c.size == 0 || must_escape(c.value)) {
      for (const std::byte b : piece) {
        out += "\\x";
        out.push_back(kHexDigits[octet(b) >> 4]);
        out.push_back(kHexDigits[octet(b) & 15]);
      }
    } else {
      out += as_text(piece);
    }
    i += size;
  }
  return out;
}

std::string json_string(std::string_view text) {
  const Bytes bytes = as_bytes(text);
  std::string out = "\"";
  std::size_t i = 0;
  while (i < bytes.size()) {
    const CodePoint c = decode_utf8(bytes.subspan(i));
    if (c.size == 0) {
      out += "\xEF\xBF\xBD";
      ++i;
      continue;
    }
    if (c.value == '"' || c.value == '\\') {
      out += '\\';
      out += static_cast<char>(c.value);
    } else if (c.value < 0x20 || c.value == 0x7F) {
      out += "\\u00";
      out.push_back(kHexDigits[c.value >> 4]);
      out.push_back(kHexDigits[c.value & 15]);
    } else {
      out += as_text(bytes.subspan(i, c.size));
    }
    i += c.size;
  }
  return out += '"';
}

}  // namespace turnkit
