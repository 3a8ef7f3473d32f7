#include "turnd/options/tls_files.h"

namespace turnkit::turnd {

net::TlsRules tls_rules(const Config& config) {
  net::TlsRules out;
  out.key_password = config.pkey_pwd;
  out.cipher_list = config.cipher_list;
  out.curves = config.ec_curve_name;
  out.dh_bits = config.dh_bits;
  out.minimum = config.tlsv1     ? net::TlsVersion::kTls10
                : config.tlsv1_1 ? net::TlsVersion::kTls11
                                 : net::TlsVersion::kTls12;
  out.allow_tls12 = !config.no_tlsv1_2;
  if (!config.stun_only) out.alpn.emplace_back(net::kAlpnTurn);
  if (!config.no_stun) out.alpn.emplace_back(net::kAlpnNatDiscovery);
  out.alpn.emplace_back("http/1.1");
  return out;
}

}  // namespace turnkit::turnd
