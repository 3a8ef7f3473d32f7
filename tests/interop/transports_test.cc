// The suite's own client over UDP, TCP, TLS and DTLS, against turnd and against Debian's turnserver.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "client/blocking_client.h"
#include "net/stream.h"
#include "net/udp_socket.h"
#include "tests/conformance/harness/child.h"
#include "tests/conformance/harness/udp_peer.h"
#include "tests/support/certificates.h"

namespace turnkit::client {
namespace {

using conformance::Child;
using std::chrono::seconds;

const IpAddress kLoopback = IpAddress::v4(127, 0, 0, 1);

// A port that is free for UDP and TCP just now.
std::uint16_t free_port() {
  for (;;) {
    const auto listener = net::tcp_listen({kLoopback, 0});
    const Address address = *net::local_address(listener->get());
    if (net::UdpSocket::bind(address)) return address.port;
  }
}

class Server {
 public:
  explicit Server(const std::string& program) : program_(program) {
    std::string name = (std::filesystem::temp_directory_path() / "turnkit-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::ofstream(folder_ / "cert.pem") << certificate_.pem();
    std::ofstream(folder_ / "key.pem") << certificate_.key_pem();
    plain = {kLoopback, free_port()};
    tls = {kLoopback, free_port()};
    std::vector<std::string> command;
    if (program == "turnd") {
      command = {TURND_PROGRAM, "--no-config", "--pidfile=", "--log-file=stdout"};
    } else {
      command = {"stdbuf",
                 "-oL",
                 program,
                 "-n",
                 "--no-cli",
                 "--log-file=stdout",
                 "--userdb=" + path("turndb"),
                 "--pidfile=" + path("pid")};
    }
    for (const std::string& option :
         {std::string("--realm=example.org"), std::string("--user=alice:wonderland"), std::string("--lt-cred-mech"),
          std::string("--allow-loopback-peers"), std::string("--listening-ip=127.0.0.1"),
          std::string("--relay-ip=127.0.0.1"), "--listening-port=" + std::to_string(plain.port),
          "--tls-listening-port=" + std::to_string(tls.port), "--cert=" + path("cert.pem"),
          "--pkey=" + path("key.pem")}) {
      command.push_back(option);
    }
    child_ = std::make_unique<Child>(command);
    if (!child_->wait_for(program == "turnd" ? "Total auth threads" : ": Total ")) {
      for (const std::string& line : child_->lines()) ADD_FAILURE() << line;
    }
  }
  ~Server() {
    program_ == "turnd" ? child_->stop() : child_->end();
    std::filesystem::remove_all(folder_);
  }

  Address plain;
  Address tls;

 private:
  [[nodiscard]] std::string path(const char* name) const { return (folder_ / name).string(); }

  std::string program_;
  std::filesystem::path folder_;
  turnkit::testing::Certificate certificate_;
  std::unique_ptr<Child> child_;
};

class AllTransports : public ::testing::TestWithParam<const char*> {};

TEST_P(AllTransports, CarryDataBothWaysOnBothPorts) {
  const std::string program = GetParam();
  if (program != "turnd" && std::system(("command -v " + program + " > /dev/null").c_str()) != 0) {
    GTEST_SKIP() << program << " is not installed";
  }
  const Server server(program);
  const auto context = net::TlsClientContext::make({});
  ASSERT_TRUE(context);
  for (const TransportKind kind :
       {TransportKind::kUdp, TransportKind::kTcp, TransportKind::kTls, TransportKind::kDtls}) {
    for (const Address& address : {server.plain, server.tls}) {
      SCOPED_TRACE(program + " " + std::string(transport_name(kind)) + " " + address.to_string());
      BlockingOptions options;
      options.session.credentials = {"alice", "wonderland"};
      options.transport = kind;
      options.tls = *context;
      auto client = BlockingTurnClient::open(address, options);
      ASSERT_TRUE(client) << client.error().text;
      const auto allocated = client->allocate();
      ASSERT_TRUE(allocated) << allocated.error().text;
      conformance::UdpPeer peer({kLoopback, 0});
      ASSERT_TRUE(client->create_permission(peer.local()));
      ASSERT_TRUE(client->send(peer.local(), as_bytes("by indication")));
      auto at_peer = peer.receive();
      ASSERT_TRUE(at_peer);
      EXPECT_EQ(at_peer->from, allocated->relayed);
      EXPECT_EQ(as_text(at_peer->data), "by indication");
      ASSERT_TRUE(client->bind_channel(0x4000, peer.local()));
      for (const std::size_t size : {1U, 2U, 3U, 4U, 1200U}) {
        const std::string text(size, 'u');
        ASSERT_TRUE(client->send_channel(0x4000, as_bytes(text)));
        at_peer = peer.receive();
        ASSERT_TRUE(at_peer);
        EXPECT_EQ(as_text(at_peer->data), text);
        peer.send(allocated->relayed, as_bytes(text));
        const auto got = client->receive(seconds(10));
        ASSERT_TRUE(got);
        EXPECT_EQ(got->channel, 0x4000);
        EXPECT_EQ(as_text(got->data), text);
      }
      EXPECT_TRUE(client->close());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, AllTransports, ::testing::Values("turnd", "turnserver"),
                         [](const auto& server) { return std::string(server.param); });

}  // namespace
}  // namespace turnkit::client
