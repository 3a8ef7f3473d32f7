// Address text, classes, ranges and hashes.
#include "base/address.h"

#include <gtest/gtest.h>

#include <set>
#include <unordered_set>

namespace turnkit {
namespace {

IpAddress ip(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(IpAddress{});
}

TEST(IpAddress, TextIsCanonical) {
  struct Row {
    std::string_view in, out;
  };
  constexpr Row kRows[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"192.0.2.1", "192.0.2.1"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:DB8::1", "2001:db8::1"},
      {"[2001:db8::1]", "2001:db8::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // RFC 5952, section 4.2.3: the first of equal runs
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2: a single 0 stays
      {"2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"::ffff:c000:201", "::ffff:192.0.2.1"},
      {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(ip(row.in).to_string(), row.out) << row.in;
    EXPECT_EQ(ip(ip(row.in).to_string()), ip(row.in));
  }
}

TEST(IpAddress, OtherTextIsRefused) {
  for (const std::string_view text : {"",
                                      " ",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.256",
                                      "01.2.3.4",
                                      "1.2.3.4 ",
                                      " 1.2.3.4",
                                      "1.2.3.4:5",
                                      "0x1.2.3.4",
                                      "1",
                                      "[1.2.3.4]",
                                      "[]",
                                      "[",
                                      "]",
                                      "[::1",
                                      "::1]",
                                      "[[::1]]",
                                      ":",
                                      ":::",
                                      "1::2::3",
                                      "12345::",
                                      "::g",
                                      "fe80::1%eth0",
                                      "localhost",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "::ffff:1.2.3",
                                      "0000:0000:0000:0000:0000:0000:255.255.255.2555"}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0.5", 10)));
  EXPECT_FALSE(IpAddress::parse(std::string(10000, ':')));
}

TEST(IpAddress, BytesAndFamilies) {
  EXPECT_EQ(IpAddress(), IpAddress::v4(0, 0, 0, 0));
  EXPECT_EQ(ip("1.2.3.4"), IpAddress::v4(1, 2, 3, 4));
  EXPECT_EQ(ip("1.2.3.4").bytes().size(), 4U);
  EXPECT_EQ(ip("::1").bytes().size(), 16U);
  EXPECT_EQ(IpAddress::from_bytes(ip("1.2.3.4").bytes()), ip("1.2.3.4"));
  EXPECT_EQ(IpAddress::from_bytes(ip("2001:db8::1").bytes()), ip("2001:db8::1"));
  EXPECT_EQ(IpAddress::any(Family::kIPv4), ip("0.0.0.0"));
  EXPECT_EQ(IpAddress::any(Family::kIPv6), ip("::"));
  EXPECT_NE(ip("0.0.0.0"), ip("::"));
  EXPECT_LT(ip("9.255.255.255"), ip("10.0.0.0"));
  EXPECT_LT(ip("2001:db8::"), ip("2001:db8::1"));
}

TEST(IpAddress, Classes) {
  struct Row {
    std::string_view text;
    bool unspecified, loopback, multicast, link_local;
  };
  constexpr Row kRows[] = {
      {"0.0.0.0", true, false, false, false},
      {"0.0.0.1", false, false, false, false},
      {"127.0.0.1", false, true, false, false},
      {"127.255.255.255", false, true, false, false},
      {"128.0.0.1", false, false, false, false},
      {"223.255.255.255", false, false, false, false},
      {"224.0.0.0", false, false, true, false},
      {"239.255.255.255", false, false, true, false},
      {"240.0.0.0", false, false, false, false},
      {"169.254.0.0", false, false, false, true},
      {"169.254.255.255", false, false, false, true},
      {"169.255.0.0", false, false, false, false},
      {"::", true, false, false, false},
      {"::1", false, true, false, false},
      {"::2", false, false, false, false},
      {"1::1", false, false, false, false},
      {"ff00::", false, false, true, false},
      {"feff::1", false, false, false, false},
      {"fe80::1", false, false, false, true},
      {"febf::1", false, false, false, true},
      {"fec0::1", false, false, false, false},
      {"::ffff:127.0.0.1", false, false, false, false},
      {"2001:db8::1", false, false, false, false},
  };
  for (const Row& row : kRows) {
    EXPECT_EQ(ip(row.text).is_unspecified(), row.unspecified) << row.text;
    EXPECT_EQ(ip(row.text).is_loopback(), row.loopback) << row.text;
    EXPECT_EQ(ip(row.text).is_multicast(), row.multicast) << row.text;
    EXPECT_EQ(ip(row.text).is_link_local(), row.link_local) << row.text;
  }
}

TEST(IpAddress, CanonicalUnwrapsEveryIpv4InIpv6) {
  struct Row {
    std::string_view in, out;
  };
  constexpr Row kRows[] = {
      {"192.0.2.1", "192.0.2.1"},
      {"::", "::"},
      {"::1", "::1"},
      {"::2", "0.0.0.2"},
      {"::127.0.0.1", "127.0.0.1"},
      {"::ffff:127.0.0.1", "127.0.0.1"},
      {"::ffff:0.0.0.0", "0.0.0.0"},
      {"::ffff:0.0.0.1", "0.0.0.1"},
      {"::fffe:127.0.0.1", "::fffe:7f00:1"},
      {"64:ff9b::10.1.2.3", "10.1.2.3"},
      {"64:ff9b:0:1::10.1.2.3", "64:ff9b:0:1::a01:203"},
      {"64:ff9b:1::10.1.2.3", "10.1.2.3"},
      {"64:ff9b:1:ffff:ffff:ffff:10.1.2.3", "10.1.2.3"},
      {"64:ff9b:2::10.1.2.3", "64:ff9b:2::a01:203"},
      {"2002:a01:203::", "10.1.2.3"},
      {"2002:7f00:1:ffff::1", "127.0.0.1"},
      {"2003:7f00:1::1", "2003:7f00:1::1"},
      {"2001:0:4136:e378:8000:63bf:3fff:fdd2", "192.0.2.45"},  // RFC 4380's example
      {"2001:0:4136:e378:8000:63bf:80ff:fffe", "127.0.0.1"},
      {"2001:1::1", "2001:1::1"},
      {"2001:db8::1", "2001:db8::1"},
      {"fe80::1", "fe80::1"},
  };
  for (const Row& row : kRows) EXPECT_EQ(ip(row.in).canonical().to_string(), row.out) << row.in;
  EXPECT_TRUE(ip("2001:0:1::").is_teredo());
  EXPECT_FALSE(ip("2001:1::").is_teredo());
  EXPECT_FALSE(ip("32.1.0.0").is_teredo());
  EXPECT_TRUE(ip("2002::").is_6to4());
  EXPECT_FALSE(ip("32.2.0.0").is_6to4());
}

TEST(IpRange, Parse) {
  struct Row {
    std::string_view in, out;  // out: as to_string() gives it; empty: refused
  };
  constexpr Row kRows[] = {
      {"10.0.0.1", "10.0.0.1"},
      {"10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9"},
      {"10.0.0.1-10.0.0.1", "10.0.0.1"},
      {"10.0.0.0/8", "10.0.0.0-10.255.255.255"},
      {"10.1.2.3/8", "10.0.0.0-10.255.255.255"},
      {"10.1.2.3/31", "10.1.2.2-10.1.2.3"},
      {"10.1.2.3/32", "10.1.2.3"},
      {"0.0.0.0/0", "0.0.0.0-255.255.255.255"},
      {"172.16.0.0/12", "172.16.0.0-172.31.255.255"},
      {"::/0", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {"fc00::/7", "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
      {"2001:db8::/33", "2001:db8::-2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"},
      {"::1/128", "::1"},
      {"2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff"},
      {"", ""},
      {"-", ""},
      {"/", ""},
      {"10.0.0.1-", ""},
      {"-10.0.0.1", ""},
      {"10.0.0.9-10.0.0.1", ""},
      {"10.0.0.1-::1", ""},
      {"10.0.0.1-10.0.0.2-10.0.0.3", ""},
      {"10.0.0.0/33", ""},
      {"10.0.0.0/08", ""},
      {"10.0.0.0/-1", ""},
      {"10.0.0.0/+8", ""},
      {"10.0.0.0/ 8", ""},
      {"10.0.0.0/8 ", ""},
      {"10.0.0.0/", ""},
      {"10.0.0.0/4294967304", ""},
      {"10.0.0.0/255.0.0.0", ""},
      {"::/129", ""},
      {"10.0.0.0/8-10.0.0.9", ""},
      {"example.org", ""},
  };
  for (const Row& row : kRows) {
    const auto range = IpRange::parse(row.in);
    EXPECT_EQ(range ? range->to_string() : "", row.out) << row.in;
    if (range) {
      EXPECT_EQ(IpRange::parse(range->to_string()), range);
    }
  }
}

TEST(IpRange, ContainsItsEndsAndItsFamilyOnly) {
  const auto range = IpRange::parse("10.0.0.5-10.0.1.2");
  ASSERT_TRUE(range);
  for (const std::string_view in : {"10.0.0.5", "10.0.0.255", "10.0.1.0", "10.0.1.2"})
    EXPECT_TRUE(range->contains(ip(in))) << in;
  for (const std::string_view out : {"10.0.0.4", "10.0.1.3", "9.0.0.6", "::ffff:10.0.0.6", "a00:5::"}) {
    EXPECT_FALSE(range->contains(ip(out))) << out;
  }
  EXPECT_TRUE(IpRange::parse("::/0")->contains(ip("::1")));
  EXPECT_FALSE(IpRange::parse("::/0")->contains(ip("1.2.3.4")));
}

// Every prefix length: the ends differ in exactly the host bits.
TEST(IpRange, EveryPrefixLength) {
  for (const std::string_view base : {"170.85.170.85", "aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55"}) {
    const std::size_t bits = ip(base).bytes().size() * 8;
    for (std::size_t length = 0; length <= bits; ++length) {
      const auto range = IpRange::parse(std::string(base) + '/' + std::to_string(length));
      ASSERT_TRUE(range) << base << length;
      EXPECT_TRUE(range->contains(ip(base)));
      std::size_t different = 0;
      for (std::size_t i = 0; i < bits; ++i) {
        const auto bit = [i](const IpAddress& a) {
          return (std::to_integer<unsigned>(a.bytes()[i / 8]) >> (7 - i % 8)) & 1;
        };
        if (i < length) {
          EXPECT_EQ(bit(range->first), bit(ip(base)));
        }
        different += bit(range->first) != bit(range->last) ? 1 : 0;
      }
      EXPECT_EQ(different, bits - length);
    }
  }
}

TEST(Address, ParseAndFormat) {
  for (const std::string_view text :
       {"192.0.2.1:3478", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:3478", "[::]:1"}) {
    const auto address = Address::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
    EXPECT_EQ(Address::parse(text, 9), address);
  }
  for (const std::string_view text : {"",
                                      ":",
                                      "192.0.2.1",
                                      "192.0.2.1:",
                                      ":3478",
                                      "192.0.2.1:65536",
                                      "192.0.2.1:99999999999999999999",
                                      "192.0.2.1:-1",
                                      "192.0.2.1:+1",
                                      "192.0.2.1: 1",
                                      "192.0.2.1:1 ",
                                      "192.0.2.1:01",
                                      "192.0.2.1:0x1",
                                      "2001:db8::1:3478",
                                      "[2001:db8::1]",
                                      "[2001:db8::1]3478",
                                      "[2001:db8::1]:",
                                      "[192.0.2.1]:1",
                                      "example.org:3478",
                                      "[]:1"}) {
    EXPECT_FALSE(Address::parse(text)) << text;
  }
}

TEST(Address, ParseWithDefaultPort) {
  EXPECT_EQ(Address::parse("192.0.2.1", 3478)->to_string(), "192.0.2.1:3478");
  EXPECT_EQ(Address::parse("2001:db8::1", 3478)->to_string(), "[2001:db8::1]:3478");
  EXPECT_EQ(Address::parse("[2001:db8::1]", 3478)->to_string(), "[2001:db8::1]:3478");
  EXPECT_EQ(Address::parse("192.0.2.1:53", 3478)->port, 53);
  EXPECT_EQ(Address::parse("[2001:db8::1]:53", 3478)->port, 53);
  for (const std::string_view text : {"", "example.org", "192.0.2.1:", "[2001:db8::1]:", "192.0.2.1:x"}) {
    EXPECT_FALSE(Address::parse(text, 3478)) << text;
  }
}

// Neighbouring addresses and ports, the usual keys, must spread over a small table in their low and high bits.
TEST(AddressHash, NeighboursSpread) {
  std::unordered_set<std::size_t> seen;
  std::vector<unsigned> low(256), high(256);
  for (unsigned host = 0; host < 64; ++host) {
    for (unsigned port = 0; port < 1024; ++port) {
      for (const IpAddress& base :
           {IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(host)), ip("2001:db8::" + std::to_string(host))}) {
        const std::size_t h = hash_value(Address{base, static_cast<std::uint16_t>(49152 + port)});
        seen.insert(h);
        ++low[h & 255];
        ++high[h >> 56];
      }
    }
  }
  EXPECT_EQ(seen.size(), 64U * 1024 * 2);
  for (unsigned i = 0; i < 256; ++i) {  // 512 expected in each, with a standard deviation of 23
    EXPECT_GT(low[i], 350U);
    EXPECT_LT(low[i], 700U);
    EXPECT_GT(high[i], 350U);
    EXPECT_LT(high[i], 700U);
  }
}

TEST(AddressHash, EqualValuesHashEqual) {
  EXPECT_EQ(std::hash<Address>{}(*Address::parse("[::1]:5")), std::hash<Address>{}(*Address::parse("[0:0::1]:5")));
  EXPECT_EQ(std::hash<IpAddress>{}(ip("::1")), std::hash<IpAddress>{}(ip("0::1")));
  EXPECT_NE(std::hash<IpAddress>{}(ip("0.0.0.0")), std::hash<IpAddress>{}(ip("::")));
}

}  // namespace
}  // namespace turnkit
