// One datagram with its errno, for paths that send few and must know what became of each: diagnostics, stateless
// answers. Data paths use SendBatch.
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "net/udp_socket.h"

namespace turnkit::net {

// 0, or the errno of sendmsg(2). `from`: source address, for sockets bound to the unspecified address; nullptr: the
// kernel's choice. A pending ICMP error of an earlier packet is cleared and the send tried again, so it is never
// reported here.
int send_one(const UdpSocket& socket, const Address& to, Bytes payload, const IpAddress* from = nullptr);

}  // namespace turnkit::net
