#include "turnd/server.h"

#include <csignal>

#include <algorithm>

#include "base/log.h"
#include "net/event_loop.h"
#include "net/interfaces.h"
#include "turnd/process.h"

namespace turnkit::turnd {

namespace {

std::vector<const auth::CredentialStore*> stores_in_use(const Config& config, const auth::StaticUsers& users,
                                                        const auth::RestSecrets& secrets) {
  std::vector<const auth::CredentialStore*> stores;
  if (!config.users.empty()) stores.push_back(&users);
  if (!config.rest_secrets.empty()) stores.push_back(&secrets);
  return stores;
}

engine::EngineConfig engine_config(const Config& config) {
  engine::EngineConfig out;
  out.authenticate = config.auth != AuthMode::kNone;
  out.channels = {0x4000, config.max_channel_number};
  out.max_lifetime = config.max_allocate_lifetime;
  out.permission_lifetime = config.permission_lifetime;
  out.channel_lifetime = config.channel_lifetime;
  out.max_permissions = config.max_permissions;
  out.max_channels = config.max_channels;
  switch (config.default_family) {
    case DefaultFamily::kIPv4:
      out.default_family = Family::kIPv4;
      break;
    case DefaultFamily::kIPv6:
      out.default_family = Family::kIPv6;
      break;
    case DefaultFamily::kKeep:
      out.default_family = std::nullopt;
      break;
  }
  out.serve_udp_relay = !config.no_udp_relay;
  out.serve_binding = !config.no_stun;
  out.serve_turn = !config.stun_only;
  out.fingerprint = config.fingerprint;
  if (config.software_attribute) out.software = "Turnkit-" TURNKIT_VERSION;
  return out;
}

sigset_t watched_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) ::sigaddset(&set, number);
  return set;
}

// Where the options name no addresses: all of the host. IPv6 link-local addresses need a zone, so they are left out.
std::vector<IpAddress> discovered_addresses(bool with_loopback) {
  std::vector<IpAddress> ips;
  for (const net::InterfaceAddress& address : net::interface_addresses()) {
    if (address.ip.is_link_local() || (address.ip.is_loopback() && !with_loopback)) continue;
    if (std::find(ips.begin(), ips.end(), address.ip) == ips.end()) ips.push_back(address.ip);
  }
  return ips;
}

// The addresses that packets from ourselves would have as their source: those of the host for a listener on all of
// them.
std::vector<Address> reachable_addresses(const std::vector<Address>& listeners) {
  std::vector<Address> out;
  for (const Address& listener : listeners) {
    out.push_back(listener);
    if (!listener.ip.is_unspecified()) continue;
    for (const IpAddress& ip : discovered_addresses(true)) {
      if (ip.family() == listener.family()) out.push_back({ip, listener.port});
    }
  }
  return out;
}

}  // namespace

Server::Server(const Config& config, Random& random)
    : config_(config),
      secrets_(config.rest_secrets, config.rest_separator),
      store_(stores_in_use(config, users_, secrets_)),
      quotas_({config.user_quota, config.total_quota, config.max_bps, config.bps_capacity}) {
  for (const StaticUser& user : config_.users) {
    if (!users_.add(user.name, user.realm, user.secret)) {
      log::error("user {}: the key is not usable; the user is left out", user.name);
    }
  }
  forget_passwords(config_);
  const auth::NonceKey nonce_key = config_.nonce_secret.empty()
                                       ? auth::NonceKey::random(random)
                                       : auth::NonceKey::from_shared_secret(config_.nonce_secret);
  authenticator_ =
      std::make_unique<auth::Authenticator>(auth::AuthConfig{config_.realm, config_.nonce_lifetime}, store_, nonce_key);
}

Server::~Server() = default;

Status Server::open() {
  log::info("turnd {}: max number of open files/sockets allowed for this process: {}", TURNKIT_VERSION,
            raise_descriptor_limit());
  if (Status status = choose_addresses(); !status) return status;
  if (const auto advice = nat_advice(config_, relay_ips_)) log::warning("{}", *advice);
  external_ip_watcher_ = std::make_unique<ExternalIpWatcher>(config_.external_ips, relay_ips_);
  external_ips_ = external_ip_watcher_->resolve_all();
  make_workers();
  if (Status status = open_listeners(); !status) return status;
  build_policy();
  // From here on a signal waits for run(), which ends or reopens properly.
  const sigset_t watched = watched_signals();
  ::pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  return {};
}

Status Server::choose_addresses() {
  listening_ips_ = config_.listening_ips.empty() ? discovered_addresses(true) : config_.listening_ips;
  if (listening_ips_.empty()) return Error{"no address to listen on: the host has none; name one with listening-ip"};
  if (!config_.relay_ips.empty()) {
    relay_ips_ = config_.relay_ips;
  } else {
    // An unspecified listening address does not say where to relay.
    for (const IpAddress& ip : config_.listening_ips) {
      if (!ip.is_unspecified()) relay_ips_.push_back(ip);
    }
    if (relay_ips_.empty()) relay_ips_ = discovered_addresses(false);
    if (relay_ips_.empty()) relay_ips_ = discovered_addresses(true);
  }
  // An address that the host does not have would otherwise show only as 508 to every client.
  for (const IpAddress& ip : config_.relay_ips) {
    const auto tried = net::UdpSocket::bind({ip, 0});
    if (!tried) return Error{fmt::format("relay-ip: {}", tried.error().text)};
  }
  for (const IpAddress& ip : listening_ips_) log::info("Listener address to use: {}", ip.to_string());
  for (const IpAddress& ip : relay_ips_) log::info("Relay address to use: {}", ip.to_string());
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
      relay::PortPoolConfig{relay_ips_, config_.min_port, config_.max_port, relay_options});
  session_log_ = std::make_unique<SessionLog>(config_.realm, config_.verbose, policy_);
  for (unsigned i = 0; i < config_.relay_threads; ++i) {
    workers_.push_back(std::make_unique<relay::Worker>(
        i, std::make_shared<engine::Rules>(engine::Rules{engine_config(config_), *authenticator_, policy_}),
        relay::WorkerSurroundings{*ports_, quotas_, *session_log_}));
    workers_.back()->set_external_ips(external_ips_);
  }
}

Status Server::open_listeners() {
  net::UdpOptions options;
  options.receive_tos = true;
  options.receive_buffer = config_.sock_buf_size;
  options.send_buffer = config_.sock_buf_size;
  options.device = config_.listening_device;
  for (const IpAddress& ip : listening_ips_) {
    // SO_REUSEPORT would let a second server of the same user share the port unseen, so the port is first tried alone.
    Address address{ip, config_.listening_port};
    options.reuse_port = false;
    {
      const auto alone = net::UdpSocket::bind(address, options);
      if (!alone) return Error{alone.error().text};
      address.port = alone->local().port;
    }
    options.reuse_port = true;
    for (const auto& worker : workers_) {
      auto socket = net::UdpSocket::bind(address, options);
      if (!socket) return Error{socket.error().text};
      worker->add_listener(*std::move(socket));
    }
    listeners_.push_back(address);
    log::info("{}. UDP listener opened on: {}", ip.is_v4() ? "IPv4" : "IPv6", address.to_string());
  }
  for (const auto& worker : workers_) worker->set_own_addresses(reachable_addresses(listeners_));
  return {};
}

void Server::build_policy() {
  policy_ = PeerPolicy(config_.peers);
  std::vector<IpAddress> host = discovered_addresses(true);
  std::vector<IpAddress> relays = relay_ips_;
  for (const engine::ExternalIps::Pair& pair : external_ips_.pairs()) {
    host.push_back(pair.external);
    relays.push_back(pair.external);
  }
  policy_.set_host_addresses(std::move(host));
  policy_.set_relay_range(std::move(relays), config_.min_port, config_.max_port);
  policy_.set_own_ports(listeners_);
}

void Server::run() {
  // The signals that open() blocked stay so in the workers' threads, which inherit the mask: they come to this thread.
  for (const auto& worker : workers_) worker->start();
  external_ip_watcher_->follow([this](const engine::ExternalIps& ips) {
    for (const auto& worker : workers_) worker->set_external_ips(ips);
  });

  net::EventLoop loop;
  const auto stop = [&] { loop.stop(); };
  const net::SignalWatch on_term(loop, SIGTERM, stop);
  const net::SignalWatch on_int(loop, SIGINT, stop);
  const net::SignalWatch on_hup(loop, SIGHUP, [] { log::reopen(); });
  const net::SignalWatch on_usr1(loop, SIGUSR1,
                                 [] { log::warning("SIGUSR1: this version has no drain mode; ignored"); });
  const net::SignalWatch on_usr2(loop, SIGUSR2,
                                 [] { log::warning("SIGUSR2: this version has no certificates; ignored"); });
  const sigset_t watched = watched_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &watched, nullptr);

  log::info("Total relay threads: {}", workers_.size());
  log::info("Total auth threads: 0");  // keys are looked up on the relay threads
  loop.run();

  log::info("shutting down: {} allocations end", quotas_.total());
  external_ip_watcher_.reset();
  for (const auto& worker : workers_) worker->stop();
}

Address Server::public_address() const {
  return external_ips_.to_external({relay_ips_.front(), listeners_.front().port});
}

}  // namespace turnkit::turnd
