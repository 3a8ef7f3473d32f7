// EngineHarness: the engine between a fake network and a fake clock.
#include "tests/conformance/harness/engine_harness.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "stun/classify.h"

namespace turnkit::conformance {

using engine::Allocation;
using engine::Drop;

namespace {

constexpr Duration kSweepStep = engine::Engine::kSweepInterval;

std::vector<const auth::CredentialStore*> stores_of(const Options& options, const auth::StaticUsers& users,
                                                    const auth::RestSecrets& secrets) {
  std::vector<const auth::CredentialStore*> stores;
  if (!options.users.empty()) stores.push_back(&users);
  if (!options.secrets.empty()) stores.push_back(&secrets);
  return stores;
}

turnd::PeerRules rules_of(const Options& options) {
  turnd::PeerRules rules;
  rules.allow_loopback = options.allow_loopback_peers;
  for (const std::string& text : options.denied_peers) rules.denied.push_back(*turnd::PeerRule::parse(text));
  for (const std::string& text : options.allowed_peers) rules.allowed.push_back(*turnd::PeerRule::parse(text));
  return rules;
}

std::vector<IpAddress> relay_ips(const Options& options, const IpAddress& v4) {
  std::vector<IpAddress> ips;
  if (options.relay_v4) ips.push_back(v4);
  if (options.ipv6) ips.push_back(*IpAddress::parse("::1"));
  return ips;
}

std::shared_ptr<const auth::OAuthKeyStore> keys_of(const Options& options) {
  if (options.oauth_keys.empty()) return nullptr;
  auto keys = std::make_shared<auth::OAuthKeys>();
  for (const auth::OAuthKey& key : options.oauth_keys) EXPECT_TRUE(keys->add(key));
  return keys;
}

std::vector<std::byte> copy_of(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

void Ledger::on_event(const engine::Event& event) {
  ++counts_[static_cast<std::size_t>(event.kind)];
  using enum engine::Event::Kind;
  EXPECT_LE(count(kAllocationDeleted), count(kAllocationCreated));
  EXPECT_LE(count(kPermissionRemoved), count(kPermissionAdded));
  EXPECT_LE(count(kChannelUnbound), count(kChannelBound));
}

void Ledger::on_request(const engine::RequestEvent&) { ++requests_; }

class EngineHarness::FakeSocket final : public Socket {
 public:
  FakeSocket(EngineHarness& harness, const Address& local) : harness_(harness) {
    local_ = local;
    harness_.sockets_[local] = this;
  }
  ~FakeSocket() override { harness_.sockets_.erase(local_); }

  void send(const Address& to, Bytes data, const SendAs&) override { harness_.carry(local_, to, data); }
  std::optional<Datagram> receive() override { return poll(); }
  std::optional<Datagram> poll() override {
    if (queue_.empty()) return std::nullopt;
    Datagram datagram = std::move(queue_.front());
    queue_.pop_front();
    return datagram;
  }
  void push(Datagram datagram) { queue_.push_back(std::move(datagram)); }

 private:
  EngineHarness& harness_;
  std::deque<Datagram> queue_;
};

EngineHarness::EngineHarness(const Options& options, std::uint64_t seed)
    : Harness(options),
      random_(seed),
      now_{TimePoint(std::chrono::hours(1)), WallTime(std::chrono::seconds(1'800'000'000))},
      secrets_(options.secrets),
      store_(stores_of(options, users_, secrets_)),
      authenticator_(
          [&] {
            for (const auto& [name, secret] : options.users) EXPECT_TRUE(users_.add(name, options.realm, secret));
            for (const auto& [realm, name, secret] : options.realm_users) {
              EXPECT_TRUE(users_.add(name, realm, secret));
            }
            return auth::AuthConfig{.realm = options.realm,
                                    .nonce_lifetime = options.nonce_lifetime,
                                    .origin_realms = options.origin_realms,
                                    .oauth_keys = keys_of(options),
                                    .server_name = options.server_name};
          }(),
          store_, auth::NonceKey::random(random_)),
      policy_(rules_of(options)),
      quotas_({.per_user = options.user_quota,
               .total = options.total_quota,
               .max_bps = options.max_bps,
               .bps_capacity = options.bps_capacity,
               .realms = {options.realm_quotas.begin(), options.realm_quotas.end()}}),
      ports_({relay_ips(options, ip(100)), options.min_port, options.max_port, options.can_set_dont_fragment},
             random_) {
  for (unsigned i = 0; i < options.listeners; ++i) servers_.push_back({ip(101 + i), kPort});
  for (unsigned i = 0; options.rfc5780 && i < options.listeners; ++i) servers_.push_back({ip(101 + i), kAlternatePort});
  if (options.ipv6) servers_.push_back({*IpAddress::parse("::1"), 3478});
  const std::vector<IpAddress> relays = relay_ips(options, ip(100));
  policy_.set_own_ports(servers_);
  policy_.set_host_addresses(relays);
  policy_.set_relay_range(relays, options.min_port, options.max_port);
  engine_ = std::make_unique<engine::Engine>(
      engine::Surroundings{std::make_shared<engine::Rules>(engine::Rules{config(), authenticator_, policy_}), ports_,
                           quotas_, ledger_},
      0);
}

// Whatever a test did, nothing may be left over.
EngineHarness::~EngineHarness() {
  engine_->clear("end of test");
  EXPECT_EQ(engine_->allocations(), 0U);
  EXPECT_EQ(ports_.live(), ports_.reserved());
  EXPECT_EQ(quotas_.total(), 0U);
}

engine::EngineConfig EngineHarness::config() const {
  engine::EngineConfig config;
  config.authenticate = options_.authenticate;
  config.channels = options_.rfc8656_channels ? stun::kRfc8656Channels : stun::kRfc5766Channels;
  config.max_lifetime = options_.max_lifetime;
  config.permission_lifetime = options_.permission_lifetime;
  config.channel_lifetime = options_.channel_lifetime;
  config.max_permissions = options_.max_permissions;
  config.max_channels = options_.max_channels;
  if (options_.default_family == "ipv6") config.default_family = Family::kIPv6;
  if (options_.default_family == "keep") config.default_family = std::nullopt;
  config.serve_udp_relay = !options_.no_udp_relay;
  config.serve_binding = !options_.no_stun;
  config.serve_turn = !options_.stun_only;
  config.fingerprint = options_.fingerprint;
  if (options_.software) config.software = "Turnkit-test";
  config.alternates.any = options_.alternates;
  config.alternates.udp = options_.udp_alternates;
  config.check_origin = options_.check_origin;
  config.detailed_reasons = options_.include_reason_string;
  config.secure_stun = options_.secure_stun;
  config.mapped_address = options_.mapped_address;
  config.serve_rfc3489 = options_.rfc3489;
  config.server_relay = options_.server_relay;
  config.unauthorized_rps = options_.unauthorized_rps;
  if (options_.rfc5780) {
    std::vector<IpAddress> ips;
    for (unsigned i = 0; i < options_.listeners; ++i) ips.push_back(ip(101 + i));
    auto discovery = engine::Discovery::make(ips, {{kPort, kAlternatePort}});
    if (discovery) config.discovery = *std::move(discovery);
  }
  return config;
}

void EngineHarness::change_config(const std::function<void(engine::EngineConfig&)>& change) {
  engine::EngineConfig changed = engine_->config();
  change(changed);
  engine_->set_rules(std::make_shared<engine::Rules>(engine::Rules{changed, authenticator_, policy_}));
}

IpAddress EngineHarness::ip(unsigned n) const { return IpAddress::v4(127, 0, 0, static_cast<std::uint8_t>(n)); }

std::unique_ptr<Socket> EngineHarness::open(const Address& local) {
  Address address = local;
  while (address.port == 0 || sockets_.contains(address)) address.port = next_port_++;
  return std::make_unique<FakeSocket>(*this, address);
}

void EngineHarness::advance(Duration duration) {
  while (duration > Duration::zero()) {
    const Duration step = std::min(duration, kSweepStep);
    advance_without_sweep(step);
    engine_->sweep(now_);
    ports_.expire_reservations(now_.mono);
    duration -= step;
  }
}

void EngineHarness::advance_without_sweep(Duration duration) {
  now_.mono += duration;
  const auto since_start = now_.mono - TimePoint(std::chrono::hours(1));
  now_.wall = WallTime(std::chrono::seconds(1'800'000'000) + std::chrono::floor<std::chrono::seconds>(since_start));
}

void EngineHarness::sweep_all() {
  constexpr int kTurns = 2 * (1s / engine::Engine::kSweepInterval);  // each turn looks at an eighth
  for (int i = 0; i < kTurns; ++i) engine_->sweep(now_);
  ports_.expire_reservations(now_.mono);
}

void EngineHarness::carry(const Address& from, const Address& to, Bytes data) {
  if (std::find(servers_.begin(), servers_.end(), to) != servers_.end()) {
    return from_client({from, to, engine::Transport::kUdp}, data);
  }
  if (engine::RelayEndpoint* relay = ports_.find(to)) return from_peer(*relay, from, data);
  if (const auto it = sockets_.find(to); it != sockets_.end()) {
    it->second->push({.from = from, .data = copy_of(data)});
  } else if (ports_.find(from) != nullptr) {
    // A closed port: "port unreachable" comes back.
    const bool v4 = to.ip.is_v4();
    icmp_error(from, to, {static_cast<std::uint8_t>(v4 ? 3 : 1), static_cast<std::uint8_t>(v4 ? 3 : 4), 0});
  }
}

void EngineHarness::from_client(const engine::FiveTuple& tuple, Bytes datagram) {
  last_drop_ = Drop::kNone;
  if (tuple.client.port == 0 || std::find(servers_.begin(), servers_.end(), tuple.client) != servers_.end()) {
    last_drop_ = Drop::kForgedSource;
    return;
  }
  const stun::ChannelRange channels = options_.rfc8656_channels ? stun::kRfc8656Channels : stun::kRfc5766Channels;
  const stun::PacketKind kind = stun::classify(datagram, channels);
  if (kind == stun::PacketKind::kChannelData) return channel_data_from_client(tuple, datagram);
  if (kind != stun::PacketKind::kStun) {
    last_drop_ = Drop::kNotTurn;
    return;
  }
  const std::uint64_t reported = ledger_.requests();
  const engine::Outcome outcome = engine_->on_message(datagram, tuple, path_, now_);
  last_drop_ = outcome.drop;
  last_outcome_ = outcome;
  const bool is_request =
      datagram.size() >= stun::kHeaderSize && stun::class_of(load_be16(datagram.data())) == stun::Class::kRequest;
  EXPECT_TRUE(outcome.answer.empty() || is_request) << "only requests are answered";
  EXPECT_EQ(ledger_.requests() - reported, outcome.answer.empty() ? 0U : 1U) << "each answer is reported once";
  EXPECT_NE(outcome.answer.empty() && outcome.relay == nullptr, outcome.drop == Drop::kNone);
  if (outcome.relay != nullptr) return to_peer(*outcome.allocation, *outcome.relay, outcome.peer, outcome.data);
  if (outcome.answer.empty()) return;
  engine::FiveTuple back = tuple;
  back.client = outcome.answer_to.value_or(tuple.client);
  back.server = outcome.answer_from.value_or(tuple.server);
  to_client(back, copy_of(outcome.answer));
}

void EngineHarness::channel_data_from_client(const engine::FiveTuple& tuple, Bytes datagram) {
  const auto channel_data = stun::parse_channel_data(datagram);
  Allocation* allocation = channel_data ? engine_->find_for_data(tuple, now_) : nullptr;
  if (allocation == nullptr) {
    last_drop_ = channel_data ? Drop::kNoAllocation : Drop::kMalformedData;
    return;
  }
  const engine::PeerRoute route = engine_->route_to_peer(*allocation, channel_data->number, now_.mono);
  last_drop_ = route.drop;
  if (route.relay != nullptr) to_peer(*allocation, *route.relay, route.peer, channel_data->data);
}

void EngineHarness::to_peer(Allocation& allocation, engine::RelayEndpoint& relay, const Address& peer, Bytes data) {
  if (allocation.bandwidth && !allocation.bandwidth->to_peer.take(data.size(), now_.mono)) {
    last_drop_ = Drop::kRateLimit;
    return;
  }
  carry(relay.local(), peer, data);
}

void EngineHarness::from_peer(engine::RelayEndpoint& relay, const Address& peer, Bytes data) {
  if (relay.owner() == nullptr) return;  // reserved, not allocated
  Allocation& allocation = *relay.owner();
  const engine::ClientRoute route = engine_->route_to_client(allocation, peer, now_.mono);
  last_drop_ = route.drop;
  if (route.drop != Drop::kNone) return;
  if (allocation.bandwidth && !allocation.bandwidth->to_client.take(data.size(), now_.mono)) return;
  std::vector<std::byte> message;
  if (route.channel != 0) {
    message.resize(stun::kChannelHeaderSize);
    stun::write_channel_header(message.data(), route.channel, data.size());
    message.insert(message.end(), data.begin(), data.end());
  } else {
    std::array<std::byte, engine::Engine::kMaxDataHead> head_buffer;
    const Bytes head = engine_->data_indication_head(peer, data.size(), head_buffer);
    if (head.empty()) return;
    message = copy_of(head);
    message.insert(message.end(), data.begin(), data.end());
    message.resize((message.size() + 3) & ~std::size_t{3});
  }
  to_client(allocation.tuple, std::move(message));
}

void EngineHarness::to_client(const engine::FiveTuple& tuple, std::vector<std::byte> data) {
  if (ask_ != nullptr) {
    *ask_ = std::move(data);
    return;
  }
  const auto it = sockets_.find(tuple.client);
  if (it != sockets_.end()) it->second->push({.from = tuple.server, .data = std::move(data)});
}

bool EngineHarness::icmp_error(const Address& relayed, const Address& peer, const stun::Icmp& icmp) {
  engine::RelayEndpoint* relay = ports_.find(relayed);
  if (relay == nullptr || relay->owner() == nullptr) return false;
  const engine::Outcome outcome = engine_->on_icmp(*relay->owner(), peer, icmp, now_.mono);
  last_drop_ = outcome.drop;
  if (outcome.answer.empty()) return false;
  to_client(relay->owner()->tuple, copy_of(outcome.answer));
  return true;
}

std::vector<std::byte> EngineHarness::ask(const Address& client, Bytes message, std::size_t server) {
  std::vector<std::byte> answer;
  ask_ = &answer;
  from_client({client, servers_.at(server), engine::Transport::kUdp}, message);
  ask_ = nullptr;
  return answer;
}

}  // namespace turnkit::conformance
