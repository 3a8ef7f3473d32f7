// Server: turnd put together from its configuration: addresses, policy, credentials, workers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "base/random.h"
#include "base/result.h"
#include "turnd/config.h"
#include "turnd/engine/quota.h"
#include "turnd/external_ip.h"
#include "turnd/peer_policy.h"
#include "turnd/relay/worker.h"
#include "turnd/session_log.h"

namespace turnkit::turnd {

class Server {
 public:
  explicit Server(const Config& config, Random& random);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Opens every listener. The error names the address and why. Then SIGTERM and the like are blocked until run().
  Status open();
  // Starts the workers and serves until SIGTERM or SIGINT.
  void run();

  // The address at which clients are told to reach us, for the start-up text.
  [[nodiscard]] Address public_address() const;

 private:
  Status choose_addresses();
  Status open_listeners();
  void build_policy();
  void make_workers();

  Config config_;  // constant after construction
  std::vector<IpAddress> listening_ips_;
  std::vector<IpAddress> relay_ips_;
  std::vector<Address> listeners_;  // with their real ports

  auth::StaticUsers users_;
  auth::RestSecrets secrets_;
  auth::CombinedStore store_;
  std::unique_ptr<auth::Authenticator> authenticator_;
  PeerPolicy policy_;
  engine::Quotas quotas_;
  std::unique_ptr<SessionLog> session_log_;
  std::unique_ptr<relay::PortPool> ports_;
  engine::ExternalIps external_ips_;
  std::vector<std::unique_ptr<relay::Worker>> workers_;
  std::unique_ptr<ExternalIpWatcher> external_ip_watcher_;  // last: its thread speaks to the workers
};

}  // namespace turnkit::turnd
