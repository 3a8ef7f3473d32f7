// How options of the table put their values into a configuration: one function a kind of value, made by template for
// each field.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <vector>

#include "turnd/options/draft.h"
#include "turnd/options/values.h"

namespace turnkit::turnd::setters {

inline constexpr std::uint64_t kMaxSeconds = 10ULL * 366 * 24 * 3600;

// Stores what `parsed` holds, or passes its error on.
template <typename T, typename Field>
Status store(const Result<T>& parsed, Field& field) {
  if (!parsed) return parsed.error();
  field = Field(*parsed);
  return {};
}

template <auto Member>
Status flag(Draft& draft, std::string_view value) {
  return store(parse_flag(value), draft.config.*Member);
}
template <auto Member>
Status draft_flag(Draft& draft, std::string_view value) {
  return store(parse_flag(value), draft.*Member);
}
template <auto Member>
Status inverse_flag(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  draft.config.*Member = !*on;
  return {};
}
template <auto Member>
Status peer_flag(Draft& draft, std::string_view value) {
  return store(parse_flag(value), draft.config.peers.*Member);
}
template <auto Member>
Status text(Draft& draft, std::string_view value) {
  draft.config.*Member = value;
  return {};
}
template <auto Member>
Status draft_text(Draft& draft, std::string_view value) {
  draft.*Member = value;
  return {};
}
template <auto Member, std::uint64_t Min, std::uint64_t Max>
Status number(Draft& draft, std::string_view value) {
  return store(parse_number(value, Min, Max), draft.config.*Member);
}
template <auto Member, std::uint64_t Min>
Status seconds(Draft& draft, std::string_view value) {
  const Result<std::uint64_t> number = parse_number(value, Min, kMaxSeconds);
  if (!number) return Error{fmt::format("expected a whole number of seconds, at least {}", Min)};
  draft.config.*Member = std::chrono::seconds(*number);
  return {};
}
template <auto Member, std::uint16_t Min>
Status port(Draft& draft, std::string_view value) {
  return store(parse_port(value, Min), draft.config.*Member);
}
template <auto Member>
Status add_peer_rule(Draft& draft, std::string_view value) {
  Result<PeerRule> rule = PeerRule::parse(value);
  if (!rule) return rule.error();
  (draft.config.peers.*Member).push_back(*rule);
  return {};
}
template <auto Member>
Status thread_count(Draft& draft, std::string_view value) {
  const Result<std::uint64_t> count = parse_number(value, 0, 128);
  if (!count) return count.error();
  draft.*Member = static_cast<unsigned>(*count);
  return {};
}
template <int Level>
Status verbosity(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  draft.config.verbose = *on ? std::max(draft.config.verbose, Level) : std::min(draft.config.verbose, Level - 1);
  return {};
}

// Adds a parsed value that is not there yet.
template <typename T>
Status add_unique(std::vector<T>& list, const Result<T>& value) {
  if (!value) return value.error();
  if (std::find(list.begin(), list.end(), *value) == list.end()) list.push_back(*value);
  return {};
}

inline constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::uint64_t kMax64 = std::numeric_limits<std::uint64_t>::max();

}  // namespace turnkit::turnd::setters
