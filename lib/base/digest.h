// Hashes and MACs, through OpenSSL. One narrow header so that nothing else names the crypto library for them.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>

#include "base/bytes.h"

namespace turnkit {

using Md5 = std::array<std::byte, 16>;
using Sha1 = std::array<std::byte, 20>;
using Sha256 = std::array<std::byte, 32>;

// Each takes the concatenation of `parts`.
Md5 md5(std::initializer_list<Bytes> parts);
Sha256 sha256(std::initializer_list<Bytes> parts);
Sha1 hmac_sha1(Bytes key, std::initializer_list<Bytes> parts);
Sha256 hmac_sha256(Bytes key, std::initializer_list<Bytes> parts);

// Takes the same time for all contents of equal length. False when the lengths differ.
bool constant_time_equal(Bytes a, Bytes b);

}  // namespace turnkit
