#include "turnd/running.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "turnd/host.h"

namespace turnkit::turnd {

namespace {

std::shared_ptr<const auth::OAuthKeyStore> oauth_keys(const Config& config) {
  if (!config.oauth) return nullptr;
  auto keys = std::make_shared<auth::OAuthKeys>();
  for (const auth::OAuthKey& key : config.oauth_keys) {
    if (const Status added = keys->add(key); !added) {
      log::error("oauth-key {}: {}; the key is left out", key.kid, added.error().text);
    }
  }
  return keys;
}

std::optional<Family> default_family(DefaultFamily family) {
  switch (family) {
    case DefaultFamily::kIPv4:
      return Family::kIPv4;
    case DefaultFamily::kIPv6:
      return Family::kIPv6;
    case DefaultFamily::kKeep:
      break;
  }
  return std::nullopt;
}

engine::EngineConfig engine_config(const Config& config, const std::vector<IpAddress>& listening_ips, bool draining) {
  engine::EngineConfig out;
  out.authenticate = config.auth != AuthMode::kNone;
  out.channels = {0x4000, config.max_channel_number};
  out.max_lifetime = config.max_allocate_lifetime;
  out.permission_lifetime = config.permission_lifetime;
  out.channel_lifetime = config.channel_lifetime;
  out.max_permissions = config.max_permissions;
  out.max_channels = config.max_channels;
  out.max_tcp_connections = config.max_tcp_connections;
  out.default_family = default_family(config.default_family);
  out.serve_udp_relay = !config.no_udp_relay;
  out.serve_tcp_relay = !config.no_tcp_relay;
  out.mobility = config.mobility;
  out.serve_binding = !config.no_stun;
  out.serve_turn = !config.stun_only;
  out.fingerprint = config.fingerprint;
  if (config.software_attribute) out.software = "Turnkit-" TURNKIT_VERSION;
  out.draining = draining;
  out.alternates = {config.udp_alternate_servers, config.tcp_alternate_servers, config.tls_alternate_servers,
                    config.alternate_servers,     config.aux_servers,           config.udp_self_balance};
  out.detailed_reasons = config.include_reason_string;
  out.check_origin = config.check_origin_consistency;
  out.server_relay = config.server_relay;
  out.unauthorized_rps = config.unauthorized_rps;
  out.bandwidth_burst = config.bandwidth_burst;
  out.secure_stun = config.secure_stun;
  out.mapped_address = config.stun_backward_compatibility;
  out.serve_rfc3489 = config.rfc3489_compatibility;
  if (auto discovery = make_discovery(config, listening_ips)) out.discovery = *std::move(discovery);
  return out;
}

}  // namespace

Credentials::Credentials(Config& config, const auth::NonceKey& nonce_key)
    : secrets_(config.rest_secrets, config.rest_separator) {
  for (const StaticUser& user : config.users) {
    if (!users_.add(user.name, user.realm, user.secret)) {
      log::error("user {}: the key is not usable; the user is left out", user.name);
    }
  }
  forget_passwords(config);
  if (const auto advice = users_.advice()) log::warning("{}", *advice);
  std::vector<const auth::CredentialStore*> stores;
  if (!config.users.empty()) stores.push_back(&users_);
  if (!config.rest_secrets.empty()) stores.push_back(&secrets_);
  store_ = std::make_unique<auth::CombinedStore>(std::move(stores));
  authenticator_ =
      std::make_unique<auth::Authenticator>(auth::AuthConfig{config.realm, config.nonce_lifetime, config.origin_realms,
                                                             oauth_keys(config), config.server_name},
                                            *store_, nonce_key);
}

Result<engine::Discovery> make_discovery(const Config& config, const std::vector<IpAddress>& listening_ips) {
  if (!config.rfc5780) return engine::Discovery();
  std::vector<engine::Discovery::PortPair> ports{{config.listening_port, config.alt_listening_port}};
  if (serves_tls(config)) ports.push_back({config.tls_listening_port, config.alt_tls_listening_port});
  return engine::Discovery::make(listening_ips, std::move(ports));
}

PeerPolicy make_policy(const Config& config, const HostFacts& host) {
  PeerPolicy policy(config.peers);
  std::vector<IpAddress> ips = host_addresses(true);
  std::vector<IpAddress> relays = host.relay_ips;
  for (const engine::ExternalIps::Pair& pair : host.external.pairs()) {
    ips.push_back(pair.external);
    relays.push_back(pair.external);
  }
  policy.set_host_addresses(std::move(ips));
  policy.set_relay_range(std::move(relays), config.min_port, config.max_port);
  policy.set_own_ports(host.listeners);
  return policy;
}

std::shared_ptr<const engine::Rules> make_rules(const Config& config, const std::vector<IpAddress>& listening_ips,
                                                bool draining, std::shared_ptr<const Credentials> credentials,
                                                std::shared_ptr<const PeerPolicy> policy) {
  struct Whole {
    std::shared_ptr<const Credentials> credentials;
    std::shared_ptr<const PeerPolicy> policy;
    engine::Rules rules;
  };
  const engine::Rules rules{engine_config(config, listening_ips, draining), credentials->authenticator(), *policy};
  const auto whole = std::make_shared<const Whole>(Whole{std::move(credentials), std::move(policy), rules});
  return {whole, &whole->rules};
}

std::shared_ptr<const relay::StreamConfig> make_stream_config(const Config& config,
                                                              std::shared_ptr<const net::TlsContext> tls) {
  auto out = std::make_shared<relay::StreamConfig>();
  out->tls = std::move(tls);
  out->serve_dtls = !config.no_dtls;
  out->limits.max_connections = config.max_connections;
  out->limits.max_connections_per_ip = config.max_connections_per_ip;
  out->limits.max_half_open = config.max_half_open;
  out->limits.max_half_open_dtls = config.max_dtls_handshakes;
  out->limits.queue_bytes = config.stream_queue;
  out->limits.without_allocation = config.max_allocate_timeout;
  out->limits.opening = std::min<Duration>(out->limits.opening, config.max_allocate_timeout);
  out->tls_backend = config.tls_backend;
  out->turn_names = config.sni_turn;
  out->http_backend = config.http_backend;
  out->backend_proxy_header = config.backend_proxy_protocol;
  out->acme_redirect = config.acme_redirect;
  out->respond_http = config.respond_http_unsupported;
  return out;
}

SessionLog::Rules make_log_rules(const Config& config, const std::shared_ptr<const Credentials>& credentials,
                                 std::shared_ptr<const PeerPolicy> policy) {
  SessionLog::Rules rules;
  rules.verbosity = config.verbose;
  rules.format = config.log_format;
  rules.binding = config.log_binding;
  rules.policy = std::move(policy);
  rules.authenticator = {credentials, &credentials->authenticator()};
  return rules;
}

log::Config log_config(const Config& config) {
  log::Config out = config.log;
  out.anonymize = config.log_anonymize;
  switch (config.log_format) {
    case LogFormat::kNative:
      break;
    case LogFormat::kJson:
      out.shape = log::Shape::kJson;
      break;
    case LogFormat::kCoturn:
      out.shape = log::Shape::kCoturn;
      break;
    case LogFormat::kCoturn46:
    case LogFormat::kCoturn45:
      out.shape = config.log_format == LogFormat::kCoturn46 ? log::Shape::kCoturn46 : log::Shape::kCoturn45;
      if (!config.new_log_timestamp) {
        out.timestamp_format.clear();
      } else if (out.timestamp_format.empty()) {
        out.timestamp_format = "%FT%T%z";
      }
      break;
  }
  return out;
}

engine::QuotaLimits quota_limits(const Config& config) {
  engine::QuotaLimits out{config.user_quota, config.total_quota, config.max_bps, config.bps_capacity, {}};
  for (const auto& [realm, limits] : config.realm_limits) {
    out.realms[realm] = {limits.user_quota, limits.total_quota, limits.max_bps};
  }
  return out;
}

}  // namespace turnkit::turnd
