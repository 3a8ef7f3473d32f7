// The OpaqueString profile: the examples of RFC 8265, section 4.3, the classes of RFC 8264 and the rules of RFC 5892,
// appendix A.
#include "auth/opaque_string.h"

#include <gtest/gtest.h>

namespace turnkit::auth {
namespace {

using std::string_literals::operator""s;

struct Case {
  const char* name;
  std::string in;
  std::optional<std::string> out;
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

class OpaqueString : public ::testing::TestWithParam<Case> {};

TEST_P(OpaqueString, Prepares) { EXPECT_EQ(opaque_string(GetParam().in), GetParam().out); }

// An accepted result is a fixed point (RFC 8264, section 7).
TEST_P(OpaqueString, IsIdempotent) {
  if (!GetParam().out) return;
  EXPECT_EQ(opaque_string(*GetParam().out), GetParam().out);
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(
    Rfc8265Section43, OpaqueString,
    ::testing::Values(Case{"Row12", "correct horse battery staple", "correct horse battery staple"},
                      Case{"Row13CaseIsKept", "Correct Horse Battery Staple", "Correct Horse Battery Staple"},
                      Case{"Row14", "\u03C0\u00DF\u00E5", "\u03C0\u00DF\u00E5"},
                      Case{"Row15", "Jack of \u2666s", "Jack of \u2666s"},
                      Case{"Row16OghamSpaceBecomesSpace", "foo\u1680bar", "foo bar"},
                      Case{"Row17Empty", "", std::nullopt}, Case{"Row18Tab", "my cat is a \tby", std::nullopt}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Mapping, OpaqueString,
    ::testing::Values(Case{"NoBreakSpace", "a\u00A0b", "a b"}, Case{"IdeographicSpace", "\u3000", " "},
                      Case{"SpacesAtTheEndsStay", " a ", " a "}, Case{"ComposesToNfc", "e\u0301", "\u00E9"},
                      Case{"OrdersMarks", "a\u0301\u0316", "\u00E1\u0316"},
                      Case{"CompatibilityIsNotMapped", "\u2168\u00AA\uFF21", "\u2168\u00AA\uFF21"},
                      Case{"OhmSignIsCanonical", "\u2126", "\u03A9"},
                      Case{"HangulIsComposed", "\u1112\u1161\u11AB", "\uD55C"},
                      Case{"Katakana", "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9", "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9"}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    FreeformClass, OpaqueString,
    ::testing::Values(
        Case{"AllAscii", " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"},
        Case{"TitlecaseAndNumbers", "\u01C5\u2160\u00BD\u20DD", "\u01C5\u2160\u00BD\u20DD"},
        Case{"Symbols", "\u20AC\u00A9\u2192\u00A8", "\u20AC\u00A9\u2192\u00A8"},
        Case{"Punctuation", "\u00AB\u2014\u203F\u00BB\u3001", "\u00AB\u2014\u203F\u00BB\u3001"},
        Case{"Emoji", "\U0001F600", "\U0001F600"},
        Case{"ExceptionsThatAreValid", "\u03C2\u06FD\u06FE\u0F0B\u3007", "\u03C2\u06FD\u06FE\u0F0B\u3007"},
        Case{"Nul", "a\0b"s, std::nullopt}, Case{"Delete", "a\x7F", std::nullopt},
        Case{"C1Control", "a\u0085", std::nullopt}, Case{"SoftHyphenIsIgnorable", "a\u00ADb", std::nullopt},
        Case{"ZeroWidthSpace", "a\u200Bb", std::nullopt}, Case{"BidiOverride", "a\u202Eb", std::nullopt},
        Case{"VariationSelector", "\u2764\uFE0F", std::nullopt}, Case{"ByteOrderMark", "\uFEFFa", std::nullopt},
        Case{"LineSeparator", "a\u2028b", std::nullopt}, Case{"ArabicNumberSignIsCf", "\u0600", std::nullopt},
        Case{"Noncharacter", "\uFFFE", std::nullopt}, Case{"NoncharacterFDD0", "\uFDD0", std::nullopt},
        Case{"Unassigned", "\u0378", std::nullopt}, Case{"PrivateUse", "\uE000", std::nullopt},
        Case{"LoneJamo", "\u1100", std::nullopt}, Case{"HangulFiller", "\u115F", std::nullopt},
        Case{"ArabicTatweel", "\u0640", std::nullopt}, Case{"NkoLajanyalan", "\u07FA", std::nullopt},
        Case{"VerticalKanaRepeat", "\u3031", std::nullopt}, Case{"HangulToneMark", "\u302E", std::nullopt}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    Rfc5892AppendixA, OpaqueString,
    ::testing::Values(
        Case{"A1AfterVirama", "\u0915\u094D\u200C\u0937", "\u0915\u094D\u200C\u0937"},
        Case{"A1BetweenJoining", "\u0628\u200C\u0628", "\u0628\u200C\u0628"},
        Case{"A1ThroughTransparentMarks", "\u0628\u064E\u200C\u064E\u0628", "\u0628\u064E\u200C\u064E\u0628"},
        Case{"A1BetweenLatin", "a\u200Cb", std::nullopt}, Case{"A1AtTheStart", "\u200C\u0628", std::nullopt},
        Case{"A1AtTheEnd", "\u0628\u200C", std::nullopt},
        Case{"A1RightJoiningBefore", "\u0627\u200C\u0628", std::nullopt},
        Case{"A2AfterVirama", "\u0915\u094D\u200D\u0937", "\u0915\u094D\u200D\u0937"},
        Case{"A2BetweenJoining", "\u0628\u200D\u0628", std::nullopt}, Case{"A2AtTheStart", "\u200D", std::nullopt},
        Case{"A3BetweenLs", "l\u00B7l", "l\u00B7l"}, Case{"A3AtTheEnd", "l\u00B7", std::nullopt},
        Case{"A3AtTheStart", "\u00B7l", std::nullopt}, Case{"A3UpperCase", "L\u00B7L", std::nullopt},
        Case{"A4BeforeGreek", "\u0375\u03B1", "\u0375\u03B1"}, Case{"A4BeforeLatin", "\u0375a", std::nullopt},
        Case{"A4AtTheEnd", "\u03B1\u0375", std::nullopt}, Case{"A5AfterHebrew", "\u05D0\u05F3", "\u05D0\u05F3"},
        Case{"A5AfterLatin", "a\u05F3", std::nullopt},
        Case{"A6AfterHebrew", "\u05D0\u05F4\u05D1", "\u05D0\u05F4\u05D1"},
        Case{"A6AtTheStart", "\u05F4\u05D0", std::nullopt}, Case{"A7WithKatakana", "\u30A2\u30FB", "\u30A2\u30FB"},
        Case{"A7WithHiragana", "\u30FB\u3042", "\u30FB\u3042"}, Case{"A7WithHan", "\u30FB\u6F22", "\u30FB\u6F22"},
        Case{"A7Alone", "a\u30FBb", std::nullopt}, Case{"A8ArabicIndic", "\u0660\u0669", "\u0660\u0669"},
        Case{"A9Extended", "\u06F0\u06F9", "\u06F0\u06F9"}, Case{"A8A9Mixed", "\u0660\u06F0", std::nullopt},
        Case{"A9A8Mixed", "\u06F0\u0660", std::nullopt}),
    case_name);

INSTANTIATE_TEST_SUITE_P(
    NotUtf8, OpaqueString,
    ::testing::Values(Case{"Latin1", "caf\xE9", std::nullopt}, Case{"OverlongNul", "a\xC0\x80", std::nullopt},
                      Case{"OverlongSlash", "\xC0\xAF", std::nullopt}, Case{"Surrogate", "\xED\xA0\x80", std::nullopt},
                      Case{"BeyondUnicode", "\xF4\x90\x80\x80", std::nullopt},
                      Case{"Truncated", "\xE2\x82", std::nullopt}, Case{"LoneContinuation", "\x80", std::nullopt}),
    case_name);

TEST(OpaqueStringAscii, EveryByteOfTheFastPathAgreesWithTheTables) {
  for (int c = 0; c < 0x80; ++c) {
    const std::string alone(1, static_cast<char>(c));
    const bool printable = c >= 0x20 && c < 0x7F;
    EXPECT_EQ(opaque_string(alone).has_value(), printable) << c;
    // A non-ASCII neighbour forces the way through the tables.
    EXPECT_EQ(opaque_string(alone + "\u00E9"), printable ? std::optional(alone + "\u00E9") : std::nullopt) << c;
  }
}

TEST(OpaqueStringLong, TakesLinearTimeAndMemory) {
  std::string marks = "a";
  for (int i = 0; i < 30'000; ++i) marks += "\u0301";
  EXPECT_TRUE(opaque_string(marks).has_value());
}

TEST(PlainText, IsUtf8WithoutControls) {
  EXPECT_TRUE(is_plain_text("alice"));
  EXPECT_TRUE(is_plain_text(""));
  EXPECT_TRUE(is_plain_text("\u30DE \u200D \U0010FFFD"));  // not a matter of PRECIS
  for (const std::string& text :
       {"a\0b"s, "a\n"s, "\x1B[2J"s, "a\x7F"s, "\u0085"s, "\u009F\u00E9"s, "caf\xE9"s, "\xC0\xAF"s}) {
    EXPECT_FALSE(is_plain_text(text)) << text;
  }
}

}  // namespace
}  // namespace turnkit::auth
