// The server's certificate: read from its files (also where only root may), made into a TlsContext, and warned about
// before it ends.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/tls.h"
#include "turnd/config.h"
#include "turnd/file_keeper.h"

namespace turnkit::turnd {

// The files that a change of the certificate shows in.
std::vector<std::string> certificate_files(const Config& config);

// Null where neither TLS nor DTLS is served. `previous`: the context in use, whose tickets and cookies go on. The error
// names the file and what is wrong with it.
Result<std::shared_ptr<const net::TlsContext>> load_certificates(const Config& config, const FileKeeper& files,
                                                                 const net::TlsContext* previous = nullptr);

// A sentence about a certificate that has ended, or ends within 14 days; empty otherwise.
std::string expiry_warning(const net::TlsContext& context, const std::string& file, WallTime now);

}  // namespace turnkit::turnd
