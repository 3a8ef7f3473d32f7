// Finding message boundaries in a byte stream, without copying: the caller keeps the buffer, these say what is at its front.
//
// next_frame: STUN and ChannelData mixed, as TURN over TCP and TLS sends them (RFC 8489, section 6.2.2; RFC 8656, section 12.5).
// next_rfc4571_frame: a 16-bit length before every packet (RFC 4571, section 2), as ICE-TCP uses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "stun/channel_data.h"

namespace turnkit::stun {

struct Frame {
  enum class Kind : std::uint8_t {
    kNeedMore,     // the front is the start of a frame; `size` bytes in all are needed before the next call can say more
    kStun,         // a whole STUN message (its header's length is plausible; MessageView::parse still decides)
    kChannelData,  // a whole ChannelData message; `message` includes header and data, not the padding
    kPacket,       // RFC 4571: one packet, which may be empty
    kBroken,       // no boundary can be found any more: close the connection
  };
  Kind kind = Kind::kNeedMore;
  std::size_t size = 0;  // bytes to consume, padding and prefix included
  Bytes message;
};

// `max_message` bounds a STUN message, header included; a longer one is kBroken. ChannelData may always be 4 + 65535 + 1 bytes.
Frame next_frame(Bytes buffered, ChannelRange channels, std::size_t max_message = 65556);
// A frame over `max_packet` is kBroken.
Frame next_rfc4571_frame(Bytes buffered, std::size_t max_packet = 65535);

}  // namespace turnkit::stun
