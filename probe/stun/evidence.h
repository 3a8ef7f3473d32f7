// What `turn-probe stun` saw of one server over one transport, as plain values: the input of the verdict.
#pragma once

#include <string>
#include <vector>

#include "probe/port/evidence.h"
#include "probe/stun/exchange.h"
#include "probe/stun/targets.h"

namespace turnkit::probe {

struct StunEvidence {
  StunTarget target;
  Address local;
  std::string local_error;               // the own system could not even begin
  std::vector<BindingOutcome> requests;  // one a transaction
  // TCP, TLS
  Connect connect = Connect::kConnected;
  int connect_errno = 0;
  double connect_ms = 0;
  double handshake_ms = 0;        // TLS and DTLS
  std::string protection;         // "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: none, or it failed
  std::string handshake_failure;  // in words; empty: none
  bool closed = false;            // the server ended the connection before it had answered
};

}  // namespace turnkit::probe
