#include "turnd/external_ip.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

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

// The lines and what they mean. Before start() it belongs to the watcher, then to the thread, but for what `mutex_`
// guards.
class ExternalIpWatcher::Follower {
 public:
  Follower(std::vector<ExternalIp> lines, std::vector<IpAddress> relay_ips) : relay_ips_(std::move(relay_ips)) {
    for (ExternalIp& line : lines) lines_.push_back({std::move(line), {}, false});
  }

  [[nodiscard]] bool may_change() const {
    return std::any_of(lines_.begin(), lines_.end(),
                       [](const Line& line) { return line.spec.kind != ExternalIp::Kind::kAddress; });
  }
  ExternalIps resolve_all() {
    for (Line& line : lines_) resolve(line);
    return combined();
  }
  static void start(std::shared_ptr<Follower> self, OnChange on_change) {
    self->on_change_ = std::move(on_change);
    std::thread([self = std::move(self)] { self->run(); }).detach();
  }
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      on_change_ = nullptr;
    }
    wake_.notify_all();
  }

 private:
  struct Line {
    ExternalIp spec;
    std::vector<ExternalIps::Pair> pairs;  // what it meant last
    bool resolved = false;
  };

  void resolve(Line& line);
  [[nodiscard]] std::vector<IpAddress> mapped_relay_ips(const ExternalIp& spec, Family family) const;
  [[nodiscard]] ExternalIps combined() const;
  void run();

  std::vector<Line> lines_;
  const std::vector<IpAddress> relay_ips_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mutex_
  OnChange on_change_;     // guarded by mutex_, held while it runs
};

ExternalIpWatcher::ExternalIpWatcher(std::vector<ExternalIp> lines, std::vector<IpAddress> relay_ips)
    : follower_(std::make_shared<Follower>(std::move(lines), std::move(relay_ips))) {}

ExternalIpWatcher::~ExternalIpWatcher() { follower_->stop(); }

ExternalIps ExternalIpWatcher::resolve_all() { return follower_->resolve_all(); }

void ExternalIpWatcher::follow(OnChange on_change) {
  if (follower_->may_change()) Follower::start(follower_, std::move(on_change));
}

// The pair form maps one relay address, the single form every one of its family that is not loopback.
std::vector<IpAddress> ExternalIpWatcher::Follower::mapped_relay_ips(const ExternalIp& spec, Family family) const {
  if (spec.local) return spec.local->family() == family ? std::vector{*spec.local} : std::vector<IpAddress>{};
  std::vector<IpAddress> ips;
  for (const IpAddress& ip : relay_ips_) {
    if (ip.family() == family && !ip.is_loopback()) ips.push_back(ip);
  }
  return ips;
}

void ExternalIpWatcher::Follower::resolve(Line& line) {
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
ExternalIps ExternalIpWatcher::Follower::combined() const {
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

void ExternalIpWatcher::Follower::run() {
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
    lock.lock();
    if (stopping_ || now.pairs() == known.pairs()) continue;
    known = now;
    on_change_(now);
  }
}

}  // namespace turnkit::turnd
