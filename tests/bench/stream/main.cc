// bench_stream: load for TURN servers from clients on TCP and TLS; the driver (tests/bench/relay) runs it.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "stream_bench.h"

namespace {

using turnkit::bench::Options;

constexpr const char* kUsage =
    "bench_stream relay|handshakes IP:PORT [--transport tcp|tls|dtls] [--direction up|down] [--clients N] [--size N]\n"
    "             [--run N] [--window N] [--for S] [--warm-up S] [--server-pid N] [--secret TEXT] [--tls 1.2|1.3] "
    "[--resumed] [--lanes N]\n";

turnkit::Duration seconds(const char* text) {
  return std::chrono::duration_cast<turnkit::Duration>(std::chrono::duration<double>(std::atof(text)));
}

// False when `name` is no option.
bool set(Options& options, std::string_view name, const char* value) {
  const auto number = [&] { return static_cast<std::size_t>(std::strtoul(value, nullptr, 10)); };
  const std::string_view text = value;
  using turnkit::client::TransportKind;
  if (name == "--transport") {
    options.transport = text == "tls"    ? TransportKind::kTls
                        : text == "dtls" ? TransportKind::kDtls
                                         : TransportKind::kTcp;
  } else if (name == "--tls") {
    options.newest_tls = text == "1.2" ? turnkit::net::TlsVersion::kTls12 : turnkit::net::TlsVersion::kTls13;
  } else if (name == "--direction") {
    options.up = text == "up";
  } else if (name == "--clients") {
    options.clients = number();
  } else if (name == "--size") {
    options.size = number();
  } else if (name == "--lanes") {
    options.lanes = number();
  } else if (name == "--run") {
    options.run = number();
  } else if (name == "--window") {
    options.window = number();
  } else if (name == "--for") {
    options.measured = seconds(value);
  } else if (name == "--warm-up") {
    options.warm_up = seconds(value);
  } else if (name == "--server-pid") {
    options.server_pid = static_cast<int>(number());
  } else if (name == "--secret") {
    options.secret = value;
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const std::string_view mode = argc > 2 ? argv[1] : "";
  const auto server = turnkit::Address::parse(argc > 2 ? argv[2] : "");
  bool usable = server && (mode == "relay" || mode == "handshakes");
  for (int i = 3; usable && i < argc; ++i) {
    if (std::string_view(argv[i]) == "--resumed") {
      options.resume = true;
    } else if (i + 1 < argc) {
      usable = set(options, argv[i], argv[i + 1]);
      ++i;
    } else {
      usable = false;
    }
  }
  if (!usable) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  options.server = *server;
  const turnkit::Status done =
      mode == "relay" ? turnkit::bench::run_relay(options) : turnkit::bench::run_handshakes(options);
  if (done) return 0;
  std::fprintf(stderr, "bench_stream: %s\n", done.error().text.c_str());
  return 1;
}
