// The rules of TLS that a configuration states.
#pragma once

#include "net/tls.h"
#include "turnd/config.h"

namespace turnkit::turnd {

net::TlsRules tls_rules(const Config& config);

}  // namespace turnkit::turnd
