// OpaqueString on any bytes: its results are text, never empty, and prepare to themselves.
#include <string>

#include "auth/opaque_string.h"
#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const auto prepared = auth::opaque_string(text);
  if (prepared) {
    require(!prepared->empty() && auth::is_plain_text(*prepared), "a result is text");
    require(auth::opaque_string(*prepared) == prepared, "a result prepares to itself");
    require(auth::is_plain_text(text), "what is taken is text");
  }
  if (auth::is_printable_ascii(text) && !text.empty()) require(prepared == text, "ASCII stays as it is");
  return 0;
}
