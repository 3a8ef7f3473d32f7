// Verification of MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489, sections 14.5 to 14.7).
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "stun/message.h"

namespace turnkit::stun {

// Which MAC decides: SHA-256 where both are present (RFC 8489, sections 9.1.3 and 9.2.4).
enum class MacKind : std::uint8_t { kNone, kSha1, kSha256, kMalformed };

// kMalformed: MESSAGE-INTEGRITY whose length is not 20, or MESSAGE-INTEGRITY-SHA256 whose length is not 16, 20, 24, 28 or 32.
MacKind deciding_mac(const MessageView& message);

// True when the deciding MAC is right for `key`. Truncated SHA-256 MACs are refused: no usage of ours allows them.
// Constant time in the MAC's content.
bool verify_integrity(const MessageView& message, Bytes key);

// The value of FINGERPRINT for a message whose header and attributes before FINGERPRINT are `covered`, with the header's length
// field as it will be sent (RFC 8489, section 14.7).
std::uint32_t fingerprint_of(Bytes covered);

}  // namespace turnkit::stun
