// OpaqueString on any bytes: its results are text, never empty, and prepare to themselves.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "auth/opaque_string.h"

using namespace turnkit;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(data, data + size);
  const auto prepared = auth::opaque_string(text);
  if (prepared &&
      (prepared->empty() || !auth::is_plain_text(*prepared) || auth::opaque_string(*prepared) != prepared)) {
    std::abort();
  }
  if (prepared && !auth::is_plain_text(text)) std::abort();
  if (auth::is_printable_ascii(text) && !text.empty() && prepared != text) std::abort();
  return 0;
}
