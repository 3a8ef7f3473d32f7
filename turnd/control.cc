#include "turnd/control.h"

#include <csignal>

#include <atomic>
#include <utility>

#include "base/log.h"
#include "turnd/certificates.h"
#include "turnd/process.h"

namespace turnkit::turnd {

namespace {

constexpr std::chrono::milliseconds kDrainLook{200};
constexpr std::chrono::seconds kDrainReport{10};
constexpr std::chrono::hours kExpiryLook{12};

}  // namespace

// How many workers have answered since the last time all of them were asked.
struct Control::Heartbeat {
  std::atomic<std::size_t> answered{0};
};

Control::Control(Server& server, Reloader reloader, Notifier notifier)
    : server_(server),
      reloader_(std::move(reloader)),
      notifier_(std::move(notifier)),
      drain_timer_(loop_, [this] { look_at_drain(); }),
      watchdog_timer_(loop_, [this] { look_at_workers(); }),
      expiry_timer_(loop_, [this] { look_at_certificate(); }) {}

Control::~Control() = default;

void Control::watch_signals() {
  const auto watch = [this](int number, std::function<void()> callback) {
    signals_.push_back(std::make_unique<net::SignalWatch>(loop_, number, std::move(callback)));
  };
  watch(SIGTERM, [this] { end("SIGTERM"); });
  watch(SIGINT, [this] { end("SIGINT"); });
  watch(SIGHUP, [this] { reload(); });
  watch(SIGUSR1, [this] { on_drain_signal(); });
  watch(SIGUSR2, [this] { reload_certificate(); });
  unblock_control_signals();
}

void Control::run() {
  // The signals that open() blocked stay so in the workers' threads, which inherit the mask: they come to this thread.
  server_.start(loop_);
  watch_signals();
  log::info("Total relay threads: {}", server_.workers().size());
  log::info("Total auth threads: 0");  // keys are looked up on the relay threads
  expiry_timer_.every(kExpiryLook);
  if (notifier_.watchdog()) {
    look_at_workers();
    watchdog_timer_.every(*notifier_.watchdog() / 3);
  }
  notifier_.ready("serving");
  loop_.run();

  notifier_.stopping(fmt::format("ending {} allocations", server_.allocations()));
  log::info("shutting down: {} allocations end", server_.allocations());
  server_.stop();
}

void Control::end(std::string_view why) {
  if (drain_) log::info("{}: the drain ends here, {}", why, drain_state());
  loop_.stop();
}

void Control::reload() {
  notifier_.reloading();
  CommandLine line = reloader_.read(server_.config(), server_.files());
  bool done = false;
  if (!line.run) {
    for (const std::string& error : line.errors) log::error("{}", error);
    log::reopen();
  } else {
    log_findings(line);
    const auto fixed = server_.reload(std::move(line.config));
    done = fixed.has_value();
    if (!done) log::error("{}", fixed.error().text);
    for (const std::string& text : done ? *fixed : std::vector<std::string>()) log::warning("{}", text);
  }
  if (done) {
    log::info("SIGHUP: the configuration is read again and in force");
  } else {
    log::error("SIGHUP: the configuration has errors; the one in force stays");
  }
  notifier_.ready(drain_ ? drain_state() : done ? "serving" : "serving; the last reload failed, see the log");
}

void Control::reload_certificate() {
  if (server_.tls() == nullptr) return log::warning("SIGUSR2: there is no certificate to read again; ignored");
  const Status status = server_.reload_certificate();
  if (!status) return log::error("SIGUSR2: {}", status.error().text);
  log::info("SIGUSR2: the certificate is read again");
}

std::string Control::drain_state() const {
  const auto elapsed = std::chrono::duration_cast<std::chrono::seconds>(read_clock().mono - drain_->began);
  std::string text = fmt::format("draining for {} s, {} allocations left", elapsed.count(), server_.allocations());
  if (const auto timeout = server_.config().drain_timeout; timeout.count() > 0) {
    text += fmt::format(", at most {} s more", std::max<std::int64_t>((timeout - elapsed).count(), 0));
  }
  return text;
}

void Control::on_drain_signal() {
  if (drain_) return log::info("SIGUSR1: {}", drain_state());
  const TimePoint now = read_clock().mono;
  drain_ = Drain{now, server_.allocations(), now};
  server_.drain();
  log::info("SIGUSR1: {}; new ones are refused, or sent to an alternate server", drain_state());
  notifier_.status(drain_state());
  drain_timer_.every(kDrainLook);
}

void Control::look_at_drain() {
  const Config& config = server_.config();
  const std::uint32_t left = server_.allocations();
  const TimePoint now = read_clock().mono;
  const bool late = config.drain_timeout.count() > 0 && now - drain_->began >= config.drain_timeout;
  if (left <= config.drain_min_allocations || late) {
    drain_timer_.cancel();
    log::info("drain completed: {} allocations left{}", left, late ? ", drain-timeout is over" : "");
    return loop_.stop();
  }
  if (left == drain_->reported || now - drain_->reported_at < kDrainReport) return;
  drain_->reported = left;
  drain_->reported_at = now;
  log::info("{}", drain_state());
  notifier_.status(drain_state());
}

// The manager hears that turnd is alive only when every worker has served a task since the last time.
void Control::look_at_workers() {
  const std::size_t workers = server_.workers().size();
  if (heartbeat_ && heartbeat_->answered.load() < workers) return;
  if (heartbeat_) notifier_.alive();
  heartbeat_ = std::make_shared<Heartbeat>();
  for (const auto& worker : server_.workers()) {
    worker->loop().post([heartbeat = heartbeat_] { heartbeat->answered.fetch_add(1); });
  }
}

void Control::look_at_certificate() {
  if (server_.tls() == nullptr) return;
  const std::string warning = expiry_warning(*server_.tls(), server_.config().cert, read_clock().wall);
  if (!warning.empty()) log::warning("{}", warning);
}

}  // namespace turnkit::turnd
