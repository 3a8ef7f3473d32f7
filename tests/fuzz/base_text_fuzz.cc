// Text of lib/base: what parses prints and parses to the same, and escaped text is harmless.
#include <algorithm>
#include <string>

#include "base/address.h"
#include "base/encoding.h"
#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer bytes = input(data, size);
  const std::string text(as_text(bytes));

  if (const auto ip = IpAddress::parse(text)) {
    require(IpAddress::parse(ip->to_string()) == ip, "an IP address prints and parses to itself");
    require(ip->canonical().canonical() == ip->canonical(), "canonical() is final");
  }
  if (const auto address = Address::parse(text)) {
    require(Address::parse(address->to_string()) == address, "an address prints and parses to itself");
    require(Address::parse(text, 1) == address, "a port in the text comes before the default");
  }
  if (const auto range = IpRange::parse(text)) {
    require(IpRange::parse(range->to_string()) == range, "a range prints and parses to itself");
    require(range->contains(range->first) && range->contains(range->last), "a range contains its ends");
  }
  require(from_hex(to_hex(bytes)) == bytes, "hex round trip");
  require(from_base64(to_base64(bytes)) == bytes, "base64 round trip");
  if (const auto decoded = from_base64(text)) require(to_base64(*decoded) == text, "base64 has one spelling");

  const std::string safe = escaped(text, 100);
  require(safe.size() <= 403, "escaped text is bounded");
  require(
      std::none_of(safe.begin(), safe.end(),
                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"' || c == '\''; }),
      "escaped text holds no control characters or quotes");
  const std::string whole = escaped(text, text.size());
  require(escaped(whole, whole.size()).size() >= whole.size(), "escaping is not undone by escaping");
  return 0;
}
