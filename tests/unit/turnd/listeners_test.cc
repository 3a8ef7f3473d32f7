// Which ports turnd opens, and for what.
#include "turnd/listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace turnkit::turnd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "127.0.0.1:3478 UDP TCP", in the order in which they are opened.
std::vector<std::string> planned(const Config& config, const std::vector<std::string>& ips = {"127.0.0.1"}) {
  std::vector<IpAddress> addresses;
  for (const std::string& ip : ips) addresses.push_back(*IpAddress::parse(ip));
  std::vector<std::string> out;
  for (const ListenerPlan& plan : plan_listeners(config, addresses)) {
    std::string text = plan.address.to_string();
    if (plan.udp) text += plan.secure ? " DTLS" : " UDP";
    if (plan.tcp) text += plan.secure ? " TLS" : " TCP";
    if (plan.stream.proxy_protocol) text += " PROXY";
    out.push_back(text);
  }
  return out;
}

Config without_tls() {
  Config config;
  config.no_tls = config.no_dtls = true;
  return config;
}

TEST(PlanListeners, WithoutACertificateThereIsThePlainPort) {
  EXPECT_THAT(planned(without_tls()), ElementsAre("127.0.0.1:3478 UDP TCP"));
}

TEST(PlanListeners, WithOneThereAreBothPortsOnEveryAddress) {
  EXPECT_THAT(planned({}, {"127.0.0.1", "::1"}), ElementsAre("127.0.0.1:3478 UDP TCP", "127.0.0.1:5349 DTLS TLS",
                                                             "[::1]:3478 UDP TCP", "[::1]:5349 DTLS TLS"));
}

TEST(PlanListeners, OneSharedPortIsOneListener) {
  Config config;
  config.listening_port = config.tls_listening_port = 443;
  EXPECT_THAT(planned(config), ElementsAre("127.0.0.1:443 UDP TCP"));
  config.no_tcp = true;
  EXPECT_THAT(planned(config), ElementsAre("127.0.0.1:443 UDP TCP")) << "for TLS alone";
  EXPECT_FALSE(plan_listeners(config, {IpAddress::v4(127, 0, 0, 1)})[0].stream.accept_plain);
}

TEST(PlanListeners, WhatIsOffIsNotOpened) {
  Config config;
  config.no_udp = config.no_tls = true;
  EXPECT_THAT(planned(config), ElementsAre("127.0.0.1:3478 TCP", "127.0.0.1:5349 DTLS"));
  config.no_tcp = config.no_dtls = true;
  EXPECT_THAT(planned(config), IsEmpty());
}

TEST(PlanListeners, AlternatePortsNeedTwoAddressesOfAFamily) {
  Config config = without_tls();
  config.rfc5780 = true;
  EXPECT_THAT(planned(config, {"127.0.0.1", "::1"}), ElementsAre("127.0.0.1:3478 UDP TCP", "[::1]:3478 UDP TCP"));
  EXPECT_THAT(planned(config, {"127.0.0.1", "127.0.0.2"}),
              ElementsAre("127.0.0.1:3478 UDP TCP", "127.0.0.1:3479 UDP TCP", "127.0.0.2:3478 UDP TCP",
                          "127.0.0.2:3479 UDP TCP"));
}

TEST(PlanListeners, ProxyAndAuxiliaryPorts) {
  Config config = without_tls();
  config.tcp_proxy_ports = {8443};
  config.aux_servers = {*Address::parse("192.0.2.1:443"), *Address::parse("127.0.0.1:3478")};
  EXPECT_THAT(planned(config),
              ElementsAre("127.0.0.1:3478 UDP TCP", "127.0.0.1:8443 TCP PROXY", "192.0.2.1:443 UDP TCP"));
}

}  // namespace
}  // namespace turnkit::turnd
