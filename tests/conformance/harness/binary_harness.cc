// BinaryHarness: the real turnd on loopback.
#include "tests/conformance/harness/binary_harness.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "base/encoding.h"
#include "net/udp_socket.h"
#include "tests/conformance/harness/engine_harness.h"
#include "tests/conformance/harness/udp_peer.h"

namespace turnkit::conformance {

std::unique_ptr<Child> start_turnd(std::vector<std::string> before, std::vector<std::string> arguments,
                                   std::vector<Address>& listeners) {
  std::vector<std::string> command = std::move(before);
  command.insert(command.end(), {TURND_PROGRAM, "-n", "--log-file=stdout", "--relay-threads=1", "-p", "0"});
  command.insert(command.end(), arguments.begin(), arguments.end());
  auto child = std::make_unique<Child>(command);
  if (!child->wait_for("Total auth threads:")) ADD_FAILURE() << "turnd does not start";
  for (const std::string& line : child->lines()) {
    constexpr std::string_view kMark = "UDP listener opened on: ";
    if (const std::size_t at = line.find(kMark); at != std::string::npos) {
      listeners.push_back(Address::parse(std::string_view(line).substr(at + kMark.size())).value());
    }
  }
  return child;
}

BinaryHarness::BinaryHarness(const Options& options) : Harness(options) {
  child_ = start_turnd({}, command(), servers_);
  if (servers_.empty()) {
    for (const std::string& line : child_->lines()) ADD_FAILURE() << line;
    servers_.resize(options.listeners + 1);
  }
  if (options.rfc5780) {
    servers_.clear();
    for (const std::uint16_t port : {kPort, kAlternatePort}) {
      for (unsigned i = 0; i < options.listeners; ++i) servers_.push_back({ip(101 + i), port});
    }
  }
  if (options.listen_on_all) {
    const std::uint16_t port = servers_.front().port;
    servers_.clear();
    for (unsigned i = 0; i < options.listeners; ++i) servers_.push_back({ip(101 + i), port});
  }
}

std::vector<std::string> BinaryHarness::command() const {
  std::vector<std::string> out;
  const auto add = [&](std::string_view name, const auto& value) {
    out.push_back(fmt::format("--{}={}", name, value));
  };
  const auto flag = [&](std::string_view name, bool on) {
    if (on) out.push_back(fmt::format("--{}", name));
  };
  if (options_.listen_on_all) {
    add("listening-ip", "0.0.0.0");
  } else {
    for (unsigned i = 0; i < options_.listeners; ++i) add("listening-ip", ip(101 + i).to_string());
  }
  if (options_.relay_v4) add("relay-ip", ip(100).to_string());
  if (options_.ipv6) {
    add("listening-ip", "::1");
    add("relay-ip", "::1");
  }
  add("min-port", options_.min_port);
  add("max-port", options_.max_port);
  if (!options_.default_family.empty()) add("allocation-default-address-family", options_.default_family);
  flag("no-udp-relay", options_.no_udp_relay);

  flag("no-auth", !options_.authenticate);
  if (options_.authenticate) {
    for (const auto& [name, password] : options_.users) add("user", name + ':' + password);
  }
  add("realm", options_.realm);
  for (const std::string& secret : options_.secrets) add("static-auth-secret", secret);
  add("stale-nonce", options_.nonce_lifetime.count());

  add("max-allocate-lifetime", options_.max_lifetime.count());
  add("permission-lifetime", options_.permission_lifetime.count());
  add("channel-lifetime", options_.channel_lifetime.count());
  add("max-permissions", options_.max_permissions);
  add("max-channels", options_.max_channels);
  flag("rfc8656-channel-numbers", options_.rfc8656_channels);
  add("user-quota", options_.user_quota);
  add("total-quota", options_.total_quota);
  add("max-bps", options_.max_bps);

  flag("allow-loopback-peers", options_.allow_loopback_peers);
  for (const std::string& rule : options_.denied_peers) add("denied-peer-ip", rule);
  for (const std::string& rule : options_.allowed_peers) add("allowed-peer-ip", rule);
  flag("software-attribute", options_.software);
  flag("fingerprint", options_.fingerprint);
  flag("no-stun", options_.no_stun);
  flag("stun-only", options_.stun_only);
  for (const std::string& option : extensions()) out.push_back(option);
  return out;
}

std::vector<std::string> BinaryHarness::extensions() const {
  std::vector<std::string> out;
  const auto add = [&](std::string_view name, const auto& value) {
    out.push_back(fmt::format("--{}={}", name, value));
  };
  const auto flag = [&](std::string_view name, bool on) {
    if (on) out.push_back(fmt::format("--{}", name));
  };
  flag("oauth", !options_.oauth_keys.empty());
  for (const auth::OAuthKey& key : options_.oauth_keys) {
    add("oauth-key",
        fmt::format("{}:{}:{}:{}", key.kid, to_base64(key.key), auth::token_algorithm_name(key.algorithm), key.realm));
  }
  if (!options_.server_name.empty()) add("server-name", options_.server_name);
  for (const auto& [origin, realm] : options_.origin_realms) add("origin-realm", origin + '=' + realm);
  for (const auto& [realm, name, password] : options_.realm_users) {
    add("realm-user", realm + ':' + name + ':' + password);
  }
  for (const auto& [realm, quota] : options_.realm_quotas) {
    if (quota.per_user) add("realm-option", fmt::format("{}:user-quota={}", realm, *quota.per_user));
    if (quota.total) add("realm-option", fmt::format("{}:total-quota={}", realm, *quota.total));
    if (quota.max_bps) add("realm-option", fmt::format("{}:max-bps={}", realm, *quota.max_bps));
  }
  flag("check-origin-consistency", options_.check_origin);
  for (const Address& server : options_.alternates) add("alternate-server", server.to_string());
  for (const Address& server : options_.udp_alternates) add("udp-alternate-server", server.to_string());
  flag("include-reason-string", options_.include_reason_string);
  flag("secure-stun", options_.secure_stun);
  flag("stun-backward-compatibility", options_.mapped_address);
  flag("rfc3489-compatibility", options_.rfc3489);
  flag("rfc5780", options_.rfc5780);
  if (options_.rfc5780) {
    add("listening-port", kPort);
    add("alt-listening-port", kAlternatePort);
  }
  flag("server-relay", options_.server_relay);
  flag("unauthorized-ratelimit", options_.unauthorized_rps != 0);
  if (options_.unauthorized_rps != 0) add("unauthorized-ratelimit-rps", options_.unauthorized_rps);
  if (options_.bps_capacity != 0) add("bps-capacity", options_.bps_capacity);
  return out;
}

// The middle two octets are the process's.
IpAddress BinaryHarness::ip(unsigned n) const {
  const auto pid = static_cast<unsigned>(::getpid());
  return IpAddress::v4(127, static_cast<std::uint8_t>(1 + (pid >> 8) % 250), static_cast<std::uint8_t>(pid & 0xFF),
                       static_cast<std::uint8_t>(n));
}

std::unique_ptr<Socket> BinaryHarness::open(const Address& local) { return std::make_unique<UdpPeer>(local); }

void BinaryHarness::advance(Duration duration) { std::this_thread::sleep_for(duration); }

std::unique_ptr<Harness> make_harness(Kind kind, const Options& options) {
  if (kind == Kind::kEngine) return std::make_unique<EngineHarness>(options);
  return std::make_unique<BinaryHarness>(options);
}

bool host_has_ipv6() {
  static const bool kHas = static_cast<bool>(net::UdpSocket::bind({*IpAddress::parse("::1"), 0}, {}));
  return kHas;
}

}  // namespace turnkit::conformance
