// The kernel's socket tables under /proc/net, for questions that no socket call answers: who owns a port, and which
// connections hang half open.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "probe/wire.h"

namespace turnkit::probe {

struct ProcSocket {
  Address local;
  Address remote;
  unsigned state = 0;        // of TCP: kStateSynReceived, kStateListen
  unsigned retransmits = 0;  // of a half-open connection: answers sent again
  unsigned uid = 0;
  std::uint64_t inode = 0;
};
inline constexpr unsigned kStateSynReceived = 3;
inline constexpr unsigned kStateListen = 10;

// The rows of /proc/net/{udp,tcp} (IPv4) or /proc/net/{udp6,tcp6} (IPv6); rows that are not understood are left out.
std::vector<ProcSocket> parse_proc_net(std::string_view text, Family family);
// Both families' tables as they are now; `proc` is where procfs is mounted.
std::vector<ProcSocket> read_proc_net(Protocol protocol, const std::string& proc = "/proc");

// A socket that keeps others from a port.
struct PortOwner {
  Protocol protocol = Protocol::kUdp;
  Address local;
  unsigned uid = 0;
  std::optional<int> pid;  // nullopt: not visible to this user
  std::string name;        // of the process
};
// Bound UDP sockets or TCP listeners on the port.
std::vector<PortOwner> find_port_owners(Protocol protocol, std::uint16_t port, const std::string& proc = "/proc");
// "UDP 8443 is in use by rtcd (pid 1234), bound to 0.0.0.0:8443"
std::string describe(const PortOwner& owner);

// Connections of `client` to the local TCP port that wait for the handshake's last packet, begun in about the last 15
// seconds.
unsigned count_half_open(const std::vector<ProcSocket>& sockets, const IpAddress& client, std::uint16_t port);

}  // namespace turnkit::probe
