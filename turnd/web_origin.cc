#include "turnd/web_origin.h"

#include <algorithm>

namespace turnkit::turnd {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

}  // namespace

std::string canonical_origin(std::string_view text) {
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos || mark == 0) return std::string(text);
  const std::string scheme = lowered(text.substr(0, mark));
  std::string host = lowered(text.substr(mark + 3));
  host = host.substr(0, host.find_first_of("/?#"));
  host.erase(0, host.find('@') == std::string::npos ? 0 : host.find('@') + 1);
  const std::string_view default_port = scheme == "https" ? ":443" : scheme == "http" ? ":80" : "";
  if (!default_port.empty() && host.ends_with(default_port)) host.resize(host.size() - default_port.size());
  return host.empty() ? std::string(text) : scheme + "://" + host;
}

}  // namespace turnkit::turnd
