// `turn-probe load`: a TURN load generator. Makes allocations over UDP with a channel each to peer sockets of its own,
// sends packets through the relay, and measures what arrives, how late, and what that costs the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "client/long_term.h"

namespace turnkit::probe {

// Which way packets go through the relay.
enum class Direction : std::uint8_t {
  kUp,    // client to peer
  kDown,  // peer to client
  kBoth,  // both at the same time, as separate flows
  kEcho,  // client to peer, which sends them back: latency is a round trip
};

struct LoadOptions {
  std::string server;  // HOST or HOST:PORT; port 3478 unless said
  std::string user;    // with `password`
  std::string password;
  std::string secret;  // TURN REST: user name and password are made from it
  client::AlgorithmPolicy algorithms = client::AlgorithmPolicy::kBest;
  unsigned allocations = 100;
  unsigned peers = 1;                      // peer sockets; allocation i talks to peer i modulo this
  std::optional<IpAddress> peer_address;   // of the peer sockets; unset: the local address towards the server
  std::optional<IpAddress> local_address;  // of the client sockets; unset: the same
  Direction direction = Direction::kUp;
  unsigned size = 172;    // bytes of a packet, without TURN's header
  unsigned run = 1;       // packets of one flow in a row, sent with UDP_SEGMENT
  bool segment = true;    // runs leave with UDP_SEGMENT; off: one datagram at a time, as most senders do
  double rate = 0;        // packets a second over all flows, per direction; 0: flat out
  unsigned window = 256;  // flat out: packets under way at most; 0: no limit (open loop)
  std::chrono::milliseconds warm_up{1000};
  std::chrono::milliseconds duration{10000};
  unsigned parallel = 64;          // set-up: allocations in the making at a time
  int server_pid = 0;              // 0: no measurement of the server
  std::optional<double> max_loss;  // percent; more is exit code 3
  std::string profile;             // a row of the deployment guide's benchmark table; "list"; empty: none
  unsigned calls = 0;              // profile: calls instead of the row's; 0: the row's
  bool json = false;               // one JSON document on standard output instead of text
  bool quiet = false;              // no progress lines
};

// Runs until the duration is over or Ctrl-C. Progress goes to standard error, the result to standard output.
// Exit codes: 0, 1 (no load could be made; the reason and a hint are printed), 3 (loss above max_loss), 4 (cannot
// start).
int run_load(const LoadOptions& options);

}  // namespace turnkit::probe
