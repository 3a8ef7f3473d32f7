// RecvBatch and SendBatch: the only way that the data paths touch a datagram socket. Packets cross the kernel once per
// run (UDP_GRO in, UDP_SEGMENT out), not once per packet, because user code costs little and the kernel's path costs
// nearly all.
//
// A loop turn: receive() from every ready socket, handle each segment, add() what is to be sent (payloads stay in
// RecvBatch's slots), flush() once, clear(). Both belong to one thread.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/address.h"
#include "base/bytes.h"
#include "net/udp_socket.h"

namespace turnkit::net {

// What one slot received: a datagram, or a run of datagrams of one flow that GRO joined.
struct Datagram {
  MutableBytes data;               // 4 bytes in front of it may be overwritten (room for a ChannelData header)
  std::uint32_t segment_size = 0;  // every segment but the last has this many bytes; data.size() for a single datagram
  Address source;
  Address local;         // where it was sent to, or, for a broadcast or multicast, the address to answer from
  std::uint8_t tos = 0;  // DSCP and ECN as received; 0 unless UdpOptions::receive_tos
  bool truncated = false;

  // Calls f(segment) for each datagram in it; once, with an empty span, for an empty datagram.
  template <typename F>
  void for_each_segment(F&& f) const {
    std::size_t offset = 0;
    do {
      const std::size_t size = std::min<std::size_t>(segment_size, data.size() - offset);
      f(data.subspan(offset, size));
      offset += size;
    } while (offset < data.size());
  }
};

class RecvBatch {
 public:
  static constexpr std::size_t kHeadroom = 4;

  // `slot_size` bytes each (64 KiB where sockets use GRO). Memory is reserved, not touched: a slot costs pages when it
  // is first used, and low slots are used first.
  explicit RecvBatch(std::size_t slots = 64, std::size_t slot_size = 65536);
  ~RecvBatch();

  // One system call for at most `limit` datagrams into the slots that are free. The result is valid until clear().
  // `error` is the errno of a failed call, EAGAIN when nothing was there, ENOBUFS when no slot is free; 0 otherwise. A
  // pending ICMP error is returned as its errno once. With a `limit` of 1 the call is recvmsg, which is cheaper where
  // one datagram is all that is to be expected.
  struct Received {
    std::span<const Datagram> datagrams;
    int error = 0;
    bool drained = false;  // fewer came than could have: the socket is empty
  };
  Received receive(const UdpSocket& socket, std::size_t limit = 64);

  [[nodiscard]] std::size_t free_slots() const { return slots_ - used_; }
  void clear() { used_ = 0; }

 private:
  struct Impl;
  std::size_t slots_;
  std::size_t used_ = 0;
  std::unique_ptr<Impl> impl_;
};

// What became of the datagrams; counters since construction.
struct SendStats {
  std::uint64_t datagrams = 0;      // handed to the kernel
  std::uint64_t segmented = 0;      // of these, inside UDP_SEGMENT sends
  std::uint64_t calls = 0;          // system calls
  std::uint64_t dropped_full = 0;   // EAGAIN, ENOBUFS: the socket's send buffer was full
  std::uint64_t dropped_error = 0;  // any other errno
};

// One datagram to send. `head` (at most 4 bytes) is copied, unless it lies directly in front of `payload`. `socket` and
// `payload` are not copied: they must stay until flush().
struct Outgoing {
  UdpSocket* socket = nullptr;
  Address to;
  Bytes head;
  Bytes payload;
  std::uint8_t tos = 0;             // DSCP and ECN
  const IpAddress* from = nullptr;  // source address, for sockets bound to the unspecified address; copied
};

// The system calls that SendBatch makes; tests put faults in their place.
struct SendCalls {
  ssize_t (*sendmsg)(int fd, const msghdr* message, int flags) = ::sendmsg;
  int (*sendmmsg)(int fd, mmsghdr* messages, unsigned count, int flags) = ::sendmmsg;
};

class SendBatch {
 public:
  explicit SendBatch(std::size_t capacity = 1024, const SendCalls& calls = {});
  ~SendBatch();

  // Queues a datagram; flushes first when the batch is full. Datagrams of one socket, destination and source leave in the
  // order of add(); neighbours of one size and tos become one UDP_SEGMENT send (at most 64 segments and 65,507 bytes; the
  // last may be shorter).
  void add(const Outgoing& datagram);
  // Sends all. What the kernel refuses is counted and dropped: media does not wait. EMSGSIZE or EINVAL resends a run
  // singly and remembers that segments of this size do not fit that destination; EIO or ENOPROTOOPT turns segmentation
  // off for the socket, with one warning.
  void flush();
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const SendStats& stats() const { return stats_; }

 private:
  struct Impl;
  std::size_t size_ = 0;
  SendStats stats_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace turnkit::net
