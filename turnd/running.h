// Running: everything that a reload replaces, made from a configuration as immutable objects. Workers hold what they
// use; the old ones live until the last worker has let go.
#pragma once

#include <memory>
#include <vector>

#include "auth/access_token.h"
#include "auth/authenticator.h"
#include "auth/credentials.h"
#include "auth/nonce.h"
#include "turnd/config.h"
#include "turnd/engine/engine.h"
#include "turnd/peer_policy.h"
#include "turnd/relay/stream_config.h"
#include "turnd/session_log.h"

namespace turnkit::turnd {

// Who may use the server. Not movable: its parts refer to each other.
class Credentials {
 public:
  // Users whose key is not usable are logged and left out. Overwrites the passwords of `config`.
  Credentials(Config& config, const auth::NonceKey& nonce_key);
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  [[nodiscard]] const auth::Authenticator& authenticator() const { return *authenticator_; }

 private:
  auth::StaticUsers users_;
  auth::RestSecrets secrets_;
  std::unique_ptr<auth::CombinedStore> store_;
  std::unique_ptr<auth::Authenticator> authenticator_;
};

// What the rules need to know of the host.
struct HostFacts {
  std::vector<Address> listeners;
  std::vector<IpAddress> relay_ips;
  engine::ExternalIps external;
};
// Behaviour discovery (RFC 5780); off where the option is. The error says why it cannot be served.
Result<engine::Discovery> make_discovery(const Config& config, const std::vector<IpAddress>& listening_ips);
PeerPolicy make_policy(const Config& config, const HostFacts& host);

// The engine's rules; they keep `credentials` and `policy` alive.
std::shared_ptr<const engine::Rules> make_rules(const Config& config, const std::vector<IpAddress>& listening_ips,
                                                bool draining, std::shared_ptr<const Credentials> credentials,
                                                std::shared_ptr<const PeerPolicy> policy);

std::shared_ptr<const relay::StreamConfig> make_stream_config(const Config& config,
                                                              std::shared_ptr<const net::TlsContext> tls);

SessionLog::Rules make_log_rules(const Config& config, const std::shared_ptr<const Credentials>& credentials,
                                 std::shared_ptr<const PeerPolicy> policy);

// What log::configure() gets.
log::Config log_config(const Config& config);

engine::QuotaLimits quota_limits(const Config& config);

}  // namespace turnkit::turnd
