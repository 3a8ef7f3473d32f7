// What the TLS and DTLS tests share: contexts from fresh certificates, a pair of connected streams, and pumping.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "net/tls.h"
#include "net_test_support.h"
#include "tests/support/certificates.h"

namespace turnkit::net::testing {

using turnkit::testing::Certificate;
using turnkit::testing::CertificateOptions;

inline TlsMaterial material(const Certificate& certificate) {
  TlsMaterial out;
  out.certificate = certificate.pem();
  out.key = certificate.key_pem();
  out.certificate_name = "cert.pem";
  out.key_name = "key.pem";
  out.ca_name = "ca.pem";
  out.dh_name = "dh.pem";
  return out;
}

inline std::shared_ptr<const TlsContext> server_context(const TlsMaterial& from, const TlsRules& rules = {},
                                                        const TlsContext* previous = nullptr) {
  auto made = TlsContext::make(from, rules, previous);
  if (!made) throw std::runtime_error(made.error().text);
  return *made;
}

inline std::shared_ptr<const TlsContext> server_context(const TlsRules& rules = {}) {
  static const Certificate certificate;
  return server_context(material(certificate), rules);
}

inline std::shared_ptr<TlsClientContext> client_context(const TlsClientRules& rules = {}) {
  auto made = TlsClientContext::make(rules);
  if (!made) throw std::runtime_error(made.error().text);
  return *made;
}

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "turnkit-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = path_ / name;
    std::ofstream(path) << text;
    return path.string();
  }

 private:
  std::filesystem::path path_;
};

inline std::pair<UniqueFd, UniqueFd> socket_pair() {
  std::array<int, 2> fds;
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) != 0) {
    throw std::runtime_error("socketpair");
  }
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct StreamPair {
  std::unique_ptr<TlsStream> server;
  std::unique_ptr<TlsStream> client;
};

inline StreamPair stream_pair(std::shared_ptr<const TlsContext> server, std::shared_ptr<TlsClientContext> client) {
  auto [a, b] = socket_pair();
  return {make_tls_server_stream(std::move(a), std::move(server)),
          make_tls_client_stream(std::move(b), std::move(client))};
}

// Steps both sides until each is done or failed; true when both are done.
inline bool handshake(StreamPair& pair) {
  StreamIo server{StreamIo::State::kWantRead, 0};
  StreamIo client{StreamIo::State::kWantRead, 0};
  const auto over = [](const StreamIo& io) {
    return io.state == StreamIo::State::kDone || io.state == StreamIo::State::kFailed;
  };
  for (int step = 0; step < 100 && !(over(server) && over(client)); ++step) {
    if (!over(client)) client = pair.client->handshake();
    if (!over(server)) server = pair.server->handshake();
    // A client of TLS 1.3 is done before it hears that the server refused it.
  }
  return server.state == StreamIo::State::kDone && client.state == StreamIo::State::kDone;
}

inline std::string read_text(Stream& stream, StreamIo::State* last = nullptr) {
  std::string out;
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const StreamIo io = stream.read(buffer);
    if (io.state != StreamIo::State::kDone) {
      if (last != nullptr) *last = io.state;
      return out;
    }
    out += as_text(Bytes(buffer).first(io.bytes));
  }
}

}  // namespace turnkit::net::testing
