// A bound, non-blocking UDP socket with the options that the suite's data paths need. Small: an allocation owns one or
// two.
#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "net/fd.h"

namespace turnkit::net {

// What this kernel can do, probed once per process on a throw-away socket.
struct UdpCapabilities {
  bool gro = false;      // UDP_GRO on receive (Linux 5.0)
  bool segment = false;  // UDP_SEGMENT on send (Linux 4.18)
};
const UdpCapabilities& udp_capabilities();

struct UdpOptions {
  bool reuse_port = false;       // SO_REUSEPORT: one socket a worker on the same address
  bool gro = true;               // UDP_GRO where the kernel has it
  bool receive_tos = false;      // report the received DSCP and ECN
  bool receive_pktinfo = false;  // report the local address; on by itself when bound to the unspecified address
  bool receive_errors = false;   // queue ICMP errors (IP_RECVERR); read with next_icmp_error()
  int receive_buffer = 0;        // bytes asked for, halved until the kernel takes it; 0: leave the default
  int send_buffer = 0;
  std::string device;  // SO_BINDTODEVICE; empty: none
};

class UdpSocket {
 public:
  UdpSocket() = default;
  // IPv6 sockets are IPv6 only. Fragmentation is left to the kernel (DF clear; RFC 8656, section 14, alternate
  // behaviour). Port 0 picks a free port. The error names the address and why ("Address already in use").
  static Result<UdpSocket> bind(const Address& local, const UdpOptions& options = {});

  [[nodiscard]] int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] const Address& local() const { return local_; }  // the port is the real one
  [[nodiscard]] bool is_wildcard() const { return local_.ip.is_unspecified(); }

  // Whether SendBatch may use UDP_SEGMENT; cleared for good by EIO or ENOPROTOOPT.
  [[nodiscard]] bool segment() const { return segment_; }
  void disable_segment() { segment_ = false; }

  // Sets or clears DF on what is sent from now on (IP_MTU_DISCOVER; IPV6_DONTFRAG). False: the system cannot.
  bool set_dont_fragment(bool on);

 private:
  UniqueFd fd_;
  Address local_;
  bool segment_ = false;
};

// An ICMP error that a packet of ours caused (RFC 8656, section 11.5).
struct IcmpError {
  Address destination;  // where the packet went (the inner destination); the port is 0 if unknown
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t info = 0;  // next-hop MTU for "too big" errors
  IpAddress reporter;      // who sent the error; not to be trusted
};
// Takes the next error from the socket's queue; false when it is empty. Errors of local origin are skipped.
bool next_icmp_error(int fd, IcmpError& out);

}  // namespace turnkit::net
