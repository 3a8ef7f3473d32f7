// OpaqueString over libunistring's tables. Printable ASCII, which is nearly everything, is answered without them.
#include "auth/opaque_string.h"

#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace turnkit::auth {
namespace {

using CodePoint = ucs4_t;
using CodePoints = std::vector<CodePoint>;
using CodePointsView = std::span<const CodePoint>;

// The derived property of RFC 8264, section 8, seen from the FreeformClass (FREE_PVAL counts as valid there).
enum class Property : std::uint8_t { kValid, kContextJoin, kContextOther, kDisallowed };

constexpr bool in(CodePoint cp, CodePoint first, CodePoint last) { return first <= cp && cp <= last; }

// The text as libunistring wants it.
const std::uint8_t* utf8(std::string_view text) {
  return static_cast<const std::uint8_t*>(static_cast<const void*>(text.data()));
}

bool is_utf8(std::string_view text) { return u8_check(utf8(text), text.size()) == nullptr; }

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

CodePoints to_nfc(CodePointsView text) {
  std::size_t length = 0;
  const std::unique_ptr<CodePoint, Free> out(u32_normalize(UNINORM_NFC, text.data(), text.size(), nullptr, &length));
  return out == nullptr ? CodePoints() : CodePoints(out.get(), out.get() + length);
}

CodePoints decoded(std::string_view text) {
  CodePoints out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    ucs4_t cp = 0;
    i += static_cast<std::size_t>(u8_mbtouc(&cp, utf8(text) + i, text.size() - i));
    out.push_back(cp);
  }
  return out;
}

std::string encoded(CodePointsView text) {
  std::string out;
  out.reserve(text.size() * 3);
  for (const CodePoint cp : text) {
    std::array<std::uint8_t, 6> unit;
    const int size = u8_uctomb(unit.data(), cp, static_cast<ptrdiff_t>(unit.size()));
    for (int i = 0; i < size; ++i) out.push_back(static_cast<char>(unit[static_cast<std::size_t>(i)]));
  }
  return out;
}

// RFC 8264, section 9.6 (F).
std::optional<Property> exception(CodePoint cp) {
  switch (cp) {
    case 0x00DF:
    case 0x03C2:
    case 0x06FD:
    case 0x06FE:
    case 0x0F0B:
    case 0x3007:
      return Property::kValid;
    case 0x00B7:
    case 0x0375:
    case 0x05F3:
    case 0x05F4:
    case 0x30FB:
      return Property::kContextOther;
    case 0x0640:
    case 0x07FA:
    case 0x302E:
    case 0x302F:
    case 0x303B:
      return Property::kDisallowed;
    default:
      break;
  }
  if (in(cp, 0x0660, 0x0669) || in(cp, 0x06F0, 0x06F9)) return Property::kContextOther;
  if (in(cp, 0x3031, 0x3035)) return Property::kDisallowed;
  return std::nullopt;
}

// RFC 8264, section 9.9 (I): Hangul_Syllable_Type L, V or T.
bool is_old_hangul_jamo(CodePoint cp) {
  return in(cp, 0x1100, 0x11FF) || in(cp, 0xA960, 0xA97C) || in(cp, 0xD7B0, 0xD7C6) || in(cp, 0xD7CB, 0xD7FB);
}

// RFC 8264, section 8, as far as the FreeformClass can tell results apart: HasCompat (Q) matters only to the
// IdentifierClass, and what ASCII7 (K), Controls (L), noncharacters (M) and Unassigned (J) decide follows from the
// general category.
Property property_of(CodePoint cp) {
  if (const auto fixed = exception(cp)) return *fixed;
  if (uc_is_property_join_control(cp)) return Property::kContextJoin;                 // JoinControl (H)
  if (is_old_hangul_jamo(cp)) return Property::kDisallowed;                           // OldHangulJamo (I)
  if (uc_is_property_default_ignorable_code_point(cp)) return Property::kDisallowed;  // PrecisIgnorableProperties (M)
  // LetterDigits (A), OtherLetterDigits (R), Spaces (N), Symbols (O) and Punctuation (P). What is left is C, Zl and Zp.
  constexpr std::uint32_t kAllowed = UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_N | UC_CATEGORY_MASK_S |
                                     UC_CATEGORY_MASK_P | UC_CATEGORY_MASK_Zs;
  return uc_is_general_category_withtable(cp, kAllowed) ? Property::kValid : Property::kDisallowed;
}

bool has_script(CodePoint cp, std::string_view name) {
  const uc_script_t* script = uc_script(cp);
  return script != nullptr && name == script->name;
}

// RFC 5892, appendix A.1: a cursive script joins across the ZWNJ at `at`.
bool joins_across(CodePointsView text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && uc_joining_type(text[before - 1]) == UC_JOINING_TYPE_T) --before;
  std::size_t after = at + 1;
  while (after < text.size() && uc_joining_type(text[after]) == UC_JOINING_TYPE_T) ++after;
  if (before == 0 || after == text.size()) return false;
  const int left = uc_joining_type(text[before - 1]);
  const int right = uc_joining_type(text[after]);
  return (left == UC_JOINING_TYPE_L || left == UC_JOINING_TYPE_D) &&
         (right == UC_JOINING_TYPE_R || right == UC_JOINING_TYPE_D);
}

// RFC 5892, appendices A.1 and A.2.
bool join_allowed(CodePointsView text, std::size_t at) {
  if (at > 0 && uc_combining_class(text[at - 1]) == UC_CCC_VR) return true;
  return text[at] == 0x200C && joins_across(text, at);
}

// RFC 5892, appendices A.3 to A.9.
bool context_allowed(CodePointsView text, std::size_t at) {
  const CodePoint before = at > 0 ? text[at - 1] : 0;
  const CodePoint after = at + 1 < text.size() ? text[at + 1] : 0;
  switch (text[at]) {
    case 0x00B7:  // MIDDLE DOT
      return before == U'l' && after == U'l';
    case 0x0375:  // GREEK LOWER NUMERAL SIGN
      return has_script(after, "Greek");
    case 0x05F3:  // HEBREW PUNCTUATION GERESH
    case 0x05F4:  // HEBREW PUNCTUATION GERSHAYIM
      return has_script(before, "Hebrew");
    case 0x30FB:  // KATAKANA MIDDLE DOT
      return std::any_of(text.begin(), text.end(), [](CodePoint cp) {
        return has_script(cp, "Hiragana") || has_script(cp, "Katakana") || has_script(cp, "Han");
      });
    default: {  // Arabic-Indic digits and their extended form never mix
      const bool extended = text[at] >= 0x06F0;
      return std::none_of(text.begin(), text.end(), [extended](CodePoint cp) {
        return extended ? in(cp, 0x0660, 0x0669) : in(cp, 0x06F0, 0x06F9);
      });
    }
  }
}

bool allowed(CodePointsView text, std::size_t at) {
  switch (property_of(text[at])) {
    case Property::kValid:
      return true;
    case Property::kContextJoin:
      return join_allowed(text, at);
    case Property::kContextOther:
      return context_allowed(text, at);
    case Property::kDisallowed:
      break;
  }
  return false;
}

}  // namespace

bool is_printable_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
}

bool is_plain_text(std::string_view text) {
  if (is_printable_ascii(text)) return true;
  if (!is_utf8(text)) return false;
  const CodePoints code_points = decoded(text);
  return std::none_of(code_points.begin(), code_points.end(),
                      [](CodePoint cp) { return cp < 0x20 || in(cp, 0x7F, 0x9F); });
}

std::optional<std::string> opaque_string(std::string_view text) {
  if (text.empty()) return std::nullopt;
  if (is_printable_ascii(text)) return std::string(text);
  if (!is_utf8(text)) return std::nullopt;

  // The order is that of RFC 8264, section 7: mapping, normalization, and only then the check of each code point. So
  // decomposed Hangul, which consists of disallowed jamo, is composed first and passes.
  CodePoints code_points = decoded(text);
  for (CodePoint& cp : code_points) {
    if (uc_is_general_category(cp, UC_SPACE_SEPARATOR)) cp = U' ';
  }
  code_points = to_nfc(code_points);
  if (code_points.empty()) return std::nullopt;
  for (std::size_t i = 0; i < code_points.size(); ++i) {
    if (!allowed(code_points, i)) return std::nullopt;
  }
  return encoded(code_points);
}

}  // namespace turnkit::auth
