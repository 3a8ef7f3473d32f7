// EngineHarness: the engine between a fake network and a fake clock. It does what relay::Worker does around the engine,
// with tables in place of sockets.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "auth/authenticator.h"
#include "base/random.h"
#include "tests/conformance/harness/fake_ports.h"
#include "tests/conformance/harness/harness.h"
#include "turnd/engine/engine.h"

namespace turnkit::conformance {

// Counts what the engine reports, and checks that additions and removals balance.
class Ledger final : public engine::Observer {
 public:
  void on_event(const engine::Event& event) override;
  void on_request(const engine::RequestEvent& event) override;

  [[nodiscard]] std::uint64_t count(engine::Event::Kind kind) const { return counts_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::uint64_t requests() const { return requests_; }

 private:
  std::array<std::uint64_t, 16> counts_{};
  std::uint64_t requests_ = 0;
};

class EngineHarness final : public Harness {
 public:
  explicit EngineHarness(const Options& options, std::uint64_t seed = 1);
  ~EngineHarness() override;

  [[nodiscard]] bool is_virtual() const override { return true; }
  [[nodiscard]] IpAddress ip(unsigned n) const override;
  std::unique_ptr<Socket> open(const Address& local) override;
  // Runs the engine's sweeps on the way.
  void advance(Duration duration) override;
  [[nodiscard]] Now now() const override { return now_; }

  // Time passes, but the loop is too busy to sweep.
  void advance_without_sweep(Duration duration);
  // From now on these rules hold.
  void change_config(const std::function<void(engine::EngineConfig&)>& change);
  // Frees all that has expired by now.
  void sweep_all();
  // An ICMP error about a datagram from `relayed` to `peer`; true when it was passed on to the client.
  bool icmp_error(const Address& relayed, const Address& peer, const stun::Icmp& icmp);
  // Hands bytes to the server as from `client`, and returns what it answered at once; empty: nothing.
  std::vector<std::byte> ask(const Address& client, Bytes message, std::size_t server = 0);

  [[nodiscard]] engine::Engine& engine() { return *engine_; }
  [[nodiscard]] FakePorts& ports() { return ports_; }
  [[nodiscard]] const Ledger& ledger() const { return ledger_; }
  [[nodiscard]] engine::Quotas& quotas() { return quotas_; }
  [[nodiscard]] engine::Drop last_drop() const { return last_drop_; }
  [[nodiscard]] const engine::Outcome& last_outcome() const { return last_outcome_; }

 private:
  class FakeSocket;
  class Path final : public engine::ClientPath {};

  void carry(const Address& from, const Address& to, Bytes data);
  void from_client(const engine::FiveTuple& tuple, Bytes datagram);
  void channel_data_from_client(const engine::FiveTuple& tuple, Bytes datagram);
  void to_peer(engine::Allocation& allocation, engine::RelayEndpoint& relay, const Address& peer, Bytes data);
  void from_peer(engine::RelayEndpoint& relay, const Address& peer, Bytes data);
  void to_client(const engine::FiveTuple& tuple, std::vector<std::byte> data);
  [[nodiscard]] engine::EngineConfig config() const;

  SeededRandom random_;
  Now now_;
  auth::StaticUsers users_;
  auth::RestSecrets secrets_;
  auth::CombinedStore store_;
  auth::Authenticator authenticator_;
  turnd::PeerPolicy policy_;
  engine::Quotas quotas_;
  Ledger ledger_;
  FakePorts ports_;
  Path path_;
  std::unique_ptr<engine::Engine> engine_;
  std::map<Address, FakeSocket*> sockets_;
  std::uint16_t next_port_ = 20000;
  engine::Drop last_drop_ = engine::Drop::kNone;
  engine::Outcome last_outcome_;
  std::vector<std::byte>* ask_ = nullptr;  // where the answer of ask() goes
};

}  // namespace turnkit::conformance
