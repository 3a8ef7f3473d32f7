#include "turnd/session_log.h"

#include <string_view>
#include <utility>
#include <vector>

#include "base/encoding.h"
#include "base/log.h"
#include "stun/attributes.h"
#include "stun/message.h"
#include "turnd/engine/allocation.h"

namespace turnkit::turnd {

namespace {

using engine::Allocation;
using engine::Event;
using engine::Usage;

constexpr std::size_t kMaxExplained = 64;
// Strangers may have this many lines a second, and a burst of 256.
constexpr std::uint64_t kStrangerLinesPerSecond = 100;
constexpr std::size_t kLineCost = 256;  // in the bucket's bytes
// Sessions of coturn begin with the three digits of a relay thread; there is no thread 999.
constexpr std::uint64_t kStrangerSessions = 999'000'000'000'000'000;

std::string session_id(std::uint64_t id) { return fmt::format("{:018}", id); }

// coturn's name of a request in its log.
std::string_view packet_name(stun::Method method) {
  switch (method) {
    case stun::Method::kAllocate:
      return "ALLOCATE";
    case stun::Method::kRefresh:
      return "REFRESH";
    case stun::Method::kCreatePermission:
      return "CREATE_PERMISSION";
    case stun::Method::kChannelBind:
      return "CHANNEL_BIND";
    case stun::Method::kBinding:
      return "BINDING";
    case stun::Method::kConnect:
      return "CONNECT";
    case stun::Method::kConnectionBind:
      return "CONNECTION_BIND";
    default:
      return stun::method_name(method);
  }
}

bool is_coturn(LogFormat format) { return format != LogFormat::kNative && format != LogFormat::kJson; }

bool is_authentication_failure(stun::Code code) {
  return code == stun::Code::kUnauthenticated || code == stun::Code::kStaleNonce;
}

std::string outcome_text(std::optional<stun::Code> error) {
  if (!error) return "success";
  const std::string_view phrase =
      *error == stun::Code::kUnauthenticated ? "Unauthorized" : stun::reason_phrase(*error);  // as coturn says
  return fmt::format("error {}: {}", static_cast<unsigned>(*error), phrase);
}

std::string usage_text(const Usage& usage) {
  return fmt::format("rp={}, rb={}, sp={}, sb={}", usage.received_packets, usage.received_bytes, usage.sent_packets,
                     usage.sent_bytes);
}

// ", cipher=TLS_AES_256_GCM_SHA384, method=TLSv1.3"; empty without TLS.
std::string protection_text(const Allocation& allocation) {
  const std::string protection = allocation.path == nullptr ? std::string() : allocation.path->protection();
  const std::size_t blank = protection.find(' ');
  if (blank == std::string::npos) return {};
  return fmt::format(", cipher={}, method={}", protection.substr(blank + 1), protection.substr(0, blank));
}

using Rules = SessionLog::Rules;

// Sessions without credentials have no realm of their own.
const std::string& realm_of(const Allocation& allocation, const Rules& rules) {
  return allocation.identity.realm.empty() ? rules.authenticator->realms().default_realm() : allocation.identity.realm;
}

// One line and, for JSON, its fields.
class Line {
 public:
  Line(log::Level level, std::string_view event) : level_(level) { with("event", event); }
  Line(log::Level level, std::string_view event, const Allocation& allocation, const Rules& rules)
      : Line(level, event) {
    with("session", session_id(allocation.session_id)).with("user", allocation.identity.user);
    with("realm", realm_of(allocation, rules)).with("client", log::shown(allocation.tuple.client));
    with("server", allocation.tuple.server.to_string());
  }
  Line& with(std::string_view key, std::string_view text) {
    fields_.emplace_back(key, std::string(text), 0, false);
    return *this;
  }
  Line& with(std::string_view key, std::uint64_t number) {
    fields_.emplace_back(key, std::string(), number, true);
    return *this;
  }
  Line& with(const std::string& prefix, const Usage& usage) {
    owned_keys_.reserve(16);
    const auto add = [&](const char* name, std::uint64_t number) {
      with(owned_keys_.emplace_back(prefix + name), number);
    };
    add("_received_packets", usage.received_packets);
    add("_received_bytes", usage.received_bytes);
    add("_sent_packets", usage.sent_packets);
    add("_sent_bytes", usage.sent_bytes);
    return *this;
  }
  void write(std::string_view text) const {
    std::vector<log::Field> fields;
    for (const Entry& entry : fields_) {
      fields.push_back(entry.is_number ? log::Field(entry.key, entry.number) : log::Field(entry.key, entry.text));
    }
    log::write(level_, text, fields);
  }

 private:
  struct Entry {
    Entry(std::string_view k, std::string t, std::uint64_t n, bool is)
        : key(k), text(std::move(t)), number(n), is_number(is) {}
    std::string_view key;
    std::string text;
    std::uint64_t number;
    bool is_number;
  };
  log::Level level_;
  std::vector<Entry> fields_;
  std::vector<std::string> owned_keys_;
};

// What most lines name.
struct Names {
  std::string session;
  std::string user;
  std::string realm;
  Names(const Allocation& allocation, const Rules& rules)
      : session(fmt::format("session {}", session_id(allocation.session_id))),
        user(escaped(allocation.identity.user)),
        realm(escaped(realm_of(allocation, rules))) {}
};

std::string closed_text(const Names& names, const Allocation& allocation, std::string_view reason) {
  return fmt::format("{}: closed (2nd stage), user <{}> realm <{}> origin <{}>, local {}, remote {}, reason: {}",
                     names.session, names.user, names.realm, escaped(allocation.identity.origin),
                     allocation.tuple.server.to_string(), log::shown(allocation.tuple.client), reason);
}

void write_end(const Event& event, const Rules& rules) {
  const Allocation& allocation = event.allocation;
  const Names names(allocation, rules);
  Line closed(log::Level::kInfo, "closed", allocation, rules);
  closed.with("origin", allocation.identity.origin).with("reason", event.reason);
  closed.with("client", allocation.client_usage).with("peer", allocation.peer_usage);
  if (rules.format == LogFormat::kJson) return closed.write(closed_text(names, allocation, event.reason));
  log::info("{}: usage: realm=<{}>, username=<{}>, {}", names.session, names.realm, names.user,
            usage_text(allocation.client_usage));
  log::info("{}: peer usage: realm=<{}>, username=<{}>, {}", names.session, names.realm, names.user,
            usage_text(allocation.peer_usage));
  // coturn has no words of its own for a Refresh with lifetime 0.
  const bool by_client = is_coturn(rules.format) && event.reason == "deleted by the client";
  closed.write(closed_text(names, allocation, by_client ? "allocation timeout" : event.reason));
  log::info("{}: delete: realm=<{}>, username=<{}>", names.session, names.realm, names.user);
}

void write_begin(const Event& event, std::string_view name, const Rules& rules) {
  const Names names(event.allocation, rules);
  const auto lifetime = static_cast<std::uint64_t>(event.lifetime.count());
  Line line(log::Level::kInfo, name, event.allocation, rules);
  line.with("lifetime", lifetime);
  if (event.allocation.path != nullptr) line.with("protection", event.allocation.path->protection());
  line.write(fmt::format("{}: {}, realm=<{}>, username=<{}>, lifetime={}{}", names.session, name, names.realm,
                         names.user, lifetime, protection_text(event.allocation)));
}

// Permissions and channels. coturn writes both in the same words.
void write_peer(const Event& event, std::string_view name, const Rules& rules) {
  const bool channel = event.kind == Event::Kind::kChannelBound || event.kind == Event::Kind::kChannelUnbound;
  const bool added = event.kind == Event::Kind::kPermissionAdded || event.kind == Event::Kind::kChannelBound;
  const std::string peer = channel ? log::shown(event.peer) : log::shown(event.peer.ip);
  Line line(log::Level::kInfo, name, event.allocation, rules);
  line.with("peer", peer);
  if (channel) line.with("channel", event.channel);
  if (added) line.with("lifetime", static_cast<std::uint64_t>(event.lifetime.count()));
  const bool numbered = channel && rules.format == LogFormat::kNative;
  line.write(fmt::format("session {}: peer {}{}{}", session_id(event.allocation.session_id), peer,
                         numbered ? fmt::format(" channel {:#06x}", event.channel) : std::string(),
                         added ? fmt::format(" lifetime updated: {}", event.lifetime.count()) : " deleted"));
}

void write_other(const Event& event, std::string_view name, const Rules& rules, std::string_view words) {
  Line line(log::Level::kInfo, name, event.allocation, rules);
  line.with("address", log::shown(event.peer));
  if (!event.reason.empty()) line.with("reason", event.reason);
  line.write(fmt::format("session {}: {}", session_id(event.allocation.session_id), words));
}

}  // namespace

SessionLog::SessionLog(Rules rules)
    : verbosity_(rules.verbosity),
      binding_(rules.binding),
      rules_(std::make_shared<const Rules>(std::move(rules))),
      stranger_lines_(kStrangerLinesPerSecond * kLineCost, std::chrono::milliseconds(0), read_clock().mono) {}

void SessionLog::set_rules(Rules rules) {
  const std::lock_guard lock(mutex_);
  verbosity_.store(rules.verbosity, std::memory_order_relaxed);
  binding_.store(rules.binding, std::memory_order_relaxed);
  rules_ = std::make_shared<const Rules>(std::move(rules));
  explained_.clear();
}

std::shared_ptr<const SessionLog::Rules> SessionLog::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

void SessionLog::on_event(const Event& event) {
  const bool denied = event.kind == Event::Kind::kPeerDenied;
  if (verbosity_.load(std::memory_order_relaxed) == 0 && !denied) return;
  const auto rules = this->rules();
  if (denied) return on_denied(event, *rules);
  switch (event.kind) {
    case Event::Kind::kAllocationCreated:
      return write_begin(event, "new", *rules);
    case Event::Kind::kAllocationRefreshed:
      return write_begin(event, "refreshed", *rules);
    case Event::Kind::kAllocationDeleted:
      return write_end(event, *rules);
    case Event::Kind::kPermissionAdded:
      return write_peer(event, "permission", *rules);
    case Event::Kind::kPermissionRemoved:
      return write_peer(event, "permission_deleted", *rules);
    case Event::Kind::kChannelBound:
      return write_peer(event, "channel", *rules);
    case Event::Kind::kChannelUnbound:
      return write_peer(event, "channel_deleted", *rules);
    case Event::Kind::kLegDeleted:
      return write_other(event, "relay_deleted", *rules,
                         fmt::format("relayed address {} deleted", event.peer.to_string()));
    case Event::Kind::kPeerConnected:
      return write_other(event, "peer_connected", *rules,
                         fmt::format("TCP peer {}: {}", log::shown(event.peer), event.reason));
    case Event::Kind::kPeerDisconnected:
      return write_other(event, "peer_disconnected", *rules,
                         fmt::format("TCP peer {} closed, reason: {}", log::shown(event.peer), event.reason));
    case Event::Kind::kAllocationMoved:
      return write_other(event, "moved", *rules, fmt::format("client moved to {}", log::shown(event.peer)));
    case Event::Kind::kPathLost:
      return write_other(
          event, "away", *rules,
          fmt::format("client {} is away, reason: {}", log::shown(event.allocation.tuple.client), event.reason));
    case Event::Kind::kPeerDenied:
      return;
  }
}

void SessionLog::on_request(const engine::RequestEvent& event) {
  const int verbosity = verbosity_.load(std::memory_order_relaxed);
  if (event.method == stun::Method::kBinding) {
    if (!binding_.load(std::memory_order_relaxed)) return;
  } else if (verbosity == 0) {
    return;
  }
  const auto rules = this->rules();
  const bool stranger = event.allocation == nullptr || (event.error && is_authentication_failure(*event.error));
  if (stranger) return on_stranger_request(event, *rules);
  on_session_request(event, *rules);
}

void SessionLog::on_session_request(const engine::RequestEvent& event, const Rules& rules) {
  const Names names(*event.allocation, rules);
  Line line(log::Level::kInfo, "request", *event.allocation, rules);
  line.with("method", stun::method_name(event.method));
  line.with("error", event.error ? static_cast<std::uint64_t>(*event.error) : std::uint64_t{0});
  line.write(fmt::format("{}: realm <{}> user <{}>: incoming packet {} processed, {}", names.session, names.realm,
                         names.user, packet_name(event.method), outcome_text(event.error)));
}

// Requests that prove nothing. With a user name and 401 they are what fail2ban looks for; the others are ordinary
// beginnings of sessions (RFC 8489, section 9.2.3.1).
void SessionLog::on_stranger_request(const engine::RequestEvent& event, const Rules& rules) {
  const bool coturn = is_coturn(rules.format);
  const bool failed = event.error == stun::Code::kUnauthenticated;
  const auto attribute = event.message == nullptr ? std::nullopt : event.message->find(stun::Attr::kUsername);
  const std::string user = attribute ? std::string(as_text(attribute->value)) : std::string();
  // Only where its source is proven: a forged one would have somebody else banned.
  const bool proven = event.tuple.transport != engine::Transport::kUdp ||
                      (event.message != nullptr &&
                       rules.authenticator->has_own_nonce(*event.message, event.tuple.client, read_clock().wall));
  const bool wrong = failed && proven && !user.empty();
  const bool wanted = wrong || event.method == stun::Method::kBinding || rules.verbosity >= 2 || (failed && coturn);
  if (!wanted || !admit_stranger_line()) return;

  const std::string realm = event.message == nullptr ? rules.authenticator->realms().default_realm()
                                                     : rules.authenticator->realms().realm_of(*event.message);
  const std::string client = log::shown(event.tuple.client);
  const std::string server = event.tuple.server.to_string();
  const std::uint64_t id = event.allocation != nullptr ? event.allocation->session_id : next_stranger_session();
  const std::string session = "session " + session_id(id);
  const bool unproven = event.error && is_authentication_failure(*event.error);
  const std::string text =
      fmt::format("{}: realm <{}> user <{}>: incoming packet {} processed, {}", session, escaped(realm), escaped(user),
                  unproven ? "message" : packet_name(event.method), outcome_text(event.error));
  Line line(wrong || coturn || event.method == stun::Method::kBinding ? log::Level::kInfo : log::Level::kDebug,
            "request");
  line.with("session", session_id(id)).with("user", user).with("realm", realm).with("client", client);
  line.with("server", server).with("method", stun::method_name(event.method));
  line.with("error", event.error ? static_cast<std::uint64_t>(*event.error) : std::uint64_t{0});
  line.with("proven", proven ? "yes" : "no");
  if (!coturn)
    return line.write(fmt::format("{}, {} {}", text, proven || !failed ? "remote" : "unproven source", client));
  if (wrong) log::error("check_stun_auth: user {} credentials are incorrect", escaped(user));
  line.write(text);
  // coturn names the client in no other line; a session of its own ends here.
  if (wrong && event.allocation == nullptr) {
    log::info("{}: closed (2nd stage), user <{}> realm <{}> origin <>, local {}, remote {}, reason: general", session,
              escaped(user), escaped(realm), server, client);
  }
}

// Port scans, broken handshakes, and connections of load balancers that only see whether somebody answers.
void SessionLog::on_useless_connection(const engine::FiveTuple& tuple, std::string_view reason) {
  const int verbosity = verbosity_.load(std::memory_order_relaxed);
  if (verbosity == 0) return;
  const auto rules = this->rules();
  const bool coturn = is_coturn(rules->format);
  if ((!coturn && verbosity < 2) || !admit_stranger_line()) return;
  const std::string client = log::shown(tuple.client);
  const std::string session = session_id(next_stranger_session());
  Line line(coturn ? log::Level::kInfo : log::Level::kDebug, "useless_connection");
  line.with("session", session).with("client", client).with("server", tuple.server.to_string());
  line.with("reason", reason);
  if (!coturn) return line.write(fmt::format("connection from {} ends: {}", client, reason));
  const std::string what(reason);
  if (what.starts_with("Connection ")) {  // reset by peer, timed out
    const char* kind = tuple.transport == engine::Transport::kTls ? "TLS/TCP" : "TCP";
    log::error("session {}: {} socket error: {} {}", session, kind, what, client);
  }
  line.write(fmt::format(
      "session {}: closed (2nd stage), user <> realm <{}> origin <>, local {}, remote {}, reason: {}", session,
      escaped(rules->authenticator->realms().default_realm()), tuple.server.to_string(), client, what));
}

std::uint64_t SessionLog::next_stranger_session() {
  const std::lock_guard lock(mutex_);
  return kStrangerSessions + next_stranger_++;
}

bool SessionLog::admit_stranger_line() {
  std::uint64_t left_out = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!stranger_lines_.take(kLineCost, read_clock().mono)) {
      ++left_out_;
      return false;
    }
    left_out = std::exchange(left_out_, 0);
  }
  if (left_out != 0) log::info("{} requests without a valid login are not in the log: there were too many", left_out);
  return true;
}

// Once for each peer, with the line that would allow it; in between it would only fill the disk.
void SessionLog::on_denied(const Event& event, const Rules& rules) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = explained_.size() < kMaxExplained && explained_.insert(event.peer.ip).second;
  }
  if (!first && (rules.verbosity == 0 || !admit_stranger_line())) return;
  Line line(log::Level::kWarning, "peer_denied", event.allocation, rules);
  line.with("peer", log::shown(event.peer)).with("reason", event.reason);
  const bool whole = log::shown(event.peer) == event.peer.to_string();
  line.write(fmt::format("session {}: {}", session_id(event.allocation.session_id),
                         whole ? rules.policy->explain(event.peer)
                               : fmt::format("peer {} is denied: {}", log::shown(event.peer), event.reason)));
}

}  // namespace turnkit::turnd
