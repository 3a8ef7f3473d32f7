// The real pool of relayed ports, with the time handed in: reservations and what becomes of their ports.
#include "turnd/relay/port_pool.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace turnkit::conformance {

using engine::Parity;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};

class PortPoolTest : public testing::Test {
 protected:
  // An address of this process alone.
  const IpAddress ip_ =
      IpAddress::v4(127, 251, static_cast<std::uint8_t>(::getpid() >> 8), static_cast<std::uint8_t>(::getpid()));
  relay::PortPool pool_{{.ips = {ip_}, .min_port = 24000, .max_port = 24001, .socket_options = {}}};
};

}  // namespace

TEST_F(PortPoolTest, TURN_049_a_reservation_can_be_claimed_for_30_seconds) {
  auto opened = pool_.open(Family::kIPv4, Parity::kEvenAndReserveNext, ip_, kStart);
  ASSERT_TRUE(opened.lease);
  ASSERT_TRUE(opened.reservation_token);
  pool_.expire_reservations(kStart + 30s - 1ns);
  relay::PortLease claimed = pool_.claim(*opened.reservation_token, kStart + 30s - 1ns);
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed.socket().local().port, 24001);
  EXPECT_FALSE(pool_.claim(*opened.reservation_token, kStart));
}

TEST_F(PortPoolTest, TURN_049_then_its_port_is_free) {
  auto opened = pool_.open(Family::kIPv4, Parity::kEvenAndReserveNext, ip_, kStart);
  EXPECT_FALSE(pool_.open(Family::kIPv4, Parity::kAny, ip_, kStart).lease) << "one is open, one is reserved";
  pool_.expire_reservations(kStart + 30s);
  EXPECT_FALSE(pool_.claim(*opened.reservation_token, kStart + 30s));
  EXPECT_EQ(pool_.open(Family::kIPv4, Parity::kAny, ip_, kStart + 30s).lease.socket().local().port, 24001);
}

TEST_F(PortPoolTest, TURN_049_a_late_claim_frees_the_port_too) {
  auto opened = pool_.open(Family::kIPv4, Parity::kEvenAndReserveNext, ip_, kStart);
  EXPECT_FALSE(pool_.claim(*opened.reservation_token, kStart + 30s)) << "nobody swept in between";
  EXPECT_TRUE(pool_.open(Family::kIPv4, Parity::kAny, ip_, kStart + 30s).lease);
}

TEST_F(PortPoolTest, TURN_046_a_pair_of_which_another_program_holds_one_port_is_not_given) {
  const auto other = net::UdpSocket::bind({ip_, 24001});
  ASSERT_TRUE(other);
  EXPECT_FALSE(pool_.open(Family::kIPv4, Parity::kEvenAndReserveNext, ip_, kStart).lease);
  EXPECT_EQ(pool_.open(Family::kIPv4, Parity::kAny, ip_, kStart).lease.socket().local().port, 24000);
}

}  // namespace turnkit::conformance
