// ICMP errors in words: what each says about the path, and whether it decides a check.
#pragma once

#include <string>
#include <vector>

#include "net/udp_socket.h"
#include "probe/port/evidence.h"

namespace turnkit::probe {

enum class IcmpMeaning : std::uint8_t {
  kPortClosed,  // the host was reached; nothing listens, or a rule says so
  kProhibited,  // a firewall refuses, and admits it
  kHostUnreachable,
  kNetUnreachable,
  kOther,  // "too big", time exceeded, ...
};

struct IcmpText {
  IcmpMeaning meaning = IcmpMeaning::kOther;
  std::string name;  // "port unreachable (3/3)"
};
IcmpText explain(const IcmpSeen& icmp);

// Counts `error`, about one of our packets.
void add_icmp(const net::IcmpError& error, std::vector<IcmpSeen>& out);
// Reads the socket's error queue and counts what is new about `target`. True when there was something.
bool collect_icmp(int fd, const Address& target, std::vector<IcmpSeen>& out);
// The one that says most about the target; nullptr when there is none that decides.
const IcmpSeen* deciding(const std::vector<IcmpSeen>& seen);

}  // namespace turnkit::probe
