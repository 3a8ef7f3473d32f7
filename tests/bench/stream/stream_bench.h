// The load generator of stream clients: what its parts share.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "client/transport.h"
#include "probe/load/server_usage.h"

namespace turnkit::bench {

struct Options {
  Address server;
  client::TransportKind transport = client::TransportKind::kTcp;
  std::optional<net::TlsVersion> newest_tls;  // unset: whatever both sides have
  std::string secret = "north";
  int server_pid = 0;  // 0: nothing of the server is measured
  Duration warm_up = std::chrono::seconds(1);
  Duration measured = std::chrono::seconds(3);
  // relay
  std::size_t clients = 50;
  bool up = true;            // client to peer; otherwise peer to client
  std::size_t size = 1100;   // bytes of data in a packet
  std::size_t run = 8;       // packets in one write of a client, or in one UDP_SEGMENT send of the peer
  std::size_t window = 256;  // packets under way, of all clients together
  // handshakes
  bool resume = false;
  std::size_t lanes = 16;  // threads, so that the server always has the next one at hand
};

// What a measured span cost.
struct Cost {
  double seconds = 0;
  std::optional<double> server_cpu_us;
  std::optional<double> server_resident;  // bytes, at the end
  double generator_cpu_us = 0;
};

// Begins now; finish() says what it cost. `server_pid` 0: only the generator.
class Meter {
 public:
  explicit Meter(int server_pid);
  [[nodiscard]] Cost finish() const;

 private:
  int server_pid_;
  TimePoint began_;
  std::optional<probe::ServerUsage> server_;
  Duration generator_;
};

// Each prints its evidence as one JSON object in the shape of `turn-probe load --json`.
Status run_relay(const Options& options);
Status run_handshakes(const Options& options);

}  // namespace turnkit::bench
