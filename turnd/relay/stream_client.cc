#include "turnd/relay/stream_client.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "net/tcp_socket.h"
#include "stun/classify.h"
#include "stun/framer.h"
#include "stun/types.h"
#include "turnd/relay/streams.h"
#include "turnd/relay/worker.h"

namespace turnkit::relay {

using engine::Drop;
using State = net::StreamIo::State;

namespace {

// What one client may read in a wake-up before others have their turn.
constexpr std::size_t kReadSize = 64 * 1024;
// A message whose rest is to come is read together with what follows it, unless it is long: then alone, so that bytes
// that trickle in are not copied again and again.
constexpr std::size_t kShortMessage = 4096;
// The longest message of a client that has no allocation yet.
constexpr std::size_t kStrangersMessage = 8192;
// A burst is written in the middle of a turn once it would have more than this: four full TLS records.
constexpr std::size_t kWriteNow = BlockPool::kBlock;
// What the kernel may hold unsent.
constexpr std::size_t kUnsentLimit = 128 * 1024;

constexpr std::string_view kClosedByClient = "TCP connection closed by client (callback)";  // coturn's words

// ChannelData and Data indications may be lost, as over UDP; everything else is signalling.
bool is_media(Bytes head, Bytes payload) {
  constexpr std::uint16_t kDataIndication = 0x0017;
  return !head.empty() || (payload.size() >= 2 && load_be16(payload.data()) == kDataIndication);
}

// Of the message at the front of a queue: STUN, or ChannelData with its padding.
std::size_t size_of_message(Bytes queued) {
  if (queued.size() < stun::kChannelHeaderSize) return queued.size();
  const std::size_t length = load_be16(queued.data() + 2);
  const bool is_stun = stun::classify(queued) == stun::PacketKind::kStun;
  return is_stun ? stun::kHeaderSize + length : (stun::kChannelHeaderSize + length + 3) & ~std::size_t{3};
}

}  // namespace

StreamClient::StreamClient(Worker& worker, Streams& streams, DetachedStream connection)
    : worker_(worker),
      streams_(streams),
      stream_(std::move(connection.stream)),
      tuple_(connection.tuple),
      ticket_(std::move(connection.ticket)),
      moves_(connection.moves),
      output_(streams.blocks(), streams.config().limits.queue_bytes + kAnswerReserve),
      tail_(std::move(connection.unread)) {
  net::tcp_limit_unsent(stream_->fd(), kUnsentLimit);
  net::tcp_give_up_after(stream_->fd(), streams.config().limits.stalled);
  output_.append(connection.unsent);
  watch_.emplace(worker_.loop(), stream_->fd(), *this);
  blocked_ = connection.blocked;
  if (blocked_) watch_->want_write(true);
}

StreamClient::~StreamClient() = default;

// What the last owner had read comes first; then whatever poll(2) does not show.
void StreamClient::start() {
  if (!output_.empty()) mark_dirty();
  if (!tail_.empty()) {
    const MutableBytes space = worker_.read_space(tail_.size());
    std::memcpy(space.data(), tail_.data(), tail_.size());
    worker_.keep_read(tail_.size());
    release(tail_);
    handle(space);
  }
  if (!gone_) on_readable();
}

// From the client.

void StreamClient::on_readable() {
  read_wants_write_ = false;
  if (std::exchange(write_wants_read_, false)) {
    blocked_ = false;
    mark_dirty();
  }
  tail_needed_ > kShortMessage ? read_long_message() : read_messages();
  if (gone_) return;
  if (ended_input_) return end(kClosedByClient);
  if (stream_->has_buffered()) streams_.read_again(*this);
}

void StreamClient::read_messages() {
  const std::size_t have = tail_.size();
  const MutableBytes space = worker_.read_space(have + kReadSize);
  const std::size_t filled = fill(space, have);
  if (filled == have) return;
  if (have != 0) std::memcpy(space.data(), tail_.data(), have);
  tail_.clear();
  tail_needed_ = 0;
  worker_.keep_read(filled);
  handle(space.first(filled));
}

// Reads into `space` behind the first `have` bytes; returns how many are filled.
std::size_t StreamClient::fill(MutableBytes space, std::size_t have) {
  while (have < space.size()) {
    const net::StreamIo io = stream_->read(space.subspan(have));
    if (io.state != State::kDone) {
      if (io.state == State::kWantWrite) {
        read_wants_write_ = true;
        watch_->want_write(true);
      }
      ended_input_ = io.state == State::kEnd || io.state == State::kFailed;
      break;
    }
    have += io.bytes;
    if (have < space.size() && !stream_->has_buffered()) break;  // that was all
  }
  return have;
}

// Hands over the messages in `received`, which stays until the end of the turn, and remembers the start of the next.
void StreamClient::handle(Bytes received) {
  Worker::RouteMemo memo;
  const stun::ChannelRange channels = worker_.engine().config().channels;
  while (!received.empty()) {
    const stun::Frame frame = stun::next_frame(received, channels);
    if (frame.kind == stun::Frame::Kind::kNeedMore) return keep_tail(received, frame.size);
    if (frame.kind == stun::Frame::Kind::kBroken) return end("neither STUN nor ChannelData on the connection");
    received = received.subspan(frame.size);
    message_ = frame.message;
    behind_message_ = received;
    worker_.on_client_message(*this, tuple_, frame.message, 0, memo);
    if (gone_) return;
  }
  message_ = behind_message_ = {};
  if (tail_.capacity() != 0) release(tail_);
}

void StreamClient::keep_tail(Bytes rest, std::size_t needed) {
  message_ = behind_message_ = {};
  if (needed > kStrangersMessage && worker_.engine().find(tuple_, worker_.loop().now()) == nullptr) {
    return end("a message that is too long for a client without an allocation");
  }
  tail_.assign(rest.begin(), rest.end());
  tail_needed_ = needed;
}

// Reads the rest of a long message behind its start. The buffer grows with what has really come.
void StreamClient::read_long_message() {
  std::size_t have = tail_.size();
  const std::size_t space_for = std::min(tail_needed_, std::max(2 * have, kShortMessage));
  tail_.resize(space_for);
  have = fill(tail_, have);
  tail_.resize(have);
  if (have < tail_needed_) return;
  const MutableBytes space = worker_.read_space(have);
  std::memcpy(space.data(), tail_.data(), have);
  worker_.keep_read(have);
  release(tail_);
  tail_needed_ = 0;
  handle(space);
}

// To the client.

void StreamClient::send(const engine::FiveTuple&, Bytes head, Bytes payload, std::uint8_t) {
  if (failed_ || gone_) return;
  // RFC 8656, section 12.5: on streams ChannelData is padded to a multiple of four bytes.
  const std::size_t size = head.size() + payload.size();
  const std::size_t padded = (size + 3) & ~std::size_t{3};
  if (output_.size() + padded > kWriteNow && !blocked_) write_some();
  const std::size_t bound = streams_.config().limits.queue_bytes;
  if (output_.size() + padded > bound) {
    if (is_media(head, payload)) return worker_.drop(Drop::kSlowReader);
    if (output_.size() + padded > bound + kAnswerReserve) {
      failed_ = true;
      end_reason_ = "client asks, but does not read the answers";
    }
  }
  mark_dirty();
  if (failed_) return;
  std::byte* at = output_.extend(padded);
  if (!head.empty()) std::memcpy(at, head.data(), head.size());
  if (!payload.empty()) std::memcpy(at + head.size(), payload.data(), payload.size());
  for (std::size_t i = size; i < padded; ++i) at[i] = std::byte{0};
}

void StreamClient::mark_dirty() {
  if (dirty_) return;
  dirty_ = true;
  streams_.mark_dirty(*this);
}

// Writes what the kernel takes. A failure ends the client at the end of the turn, not in the middle of somebody's work.
void StreamClient::write_some() {
  // coturn's clients take a TLS record for one message.
  while ((!output_.empty() || blocked_) && !failed_) {
    const net::StreamIo io = stream_->write_messages(output_.bytes(), size_of_message);
    output_.consume(io.bytes);
    if (io.state == State::kDone) {
      if (output_.empty()) break;
      continue;
    }
    if (io.state == State::kWantWrite || io.state == State::kWantRead) {
      blocked_ = true;
      write_wants_read_ = io.state == State::kWantRead;
      if (!write_wants_read_) watch_->want_write(true);
      return;
    }
    failed_ = true;
    end_reason_ = kClosedByClient;
    mark_dirty();
    return;
  }
  if (std::exchange(blocked_, false)) watch_->want_write(read_wants_write_);
}

void StreamClient::on_writable() {
  write_some();
  if (read_wants_write_) {
    watch_->want_write(blocked_);
    on_readable();
  }
}

void StreamClient::on_end_of_turn() {
  dirty_ = false;
  if (gone_) return;
  if (!blocked_) write_some();
  if (failed_) end(end_reason_);
}

// The end.

DetachedStream StreamClient::detach(bool with_message) {
  net::tcp_give_up_after(stream_->fd(), Duration::zero());
  DetachedStream out{std::move(stream_), tuple_, std::move(tail_), {}, std::move(ticket_), blocked_, moves_ + 1};
  if (with_message) out.unread.insert(out.unread.end(), message_.begin(), message_.end());
  out.unread.insert(out.unread.end(), behind_message_.begin(), behind_message_.end());
  out.unsent.assign(output_.bytes().begin(), output_.bytes().end());
  leave();
  return out;
}

void StreamClient::end(std::string_view reason) {
  if (gone_) return;
  gone_ = true;
  if (!failed_ && !blocked_) write_some();
  log::debug("stream client {}: {}", log::shown(tuple_.client), reason);
  worker_.engine().on_path_closed(tuple_, reason);
  stream_->end_output();
  leave();
}

void StreamClient::leave() {
  gone_ = true;
  watch_.reset();
  if (reading_again_) streams_.forget_reading(*this);
  streams_.retire(*this);
}

}  // namespace turnkit::relay
