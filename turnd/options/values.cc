// Values of options: text in, checked value out.
#include "turnd/options/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <numeric>
#include <vector>

#include "auth/credentials.h"
#include "auth/opaque_string.h"
#include "base/encoding.h"

namespace turnkit::turnd {
namespace {

bool is_host_label(std::string_view label) {
  const auto valid = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_'; };
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), valid);
}

// "host", "host:port", an address, or an address and port, as "host:port".
std::optional<std::string> stun_server(std::string_view text) {
  constexpr std::uint16_t kStunPort = 3478;
  if (const auto address = Address::parse(text, kStunPort)) return address->to_string();
  const std::size_t colon = text.find(':');
  if (!is_host_name(text.substr(0, colon))) return std::nullopt;
  if (colon == std::string_view::npos) return fmt::format("{}:{}", text, kStunPort);
  const Result<std::uint16_t> port = parse_port(text.substr(colon + 1), 1);
  if (!port) return std::nullopt;
  return std::string(text);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

bool is_host_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > 253) return false;
  std::string_view label;
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t dot = std::min(name.find('.', start), name.size());
    label = name.substr(start, dot - start);
    if (!is_host_label(label)) return false;
    start = dot + 1;
  }
  return !std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<bool> parse_flag(std::string_view text) {
  if (text.empty()) return true;
  const char first = text.front();
  if (std::string_view("0nNfF").find(first) != std::string_view::npos) return false;
  if (std::string_view("123456789yYtT").find(first) != std::string_view::npos) return true;
  if (text == "on" || text == "ON" || text == "On") return true;
  if (text == "off" || text == "OFF" || text == "Off") return false;
  return Error{"expected on or off (also yes/no, true/false, 1/0)"};
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size() && min <= value && value <= max) return value;
  if (max == std::numeric_limits<std::uint64_t>::max())
    return Error{fmt::format("expected a whole number from {}", min)};
  return Error{fmt::format("expected a whole number from {} to {}", min, max)};
}

Result<std::uint16_t> parse_port(std::string_view text, std::uint16_t min) {
  const Result<std::uint64_t> value = parse_number(text, min, 65535);
  if (!value) return Error{fmt::format("expected a port, {} to 65535", min)};
  return static_cast<std::uint16_t>(*value);
}

Result<IpAddress> parse_ip(std::string_view text) {
  if (const auto ip = IpAddress::parse(text)) return *ip;
  return Error{"expected an IPv4 or IPv6 address, without port or prefix length"};
}

Result<ExternalIp> parse_external_ip(std::string_view text) {
  ExternalIp out;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    out.local = IpAddress::parse(text.substr(slash + 1));
    if (!out.local) return Error{"expected PUBLIC/PRIVATE with the address of this host as PRIVATE"};
    text = text.substr(0, slash);
  }
  if (const auto ip = IpAddress::parse(text)) {
    if (ip->is_unspecified()) return Error{"expected an address that clients can reach"};
    if (out.local && out.local->family() != ip->family()) return Error{"expected two addresses of one family"};
    out.address = *ip;
    return out;
  }
  if (text == "auto" || text.starts_with("auto:")) {
    const auto server = text == "auto" ? std::string(kDefaultAutoStunServer) : stun_server(text.substr(5)).value_or("");
    if (server.empty()) return Error{"expected auto, or auto:HOST or auto:HOST:PORT with a STUN server"};
    out.kind = ExternalIp::Kind::kAuto;
    out.source = server;
    return out;
  }
  if (!is_host_name(text)) return Error{"expected an address, PUBLIC/PRIVATE, auto[:STUN-SERVER], or a host name"};
  out.kind = ExternalIp::Kind::kName;
  out.source = text;
  return out;
}

Result<StaticUser> parse_user(std::string_view text, std::string_view realm) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return Error{"expected NAME:PASSWORD, or NAME:0x and a key of 32 or 64 hex digits"};
  }
  StaticUser user{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1)), std::string(realm)};
  const std::string shown = escaped(user.name);
  if (user.secret.starts_with("0x")) {
    const std::string_view hex = std::string_view(user.secret).substr(2);
    if ((hex.size() != 32 && hex.size() != 64) || !from_hex(hex)) {
      return Error{fmt::format("user \"{}\": expected 32 hex digits (or 64, SHA-256) after 0x", shown)};
    }
  } else if (!auth::opaque_string(user.secret)) {
    return Error{fmt::format("user \"{}\": expected a password of UTF-8 text without control characters", shown)};
  }
  if (auth::StaticUsers probe; !auth::opaque_string(user.name) || !probe.add(user.name, realm, user.secret)) {
    return Error{fmt::format("user \"{}\": expected a name of UTF-8 text without control characters", shown)};
  }
  return user;
}

Result<log::Level> parse_log_level(std::string_view text) {
  if (text == "debug") return log::Level::kDebug;
  if (text == "info") return log::Level::kInfo;
  if (text == "warning") return log::Level::kWarning;
  if (text == "error") return log::Level::kError;
  return Error{"expected debug, info, warning or error"};
}

std::string_view closest(std::string_view word, const std::vector<std::string_view>& names) {
  std::string_view best;
  std::size_t best_distance = std::min<std::size_t>(3, word.size() / 3 + 1);
  for (const std::string_view name : names) {
    const std::size_t difference = std::max(word.size(), name.size()) - std::min(word.size(), name.size());
    if (difference >= best_distance) continue;
    const std::size_t distance = edit_distance(word, name);
    if (distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace turnkit::turnd
