// MessageView against the slow reference parser: same verdict, same attributes, same MAC. The first byte asks for
// repairs that random bytes would hardly hit: 1 the length, 2 the cookie, 4 the fingerprint at the end, 8 the first
// SHA-1 MAC, 16 any cookie.
#include "stun/attribute_table.h"
#include "stun/integrity.h"
#include "stun_reference.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

void repair(Buffer& m, unsigned wishes, Bytes key) {
  if (m.size() < stun::kHeaderSize) return;
  if ((wishes & 1) != 0) {
    m.resize(std::min<std::size_t>(m.size() / 4 * 4, 20 + 65532));
    store_be16(m.data() + 2, static_cast<std::uint16_t>(m.size() - 20));
  }
  if ((wishes & 2) != 0) store_be32(m.data() + 4, stun::kMagicCookie);
  if ((wishes & 8) != 0) {
    const ReferenceMessage message = reference_parse(m, true);
    for (const ReferenceAttribute& a : message.counting) {
      if (a.type != 0x0008 || a.value.size() != 20) continue;
      Buffer covered = copy(Bytes(m).first(a.offset));
      store_be16(covered.data() + 2, static_cast<std::uint16_t>(a.offset + 4));
      const Sha1 mac = hmac_sha1(key, {covered});
      std::copy(mac.begin(), mac.end(), m.begin() + static_cast<std::ptrdiff_t>(a.offset) + 4);
      break;
    }
  }
  if ((wishes & 4) != 0 && m.size() >= 28 && m.size() % 4 == 0) {
    const std::size_t at = m.size() - 8;
    store_be32(m.data() + at, 0x80280004);
    store_be32(m.data() + at + 4, reference_fingerprint(Bytes(m).first(at)));
  }
}

void compare(const stun::MessageView& view, const ReferenceMessage& want) {
  std::size_t n = 0;
  for (const stun::Attribute a : view) {
    require(n < want.counting.size(), "visits no more attributes than count");
    require(static_cast<unsigned>(a.type) == want.counting[n].type, "visits attributes in order");
    require(equal(a.value, want.counting[n].value), "visits values in place");
    ++n;
  }
  require(n == want.counting.size(), "visits all attributes that count");

  std::set<unsigned> types = {0x7001, 0xFFFF};
  for (const stun::AttributeInfo& info : stun::kAttributes) types.insert(static_cast<unsigned>(info.type));
  if (want.counting.size() < 64) {
    for (const ReferenceAttribute& a : want.counting) types.insert(a.type);
  }
  for (const unsigned type : types) {
    const auto found = view.find(stun::Attr(type));
    const auto first =
        std::find_if(want.counting.begin(), want.counting.end(), [type](const auto& a) { return a.type == type; });
    require(found.has_value() == (first != want.counting.end()), "finds what is there");
    if (found) require(equal(found->value, first->value), "finds the first");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes key = as_bytes("key");
  const unsigned wishes = data[0];
  Buffer message = input(data + 1, size - 1);
  repair(message, wishes, key);

  const bool any_cookie = (wishes & 16) != 0;
  const ReferenceMessage want = reference_parse(message, any_cookie);
  ParseError why = ParseError::kTooShort;
  const auto view = stun::MessageView::parse(message, &why, any_cookie ? stun::Cookie::kAny : stun::Cookie::kRequired);
  require(why == want.error, "same verdict");
  require(view.has_value() == (why == ParseError::kNone), "a view exactly when there is no error");
  if (!view) return 0;
  compare(*view, want);
  require(stun::verify_integrity(*view, key) == reference_verify(message, want, key), "same MAC");
  return 0;
}
