// What turn-probe's two ends say to each other on the port under test: STUN Binding requests and success responses (RFC
// 8489) that carry one comprehension-optional attribute of ours. Framed so because a media server that owns the port
// stays quiet about it: pion's UDP mux, which rtcd uses, drops a Binding request whose USERNAME names no known ufrag
// without a log line, and devices that only let media-like traffic pass let STUN pass. Over TCP each message has RFC
// 4571's two-byte length in front, as ICE-TCP does.
//
//   request:  header 20 | USERNAME "probe-<nonce in hex>:x" 44 | PROBE 92 | FINGERPRINT 8   = 164 bytes, always
//   answer:   header 20 | XOR-MAPPED-ADDRESS 12 or 24 | PROBE 92 | FINGERPRINT 8           = 132 or 144 bytes: never
//   larger
//
//   PROBE (0xD0B5):
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |                        magic "TnkP"                           |   0
//   |  version = 1  |     kind      |             flags             |   4
//   |                      session nonce (128)                      |   8
//   |                        sequence number                        |  24
//   |        token: the listener's, echoed by the client            |  28
//   |        when this packet was sent, microseconds (64)           |  32
//   |        answers: that of the request (64)                      |  40
//   |        received: different packets of this session so far     |  48
//   |        sent: packets of this session so far, this one too     |  52
//   |        send errors: packets that the own system refused       |  56
//   |       last send errno         |     half-open connections     |  60
//   |     accepted connections      |         subject port          |  64
//   | subject proto |  family or 0  |      observed port            |  68
//   |        observed address of the session (128, IPv4 first)      |  72
//
// A probe is counted and echoed. An ask is not counted: its answer, the report, says what the listener knows of the
// session with that nonce, and of TCP connections that the asker's address tries to open to the subject port. Asks may
// come over another protocol than the session, which is how the client learns which direction fails when nothing comes
// back.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/bytes.h"
#include "base/random.h"
#include "stun/types.h"

namespace turnkit::probe {

inline constexpr std::uint16_t kProbeAttribute = 0xD0B5;
inline constexpr std::uint8_t kWireVersion = 1;
inline constexpr std::size_t kRequestSize = 164;
inline constexpr std::size_t kMaxAnswerSize = 144;
inline constexpr std::size_t kFrameHeaderSize = 2;  // RFC 4571

// How the client's line of text to a person at a netcat begins; a listener counts such lines and does not echo them.
inline constexpr std::string_view kTextPrefix = "turn-probe ";

enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17 };
std::string_view protocol_name(Protocol protocol);  // "UDP"

struct Nonce {
  std::array<std::byte, 16> bytes{};
  // 96 bits of randomness in printable characters: a netcat at the far end shows them on somebody's terminal.
  static Nonce random(Random& random);
  [[nodiscard]] std::string hex() const;
  friend auto operator<=>(const Nonce&, const Nonce&) = default;
};

enum class Kind : std::uint8_t { kProbe = 1, kEcho = 2, kAsk = 3, kReport = 4 };

inline constexpr std::uint16_t kFlagSessionKnown = 1;  // report: the listener has seen packets with this nonce
inline constexpr std::uint16_t kFlagListening = 2;     // report: the listener has the subject's port open

// The PROBE attribute, and in answers the address that the request came from.
struct Packet {
  Kind kind = Kind::kProbe;
  std::uint16_t flags = 0;
  Nonce nonce;
  std::uint32_t sequence = 0;
  std::uint32_t token = 0;
  std::uint64_t sent_at_us = 0;
  std::uint64_t echoed_at_us = 0;
  std::uint32_t received = 0;
  std::uint32_t sent = 0;
  std::uint32_t send_errors = 0;
  std::uint16_t send_errno = 0;
  std::uint16_t half_open = 0;
  std::uint16_t accepted = 0;
  std::uint16_t subject_port = 0;
  Protocol subject_protocol = Protocol::kUdp;
  std::optional<Address> observed;  // of the session
  std::optional<Address> mapped;    // answers: of the request (XOR-MAPPED-ADDRESS)
};

using RequestBuffer = std::array<std::byte, kRequestSize>;
using AnswerBuffer = std::array<std::byte, kMaxAnswerSize>;

// A probe or ask; kRequestSize bytes of `buffer`.
Bytes encode_request(const Packet& packet, RequestBuffer& buffer);
// An echo or report; a part of `buffer`. Requires: packet.mapped.
Bytes encode_answer(const Packet& packet, AnswerBuffer& buffer);

enum class Decoded : std::uint8_t {
  kOk,
  kNotOurs,       // anything else
  kOtherVersion,  // a turn-probe that speaks another version of this
};
// The bytes must be exactly one request (or answer), well formed to the last bit that matters.
Decoded decode_request(Bytes bytes, Packet& out);
Decoded decode_answer(Bytes bytes, Packet& out);

// The transaction id of a request: from nonce and sequence, so that a capture can tell sessions apart.
stun::TransactionId transaction_id_of(const Nonce& nonce, std::uint32_t sequence);

}  // namespace turnkit::probe
