// What a port check saw, as plain values: the input of the verdict.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "probe/wire.h"

namespace turnkit::probe {

// An ICMP error that our packets caused; equal ones are counted.
struct IcmpSeen {
  Family family = Family::kIPv4;
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  IpAddress reporter;  // who says so; anybody could
  unsigned count = 0;
};

// Data from the target that is not `turn-probe listen`.
enum class Foreign : std::uint8_t { kNone, kEcho, kStun, kDtls, kTls, kHttp, kSsh, kText, kOther };

struct ForeignData {
  Foreign kind = Foreign::kNone;
  std::size_t bytes = 0;
  std::string excerpt;  // escaped for a terminal
};

// The listener's account of one session of ours.
enum class AccountVia : std::uint8_t { kNone, kSamePort, kOverTcp, kOverUdp };
struct ServerAccount {
  AccountVia via = AccountVia::kNone;
  std::uint16_t via_port = 0;  // of the listener, when it came another way
  bool listening = false;      // it has the port in question open
  std::uint32_t received = 0;
  std::uint32_t sent = 0;
  std::uint32_t send_errors = 0;
  int send_errno = 0;
  unsigned half_open = 0;  // TCP: our connection requests that it has answered, unconfirmed
  unsigned accepted = 0;   // TCP: our connections that it took lately
};

struct UdpEvidence {
  Address target;
  Address local;  // of our socket
  Nonce nonce;
  unsigned sent = 0;      // handed to the own system
  unsigned answered = 0;  // different probes that were answered
  unsigned duplicates = 0;
  unsigned send_errors = 0;
  int send_errno = 0;
  bool other_version = false;          // a listener of another protocol version answered
  std::optional<Address> mapped;       // where our packets came from, as the listener saw it
  std::optional<Address> answered_by;  // answers of our session came from here instead of from the target
  std::vector<double> rtt_ms;
  std::vector<IcmpSeen> icmp;
  ForeignData foreign;
  ServerAccount account;
  std::chrono::milliseconds waited{0};  // after the last probe
};

enum class Connect : std::uint8_t { kConnected, kRefused, kTimeout, kError };

struct TcpEvidence {
  Address target;
  Address local;
  Nonce nonce;
  Connect connect = Connect::kTimeout;
  int connect_errno = 0;  // kRefused, kError
  double connect_ms = 0;
  std::vector<IcmpSeen> icmp;
  unsigned sent = 0;  // probes on the connection
  unsigned answered = 0;
  bool other_version = false;
  std::optional<Address> mapped;
  std::vector<double> rtt_ms;
  ForeignData foreign;
  bool acknowledged = false;     // the other end's system has confirmed all bytes that we sent
  bool closed_on_frame = false;  // it closed after our framed message, before any text
  bool closed_on_text = false;   // it was silent and open after the framed message, and closed after the text
  bool reset = false;            // closed by RST
  ServerAccount account;
  std::chrono::milliseconds waited{0};
};

// What the bytes are, from their content; `sent` are our own messages, to tell an echo.
ForeignData classify_foreign(Bytes bytes, const std::vector<Bytes>& sent);

}  // namespace turnkit::probe
