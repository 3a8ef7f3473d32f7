// Shared by the framers' fuzz targets: a stream fed in pieces, and the frames that come out.
#pragma once

#include <algorithm>
#include <utility>

#include "fuzz.h"
#include "stun/framer.h"

namespace turnkit::fuzz {

struct Frames {
  void add(char kind, Bytes message) { list.emplace_back(kind, copy(message)); }
  friend bool operator==(const Frames&, const Frames&) = default;

  std::vector<std::pair<char, Buffer>> list;
  bool broken = false;
};

// Feeds `stream` in pieces of these lengths, the last one repeated.
template <typename Next>
Frames feed(Next next, const Buffer& stream, const std::vector<std::size_t>& pieces) {
  Frames out;
  Buffer buffered;
  std::size_t needed = 0;  // what the last kNeedMore asked for
  std::size_t at = 0;
  for (std::size_t i = 0; at < stream.size() && !out.broken; ++i) {
    const std::size_t n = std::min(stream.size() - at, pieces[std::min(i, pieces.size() - 1)]);
    buffered.insert(buffered.end(), stream.begin() + static_cast<std::ptrdiff_t>(at),
                    stream.begin() + static_cast<std::ptrdiff_t>(at + n));
    at += n;
    while (!out.broken) {
      const stun::Frame frame = next(Buffer(buffered));
      if (frame.kind == stun::Frame::Kind::kNeedMore) {
        require(frame.size > buffered.size(), "asks for more than there is");
        require(frame.size >= needed, "never asks for less than before");
        needed = frame.size;
        break;
      }
      if (frame.kind == stun::Frame::Kind::kBroken) {
        out.broken = true;
        break;
      }
      require(buffered.size() >= needed, "no frame before what was asked for");
      require(frame.size > 0 && frame.size <= buffered.size(), "consumes what there is");
      require(frame.message.size() <= frame.size, "a message within its frame");
      const std::size_t prefix = frame.kind == stun::Frame::Kind::kPacket ? 2 : 0;
      const char kind = prefix != 0 ? 'P' : frame.kind == stun::Frame::Kind::kStun ? 'S' : 'C';
      out.add(kind, Bytes(buffered).subspan(prefix, frame.message.size()));
      buffered.erase(buffered.begin(), buffered.begin() + static_cast<std::ptrdiff_t>(frame.size));
      needed = 0;
    }
  }
  return out;
}

// The pieces' lengths (1 to 256, at least one) and the stream behind them.
inline std::pair<std::vector<std::size_t>, Buffer> split_script(const Buffer& bytes) {
  Reader in(bytes);
  std::vector<std::size_t> pieces;
  for (std::size_t left = in.u8(); left > 0 && in.remaining() > 0; --left) pieces.push_back(std::size_t{1} + in.u8());
  if (pieces.empty()) pieces.push_back(1);
  return {pieces, copy(in.rest())};
}

}  // namespace turnkit::fuzz
