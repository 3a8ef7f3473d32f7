#include "turnd/options/check_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.h"

namespace turnkit::turnd {
namespace {

std::string joined(const std::vector<std::string>& parts, const char* separator = ", ") {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : separator) + part;
  return out;
}

std::string addresses(const std::vector<IpAddress>& ips, const char* none) {
  std::vector<std::string> parts;
  for (const IpAddress& ip : ips) parts.push_back(ip.to_string());
  return parts.empty() ? none : joined(parts);
}

std::string counted(std::size_t n, const char* one, const char* many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

std::string listeners(const Config& config) {
  const auto both = [](bool udp, bool tcp) { return udp && tcp ? "UDP and TCP" : udp ? "UDP" : "TCP"; };
  std::vector<std::string> ports;
  if (!config.no_udp || !config.no_tcp) {
    ports.push_back(fmt::format("{} {}", both(!config.no_udp, !config.no_tcp), config.listening_port));
  }
  if (serves_tls(config)) {
    ports.push_back(fmt::format("{} {}", both(!config.no_dtls, !config.no_tls), config.tls_listening_port));
  }
  for (const std::uint16_t port : config.tcp_proxy_ports) ports.push_back(fmt::format("TCP {} (PROXY)", port));
  for (const Address& address : config.aux_servers) ports.push_back(address.to_string());
  return fmt::format("{}: {}", addresses(config.listening_ips, "every address"), joined(ports));
}

std::string credentials(const Config& config) {
  if (config.auth == AuthMode::kNone) return "none are asked for";
  std::vector<std::string> parts;
  if (!config.users.empty()) parts.push_back(counted(config.users.size(), "user", "users"));
  if (!config.rest_secrets.empty())
    parts.push_back(counted(config.rest_secrets.size(), "shared secret", "shared secrets"));
  if (config.oauth) parts.push_back(counted(config.oauth_keys.size(), "token key", "token keys"));
  return fmt::format("realm {}: {}", escaped(config.realm), parts.empty() ? "none" : joined(parts));
}

std::string peers(const Config& config) {
  const PeerRules& rules = config.peers;
  std::string out = !rules.only.empty()  ? counted(rules.only.size(), "only-peer-ip line", "only-peer-ip lines")
                    : rules.deny_private ? "public addresses"
                                         : "every address but special ones";
  if (!rules.denied.empty())
    out += fmt::format(", less {}", counted(rules.denied.size(), "denied range", "denied ranges"));
  if (!rules.allowed.empty())
    out += fmt::format(", plus {}", counted(rules.allowed.size(), "allowed range", "allowed ranges"));
  return out;
}

std::string limits(const Config& config) {
  std::vector<std::string> parts;
  if (config.user_quota != 0) parts.push_back(fmt::format("{} allocations a user", config.user_quota));
  if (config.total_quota != 0) parts.push_back(fmt::format("{} allocations a realm", config.total_quota));
  if (config.max_bps != 0) parts.push_back(fmt::format("{} bytes/s an allocation", config.max_bps));
  if (config.bps_capacity != 0) parts.push_back(fmt::format("{} bytes/s in all", config.bps_capacity));
  return parts.empty() ? "none for allocations and bandwidth" : joined(parts);
}

std::string logs(const Config& config) {
  static constexpr const char* kFormats[] = {"native", "json", "coturn", "coturn-4.6", "coturn-4.5"};
  std::vector<std::string> parts;
  if (config.log.to_stdout) parts.emplace_back("standard output");
  if (!config.log.file.empty()) parts.push_back(escaped(config.log.file));
  if (config.log.to_syslog) parts.emplace_back("syslog");
  return fmt::format("{}, format {}", joined(parts, " and "), kFormats[static_cast<std::size_t>(config.log_format)]);
}

std::string shown_value(const Setting& setting) {
  if (setting.value.empty()) return {};
  return setting.option->secret ? "=(secret)" : "=" + escaped(setting.value);
}

void append_settings(std::string& out, const Draft& draft) {
  std::string file;
  bool any = false;
  for (const ShownSetting& shown : shown_settings(draft)) {
    const Setting& setting = *shown.setting;
    if (!any || setting.place.file != file) {
      out +=
          setting.place.file.empty() ? "set on the command line:\n" : fmt::format("set in {}:\n", setting.place.file);
      file = setting.place.file;
      any = true;
    }
    const std::string line = setting.place.line == 0 ? "--" : fmt::format("{:>5}  ", setting.place.line);
    out += fmt::format("  {}{}{}{}\n", line, setting.option->name, shown_value(setting),
                       shown.replaced ? "    (replaced by a later one)" : "");
  }
}

void append_findings(std::string& out, const Draft& draft, Finding::Kind kind, const char* heading) {
  bool any = false;
  for (const Finding& finding : draft.findings) {
    if (finding.kind != kind) continue;
    if (!any) out += fmt::format("{}:\n", heading);
    any = true;
    out += fmt::format("  {}\n", finding.text);
  }
}

}  // namespace

const char* kind_name(Finding::Kind kind) {
  switch (kind) {
    case Finding::Kind::kError:
      return "error";
    case Finding::Kind::kUnsafe:
      return "unsafe";
    case Finding::Kind::kIgnored:
      return "ignored";
    case Finding::Kind::kAdvice:
      return "advice";
    case Finding::Kind::kNote:
      return "note";
  }
  return "";
}

std::vector<ShownSetting> shown_settings(const Draft& draft) {
  std::vector<ShownSetting> out;
  for (std::size_t i = 0; i < draft.settings.size(); ++i) {
    const Setting& setting = draft.settings[i];
    if (setting.option->pass == Pass::kCommandLineOnly) continue;
    const auto later = std::find_if(draft.settings.begin() + static_cast<std::ptrdiff_t>(i) + 1, draft.settings.end(),
                                    [&](const Setting& other) { return other.option == setting.option; });
    out.push_back({&setting, !setting.option->list && later != draft.settings.end()});
  }
  std::stable_sort(out.begin(), out.end(), [](const ShownSetting& a, const ShownSetting& b) {
    const bool a_on_line = a.setting->place.file.empty();
    const bool b_on_line = b.setting->place.file.empty();
    return a_on_line != b_on_line ? b_on_line : a.setting->place.line < b.setting->place.line;
  });
  return out;
}

std::vector<std::pair<std::string, std::string>> effects(const Draft& draft) {
  const Config& config = draft.config;
  std::vector<std::pair<std::string, std::string>> out;
  out.emplace_back("listens on", listeners(config));
  const std::string transports = config.no_dtls ? "TLS" : config.no_tls ? "DTLS" : "TLS and DTLS";
  out.emplace_back("protection", serves_tls(config) ? fmt::format("{} with {}", transports, draft.certificate)
                                                    : "none: no TLS, no DTLS");
  if (config.stun_only) return out;
  out.emplace_back("relays on",
                   fmt::format("{}, ports {} to {}",
                               addresses(config.relay_ips, config.listening_ips.empty() ? "the host's addresses"
                                                                                        : "the listening addresses"),
                               config.min_port, config.max_port));
  out.emplace_back("credentials", credentials(config));
  out.emplace_back("peers", peers(config));
  out.emplace_back("limits", limits(config));
  out.emplace_back("log", logs(config));
  return out;
}

std::string check_text(const Draft& draft) {
  std::string out;
  append_settings(out, draft);
  if (!draft.failed()) {
    out += "in effect:\n";
    for (const auto& [what, how] : effects(draft)) out += fmt::format("  {:<13}{}\n", what, how);
  }
  append_findings(out, draft, Finding::Kind::kUnsafe, "unsafe");
  append_findings(out, draft, Finding::Kind::kIgnored, "ignored");
  append_findings(out, draft, Finding::Kind::kAdvice, "advice");
  append_findings(out, draft, Finding::Kind::kNote, "notes");
  if (draft.failed()) return out;
  const Origin& origin = draft.config.origin;
  switch (origin.kind) {
    case Origin::Kind::kFile:
      return out + fmt::format("{}: the configuration is valid\n", origin.path);
    case Origin::Kind::kCommandLine:
      return out + "the configuration is valid\n";
    case Origin::Kind::kEmbeddedDefault:
      return out +
             fmt::format("no configuration file: the embedded default is used, with its secret in {}/turnd.conf\n",
                         draft.config.state_dir);
  }
  return out;
}

}  // namespace turnkit::turnd
