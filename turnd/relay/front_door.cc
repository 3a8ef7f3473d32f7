#include "turnd/relay/front_door.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "net/tls.h"

namespace turnkit::relay {
namespace {

constexpr std::string_view kChallengePath = "/.well-known/acme-challenge/";
constexpr std::size_t kMaxToken = 256;
// RFC 7443, and what WebRTC clients may offer for want of it (RFC 8833): nothing that a web server speaks.
constexpr std::array<std::string_view, 4> kOurs = {net::kAlpnTurn, net::kAlpnNatDiscovery, "webrtc", "c-webrtc"};

// RFC 8555, section 8.3: base64url without padding. Nothing else may reach the Location field.
bool is_challenge_token(std::string_view token) {
  return !token.empty() && token.size() <= kMaxToken && std::all_of(token.begin(), token.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  });
}

// The token of a "GET /.well-known/acme-challenge/X HTTP/1.1" line.
std::optional<std::string_view> challenge_of(std::string_view line) {
  constexpr std::string_view kGet = "GET ";
  if (!line.starts_with(kGet)) return std::nullopt;
  line.remove_prefix(kGet.size());
  const std::size_t end = line.find(' ');
  if (end == std::string_view::npos || !line.substr(end + 1).starts_with("HTTP/")) return std::nullopt;
  std::string_view target = line.substr(0, end);
  if (!target.starts_with(kChallengePath)) return std::nullopt;
  target.remove_prefix(kChallengePath.size());
  if (!is_challenge_token(target)) return std::nullopt;
  return target;
}

std::string redirect(std::string_view url, std::string_view token) {
  return fmt::format(
      "HTTP/1.1 301 Moved Permanently\r\nLocation: {}{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", url, token);
}

std::string refusal() {
  constexpr std::string_view kText = "This port serves TURN and STUN, not HTTP.\n";
  return fmt::format(
      "HTTP/1.1 400 HTTP Not supported\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: "
      "close\r\n\r\n{}",
      kText.size(), kText);
}

}  // namespace

bool matches_name(std::string_view name, std::string_view pattern) {
  if (!pattern.starts_with("*.")) return name == pattern;
  const std::size_t dot = name.find('.');
  return dot != 0 && dot != std::string_view::npos && name.substr(dot) == pattern.substr(1);
}

bool is_for_turn(const net::ClientHello& hello, const StreamConfig& config) {
  if (!hello.alpn.empty()) {
    return std::any_of(hello.alpn.begin(), hello.alpn.end(), [](const std::string& protocol) {
      return std::find(kOurs.begin(), kOurs.end(), protocol) != kOurs.end();
    });
  }
  if (hello.server_name.empty() || config.turn_names.empty()) return true;
  return std::any_of(config.turn_names.begin(), config.turn_names.end(),
                     [&](const std::string& pattern) { return matches_name(hello.server_name, pattern); });
}

HttpVerdict judge_http(Bytes start, const StreamConfig& config) {
  if (!config.acme_redirect.empty()) {
    const std::string_view text = as_text(start.first(std::min(start.size(), kMaxRequestLine)));
    const std::size_t end = text.find_first_of("\r\n");
    if (end == std::string_view::npos && text.size() < kMaxRequestLine) return {HttpVerdict::Kind::kNeedMore, {}};
    if (const auto token = end == std::string_view::npos ? std::nullopt : challenge_of(text.substr(0, end))) {
      return {HttpVerdict::Kind::kAnswer, redirect(config.acme_redirect, *token)};
    }
  }
  if (config.http_backend) return {HttpVerdict::Kind::kBackend, {}};
  if (config.respond_http) return {HttpVerdict::Kind::kAnswer, refusal()};
  return {HttpVerdict::Kind::kClose, {}};
}

}  // namespace turnkit::relay
