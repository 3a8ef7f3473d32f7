// UdpClient over loopback: it hears its server and nobody else.
#include "client/udp_client.h"

#include <gtest/gtest.h>

#include "net/udp_batch.h"

namespace turnkit::client {
namespace {

TEST(UdpClient, NEG_020_WhatComesFromAnotherAddressIsNotHeard) {
  const IpAddress loopback = IpAddress::v4(127, 0, 0, 1);
  auto server = net::UdpSocket::bind({loopback, 0});
  auto stranger = net::UdpSocket::bind({loopback, 0});
  ASSERT_TRUE(server && stranger);
  auto client = UdpClient::open(server->local(), std::nullopt);
  ASSERT_TRUE(client);
  net::SendBatch batch;
  const auto send = [&](net::UdpSocket& from, std::string_view text) {
    batch.add({.socket = &from, .to = client->local(), .head = {}, .payload = as_bytes(text), .from = nullptr});
    batch.flush();
  };
  send(*stranger, "forged answer");
  send(*server, "answer");
  const UdpClient::Received got = client->receive(read_clock().mono + std::chrono::seconds(10));
  EXPECT_EQ(as_text(got.message), "answer");
}

}  // namespace
}  // namespace turnkit::client
