// Server: turnd put together from its configuration: addresses, certificate, policy, credentials, workers; and what a
// reload replaces of it. Its methods belong to the thread that made it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "auth/nonce.h"
#include "base/random.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "turnd/config.h"
#include "turnd/engine/quota.h"
#include "turnd/external_ip.h"
#include "turnd/file_keeper.h"
#include "turnd/file_watch.h"
#include "turnd/host.h"
#include "turnd/relay/worker.h"
#include "turnd/running.h"
#include "turnd/session_log.h"

namespace turnkit::turnd {

class Server {
 public:
  // Overwrites the passwords of its copy of `config` once their keys are computed.
  Server(Config config, Random& random);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Reads the certificate and opens every listener. The error names the file or address and why.
  Status open();
  // As proc-user and proc-group say; files that only root may read can be reloaded all the same. Call before start().
  Status drop_privileges();
  // Starts the workers. `loop` is the one that the calling thread is going to run.
  void start(net::EventLoop& loop);
  // Ends every session and the workers.
  void stop();

  // Takes over what a running server can change; sessions go on. The result: a line for each thing that needs a restart
  // instead. On an error all stays as it was.
  Result<std::vector<std::string>> reload(Config next);
  // Reads the certificate files again. On an error the certificate in use stays.
  Status reload_certificate();
  // From now on new allocations are refused or redirected.
  void drain();

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const FileKeeper& files() const { return files_; }
  [[nodiscard]] const net::TlsContext* tls() const { return tls_.get(); }  // null: no TLS
  [[nodiscard]] std::uint32_t allocations() const { return quotas_.total(); }
  [[nodiscard]] const std::vector<std::unique_ptr<relay::Worker>>& workers() const { return workers_; }
  // The address at which clients are told to reach us, for the start-up text.
  [[nodiscard]] Address public_address() const;

 private:
  void make_workers();
  void watch_certificate();
  void follow_external_ips(net::EventLoop& loop);
  void set_external_ips(const engine::ExternalIps& ips);
  void set_certificate(std::shared_ptr<const net::TlsContext> tls);
  // Hands what is in force to the workers and the log.
  void publish_rules();
  void publish_streams();
  // Returns once every worker has taken over what was handed to it, after a second at the latest.
  void wait_for_workers();

  Config config_;
  ServerAddresses addresses_;  // constant after open(), as is the next
  std::vector<Address> listeners_;
  FileKeeper files_;
  auth::NonceKey nonce_key_;

  std::shared_ptr<const Credentials> credentials_;
  std::shared_ptr<const PeerPolicy> policy_;
  std::shared_ptr<const net::TlsContext> tls_;
  std::unique_ptr<FileWatch> watch_;
  bool draining_ = false;

  engine::Quotas quotas_;
  engine::ExternalIps external_ips_;
  std::unique_ptr<SessionLog> session_log_;
  std::unique_ptr<relay::PortPool> ports_;
  std::vector<std::unique_ptr<relay::Worker>> workers_;
  net::EventLoop* loop_ = nullptr;
  std::unique_ptr<ExternalIpWatcher> external_ip_watcher_;  // last: its thread speaks to the loop
};

}  // namespace turnkit::turnd
