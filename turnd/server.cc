#include "turnd/server.h"

#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "turnd/certificates.h"
#include "turnd/listeners.h"
#include "turnd/process.h"
#include "turnd/reload.h"

namespace turnkit::turnd {

namespace {

auth::NonceKey make_nonce_key(const Config& config, Random& random) {
  return config.nonce_secret.empty() ? auth::NonceKey::random(random)
                                     : auth::NonceKey::from_shared_secret(config.nonce_secret);
}

}  // namespace

Server::Server(Config config, Random& random)
    : config_(std::move(config)),
      nonce_key_(make_nonce_key(config_, random)),
      credentials_(std::make_shared<const Credentials>(config_, nonce_key_)),
      policy_(std::make_shared<const PeerPolicy>()),
      quotas_(quota_limits(config_)) {}

Server::~Server() { stop(); }

Status Server::open() {
  log::info("turnd {}: max number of open files/sockets allowed for this process: {}", TURNKIT_VERSION,
            raise_descriptor_limit());
  auto tls = load_certificates(config_, files_);
  if (!tls) return tls.error();
  auto addresses = choose_addresses(config_);
  if (!addresses) return addresses.error();
  addresses_ = *std::move(addresses);
  for (const IpAddress& ip : addresses_.listening) log::info("Listener address to use: {}", ip.to_string());
  for (const IpAddress& ip : addresses_.relay) log::info("Relay address to use: {}", ip.to_string());
  if (const auto advice = nat_advice(config_, addresses_.relay)) log::warning("{}", *advice);
  external_ip_watcher_ = std::make_unique<ExternalIpWatcher>(config_.external_ips, addresses_.relay);
  external_ips_ = external_ip_watcher_->resolve_all();
  make_workers();
  auto listeners = open_listeners(config_, plan_listeners(config_, addresses_.listening), workers_);
  if (!listeners) return listeners.error();
  listeners_ = *std::move(listeners);
  if (const auto discovery = make_discovery(config_, addresses_.listening); !discovery) {
    log::warning("rfc5780: {}; behaviour discovery is off", discovery.error().text);
  }
  for (const auto& worker : workers_) worker->set_own_addresses(reachable_addresses(listeners_));
  policy_ = std::make_shared<const PeerPolicy>(make_policy(config_, {listeners_, addresses_.relay, external_ips_}));
  publish_rules();
  if (*tls != nullptr) set_certificate(*std::move(tls));
  publish_streams();
  watch_certificate();
  block_control_signals();
  return {};
}

void Server::make_workers() {
  net::UdpOptions relay_options;
  relay_options.receive_tos = true;
  relay_options.receive_errors = true;
  relay_options.receive_buffer = config_.sock_buf_size;
  relay_options.send_buffer = config_.sock_buf_size;
  relay_options.device = config_.relay_device;
  ports_ = std::make_unique<relay::PortPool>(
      relay::PortPoolConfig{addresses_.relay, config_.min_port, config_.max_port, relay_options});
  session_log_ = std::make_unique<SessionLog>(make_log_rules(config_, credentials_, policy_));
  const auto connections = std::make_shared<relay::ConnectionCounts>();
  const auto rules = make_rules(config_, addresses_.listening, draining_, credentials_, policy_);
  std::vector<relay::Worker*> peers;
  for (unsigned i = 0; i < config_.relay_threads; ++i) {
    workers_.push_back(std::make_unique<relay::Worker>(
        i, rules, relay::WorkerSurroundings{*ports_, quotas_, *session_log_, connections}));
    workers_.back()->set_external_ips(external_ips_);
    peers.push_back(workers_.back().get());
  }
  for (relay::Worker* worker : peers) worker->set_peers(peers);
}

void Server::watch_certificate() {
  if (config_.certificate_watch && tls_ != nullptr) {
    watch_ = std::make_unique<FileWatch>(certificate_files(config_), files_);
  }
}

Status Server::drop_privileges() {
  if (config_.proc_uid && *config_.proc_uid != ::geteuid()) {
    std::vector<std::string> paths = certificate_files(config_);
    paths.push_back(config_.origin.path);
    if (const Status kept = files_.start(std::move(paths)); !kept) return kept;
  }
  return turnd::drop_privileges(config_);
}

void Server::start(net::EventLoop& loop) {
  loop_ = &loop;
  for (const auto& worker : workers_) worker->start();
  follow_external_ips(loop);
  if (!watch_) return;
  watch_->start(loop, {}, [this] {
    if (const Status status = reload_certificate(); !status) log::error("{}", status.error().text);
  });
}

// The watcher's thread only passes the news on. What waits in the loop while a reload replaces the watcher is old.
void Server::follow_external_ips(net::EventLoop& loop) {
  external_ip_watcher_->follow([this, &loop, watcher = external_ip_watcher_.get()](const engine::ExternalIps& ips) {
    loop.post([this, ips, watcher] {
      if (watcher == external_ip_watcher_.get()) set_external_ips(ips);
    });
  });
}

void Server::stop() {
  external_ip_watcher_.reset();
  watch_.reset();
  for (const auto& worker : workers_) worker->stop();
}

void Server::set_external_ips(const engine::ExternalIps& ips) {
  external_ips_ = ips;
  for (const auto& worker : workers_) worker->set_external_ips(ips);
  policy_ = std::make_shared<const PeerPolicy>(make_policy(config_, {listeners_, addresses_.relay, external_ips_}));
  publish_rules();
}

void Server::set_certificate(std::shared_ptr<const net::TlsContext> tls) {
  tls_ = std::move(tls);
  log::info("certificate {}: {}", config_.cert, tls_->subject());
  if (const std::string warning = expiry_warning(*tls_, config_.cert, read_clock().wall); !warning.empty()) {
    log::warning("{}", warning);
  }
}

Status Server::reload_certificate() {
  auto tls = load_certificates(config_, files_, tls_.get());
  if (!tls) {
    return Error{fmt::format("{}; the certificate in use stays: {}", tls.error().text,
                             tls_ == nullptr ? "none" : tls_->subject())};
  }
  if (*tls == nullptr) return {};
  set_certificate(*std::move(tls));
  publish_streams();
  wait_for_workers();
  return {};
}

void Server::drain() {
  draining_ = true;
  publish_rules();
  wait_for_workers();
}

Result<std::vector<std::string>> Server::reload(Config next) {
  std::vector<std::string> fixed = keep_fixed(config_, next);
  auto tls = load_certificates(next, files_, tls_.get());
  if (!tls) return tls.error();
  if (log_config(next) == log_config(config_)) {
    log::reopen();
  } else if (const Status status = log::configure(log_config(next)); !status) {
    return status.error();
  }
  const bool other_external_ips = next.external_ips != config_.external_ips;
  if (next.nonce_secret != config_.nonce_secret) {
    SystemRandom random;
    nonce_key_ = make_nonce_key(next, random);
  }
  credentials_ = std::make_shared<const Credentials>(next, nonce_key_);
  config_ = std::move(next);
  quotas_.set_limits(quota_limits(config_));
  if (other_external_ips) {
    external_ip_watcher_ = std::make_unique<ExternalIpWatcher>(config_.external_ips, addresses_.relay);
    external_ips_ = external_ip_watcher_->resolve_all();
    follow_external_ips(*loop_);
  }
  set_external_ips(external_ips_);  // makes the policy and publishes the rules
  if (*tls != nullptr) set_certificate(*std::move(tls));
  publish_streams();
  if (watch_) watch_->follow(certificate_files(config_));
  wait_for_workers();
  return fixed;
}

void Server::publish_rules() {
  session_log_->set_rules(make_log_rules(config_, credentials_, policy_));
  const auto rules = make_rules(config_, addresses_.listening, draining_, credentials_, policy_);
  for (const auto& worker : workers_) {
    worker->set_rules(rules);
    worker->set_packet_log({config_.log_invalid_packets, config_.udp_recvmmsg_log, config_.udp_sendmmsg_log});
  }
}

void Server::publish_streams() {
  const auto streams = make_stream_config(config_, tls_);
  for (const auto& worker : workers_) worker->set_stream_config(streams);
}

void Server::wait_for_workers() {
  struct Barrier {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t passed = 0;
  };
  const auto barrier = std::make_shared<Barrier>();
  for (const auto& worker : workers_) {
    worker->loop().post([barrier] {
      const std::lock_guard lock(barrier->mutex);
      ++barrier->passed;
      barrier->changed.notify_one();
    });
  }
  std::unique_lock lock(barrier->mutex);
  barrier->changed.wait_for(lock, std::chrono::seconds(1), [&] { return barrier->passed == workers_.size(); });
}

Address Server::public_address() const {
  return external_ips_.to_external({addresses_.relay.front(), listeners_.front().port});
}

}  // namespace turnkit::turnd
