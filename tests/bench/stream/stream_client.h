// A TURN client on a non-blocking stream, as cheap as a load generator's has to be: set up by TurnSession, then frames.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "client/turn_session.h"
#include "net/stream.h"
#include "stream_bench.h"

namespace turnkit::bench {

class StreamClient {
 public:
  static constexpr std::uint16_t kChannel = 0x4000;

  // Connects, allocates, and binds kChannel to `peer`. Blocks.
  static Result<std::unique_ptr<StreamClient>> open(const Options& options,
                                                    std::shared_ptr<net::TlsClientContext> context, const Address& peer,
                                                    Random& random);

  [[nodiscard]] int fd() const { return stream_->fd(); }
  [[nodiscard]] const Address& relayed() const { return session_->allocation().relayed; }
  [[nodiscard]] bool is_dead() const { return dead_; }

  // Writes `frames` as one write; what does not go at once goes before anything else later. False: a rest is left.
  bool write(Bytes frames);
  // Writes the rest. False: there is still one.
  bool write_rest();
  [[nodiscard]] bool has_rest() const { return rest_ != 0; }
  // Reads what is there; how many ChannelData messages with `size` bytes of data that completed.
  std::uint64_t read(std::size_t size);

 private:
  explicit StreamClient(std::unique_ptr<net::Stream> stream);
  Status run_until(const std::function<bool()>& done);
  void wait(short events);
  void fill();

  std::unique_ptr<net::Stream> stream_;
  std::optional<client::TurnSession> session_;
  std::vector<std::byte> input_;
  std::size_t have_ = 0;
  Bytes pending_;
  std::size_t rest_ = 0;  // bytes at the end of `pending_` that are to be written
  bool dead_ = false;
};

}  // namespace turnkit::bench
