// What `turn-probe nat` saw over one family, as plain values: the input of findings.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "probe/stun/exchange.h"

namespace turnkit::probe {

// One filtering test on a socket of its own: first a request that opens the mapping, then one whose answer is to come
// from elsewhere (RFC 5780, section 4.4).
struct FilterTest {
  BindingOutcome first;
  BindingOutcome changed;
  Address expected;  // where the answer is to come from
  [[nodiscard]] bool passed() const { return changed.ok() && changed.answer->source == expected; }
};

struct MappingTest {
  Address to;
  BindingOutcome outcome;
};

struct PortPair {
  std::uint16_t local = 0;
  Address mapped;
};

// One mapping that was left alone for `idle`, then sent to from the server at another socket's request (RFC 5780,
// section 4.6).
struct LifetimeTest {
  std::chrono::milliseconds idle{0};
  bool alive = false;
};

struct LifetimeEvidence {
  bool opened = false;       // the mappings to be left alone came about
  bool supported = false;    // RESPONSE-PORT worked on a fresh mapping
  int error_code = 0;        // what the server said to RESPONSE-PORT instead
  bool interrupted = false;  // stopped before the end because two in a row had expired, or nothing was left to learn
  std::chrono::seconds limit{0};
  std::vector<LifetimeTest> tests;  // by idle time
};

struct SizeTest {
  std::size_t packet = 0;               // bytes with IP and UDP headers, sent with DF
  bool passed = false;                  // the server got it
  std::optional<IpAddress> refused_by;  // ICMP "too big" came from there
};

// A router on the way, from its ICMP "time exceeded".
struct Hop {
  unsigned ttl = 0;
  std::optional<IpAddress> ip;  // nullopt: silent
};

enum class TcpReach : std::uint8_t { kNotTried, kAnswers, kConnects, kFails };

struct NatEvidence {
  std::string host;  // as typed
  Address server;    // A1:P1
  IpAddress local;   // towards it
  std::string local_error;
  BindingOutcome basic;                // the first request
  TcpReach tcp = TcpReach::kNotTried;  // asked when UDP is silent

  std::optional<FilterTest> both, ip_only, port_only;
  // The first test's CHANGE-REQUEST again, after a request to the other address from the same socket has opened the
  // filter: an answer proves that the server does send from there.
  std::optional<BindingOutcome> opened, control;

  std::vector<MappingTest> mapping;   // from one socket: A1:P1, A2:P1, A2:P2, A1:P2, A1:P1 again
  std::vector<MappingTest> compared;  // from the same socket: the other servers named
  std::vector<PortPair> ports;        // of sockets with ports in a row, all towards A1:P1
  std::vector<SizeTest> sizes;
  std::optional<BindingOutcome> padded;  // a request of 1500 bytes with PADDING, for an answer as large
  std::vector<Hop> path;                 // empty: not seen
  bool hairpin_tried = false;
  std::optional<Address> hairpin_source;  // our packet to our own mapped address came back, from here
  std::optional<LifetimeEvidence> lifetime;

  // OTHER-ADDRESS, where it is what RFC 5780 asks for: another address and another port.
  [[nodiscard]] std::optional<Address> other() const {
    if (!basic.ok() || !basic.answer->other) return std::nullopt;
    const Address& other = *basic.answer->other;
    const bool differs = other.ip != server.ip && other.port != server.port && other.family() == server.family();
    return differs ? std::optional(other) : std::nullopt;
  }
};

}  // namespace turnkit::probe
