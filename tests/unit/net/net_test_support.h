// What the tests of lib/net share: loopback sockets, waiting, contents that can be checked, and a network namespace of
// their own.
#pragma once

#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "net/fd.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"

namespace turnkit::net::testing {

inline IpAddress loopback(Family family) {
  return family == Family::kIPv4 ? IpAddress::v4(127, 0, 0, 1) : *IpAddress::parse("::1");
}

inline UdpSocket bind_loopback(Family family, UdpOptions options = {}) {
  if (options.receive_buffer == 0) options.receive_buffer = 4 << 20;
  if (options.send_buffer == 0) options.send_buffer = 4 << 20;
  auto socket = UdpSocket::bind({loopback(family), 0}, options);
  if (!socket) throw std::runtime_error(socket.error().text);
  return *std::move(socket);
}

// Waits for an event of poll(2); 10 s are an error of the test, not a measure.
inline bool wait_for(int fd, short events = POLLIN) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, 10'000) == 1;
}

// The first one or more datagrams; fails the test when none comes. Valid until the batch is cleared.
inline std::span<const Datagram> receive_some(RecvBatch& batch, const UdpSocket& socket, std::size_t limit = 64) {
  for (;;) {
    const auto received = batch.receive(socket, limit);
    if (!received.datagrams.empty()) return received.datagrams;
    if (received.error != EAGAIN || !wait_for(socket.fd())) {
      ADD_FAILURE() << "nothing received: " << std::strerror(received.error);
      return {};
    }
  }
}

struct Arrival {
  Address source;
  std::uint8_t tos = 0;
  std::string data;
  friend bool operator==(const Arrival&, const Arrival&) = default;
};

// Receives until `count` datagrams (segments counted singly) have come.
inline std::vector<Arrival> receive_datagrams(const UdpSocket& socket, std::size_t count) {
  std::vector<Arrival> out;
  RecvBatch batch;
  while (out.size() < count) {
    const auto datagrams = receive_some(batch, socket);
    if (datagrams.empty()) break;
    for (const Datagram& datagram : datagrams) {
      EXPECT_FALSE(datagram.truncated);
      datagram.for_each_segment([&](Bytes segment) {
        out.push_back({datagram.source, datagram.tos, std::string(as_text(segment))});
      });
    }
    batch.clear();
  }
  return out;
}

inline bool is_empty(const UdpSocket& socket) {
  RecvBatch batch(1);
  return batch.receive(socket).error == EAGAIN;
}

inline std::string random_text(Random& random, std::size_t size) {
  std::string text(size, '\0');
  random.fill({reinterpret_cast<std::byte*>(text.data()), size});
  return text;
}

// Runs `body` on a thread in a fresh network namespace whose loopback device has this MTU. False when this user may
// not.
inline bool in_namespace(int loopback_mtu, const std::function<void()>& body) {
  bool allowed = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_mtu = loopback_mtu;
    if (::ioctl(control.get(), SIOCSIFMTU, &request) != 0) return;
    request.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
    if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return;
    allowed = true;
    body();
  }).join();
  return allowed;
}

class BothFamilies : public ::testing::TestWithParam<Family> {};

inline std::string family_name(const ::testing::TestParamInfo<Family>& info) {
  return info.param == Family::kIPv4 ? "IPv4" : "IPv6";
}

}  // namespace turnkit::net::testing
