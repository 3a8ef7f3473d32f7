// Names of STUN servers: see stun_uri.h.
#include "client/stun_uri.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/address.h"
#include "base/encoding.h"

namespace turnkit::client {
namespace {

bool starts_with_no_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

std::optional<std::uint16_t> to_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

bool is_host_name(std::string_view host) {
  const auto is_name_char = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_'; };
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), is_name_char);
}

Error wrong(std::string_view whole, const std::string& why) {
  return Error{"'" + escaped(whole) + "' names no STUN server: " + why};
}

// Takes the scheme off `rest`.
Status take_scheme(std::string_view whole, std::string_view& rest, StunServerName& out) {
  for (const std::string_view turn : {"turn:", "turns:"}) {
    if (starts_with_no_case(rest, turn)) return wrong(whole, "a TURN server is named stun:HOST here");
  }
  for (const std::string_view scheme : {"stun:", "stuns:"}) {
    if (!starts_with_no_case(rest, scheme)) continue;
    out.is_uri = true;
    out.secure = scheme == "stuns:";
    rest.remove_prefix(scheme.size());
    if (rest.starts_with("//")) return wrong(whole, "a STUN URI has no '//'");
    if (const std::size_t at = rest.find_first_of("?/#@"); at != std::string_view::npos) {
      return wrong(whole, std::string("a STUN URI is scheme:HOST[:PORT], without '") + rest[at] +
                              "' and what follows (RFC 7064)");
    }
  }
  return {};
}

// Splits "[address]:port", "host:port" and bare IPv6.
Status split(std::string_view whole, std::string_view rest, std::string_view& host, std::string_view& port) {
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong(whole, "']' is missing");
    host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest[0] != ':') return wrong(whole, "after ']' comes :PORT or nothing");
    if (!rest.empty()) port = rest.substr(1);
    const auto ip = IpAddress::parse(host);
    if (!ip || ip->is_v4()) return wrong(whole, "what is in brackets is no IPv6 address");
    return rest.size() == 1 ? wrong(whole, "after ':' comes a port") : Status();
  }
  const std::size_t colon = rest.find(':');
  const bool is_v6 = colon != std::string_view::npos && rest.find(':', colon + 1) != std::string_view::npos;
  host = is_v6 ? rest : rest.substr(0, colon);
  if (is_v6 || colon == std::string_view::npos) return {};
  port = rest.substr(colon + 1);
  return port.empty() ? wrong(whole, "after ':' comes a port") : Status();
}

}  // namespace

Result<StunServerName> parse_stun_server(std::string_view text) {
  StunServerName out;
  std::string_view rest = text;
  if (Status status = take_scheme(text, rest, out); !status) return status.error();
  std::string_view host;
  std::string_view port;
  if (Status status = split(text, rest, host, port); !status) return status.error();
  if (!port.empty()) {
    out.port = to_port(port);
    if (!out.port) return wrong(text, "'" + escaped(port) + "' is not a port; ports are 1 to 65535");
  }
  out.is_address = IpAddress::parse(host).has_value();
  if (!out.is_address && !is_host_name(host)) return wrong(text, "write HOST, HOST:PORT, [IPv6]:PORT or stun:HOST");
  if (out.secure && out.is_address) {
    return wrong(text,
                 "stuns: needs a host name, because its certificate is checked against it (RFC 8489, section 8.1)");
  }
  out.host = std::string(host);
  return out;
}

}  // namespace turnkit::client
