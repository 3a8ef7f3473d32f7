#include "turnd/external_ip.h"

#include <algorithm>

#include "base/log.h"
#include "client/binding.h"
#include "net/resolver.h"

namespace turnkit::turnd {

namespace {

using engine::ExternalIps;

constexpr std::chrono::seconds kFollowEvery{60};
constexpr std::chrono::seconds kRetryEvery{5};
constexpr std::uint16_t kStunPort = 3478;

// "host", "host:port" or "[v6]:port".
std::pair<std::string, std::uint16_t> split_host_port(const std::string& text) {
  if (const auto address = Address::parse(text, kStunPort)) return {address->ip.to_string(), address->port};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, kStunPort};
  return {text.substr(0, colon), static_cast<std::uint16_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10))};
}

// The public address that `source` sees when asked from `relay_ip`.
Result<IpAddress> ask_stun(const std::string& source, const IpAddress& relay_ip) {
  const auto [host, port] = split_host_port(source);
  const auto servers = net::resolve(host);
  if (!servers) return servers.error();
  for (const IpAddress& server : *servers) {
    if (server.family() != relay_ip.family()) continue;
    client::DiscoverOptions options;
    options.local = Address{relay_ip, 0};
    const auto mapped = client::discover_public_address({server, port}, options);
    if (!mapped) return mapped.error();
    return mapped->ip;
  }
  return Error{fmt::format("{} has no {} address", host, relay_ip.is_v4() ? "IPv4" : "IPv6")};
}

}  // namespace

ExternalIpWatcher::ExternalIpWatcher(std::vector<ExternalIp> lines, std::vector<IpAddress> relay_ips)
    : relay_ips_(std::move(relay_ips)) {
  for (ExternalIp& line : lines) lines_.push_back({std::move(line), {}, false});
}

ExternalIpWatcher::~ExternalIpWatcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

ExternalIps ExternalIpWatcher::resolve_all() {
  for (Line& line : lines_) resolve(line);
  return combined();
}

void ExternalIpWatcher::follow(OnChange on_change) {
  const bool changes = std::any_of(lines_.begin(), lines_.end(),
                                   [](const Line& line) { return line.spec.kind != ExternalIp::Kind::kAddress; });
  if (changes) thread_ = std::thread([this, on_change = std::move(on_change)] { run(on_change); });
}

// The pair form maps one relay address, the single form every one of its family that is not loopback.
std::vector<IpAddress> ExternalIpWatcher::mapped_relay_ips(const ExternalIp& spec, Family family) const {
  if (spec.local) return spec.local->family() == family ? std::vector{*spec.local} : std::vector<IpAddress>{};
  std::vector<IpAddress> ips;
  for (const IpAddress& ip : relay_ips_) {
    if (ip.family() == family && !ip.is_loopback()) ips.push_back(ip);
  }
  return ips;
}

void ExternalIpWatcher::resolve(Line& line) {
  std::vector<ExternalIps::Pair> pairs;
  std::string problem;
  const auto map_all = [&](const IpAddress& external) {
    for (const IpAddress& ip : mapped_relay_ips(line.spec, external.family())) pairs.push_back({external, ip});
  };
  switch (line.spec.kind) {
    case ExternalIp::Kind::kAddress:
      map_all(line.spec.address);
      break;
    case ExternalIp::Kind::kName:
      if (const auto ips = net::resolve(line.spec.source)) {
        for (const Family family : {Family::kIPv4, Family::kIPv6}) {  // the first address of each family
          const auto it =
              std::find_if(ips->begin(), ips->end(), [&](const IpAddress& ip) { return ip.family() == family; });
          if (it != ips->end()) map_all(*it);
        }
      } else {
        problem = ips.error().text;
      }
      break;
    case ExternalIp::Kind::kAuto:
      for (const Family family : {Family::kIPv4, Family::kIPv6}) {
        for (const IpAddress& ip : mapped_relay_ips(line.spec, family)) {
          const auto external = ask_stun(line.spec.source, ip);
          if (external) {
            pairs.push_back({*external, ip});
          } else if (problem.empty()) {
            problem = external.error().text;
          }
        }
      }
      break;
  }
  const bool first_failure = line.resolved || line.pairs.empty();
  line.resolved = !pairs.empty();
  if (!line.resolved) {
    if (first_failure && !problem.empty())
      log::warning("external-ip: {}; trying again every {} s", problem, kRetryEvery.count());
    return;  // what it meant before goes on
  }
  if (pairs == line.pairs) return;
  for (const ExternalIps::Pair& pair : pairs) {
    log::info("external-ip: {} is {} from outside", pair.internal.to_string(), pair.external.to_string());
  }
  line.pairs = std::move(pairs);
}

// Pair forms first: they are the more exact ones.
ExternalIps ExternalIpWatcher::combined() const {
  std::vector<ExternalIps::Pair> pairs;
  for (const bool exact : {true, false}) {
    for (const Line& line : lines_) {
      if (line.spec.local.has_value() != exact) continue;
      for (const ExternalIps::Pair& pair : line.pairs) {
        const bool mapped = std::any_of(pairs.begin(), pairs.end(),
                                        [&](const ExternalIps::Pair& p) { return p.internal == pair.internal; });
        if (!mapped) pairs.push_back(pair);
      }
    }
  }
  return ExternalIps(std::move(pairs));
}

void ExternalIpWatcher::run(const OnChange& on_change) {
  ExternalIps known = combined();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const bool missing = std::any_of(lines_.begin(), lines_.end(), [](const Line& line) { return !line.resolved; });
    wake_.wait_for(lock, missing ? kRetryEvery : kFollowEvery, [this] { return stopping_; });
    if (stopping_) return;
    lock.unlock();
    for (Line& line : lines_) {
      if (line.spec.kind != ExternalIp::Kind::kAddress) resolve(line);
    }
    const ExternalIps now = combined();
    if (now.pairs() != known.pairs()) {
      known = now;
      on_change(now);
    }
    lock.lock();
  }
}

}  // namespace turnkit::turnd
