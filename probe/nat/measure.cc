#include "probe/nat/measure.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "client/route.h"
#include "probe/stun/measure.h"
#include "probe/stun/verdict.h"

namespace turnkit::probe {
namespace {

constexpr unsigned kHops = 5;
constexpr std::size_t kPortSockets = 4;
constexpr std::uint16_t kFirstPort = 32768;  // where to look for free ports in a row
constexpr std::array<std::size_t, 7> kPacketSizes = {576, 1200, 1280, 1400, 1460, 1492, 1500};

std::size_t header_size(Family family) { return family == Family::kIPv4 ? 28 : 48; }  // IP and UDP

class NatMeasurement {
 public:
  NatMeasurement(const Address& server, const NatOptions& options, const Progress& progress)
      : options_(options), progress_(progress) {
    e_.server = server;
  }
  NatEvidence run(const std::vector<Address>& others);

 private:
  bool choose_local();
  bool ask_first();
  void test_filtering();
  void test_the_rest(const std::vector<Address>& others);
  void test_hairpin();
  std::optional<std::size_t> open() { return open(0); }
  std::optional<std::size_t> open(std::uint16_t port);
  std::vector<std::size_t> open_row();

  // Plans that run together; where their outcomes go is told when they are done.
  void plan(BindingPlan plan, std::function<void(BindingOutcome)> taker);
  void run_plans();
  void plan_mapping(const std::vector<Address>& others);
  void plan_ports();
  void plan_sizes();
  void plan_path();
  void take_size(std::size_t packet, const BindingOutcome& outcome);

  const NatOptions& options_;
  const Progress& progress_;
  NatEvidence e_;
  UdpExchange exchange_;
  std::vector<BindingPlan> plans_;
  std::vector<std::function<void(BindingOutcome)>> takers_;
  std::optional<std::size_t> mapping_socket_;
};

std::optional<std::size_t> NatMeasurement::open(std::uint16_t port) {
  const Result<std::size_t> socket = exchange_.open({e_.local, port});
  if (socket) return *socket;
  if (port == 0) e_.local_error = socket.error().text;
  return std::nullopt;
}

void NatMeasurement::plan(BindingPlan plan, std::function<void(BindingOutcome)> taker) {
  plans_.push_back(plan);
  takers_.push_back(std::move(taker));
}

void NatMeasurement::run_plans() {
  std::vector<BindingOutcome> outcomes = exchange_.run(plans_);
  for (std::size_t i = 0; i < outcomes.size(); ++i) takers_[i](std::move(outcomes[i]));
  plans_.clear();
  takers_.clear();
}

bool NatMeasurement::choose_local() {
  if (options_.local) {
    e_.local = *options_.local;
    return true;
  }
  const Result<IpAddress> ip = client::source_address_for(e_.server);
  if (ip) {
    e_.local = *ip;
    return true;
  }
  e_.local_error = ip.error().text;
  return false;
}

bool NatMeasurement::ask_first() {
  const auto socket = open();
  if (!socket) return false;
  e_.basic = exchange_.run_one({.socket = *socket, .to = e_.server, .retransmit = schedule_of(Patience::kNormal)});
  if (e_.basic.ok()) return true;
  if (e_.basic.answer) return false;
  progress_("No answer over UDP; trying TCP");
  StunOptions tcp;
  tcp.count = 1;
  tcp.patience = Patience::kFast;
  tcp.local = Address{e_.local, 0};
  const StunEvidence over_tcp = measure_stun({Transport::kTcp, e_.server, {}, {}}, tcp);
  const bool answers = !over_tcp.requests.empty() && over_tcp.requests.front().ok();
  e_.tcp = answers                                   ? TcpReach::kAnswers
           : over_tcp.connect == Connect::kConnected ? TcpReach::kConnects
                                                     : TcpReach::kFails;
  return false;
}

void NatMeasurement::test_filtering() {
  const auto other = e_.other();
  if (!other) return;
  progress_("Filtering: who may send to this host?");
  struct Row {
    std::uint32_t change;
    Address expected;
    std::optional<FilterTest>& test;
    std::size_t socket = 0;
  };
  std::array rows = {Row{kChangeIp | kChangePort, *other, e_.both},
                     Row{kChangeIp, {other->ip, e_.server.port}, e_.ip_only},
                     Row{kChangePort, {e_.server.ip, other->port}, e_.port_only}};
  for (Row& row : rows) {
    const auto socket = open();
    if (!socket) return;
    row.socket = *socket;
    row.test.emplace().expected = row.expected;
    plan({.socket = row.socket, .to = e_.server},
         [&row](BindingOutcome outcome) { row.test->first = std::move(outcome); });
  }
  run_plans();
  for (Row& row : rows) {
    plan({.socket = row.socket, .to = e_.server, .change = row.change, .retransmit = kSilenceSchedule},
         [&row](BindingOutcome outcome) { row.test->changed = std::move(outcome); });
  }
  run_plans();
  if (e_.both->changed.answer) return;
  e_.opened = exchange_.run_one({.socket = rows[0].socket, .to = *other, .retransmit = kSilenceSchedule});
  if (!e_.opened->ok()) return;
  e_.control = exchange_.run_one(
      {.socket = rows[0].socket, .to = e_.server, .change = kChangeIp | kChangePort, .retransmit = kSilenceSchedule});
}

void NatMeasurement::plan_mapping(const std::vector<Address>& others) {
  mapping_socket_ = open();
  if (!mapping_socket_) return;
  std::vector<Address> to = {e_.server};
  if (const auto other = e_.other()) {
    to.push_back({other->ip, e_.server.port});
    to.push_back(*other);
    to.push_back({e_.server.ip, other->port});
  }
  to.push_back(e_.server);
  for (const Address& address : to) {
    plan({.socket = *mapping_socket_, .to = address, .retransmit = kSilenceSchedule},
         [this, address](BindingOutcome outcome) {
           e_.mapping.push_back({address, std::move(outcome)});
         });
  }
  for (const Address& address : others) {
    plan({.socket = *mapping_socket_, .to = address, .retransmit = kSilenceSchedule},
         [this, address](BindingOutcome outcome) {
           e_.compared.push_back({address, std::move(outcome)});
         });
  }
}

// Sockets on ports in a row, or on any where no such row is free.
std::vector<std::size_t> NatMeasurement::open_row() {
  SystemRandom random;
  for (int tries = 0; tries < 8; ++tries) {
    const auto start = static_cast<std::uint16_t>(kFirstPort + random.below(65535U - kFirstPort - kPortSockets));
    std::vector<std::size_t> row;
    for (std::uint16_t i = 0; i < kPortSockets; ++i) {
      if (const auto socket = open(static_cast<std::uint16_t>(start + i))) row.push_back(*socket);
    }
    if (row.size() == kPortSockets) return row;
  }
  std::vector<std::size_t> any;
  for (std::size_t i = 0; i < kPortSockets; ++i) {
    if (const auto socket = open()) any.push_back(*socket);
  }
  return any;
}

void NatMeasurement::plan_ports() {
  for (const std::size_t socket : open_row()) {
    plan({.socket = socket, .to = e_.server, .retransmit = kShortSchedule}, [this](const BindingOutcome& outcome) {
      if (const auto mapped = outcome.mapped()) e_.ports.push_back({outcome.local.port, *mapped});
    });
  }
}

void NatMeasurement::take_size(std::size_t packet, const BindingOutcome& outcome) {
  SizeTest test{packet, outcome.answer.has_value(), std::nullopt};
  for (const IcmpSeen& icmp : outcome.icmp) {
    const bool too_big = icmp.family == Family::kIPv4 ? icmp.type == 3 && icmp.code == 4 : icmp.type == 2;
    if (too_big) test.refused_by = icmp.reporter;
  }
  e_.sizes.push_back(test);
}

void NatMeasurement::plan_sizes() {
  const std::size_t headers = header_size(e_.server.family());
  for (const std::size_t packet : kPacketSizes) {
    if (e_.server.family() == Family::kIPv6 && packet < 1280) continue;
    const auto socket = open();  // each on its own: an ICMP error is about one size
    if (!socket || !exchange_.socket(*socket).set_dont_fragment(true)) return;
    plan({.socket = *socket, .to = e_.server, .size = packet - headers, .retransmit = kShortSchedule},
         [this, packet](const BindingOutcome& outcome) { take_size(packet, outcome); });
  }
  const auto socket = e_.other() ? open() : std::nullopt;  // only servers of RFC 5780 know PADDING
  if (!socket) return;
  plan({.socket = *socket,
        .to = e_.server,
        .size = kPacketSizes.back() - headers,
        .padding = true,
        .retransmit = kShortSchedule},
       [this](BindingOutcome outcome) { e_.padded = std::move(outcome); });
}

void NatMeasurement::plan_path() {
  if (e_.basic.mapped() == e_.basic.local) return;  // without a NAT there are no layers to look for
  for (unsigned ttl = 1; ttl <= kHops; ++ttl) {
    const auto socket = open();
    if (!socket) return;
    const int value = static_cast<int>(ttl);
    const bool v4 = e_.server.ip.is_v4();
    if (::setsockopt(exchange_.socket(*socket).fd(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS,
                     &value, sizeof(value)) != 0) {
      return;
    }
    plan({.socket = *socket, .to = e_.server, .retransmit = kShortSchedule},
         [this, ttl](const BindingOutcome& outcome) {
           Hop hop{ttl, std::nullopt};
           for (const IcmpSeen& icmp : outcome.icmp) {
             if (icmp.type == (icmp.family == Family::kIPv4 ? 11 : 3) && icmp.code == 0) hop.ip = icmp.reporter;
           }
           if (outcome.answer) hop.ip = outcome.answer->source.ip;
           e_.path.push_back(hop);
         });
  }
}

void NatMeasurement::test_the_rest(const std::vector<Address>& others) {
  progress_("Mapping, ports, packet sizes and the path");
  plan_mapping(others);
  plan_ports();
  plan_sizes();
  plan_path();
  run_plans();
  // Behind the server nothing is of interest.
  const auto server =
      std::find_if(e_.path.begin(), e_.path.end(), [this](const Hop& h) { return h.ip == e_.server.ip; });
  if (server != e_.path.end()) e_.path.erase(server + 1, e_.path.end());
}

// Two sockets send to each other's public address at once, as two ICE agents would, so that each opens its filter.
void NatMeasurement::test_hairpin() {
  if (e_.mapping.empty() || !e_.mapping.front().outcome.mapped()) return;
  const Address here = *e_.mapping.front().outcome.mapped();
  const auto socket = open();
  if (!socket || here == e_.mapping.front().outcome.local) return;  // without a NAT there is none
  progress_("Hairpin: does the own public address work from inside?");
  const auto there = exchange_.run_one({.socket = *socket, .to = e_.server, .retransmit = kSilenceSchedule}).mapped();
  if (!there) return;
  e_.hairpin_tried = true;
  plan({.socket = *socket, .to = here, .retransmit = kSilenceSchedule},
       [this](const BindingOutcome& outcome) { e_.hairpin_source = outcome.own_request; });
  plan({.socket = *mapping_socket_, .to = *there, .retransmit = kSilenceSchedule},
       [this](const BindingOutcome& outcome) {
         if (!e_.hairpin_source) e_.hairpin_source = outcome.own_request;
       });
  run_plans();
}

NatEvidence NatMeasurement::run(const std::vector<Address>& others) {
  if (!choose_local() || !ask_first()) return std::move(e_);
  test_filtering();
  test_the_rest(others);
  if (options_.hairpin) test_hairpin();
  if (options_.lifetime.count() != 0) {
    e_.lifetime = measure_lifetime(e_.server, e_.local, options_.lifetime, progress_);
  }
  return std::move(e_);
}

}  // namespace

NatEvidence measure_nat(const Address& server, const std::vector<Address>& others, const NatOptions& options,
                        const Progress& progress) {
  return NatMeasurement(server, options, progress).run(others);
}

}  // namespace turnkit::probe
