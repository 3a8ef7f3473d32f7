// What follows from a configuration.
#include "turnd/config.h"

#include <gtest/gtest.h>

namespace turnkit::turnd {
namespace {

// TURN-008: the server keeps keys, not passwords.
TEST(Config, TURN_008_ForgetsPasswordsWhereTheyLay) {
  Config config;
  config.users = {{"alice", "a password that is too long for the string itself", "realm"}, {"bob", "short", "realm"}};
  const char* const where = config.users[0].secret.data();
  const std::size_t size = config.users[0].secret.size();
  forget_passwords(config);
  for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(where[i], '\0') << i;
  for (const StaticUser& user : config.users) EXPECT_TRUE(user.secret.empty());
  EXPECT_EQ(config.users[1].name, "bob");
}

TEST(Config, AdvisesHostsBehindNat) {
  Config config;
  const std::vector<IpAddress> behind{IpAddress::v4(10, 0, 0, 5)};
  const auto advice = nat_advice(config, behind);
  ASSERT_TRUE(advice.has_value());
  EXPECT_NE(advice->find("external-ip="), std::string::npos);
  EXPECT_FALSE(nat_advice(config, std::vector<IpAddress>{IpAddress::v4(203, 0, 113, 5)}).has_value());
  config.external_ips = {{ExternalIp::Kind::kAddress, IpAddress::v4(203, 0, 113, 5), "", std::nullopt}};
  EXPECT_FALSE(nat_advice(config, behind).has_value());
}

}  // namespace
}  // namespace turnkit::turnd
