// Listeners: which ports turnd opens, and the sockets on them, one for each worker.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "turnd/config.h"
#include "turnd/relay/stream_config.h"
#include "turnd/relay/worker.h"

namespace turnkit::turnd {

// One address on which clients are served.
struct ListenerPlan {
  Address address;  // port 0: a free one, the same for UDP and TCP
  bool udp = false;
  bool tcp = false;
  bool secure = false;  // it is there for TLS and DTLS, for the start-up text
  relay::StreamListenerOptions stream;
};
// What the options ask for, in the order in which it is opened.
std::vector<ListenerPlan> plan_listeners(const Config& config, const std::vector<IpAddress>& ips);

// Opens them all and gives each worker its sockets. The result: every address, with its real port. The error names the
// address and why.
Result<std::vector<Address>> open_listeners(const Config& config, const std::vector<ListenerPlan>& plans,
                                            const std::vector<std::unique_ptr<relay::Worker>>& workers);

}  // namespace turnkit::turnd
