#include "turnd/relay/tunnel.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "turnd/relay/streams.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {

using State = net::StreamIo::State;

namespace {

// What one side may move in a wake-up before others have their turn.
constexpr int kReadsPerWakeup = 4;
// Likewise of a TLS stream that has input which poll(2) would not show.
constexpr int kBufferedReads = 64;

}  // namespace

Tunnel::Tunnel(Streams& streams, TunnelEnd a, TunnelEnd b, const TunnelLimits& limits, TunnelOwner* owner,
               ConnectionTicket ticket)
    : streams_(streams), limits_(limits), owner_(owner), ticket_(std::move(ticket)) {
  started_ = last_moved_ = streams.worker().loop().now().mono;
  for (int i = 0; i < 2; ++i) {
    TunnelEnd& end = i == 0 ? a : b;
    Side& side = sides_[static_cast<std::size_t>(i)];
    side.tunnel = this;
    side.index = i;
    side.stream = std::move(end.stream);
    side.pending = std::move(end.first);
    side.connecting = end.connecting;
  }
}

Tunnel::~Tunnel() = default;

void Tunnel::start() {
  for (Side& side : sides_) side.watch.emplace(streams_.worker().loop(), side.stream->fd(), side);
  for (Side& side : sides_) {
    if (!side.connecting && !write_pending(side)) return;
  }
  for (Side& side : sides_) {
    // What TLS has decrypted already does not show in poll(2).
    if (!side.connecting && !move_from(side)) return;
  }
  update_watches();
}

void Tunnel::on_readable(Side& side) {
  if (side.connecting) return on_writable(side);
  if (side.write_wants_read && !write_pending(side)) return;
  if (!move_from(side)) return;
  update_watches();
}

void Tunnel::on_writable(Side& side) {
  if (side.connecting) {
    if (const int error = net::tcp_connect_error(side.stream->fd()); error != 0) {
      streams_.warn(fmt::format("a backend cannot be reached: {}", std::strerror(error)));
      return end("no connection");
    }
    side.connecting = false;
  }
  if (!write_pending(side)) return;
  // Now there may be room for what the other side has, or TLS may have waited for this.
  if (side.read_wants_write && !move_from(side)) return;
  if (!other(side).connecting && !move_from(other(side))) return;
  update_watches();
}

// Reads from `side` and writes to the other one, until there is nothing more to read, the other side takes no more, or
// it is others' turn. False: the tunnel has ended.
bool Tunnel::move_from(Side& side) {
  Side& to = other(side);
  const MutableBytes space = streams_.splice_buffer();
  side.paused = false;
  for (int i = 0; !side.input_ended && to.pending.empty() && !to.connecting; ++i) {
    if (i >= kReadsPerWakeup && !side.stream->has_buffered()) break;
    std::size_t room = i < kBufferedReads ? space.size() : 0;
    if (owner_ != nullptr) room = std::min(room, owner_->allowance(*this, side.index));
    if (gone_) return false;
    side.paused = room == 0;
    if (side.paused) break;
    const net::StreamIo io = side.stream->read(space.first(room));
    side.read_wants_write = io.state == State::kWantWrite;
    if (io.state == State::kWantRead || io.state == State::kWantWrite) break;
    if (io.state == State::kFailed) return end("reset"), false;
    if (io.state == State::kEnd) {
      side.input_ended = true;
      break;
    }
    side.moved += io.bytes;
    last_moved_ = streams_.worker().loop().now().mono;
    const Bytes data = space.first(io.bytes);
    std::size_t written = 0;
    if (!write_to(to, data, written)) return false;
    if (written < data.size()) to.pending.assign(data.begin() + static_cast<std::ptrdiff_t>(written), data.end());
    if (owner_ != nullptr) owner_->on_moved(*this, side.index, io.bytes);
    if (gone_) return false;
    if (io.bytes < room && !side.stream->has_buffered()) break;
  }
  return pass_end_on(side);
}

// Writes to `side`; `written`: how much it took. False: the tunnel has ended.
bool Tunnel::write_to(Side& side, Bytes data, std::size_t& written) {
  side.write_wants_read = false;
  while (written < data.size()) {
    const net::StreamIo io = side.stream->write(data.subspan(written));
    if (io.state == State::kDone) {
      written += io.bytes;
      continue;
    }
    side.write_wants_read = io.state == State::kWantRead;
    if (io.state == State::kWantRead || io.state == State::kWantWrite) return true;
    return end("reset"), false;
  }
  return true;
}

bool Tunnel::write_pending(Side& side) {
  if (!side.pending.empty()) {
    std::size_t written = side.pending_begin;
    if (!write_to(side, side.pending, written)) return false;
    side.pending_begin = written;
    if (written < side.pending.size()) return true;
    release(side.pending);
    side.pending_begin = 0;
  }
  return pass_end_on(other(side));
}

// The end of what `from` sends becomes the end of what the other side gets, once all before it has left. False: both
// directions have ended, and so has the tunnel.
bool Tunnel::pass_end_on(Side& from) {
  Side& to = other(from);
  if (from.input_ended && !to.output_ended && to.pending.empty() && !to.connecting) {
    to.stream->end_output();
    to.output_ended = true;
    last_moved_ = streams_.worker().loop().now().mono;
  }
  if (!sides_[0].output_ended || !sides_[1].output_ended) return true;
  end("closed by both sides");
  return false;
}

void Tunnel::update_watches() {
  for (Side& side : sides_) {
    const Side& to = other(side);
    const bool can_move = !side.input_ended && to.pending.empty() && !to.connecting && !side.paused;
    side.watch->want_read(!side.connecting && (can_move || side.write_wants_read));
    const bool has_output = !side.pending.empty() && !side.write_wants_read;
    side.watch->want_write(side.connecting || has_output || (can_move && side.read_wants_write));
  }
}

void Tunnel::resume() {
  for (Side& side : sides_) {
    if (side.paused && !move_from(side)) return;
  }
  update_watches();
}

std::string_view Tunnel::overdue(TimePoint now) const {
  const auto passed = [now](TimePoint since, Duration limit) {
    return limit != Duration::zero() && now - since >= limit;
  };
  const bool connecting = sides_[0].connecting || sides_[1].connecting;
  const bool half_closed = sides_[0].input_ended || sides_[1].input_ended;
  if (connecting && passed(started_, limits_.connect)) return "no connection in time";
  if (half_closed && passed(last_moved_, limits_.half_closed)) return "half closed and idle";
  return passed(last_moved_, limits_.idle) ? "idle" : std::string_view{};
}

void Tunnel::end(std::string_view reason) {
  if (gone_) return;
  gone_ = true;
  log::debug("tunnel ends: {}; {} bytes one way, {} the other", reason, sides_[0].moved, sides_[1].moved);
  for (Side& side : sides_) side.watch.reset();
  streams_.retire(*this);
  if (owner_ != nullptr) owner_->on_tunnel_closed(*this, reason);
}

}  // namespace turnkit::relay
