// PROXY protocol: both versions cut at every byte, the rules of HAProxy's document, and what breaks them.
#include "net/proxy_protocol.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

using namespace turnkit;
using namespace turnkit::net;

namespace {

using State = ProxyHeader::State;

const Address kSource4 = *Address::parse("192.0.2.1:51234");
const Address kTarget4 = *Address::parse("198.51.100.7:443");
const Address kSource6 = *Address::parse("[2001:db8::1]:51234");
const Address kTarget6 = *Address::parse("[2001:db8::2]:443");

std::string v2(const Address& source, const Address& destination) {
  const auto bytes = proxy_header_v2(source, destination);
  return std::string(as_text(bytes));
}

TEST(ProxyProtocol, BothVersionsCutAtEveryByte) {
  for (const auto& [source, target] : {std::pair(kSource4, kTarget4), std::pair(kSource6, kTarget6)}) {
    for (const std::string& whole : {proxy_header_v1(source, target), v2(source, target)}) {
      for (std::size_t size = 0; size < whole.size(); ++size) {
        const ProxyHeader header = read_proxy_header(as_bytes(whole).first(size));
        ASSERT_EQ(header.state, State::kNeedMore) << size;
        EXPECT_GT(header.size, size);
        EXPECT_LE(header.size, whole.size());
      }
      for (const char* behind : {"", "\x16\x03\x01", "PROXY "}) {
        const ProxyHeader header = read_proxy_header(as_bytes(whole + behind));
        ASSERT_EQ(header.state, State::kDone);
        EXPECT_EQ(header.size, whole.size());
        ASSERT_TRUE(header.addresses);
        EXPECT_EQ(header.addresses->source, source);
        EXPECT_EQ(header.addresses->destination, target);
      }
    }
  }
}

TEST(ProxyProtocol, TextFormOfTheDocument) {
  EXPECT_EQ(proxy_header_v1(kSource4, kTarget4), "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n");
  EXPECT_EQ(proxy_header_v1(kSource6, kTarget6), "PROXY TCP6 2001:db8::1 2001:db8::2 51234 443\r\n");
  const std::string unknown =
      "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
  ASSERT_EQ(unknown.size(), 107U);
  for (const std::string& text : {unknown, std::string("PROXY UNKNOWN\r\n")}) {
    const ProxyHeader header = read_proxy_header(as_bytes(text));
    EXPECT_EQ(header.state, State::kDone);
    EXPECT_EQ(header.size, text.size());
    EXPECT_FALSE(header.addresses);
  }
}

TEST(ProxyProtocol, RefusesBrokenText) {
  for (const std::string_view text : {
           "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\n\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\rx",
           "PROXY TCP4  192.0.2.1 198.51.100.7 51234 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.7 51234\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443 \r\n",
           "PROXY TCP4 2001:db8::1 2001:db8::2 51234 443\r\n",
           "PROXY TCP6 192.0.2.1 198.51.100.7 51234 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.7 051234 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
           "PROXY TCP6 [2001:db8::1] 2001:db8::2 51234 443\r\n",
           "PROXY UDP4 192.0.2.1 198.51.100.7 51234 443\r\n",
           "PROXY UNKNOWNS\r\n",
           "PROXY \r\n",
           "GET / HTTP/1.1\r\n",
           "proxy TCP4 ",
       }) {
    EXPECT_EQ(read_proxy_header(as_bytes(text)).state, State::kBroken) << text;
  }
  const std::string endless = "PROXY UNKNOWN " + std::string(200, 'x');
  EXPECT_EQ(read_proxy_header(as_bytes(endless).first(106)).state, State::kNeedMore);
  EXPECT_EQ(read_proxy_header(as_bytes(endless).first(107)).state, State::kBroken);
}

TEST(ProxyProtocol, BinaryFormOfTheDocument) {
  const std::string whole = v2(kSource4, kTarget4);
  EXPECT_EQ(to_hex(as_bytes(whole)), "0d0a0d0a000d0a515549540a2111000cc0000201c6336407c82201bb");
  const auto changed = [&](std::size_t at, int value, std::size_t cut = 0, const std::string& more = {}) {
    std::string out = whole.substr(0, whole.size() - cut) + more;
    out[at] = static_cast<char>(value);
    return read_proxy_header(as_bytes(out));
  };
  // LOCAL: health checks of the proxy itself.
  EXPECT_EQ(changed(12, 0x20).state, State::kDone);
  EXPECT_FALSE(changed(12, 0x20).addresses);
  EXPECT_EQ(changed(12, 0x22).state, State::kBroken);
  EXPECT_EQ(changed(12, 0x11).state, State::kBroken);
  // UNSPEC; UDP, whose addresses are as good; families that do not exist; less than the family needs.
  EXPECT_FALSE(changed(13, 0x00).addresses);
  EXPECT_EQ(changed(13, 0x00).state, State::kDone);
  EXPECT_TRUE(changed(13, 0x12).addresses);
  EXPECT_EQ(changed(13, 0x41).state, State::kBroken);
  EXPECT_EQ(changed(13, 0x13).state, State::kBroken);
  EXPECT_EQ(changed(13, 0x21).state, State::kBroken);
  EXPECT_FALSE(changed(13, 0x31).addresses);
  // TLVs behind the addresses are skipped.
  const ProxyHeader tlvs = changed(15, 12 + 5, 0, std::string("\x04\x00\x02\x00\x00", 5));
  EXPECT_EQ(tlvs.state, State::kDone);
  EXPECT_EQ(tlvs.size, 33U);
  EXPECT_EQ(tlvs.addresses->source, kSource4);
  // Too long to wait for.
  EXPECT_EQ(changed(14, 0x10).state, State::kBroken);
  EXPECT_EQ(changed(14, 0x0F).state, State::kNeedMore);
}

// Dual-stack listeners of proxies write IPv4 clients so.
TEST(ProxyProtocol, MappedAddressesAreIPv4) {
  const Address source = *Address::parse("[::ffff:192.0.2.1]:51234");
  const Address target = *Address::parse("[::ffff:198.51.100.7]:443");
  for (const std::string& text : {proxy_header_v1(source, target), v2(source, target)}) {
    const ProxyHeader header = read_proxy_header(as_bytes(text));
    ASSERT_TRUE(header.addresses);
    EXPECT_EQ(header.addresses->source, kSource4);
    EXPECT_EQ(header.addresses->destination, kTarget4);
  }
  const ProxyHeader one = read_proxy_header(as_bytes(proxy_header_v1(source, kTarget6)));
  ASSERT_TRUE(one.addresses);
  EXPECT_EQ(one.addresses->source, source);
}

TEST(ProxyProtocol, MixedFamiliesTellNothing) {
  for (const std::string& text : {proxy_header_v1(kSource4, kTarget6), v2(kSource4, kTarget6)}) {
    const ProxyHeader header = read_proxy_header(as_bytes(text));
    EXPECT_EQ(header.state, State::kDone);
    EXPECT_FALSE(header.addresses);
  }
}

}  // namespace
