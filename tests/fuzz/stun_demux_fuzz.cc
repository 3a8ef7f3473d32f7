// classify and parse_channel_data against tables written out by hand. The first byte chooses the channel range.
#include "stun/classify.h"

#include <optional>

#include "fuzz.h"
#include "stun/message.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using stun::PacketKind;

namespace {

PacketKind slow_classify(Bytes packet, bool wide) {
  if (packet.empty()) return PacketKind::kEmpty;
  const auto first = std::to_integer<unsigned>(packet[0]);
  if (first >= 192) return PacketKind::kUnknown;
  if (first >= 128) return PacketKind::kRtp;
  if (first >= 80) return wide ? PacketKind::kChannelData : PacketKind::kUnknown;
  if (first >= 64) return PacketKind::kChannelData;
  if (first >= 20) return PacketKind::kDtls;
  if (first >= 16) return PacketKind::kZrtp;
  if (first >= 4) return PacketKind::kUnknown;
  return PacketKind::kStun;
}

void check_channel_data(Bytes packet) {
  const auto message = stun::parse_channel_data(packet);
  const std::size_t claimed =
      packet.size() < 4 ? 0 : std::to_integer<unsigned>(packet[2]) * 256 + std::to_integer<unsigned>(packet[3]);
  require(message.has_value() == (packet.size() >= 4 && packet.size() >= 4 + claimed), "taken when its length fits");
  if (!message) return;
  require(message->data.data() == packet.data() + 4 && message->data.size() == claimed, "data is in place");
  Buffer again(4);
  stun::write_channel_header(again.data(), message->number, message->data.size());
  require(equal(again, packet.first(4)), "the header written again is the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool wide = (data[0] & 1) != 0;
  const Buffer packet = input(data + 1, size - 1);
  const PacketKind kind = stun::classify(packet, wide ? stun::kRfc5766Channels : stun::kRfc8656Channels);
  require(kind == slow_classify(packet, wide), "same kind as the table");
  if (kind != PacketKind::kStun) require(!stun::MessageView::parse(packet), "only STUN parses as STUN");
  check_channel_data(packet);
  return 0;
}
