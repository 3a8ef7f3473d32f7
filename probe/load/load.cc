// `turn-probe load`, from the options to the exit code: see load.h.
#include "probe/load/load.h"

#include <fmt/core.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "client/route.h"
#include "net/resolver.h"
#include "probe/exit_code.h"
#include "probe/load/fleet.h"
#include "probe/load/generator.h"
#include "probe/load/load_report.h"
#include "probe/load/profile.h"

namespace turnkit::probe {

namespace {

constexpr std::uint16_t kTurnPort = 3478;
constexpr std::chrono::hours kCredentialLifetime{24};
constexpr Duration kTearDown = std::chrono::seconds(5);

// Ctrl-C and SIGTERM as a question, without a handler. Both are back to what they were when it is destroyed.
class StopSignal {
 public:
  StopSignal() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    ::sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = net::UniqueFd(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  }
  ~StopSignal() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  // Looks once a millisecond at most: it is asked once a loop.
  bool operator()() {
    const TimePoint now = read_clock().mono;
    if (stopped_ || now < next_look_) return stopped_;
    next_look_ = now + std::chrono::milliseconds(1);
    signalfd_siginfo info;
    stopped_ = ::read(fd_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info));
    return stopped_;
  }

 private:
  net::UniqueFd fd_;
  sigset_t before_{};
  TimePoint next_look_{};
  bool stopped_ = false;
};

int complain(int code, const std::string& text) {
  fmt::print(stderr, "turn-probe load: {}\n", text);
  return code;
}

// The end of a run that measured nothing. Scripts that asked for JSON get a document in any case.
int give_up(const LoadOptions& options, int code, const std::string& reason, const std::string& what,
            const std::string& hint = {}) {
  if (options.json) fmt::print("{}", to_json(failed_load_report(options.server, code, reason, what, hint)));
  return complain(code, hint.empty() ? what : what + " " + hint);
}

// HOST, HOST:PORT, 192.0.2.1:3478 or [2001:db8::1]:3478.
Result<Address> resolve_server(const std::string& text) {
  if (const auto address = Address::parse(text, kTurnPort)) return *address;
  std::string host = text;
  unsigned long port = kTurnPort;
  if (const std::size_t colon = text.rfind(':'); colon != std::string::npos) {
    host = text.substr(0, colon);
    const std::string digits = text.substr(colon + 1);
    const bool number = !digits.empty() && digits.size() <= 5 && digits.find_first_not_of("0123456789") == digits.npos;
    port = number ? std::stoul(digits) : 0;
    if (port == 0 || port > 65535) return Error{"'" + text + "' is no server; give HOST or HOST:PORT."};
  }
  const auto addresses = net::resolve(host);
  if (!addresses) return addresses.error();
  return Address{addresses->front(), static_cast<std::uint16_t>(port)};
}

client::SessionOptions session_options(const LoadOptions& options) {
  client::SessionOptions session;
  session.algorithms = options.algorithms;
  session.fingerprint = false;
  if (!options.secret.empty()) {
    session.credentials =
        client::Credentials::from_secret(options.secret, options.user, read_clock().wall + kCredentialLifetime);
  } else {
    session.credentials = {options.user, options.password};
  }
  return session;
}

std::vector<TrafficClass> plain_classes(const LoadOptions& options) {
  TrafficClass traffic;
  traffic.direction = options.direction;
  traffic.size = options.size;
  traffic.run = options.run;
  traffic.packets_per_second = options.rate;
  for (std::uint32_t i = 0; i < options.allocations; ++i) traffic.flows.push_back(i);
  if (options.direction != Direction::kBoth) return {traffic};
  std::vector<TrafficClass> both{traffic, traffic};
  both[0].name = "up";
  both[0].direction = Direction::kUp;
  both[1].name = "down";
  both[1].direction = Direction::kDown;
  return both;
}

Status check_options(const LoadOptions& options) {
  const auto wrong = [](std::string text) { return Error{std::move(text)}; };
  if (options.size < Mark::kSize) {
    return wrong(fmt::format("--size must be {} at least, the room for sequence number and time.", Mark::kSize));
  }
  if (options.run == 0 || options.run > 64) return wrong("--run must be 1 to 64, what one UDP_SEGMENT send may hold.");
  if (std::size_t{options.run} * (options.size + 4) > 65507) {
    return wrong("--run times --size is more than one UDP_SEGMENT send may hold, 65,507 bytes.");
  }
  if (options.allocations == 0 || options.peers == 0 || options.parallel == 0) {
    return wrong("--allocations, --peers and --parallel must be 1 at least.");
  }
  return {};
}

struct Job {
  LoadOutcome outcome;
  FleetConfig fleet;
};

Result<Job> plan(const LoadOptions& options) {
  Job job;
  LoadOutcome& outcome = job.outcome;
  outcome.options = options;
  if (Status ok = check_options(options); !ok) return ok.error();
  if (options.profile.empty()) {
    outcome.classes = plain_classes(options);
    outcome.allocations = options.allocations;
  } else {
    const ProfileRow* row = find_profile(options.profile);
    if (row == nullptr) return Error{"There is no profile '" + options.profile + "'; '--profile list' shows them."};
    outcome.profile = plan_profile(*row, options.calls);
    outcome.classes = outcome.profile->classes;
    outcome.allocations = outcome.profile->allocations;
  }
  const auto server = resolve_server(options.server);
  if (!server) return server.error();
  outcome.server = *server;
  if (!options.local_address) {
    const auto local = client::source_address_for(*server);
    if (!local) return local.error();
    job.fleet.local = *local;
  } else {
    job.fleet.local = *options.local_address;
  }
  job.fleet.server = *server;
  job.fleet.peer = options.peer_address.value_or(job.fleet.local);
  job.fleet.allocations = outcome.allocations;
  job.fleet.peers = options.peers;
  job.fleet.parallel = options.parallel;
  job.fleet.session = session_options(options);
  if (job.fleet.peer.is_v4() != job.fleet.local.is_v4()) job.fleet.session.family = job.fleet.peer.family();
  job.fleet.segment = options.segment && std::any_of(outcome.classes.begin(), outcome.classes.end(),
                                                     [](const TrafficClass& traffic) { return traffic.run > 1; });
  return job;
}

void print_progress(const Progress& progress) {
  const double seconds = std::max(1e-9, std::chrono::duration<double>(progress.interval).count());
  const double offered = static_cast<double>(progress.offered) / seconds;
  const double delivered = static_cast<double>(progress.delivered) / seconds;
  fmt::print(stderr, "{:6.1f} s  offered {:9.0f} pkt/s  delivered {:9.0f} pkt/s{}\n",
             std::chrono::duration<double>(progress.since_start).count(), offered, delivered,
             progress.warming_up ? "  (warm-up)" : "");
}

// Allocations and channels, with what they cost the server. Not 0: the exit code to leave with.
int set_up(Fleet& fleet, LoadOutcome& outcome, StopSignal& stop) {
  const int pid = outcome.options.server_pid;
  std::optional<ServerUsage> before;
  if (pid != 0) {
    auto usage = read_server_usage(pid);
    if (!usage) return give_up(outcome.options, kExitCannotStart, "cannot-start", usage.error().text);
    before = *usage;
  }
  outcome.set_up = fleet.set_up([&] { return stop(); });
  if (before) {
    if (const auto after = read_server_usage(pid)) {
      outcome.set_up_cpu = after->cpu - before->cpu;
      outcome.resident_before = before->resident;
      outcome.resident_after = after->resident;
    }
  }
  if (const auto& failure = outcome.set_up.failure) {
    fleet.tear_down(kTearDown);
    const std::string reason = failure->code == 0 ? "no-answer" : fmt::format("error-{}", failure->code);
    return give_up(outcome.options, kExitFail, reason,
                   fmt::format("{} of {} allocations are ready; then: {}", outcome.set_up.made, outcome.allocations,
                               failure->text()),
                   hint_for(*failure, outcome.options, fleet.config().peer));
  }
  return 0;
}

}  // namespace

int run_load(const LoadOptions& options) {
  if (options.profile == "list") {
    fmt::print("{}", list_profiles());
    return kExitPass;
  }
  auto job = plan(options);
  if (!job) return give_up(options, kExitCannotStart, "cannot-start", job.error().text);
  LoadOutcome& outcome = job->outcome;
  StopSignal stop;
  auto opened = Fleet::open(job->fleet);
  if (!opened) return give_up(options, kExitCannotStart, "cannot-start", opened.error().text);
  Fleet& fleet = **opened;
  outcome.first_peer = fleet.peers().front().local();
  outcome.started = read_clock().wall;
  if (const int code = set_up(fleet, outcome, stop); code != 0) return code;
  if (stop()) {
    fleet.tear_down(kTearDown);
    return give_up(options, kExitFail, "interrupted", "Ended before all allocations were made; nothing was measured.");
  }

  GeneratorConfig config;
  config.echo = options.direction == Direction::kEcho && !outcome.profile;
  config.window = options.window;
  config.warm_up = options.warm_up;
  config.duration = options.duration;
  config.server_pid = options.server_pid;
  config.stop = [&] { return stop(); };
  if (!options.quiet) config.progress = print_progress;
  outcome.measured = Generator(fleet, outcome.classes, std::move(config)).run();
  fleet.tear_down(kTearDown);

  const LoadTotals totals = totals_of(outcome);
  const int exit_code = load_exit_code(outcome, totals);
  fmt::print("{}", options.json ? to_json(load_report(outcome, totals)) : load_text(outcome));
  if (exit_code == kExitFail) {
    return complain(exit_code, "Not one packet came through; a firewall between the server's relayed addresses and " +
                                   outcome.first_peer.to_string() + " is the usual reason.");
  }
  if (exit_code == kExitLoss) {
    return complain(exit_code, fmt::format("Loss is {:.3f} %, more than the {:g} % that are allowed.",
                                           totals.loss_percent, *options.max_loss));
  }
  return exit_code;
}

}  // namespace turnkit::probe
