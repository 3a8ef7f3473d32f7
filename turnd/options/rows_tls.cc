// Options of TLS and DTLS, and of sharing the ports with a web server.
#include "turnd/options/setters.h"
#include "turnd/options/table.h"

namespace turnkit::turnd {
namespace {

using namespace setters;

template <int Bits>
Status dh_bits(Draft& draft, std::string_view value) {
  const Result<bool> on = parse_flag(value);
  if (!on) return on.error();
  if (*on) {
    draft.config.dh_bits = Bits;
  } else if (draft.config.dh_bits == Bits) {
    draft.config.dh_bits = 0;
  }
  return {};
}

template <auto Member>
Status backend(Draft& draft, std::string_view value) {
  const Result<std::vector<Address>> addresses = parse_endpoint(value, *draft.environment);
  if (!addresses) return addresses.error();
  draft.config.*Member = addresses->front();
  return {};
}

Status sni_turn(Draft& draft, std::string_view value) {
  return add_unique(draft.config.sni_turn, parse_server_name(value));
}

Status acme_redirect(Draft& draft, std::string_view value) {
  const bool clean = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!clean || !(value.starts_with("http://") || value.starts_with("https://"))) {
    return Error{"expected a URL that begins with http:// or https://"};
  }
  draft.config.acme_redirect = value;
  return {};
}

// clang-format off
const Option kRows[] = {
  {.name = "cert", .group = kTls, .metavar = "FILE", .default_text = "turn_server_cert.pem",
   .help = "The certificate chain, PEM; a relative name is searched for like the configuration file. It is read again when it changes, and on SIGUSR2 and SIGHUP.", .apply = draft_text<&Draft::cert>},
  {.name = "pkey", .group = kTls, .metavar = "FILE", .default_text = "turn_server_pkey.pem",
   .help = "The key of the certificate, PEM.", .apply = draft_text<&Draft::pkey>},
  {.name = "pkey-pwd", .secret = true, .group = kTls, .metavar = "PASSWORD",
   .help = "What the key file is encrypted with.", .apply = text<&Config::pkey_pwd>},
  {.name = "cipher-list", .group = kTls, .metavar = "CIPHERS", .default_text = "DEFAULT",
   .help = "The ciphers, as openssl-ciphers(1) writes them.", .apply = text<&Config::cipher_list>},
  {.name = "CA-file", .group = kTls, .metavar = "FILE",
   .help = "Ask clients for certificates, and accept only those that FILE verifies.", .apply = draft_text<&Draft::ca_file>},
  {.name = "ec-curve-name", .group = kTls, .metavar = "CURVES", .default_text = "those of OpenSSL",
   .help = "The curves for key exchange, such as X25519 or prime256v1, several with colons.", .apply = text<&Config::ec_curve_name>},
  {.name = "dh-file", .group = kTls, .metavar = "FILE", .default_text = "chosen by OpenSSL",
   .help = "Diffie-Hellman parameters, PEM; they go before dh566, dh1066 and dh2066.", .apply = draft_text<&Draft::dh_file>},
  {.name = "dh566", .arg = Arg::kOptional, .group = kTls, .default_text = "off",
   .help = "Use the built-in Diffie-Hellman group, of 2048 bits whatever the name says (RFC 7919).", .apply = dh_bits<566>},
  {.name = "dh1066", .arg = Arg::kOptional, .group = kTls, .default_text = "off",
   .help = "The same as dh566.", .apply = dh_bits<1066>},
  {.name = "dh2066", .arg = Arg::kOptional, .group = kTls, .default_text = "off",
   .help = "The same as dh566.", .apply = dh_bits<2066>},
  {.name = "tlsv1", .arg = Arg::kOptional, .group = kTls, .default_text = "off",
   .help = "Let TLS 1.0 and 1.1 in. Weak.", .apply = flag<&Config::tlsv1>},
  {.name = "tlsv1_1", .arg = Arg::kOptional, .group = kTls, .default_text = "off",
   .help = "Let TLS 1.1 in. Weak.", .apply = flag<&Config::tlsv1_1>},
  {.name = "no-tlsv1", .arg = Arg::kOptional, .group = kTls, .default_text = "on",
   .help = "Keep TLS 1.0 out.", .apply = inverse_flag<&Config::tlsv1>},
  {.name = "no-tlsv1_1", .arg = Arg::kOptional, .group = kTls, .default_text = "on",
   .help = "Keep TLS 1.1 out.", .apply = inverse_flag<&Config::tlsv1_1>},
  {.name = "no-tlsv1_2", .arg = Arg::kOptional, .group = kTls, .default_text = "off",
   .help = "Let only TLS 1.3 in; DTLS stays at 1.2, the only version there is.", .apply = flag<&Config::no_tlsv1_2>},
  {.name = "certificate-watch", .arg = Arg::kOptional, .group = kTls, .default_text = "on",
   .help = "Read cert, pkey, CA-file and dh-file again when they change.", .apply = flag<&Config::certificate_watch>},

  {.name = "sni-turn", .list = true, .group = kShare, .metavar = "NAME", .default_text = "every name",
   .help = "With tls-backend: a server name that is TURN's, *.example.org for any first label. May be given several times.", .apply = sni_turn},
  {.name = "tls-backend", .group = kShare, .metavar = "HOST:PORT",
   .help = "Hand TLS connections whose server name (sni-turn) or ALPN is not TURN's to this web server, untouched.", .apply = backend<&Config::tls_backend>},
  {.name = "http-backend", .group = kShare, .metavar = "HOST:PORT",
   .help = "Hand plain connections that begin with HTTP, also those inside our own TLS, to this web server.", .apply = backend<&Config::http_backend>},
  {.name = "backend-proxy-protocol", .arg = Arg::kOptional, .group = kShare, .default_text = "off",
   .help = "Send a PROXY protocol header (v2) to both backends, so that they see the client's address.", .apply = flag<&Config::backend_proxy_protocol>},
  {.name = "acme-redirect", .group = kShare, .metavar = "URL",
   .help = "Answer GET /.well-known/acme-challenge/NAME with a redirect to URL and NAME.", .apply = acme_redirect},
  {.name = "respond-http-unsupported", .arg = Arg::kOptional, .group = kShare, .default_text = "off",
   .help = "Answer other HTTP with 400 instead of closing.", .apply = flag<&Config::respond_http_unsupported>},
};
// clang-format on

}  // namespace

std::span<const Option> tls_options() { return kRows; }

}  // namespace turnkit::turnd
