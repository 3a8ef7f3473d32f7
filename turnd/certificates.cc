#include "turnd/certificates.h"

#include <fmt/format.h>
#include <string.h>

#include <tuple>

#include "turnd/options/tls_files.h"

namespace turnkit::turnd {

namespace {

constexpr std::chrono::days kWarnBefore{14};

// `option`: for the error. An unset file is an empty text.
Status read_into(const FileKeeper& files, const char* option, const std::string& path, std::string& text) {
  if (path.empty()) return {};
  Result<std::string> read = files.read(path);
  if (!read) {
    return Error{fmt::format("{}: {}; TLS and DTLS need a PEM file that turnd may read, or no-tls and no-dtls", option,
                             read.error().text)};
  }
  text = *std::move(read);
  return {};
}

}  // namespace

std::vector<std::string> certificate_files(const Config& config) {
  std::vector<std::string> out;
  if (!serves_tls(config)) return out;
  for (const std::string& path : {config.cert, config.pkey, config.ca_file, config.dh_file}) {
    if (!path.empty()) out.push_back(path);
  }
  return out;
}

Result<std::shared_ptr<const net::TlsContext>> load_certificates(const Config& config, const FileKeeper& files,
                                                                 const net::TlsContext* previous) {
  if (!serves_tls(config)) return std::shared_ptr<const net::TlsContext>();
  net::TlsMaterial material;
  for (const auto& [option, path, text] :
       {std::tuple{"cert", &config.cert, &material.certificate}, std::tuple{"pkey", &config.pkey, &material.key},
        std::tuple{"CA-file", &config.ca_file, &material.ca}, std::tuple{"dh-file", &config.dh_file, &material.dh}}) {
    if (const Status status = read_into(files, option, *path, *text); !status) return status.error();
  }
  material.certificate_name = config.cert;
  material.key_name = config.pkey;
  material.ca_name = config.ca_file;
  material.dh_name = config.dh_file;
  auto context = net::TlsContext::make(material, tls_rules(config), previous);
  ::explicit_bzero(material.key.data(), material.key.size());
  return context;
}

std::string expiry_warning(const net::TlsContext& context, const std::string& file, WallTime now) {
  const WallTime end = context.not_after();
  if (end <= now) {
    return fmt::format("the certificate {} ({}) has ended: clients that verify it refuse TLS; renew it", file,
                       context.subject());
  }
  if (end - now > kWarnBefore) return {};
  return fmt::format("the certificate {} ({}) ends in {} days; renew it", file, context.subject(),
                     std::chrono::floor<std::chrono::days>(end - now).count());
}

}  // namespace turnkit::turnd
