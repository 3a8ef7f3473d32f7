// Answers to Binding requests: whatever comes, what a person is shown of it is harmless and bounded.
#include <algorithm>
#include <string>

#include "fuzz.h"
#include "probe/stun/answer.h"

using namespace turnkit;
using namespace turnkit::fuzz;

namespace {

bool is_harmless(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Buffer buffer = input(data, size);
  stun::TransactionId id;
  // The id that the message has, so that most inputs get past that test.
  if (buffer.size() >= 20) std::copy_n(buffer.begin() + 8, 12, id.bytes.begin());
  bool bad_fingerprint = false;
  const auto answer = probe::decode_stun_answer(buffer, id, &bad_fingerprint);
  require(!answer || !bad_fingerprint, "an answer with a wrong FINGERPRINT is none");
  if (!answer) return 0;
  require(answer->bytes == buffer.size() && answer->padding < buffer.size(), "sizes are those of the message");
  require(is_harmless(answer->software) && is_harmless(answer->reason), "texts are escaped");
  require(answer->attributes.size() <= 64, "attributes are bounded");
  for (const probe::AttributeSeen& attribute : answer->attributes) {
    require(is_harmless(attribute.text) && attribute.text.size() < 700, "attributes are escaped and short");
  }
  id.bytes[0] ^= std::byte{1};
  require(!probe::decode_stun_answer(buffer, id, nullptr), "another transaction's answer is none");
  return 0;
}
