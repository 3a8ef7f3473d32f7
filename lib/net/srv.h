// SRV records: where a domain says its service is (RFC 2782).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace turnkit::net {

struct SrvRecord {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string target;  // without a final dot; empty: the service is decidedly not there ("." in the record)
};

struct SrvOptions {
  std::chrono::milliseconds timeout{2000};  // of one attempt; there are two
  std::string servers;                      // "192.0.2.53:53,..."; empty: those of /etc/resolv.conf
};
// The SRV records of `name` ("_stun._udp.example.com"), in no order. Empty: the name has none. The error says that DNS
// itself failed. Blocks: never call it from a loop's thread.
Result<std::vector<SrvRecord>> lookup_srv(const std::string& name, const SrvOptions& options = {});

// In the order in which they are to be tried: by priority, within it at random by weight (RFC 2782, page 3).
std::vector<SrvRecord> in_srv_order(std::vector<SrvRecord> records, Random& random);

}  // namespace turnkit::net
