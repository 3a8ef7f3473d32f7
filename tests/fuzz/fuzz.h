// Shared by the fuzz targets: input as bytes, and a check that stays on in every build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/bytes.h"

namespace turnkit::fuzz {

using Buffer = std::vector<std::byte>;

// libFuzzer's input, copied into a block of its own size so that a read past its end is caught.
inline Buffer input(const std::uint8_t* data, std::size_t size) {
  Buffer out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(data[i]);
  return out;
}

inline Buffer copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace turnkit::fuzz
