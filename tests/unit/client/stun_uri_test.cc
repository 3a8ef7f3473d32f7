// Names of STUN servers (RFC 7064, and what people type).
#include "client/stun_uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace turnkit::client {
namespace {

using ::testing::HasSubstr;

struct Good {
  const char* text;
  const char* host;
  std::optional<std::uint16_t> port;
  bool is_uri;
  bool secure;
  bool is_address;
};

TEST(StunUri, GoodNames) {
  const Good rows[] = {
      {"stun.example.com", "stun.example.com", std::nullopt, false, false, false},
      {"stun.example.com:3479", "stun.example.com", 3479, false, false, false},
      {"192.0.2.1", "192.0.2.1", std::nullopt, false, false, true},
      {"192.0.2.1:1", "192.0.2.1", 1, false, false, true},
      {"2001:db8::1", "2001:db8::1", std::nullopt, false, false, true},
      {"[2001:db8::1]", "2001:db8::1", std::nullopt, false, false, true},
      {"[2001:db8::1]:65535", "2001:db8::1", 65535, false, false, true},
      {"stun:example.com", "example.com", std::nullopt, true, false, false},
      {"STUN:example.com:80", "example.com", 80, true, false, false},
      {"stun:[2001:db8::1]:80", "2001:db8::1", 80, true, false, true},
      {"stuns:example.com", "example.com", std::nullopt, true, true, false},
      {"StunS:example.com:443", "example.com", 443, true, true, false},
  };
  for (const Good& row : rows) {
    const auto name = parse_stun_server(row.text);
    ASSERT_TRUE(name) << row.text << ": " << name.error().text;
    EXPECT_EQ(name->host, row.host) << row.text;
    EXPECT_EQ(name->port, row.port) << row.text;
    EXPECT_EQ(name->is_uri, row.is_uri) << row.text;
    EXPECT_EQ(name->secure, row.secure) << row.text;
    EXPECT_EQ(name->is_address, row.is_address) << row.text;
  }
}

TEST(StunUri, BadNamesSayWhatWouldBeRight) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "write HOST"},
      {"stun:", "write HOST"},
      {"a b", "write HOST"},
      {"host:", "a port"},
      {"host:0", "1 to 65535"},
      {"host:65536", "1 to 65535"},
      {"host:-1", "1 to 65535"},
      {"host:3478x", "1 to 65535"},
      {"[2001:db8::1", "']' is missing"},
      {"[192.0.2.1]", "no IPv6 address"},
      {"[2001:db8::1]3478", "after ']'"},
      {"[2001:db8::1]:", "a port"},
      {"2001:db8::g", "write HOST"},
      {"stun://example.com", "no '//'"},
      {"stun:example.com?transport=udp", "RFC 7064"},
      {"stun:user@example.com", "RFC 7064"},
      {"stun:example.com/path", "RFC 7064"},
      {"stuns:192.0.2.1", "host name"},
      {"stuns:[2001:db8::1]", "host name"},
      {"turn:example.com", "stun:HOST"},
      {"turns:example.com", "stun:HOST"},
      {"example.com\x1b[31m", "\\x1b"},
  };
  for (const auto& [text, wanted] : rows) {
    const auto name = parse_stun_server(text);
    ASSERT_FALSE(name) << text;
    EXPECT_THAT(name.error().text, HasSubstr(wanted)) << text;
  }
  EXPECT_FALSE(parse_stun_server(std::string(300, 'a')));
}

}  // namespace
}  // namespace turnkit::client
