// Harness: a TURN server under test with the network around it. Two implementations serve the same test bodies: the
// engine alone, with a network of tables and virtual time, and the real turnd, with sockets on loopback and real time.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/access_token.h"
#include "base/address.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "turnd/engine/quota.h"

namespace turnkit::conformance {

using namespace std::chrono_literals;

// What a server under test is started with; the names are those of turnd's options.
struct Options {
  bool ipv6 = false;           // listen and relay on ::1, too
  unsigned listeners = 1;      // IPv4 addresses to listen on: Harness::ip(101), ip(102) and so on
  bool listen_on_all = false;  // binary only: listen on 0.0.0.0, which has all of these addresses
  bool relay_v4 = true;        // false: relay on ::1 only
  std::uint16_t min_port = 49152;
  std::uint16_t max_port = 65535;
  std::string default_family;  // allocation-default-address-family; empty: not given
  bool no_udp_relay = false;

  bool authenticate = true;
  std::string realm = "example.org";
  std::vector<std::pair<std::string, std::string>> users = {{"alice", "wonderland"}, {"bob", "builder"}};
  std::vector<std::string> secrets;
  std::chrono::seconds nonce_lifetime{600};

  std::chrono::seconds max_lifetime{3600};
  std::chrono::seconds permission_lifetime{300};
  std::chrono::seconds channel_lifetime{600};
  std::uint32_t max_permissions = 1024;
  std::uint32_t max_channels = 1024;
  bool rfc8656_channels = false;
  std::uint32_t user_quota = 0;
  std::uint32_t total_quota = 0;
  std::uint64_t max_bps = 0;

  bool allow_loopback_peers = true;
  std::vector<std::string> denied_peers;
  std::vector<std::string> allowed_peers;
  bool software = false;
  bool fingerprint = false;
  bool no_stun = false;
  bool stun_only = false;

  std::vector<auth::OAuthKey> oauth_keys;  // not empty: oauth is on
  std::string server_name;                 // empty: the realm
  std::map<std::string, std::string> origin_realms;
  std::vector<std::array<std::string, 3>> realm_users;  // realm, name, password
  bool check_origin = false;
  std::map<std::string, engine::RealmQuota> realm_quotas;

  std::vector<Address> alternates;      // alternate-server
  std::vector<Address> udp_alternates;  // udp-alternate-server
  bool include_reason_string = false;
  bool secure_stun = false;
  bool mapped_address = false;  // stun-backward-compatibility
  bool rfc3489 = false;
  bool rfc5780 = false;  // with kAlternatePort on each IPv4 listener: the servers after the first `listeners`
  bool server_relay = false;
  std::uint32_t unauthorized_rps = 0;
  std::uint64_t bps_capacity = 0;

  bool can_set_dont_fragment = true;  // engine only: what the system is able to do
};

inline constexpr std::uint16_t kPort = 3478;
inline constexpr std::uint16_t kAlternatePort = 3479;

struct Datagram {
  Address from;
  std::vector<std::byte> data;
  std::uint8_t tos = 0;    // binary only: as received
  int ttl = 0;             // likewise; the hop limit for IPv6
  std::uint32_t flow = 0;  // likewise; the flow label
  [[nodiscard]] std::string text() const { return std::string(as_text(data)); }
};

// How a datagram leaves a socket; 0 leaves the system's default. The engine has no use for it.
struct SendAs {
  std::uint8_t tos = 0;
  int ttl = 0;
};

// A UDP socket of a client or a peer.
class Socket {
 public:
  virtual ~Socket() = default;
  [[nodiscard]] const Address& local() const { return local_; }
  virtual void send(const Address& to, Bytes data, const SendAs& as = {}) = 0;
  void send(const Address& to, std::string_view text) { send(to, as_bytes(text)); }
  // The next datagram. Waits as long as one could still come on a loaded machine; nullopt: none did.
  virtual std::optional<Datagram> receive() = 0;
  // The next datagram that is here already.
  virtual std::optional<Datagram> poll() = 0;

 protected:
  Address local_;
};

class Harness {
 public:
  virtual ~Harness() = default;

  [[nodiscard]] const Options& options() const { return options_; }
  // True when time is virtual and advance() costs nothing.
  [[nodiscard]] virtual bool is_virtual() const = 0;
  // The n-th IPv4 address of this harness, 1 to 254. Those from 101 are the server's listeners, 100 is its relay.
  [[nodiscard]] virtual IpAddress ip(unsigned n) const = 0;
  // Where the server listens; IPv6 after the IPv4 addresses.
  [[nodiscard]] const Address& server(std::size_t index = 0) const { return servers_.at(index); }
  [[nodiscard]] const Address& server_v6() const { return servers_.back(); }

  // A port of 0 picks a free one.
  virtual std::unique_ptr<Socket> open(const Address& local) = 0;
  virtual void advance(Duration duration) = 0;
  [[nodiscard]] virtual Now now() const = 0;

 protected:
  explicit Harness(Options options) : options_(std::move(options)) {}

  const Options options_;
  std::vector<Address> servers_;
};

// Where each case runs.
enum class Kind : std::uint8_t { kEngine, kBinary };
std::unique_ptr<Harness> make_harness(Kind kind, const Options& options);
// Whether sockets can be bound to ::1.
bool host_has_ipv6();

}  // namespace turnkit::conformance
