// Tunnel: two streams spliced, for backends behind our port and for TCP relays (RFC 6062). What one side does not take
// is not read from the other; the end of one side's output is passed on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "net/event_loop.h"
#include "net/stream.h"
#include "turnd/relay/connection_counts.h"
#include "turnd/relay/stream_session.h"

namespace turnkit::relay {

class Streams;
class Tunnel;

// Told of what goes through a tunnel. Outlives it, or ends it first (Streams::close()).
class TunnelOwner {
 public:
  // `side`: 0 or 1, the end that the bytes came from.
  virtual void on_moved(Tunnel& tunnel, int side, std::size_t bytes) = 0;
  // How many bytes may be read from `side` now. 0 pauses that side until the next sweep (about 125 ms).
  virtual std::size_t allowance(Tunnel& /*tunnel*/, int /*side*/) { return SIZE_MAX; }
  // The tunnel has ended by itself. It may still be referred to until the end of the turn.
  virtual void on_tunnel_closed(Tunnel& tunnel, std::string_view reason) = 0;

 protected:
  ~TunnelOwner() = default;
};

struct TunnelEnd {
  std::unique_ptr<net::Stream> stream;
  std::vector<std::byte> first;  // written to this end before anything else
  bool connecting = false;       // a connection attempt is under way (net::tcp_connect)
};

struct TunnelLimits {
  Duration connect{};      // of an end that is connecting; 0: none
  Duration idle{};         // without a byte in either direction; 0: none
  Duration half_closed{};  // likewise, once one side has ended; 0: none
};

class Tunnel final : public StreamSession {
 public:
  // Made by Streams::open_tunnel(). `ticket` is held as long as the tunnel lives.
  Tunnel(Streams& streams, TunnelEnd a, TunnelEnd b, const TunnelLimits& limits, TunnelOwner* owner,
         ConnectionTicket ticket);
  ~Tunnel() override;

  [[nodiscard]] std::uint64_t moved_from(int side) const { return sides_[static_cast<std::size_t>(side)].moved; }
  [[nodiscard]] const net::Stream& stream(int side) const { return *sides_[static_cast<std::size_t>(side)].stream; }

 private:
  friend class Streams;

  struct Side final : net::IoHandler {
    void on_readable() override { tunnel->on_readable(*this); }
    void on_writable() override { tunnel->on_writable(*this); }

    Tunnel* tunnel = nullptr;
    int index = 0;
    std::unique_ptr<net::Stream> stream;
    std::vector<std::byte> pending;  // to be written to this side
    std::size_t pending_begin = 0;
    std::uint64_t moved = 0;  // bytes read from this side
    bool connecting = false;
    bool input_ended = false;
    bool output_ended = false;
    bool paused = false;            // until the next sweep
    bool read_wants_write = false;  // TLS
    bool write_wants_read = false;
    std::optional<net::IoWatch> watch;
  };

  void start();
  void on_readable(Side& side);
  void on_writable(Side& side);
  bool move_from(Side& side);
  bool write_to(Side& side, Bytes data, std::size_t& written);
  bool write_pending(Side& side);
  bool pass_end_on(Side& from);
  void update_watches();
  [[nodiscard]] bool is_paused() const { return sides_[0].paused || sides_[1].paused; }
  void resume();
  [[nodiscard]] std::string_view overdue(TimePoint now) const;
  void end(std::string_view reason);
  [[nodiscard]] Side& other(const Side& side) { return sides_[side.index == 0 ? 1 : 0]; }

  Streams& streams_;
  TunnelLimits limits_;
  TunnelOwner* owner_;
  ConnectionTicket ticket_;
  std::array<Side, 2> sides_;
  TimePoint started_{};
  TimePoint last_moved_{};
  bool gone_ = false;
};

}  // namespace turnkit::relay
