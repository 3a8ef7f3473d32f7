// SendBatch: datagrams are grouped by flow as they are added and leave as runs. An item is one datagram; a group is the
// list of items of one flow (socket, destination, source); a message is what one sendmsg sends: one item, or a run
// of items as UDP_SEGMENT.
#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/log.h"
#include "net/index_table.h"
#include "net/segment_limits.h"
#include "net/sockaddr.h"
#include "net/udp_batch.h"

namespace turnkit::net {
namespace {

constexpr std::uint32_t kNone = 0xFFFFFFFF;
constexpr std::size_t kMaxSegments = 64;
constexpr std::size_t kMaxRunBytes = 65507;
constexpr std::size_t kMaxMessages = 64;  // a sendmmsg call
constexpr std::size_t kMaxHead = 4;
constexpr std::size_t kSegmentSpace = CMSG_SPACE(sizeof(std::uint16_t));
constexpr std::size_t kControlSize =
    CMSG_SPACE(sizeof(int)) + CMSG_SPACE(std::max(sizeof(in_pktinfo), sizeof(in6_pktinfo))) + kSegmentSpace;

struct Item {
  const std::byte* payload;
  std::uint32_t payload_size;
  std::uint32_t next;  // in its group
  std::array<std::byte, kMaxHead> head;
  std::uint8_t head_size;
  std::uint8_t tos;
  [[nodiscard]] std::size_t size() const { return payload_size + std::size_t{head_size}; }
};

struct Group {
  UdpSocket* socket;
  Address to;
  IpAddress from;
  bool has_from;
  std::uint32_t first;  // items
  std::uint32_t last;
  std::uint32_t next;  // group of the same socket
};

struct SocketQueue {
  UdpSocket* socket;
  std::uint32_t first;  // groups
  std::uint32_t last;
};

// What a message is made of, to send its datagrams singly.
struct Run {
  const Address* to;
  std::uint32_t first;  // items
  std::uint32_t count;
  std::uint32_t segment_size;
};

template <typename T>
std::size_t put_control(std::byte* at, int level, int type, const T& value) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(at, &header, sizeof(header));
  std::memcpy(at + CMSG_LEN(0), &value, sizeof(value));
  return CMSG_SPACE(sizeof(T));
}

bool is_pending_error(int error) {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case EACCES:
    case EMSGSIZE:
      return true;
    default:
      return false;
  }
}

}  // namespace

struct SendBatch::Impl {
  Impl(std::size_t item_capacity, const SendCalls& send_calls)
      : capacity(item_capacity),
        calls(send_calls),
        items(item_capacity),
        groups(item_capacity),
        sockets(item_capacity),
        group_table(item_capacity),
        socket_table(item_capacity),
        iovecs(2 * item_capacity) {
    for (std::size_t i = 0; i < kMaxMessages; ++i) {
      messages[i] = {};
      messages[i].msg_hdr.msg_name = &names[i];
    }
  }

  Group& group_of(const Outgoing& datagram);
  void link(std::uint32_t group_index, UdpSocket* socket);

  void send_socket(const SocketQueue& queue, SendStats& stats);
  std::uint32_t take_run(const Group& group, std::uint32_t first, std::size_t size_limit, Run& out) const;
  void add_message(const Group& group, const Run& run);
  std::size_t fill_iovecs(const Item& item, iovec* begin, iovec* end) const;
  bool send_messages(UdpSocket& socket, SendStats& stats);
  bool send_singly(UdpSocket& socket, std::size_t index, SendStats& stats);
  bool fall_back(UdpSocket& socket, std::size_t index, int error);

  const std::size_t capacity;
  const SendCalls calls;
  std::vector<Item> items;
  std::vector<Group> groups;
  std::vector<SocketQueue> sockets;
  std::uint32_t item_count = 0;
  std::uint32_t group_count = 0;
  std::uint32_t socket_count = 0;
  std::uint32_t last_group = kNone;   // of the last add()
  std::uint32_t last_socket = kNone;  // of the last new group
  IndexTable group_table;
  IndexTable socket_table;
  SegmentLimits limits;

  // The messages of the system call in the making; all of one socket.
  std::size_t message_count = 0;
  std::size_t iovec_count = 0;
  std::vector<iovec> iovecs;
  std::array<mmsghdr, kMaxMessages> messages;
  std::array<SockAddr, kMaxMessages> names;
  alignas(cmsghdr) std::array<std::array<std::byte, kControlSize>, kMaxMessages> controls;
  std::array<Run, kMaxMessages> runs;
};

// ---- add

void SendBatch::Impl::link(std::uint32_t group_index, UdpSocket* socket) {
  std::uint32_t index = last_socket;
  if (index == kNone || sockets[index].socket != socket) {
    index = socket_table.find_or_insert(mix(reinterpret_cast<std::uintptr_t>(socket)), socket_count,
                                        [&](std::uint32_t i) { return sockets[i].socket == socket; });
    if (index == socket_count) {
      sockets[socket_count++] = {socket, group_index, group_index};
      last_socket = index;
      return;
    }
    last_socket = index;
  }
  groups[sockets[index].last].next = group_index;
  sockets[index].last = group_index;
}

Group& SendBatch::Impl::group_of(const Outgoing& datagram) {
  const bool has_from = datagram.from != nullptr;
  const auto matches = [&](std::uint32_t index) {
    const Group& group = groups[index];
    return group.socket == datagram.socket && group.to == datagram.to && group.has_from == has_from &&
           (!has_from || group.from == *datagram.from);
  };
  if (last_group != kNone && matches(last_group)) return groups[last_group];
  const std::size_t hash = mix(hash_value(datagram.to) ^ reinterpret_cast<std::uintptr_t>(datagram.socket));
  last_group = group_table.find_or_insert(hash, group_count, matches);
  if (last_group == group_count) {
    Group& group = groups[group_count++];  // member by member: no temporary of 64 bytes
    group.socket = datagram.socket;
    group.to = datagram.to;
    if (has_from) group.from = *datagram.from;
    group.has_from = has_from;
    group.first = group.last = group.next = kNone;
    link(last_group, datagram.socket);
  }
  return groups[last_group];
}

void SendBatch::add(const Outgoing& datagram) {
  if (size_ == impl_->capacity) flush();
  Group& group = impl_->group_of(datagram);
  const std::uint32_t index = impl_->item_count++;
  Item& item = impl_->items[index];
  item.next = kNone;
  item.tos = datagram.tos;
  const std::size_t head_size = std::min(datagram.head.size(), kMaxHead);
  if (head_size != 0 && datagram.head.data() + head_size == datagram.payload.data()) {
    item.payload = datagram.head.data();
    item.payload_size = static_cast<std::uint32_t>(head_size + datagram.payload.size());
    item.head_size = 0;
  } else {
    item.payload = datagram.payload.data();
    item.payload_size = static_cast<std::uint32_t>(datagram.payload.size());
    item.head_size = static_cast<std::uint8_t>(head_size);
    if (head_size != 0) std::memcpy(item.head.data(), datagram.head.data(), head_size);
  }
  if (group.first == kNone) {
    group.first = index;
  } else {
    impl_->items[group.last].next = index;
  }
  group.last = index;
  ++size_;
}

// ---- flush

// The run that starts with item `first`; returns the item behind it. Segments have at most `size_limit` bytes.
std::uint32_t SendBatch::Impl::take_run(const Group& group, std::uint32_t first, std::size_t size_limit,
                                        Run& out) const {
  const std::size_t size = items[first].size();
  out = {&group.to, first, 1, static_cast<std::uint32_t>(size)};
  std::uint32_t next = items[first].next;
  if (size == 0 || size > size_limit) return next;
  std::size_t total = size;
  while (next != kNone && out.count < kMaxSegments) {
    const std::size_t next_size = items[next].size();
    total += next_size;
    if (next_size == 0 || next_size > size || total > kMaxRunBytes || items[next].tos != items[first].tos) break;
    ++out.count;
    next = items[next].next;
    if (next_size < size) break;
  }
  return next;
}

// Appends the item to the iovecs of a message, which begin at `begin`; returns how many iovecs it added at `end`.
std::size_t SendBatch::Impl::fill_iovecs(const Item& item, iovec* begin, iovec* end) const {
  std::size_t added = 0;
  if (item.head_size != 0) {
    end[added++] = {const_cast<std::byte*>(item.head.data()), item.head_size};
  } else if (end != begin && static_cast<std::byte*>(end[-1].iov_base) + end[-1].iov_len == item.payload) {
    end[-1].iov_len += item.payload_size;
    return 0;
  }
  if (item.payload_size != 0) end[added++] = {const_cast<std::byte*>(item.payload), item.payload_size};
  return added;
}

void SendBatch::Impl::add_message(const Group& group, const Run& run) {
  const std::size_t index = message_count++;
  runs[index] = run;
  msghdr& header = messages[index].msg_hdr;
  header.msg_namelen = to_sockaddr(group.to, names[index]);
  iovec* const begin = iovecs.data() + iovec_count;
  iovec* end = begin;
  std::uint32_t item = run.first;
  for (std::uint32_t i = 0; i < run.count; ++i, item = items[item].next) end += fill_iovecs(items[item], begin, end);
  header.msg_iov = begin;
  header.msg_iovlen = static_cast<std::size_t>(end - begin);
  iovec_count += header.msg_iovlen;

  // UDP_SEGMENT comes last, so that send_singly() can cut it off.
  std::byte* const control = controls[index].data();
  std::size_t size = 0;
  const bool v4 = group.to.ip.is_v4();
  if (const int tos = items[run.first].tos; tos != 0) {
    size += put_control(control + size, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, tos);
  }
  if (group.has_from && group.from.is_v4() == v4 && !group.from.is_unspecified()) {
    if (v4) {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, group.from.bytes().data(), 4);
      size += put_control(control + size, IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, group.from.bytes().data(), 16);
      size += put_control(control + size, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }
  if (run.count > 1) {
    size += put_control(control + size, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(run.segment_size));
  }
  header.msg_control = size != 0 ? control : nullptr;
  header.msg_controllen = size;
}

void SendBatch::Impl::send_socket(const SocketQueue& queue, SendStats& stats) {
  message_count = 0;
  iovec_count = 0;
  for (std::uint32_t g = queue.first; g != kNone; g = groups[g].next) {
    const Group& group = groups[g];
    const std::size_t size_limit = queue.socket->segment() ? limits.of(group.to) : 0;
    for (std::uint32_t item = group.first; item != kNone;) {
      Run run;
      item = take_run(group, item, size_limit, run);
      add_message(group, run);
      if (message_count == kMaxMessages && !send_messages(*queue.socket, stats)) {
        // The send buffer is full: what was not yet made into messages goes as well.
        for (; g != kNone; g = groups[g].next, item = g != kNone ? groups[g].first : kNone) {
          for (; item != kNone; item = items[item].next) ++stats.dropped_full;
        }
        return;
      }
    }
  }
  send_messages(*queue.socket, stats);
}

// Sends the messages made so far and forgets them. False when the socket's buffer is full; the rest is then counted as
// dropped.
bool SendBatch::Impl::send_messages(UdpSocket& socket, SendStats& stats) {
  const std::size_t count = std::exchange(message_count, 0);
  iovec_count = 0;
  bool retried = false;
  for (std::size_t i = 0; i < count;) {
    ++stats.calls;
    int sent;
    if (count - i == 1) {
      sent = calls.sendmsg(socket.fd(), &messages[i].msg_hdr, MSG_DONTWAIT) < 0 ? -1 : 1;
    } else {
      sent = calls.sendmmsg(socket.fd(), &messages[i], static_cast<unsigned>(count - i), MSG_DONTWAIT);
    }
    if (sent > 0) {
      for (const std::size_t end = i + static_cast<std::size_t>(sent); i < end; ++i) {
        stats.datagrams += runs[i].count;
        if (runs[i].count > 1) stats.segmented += runs[i].count;
      }
      retried = false;
      continue;
    }
    const int error = errno;
    if (error == EINTR) continue;
    if (error == EAGAIN || error == ENOBUFS) {
      for (; i < count; ++i) stats.dropped_full += runs[i].count;
      return false;
    }
    // An ICMP error that an earlier packet caused is reported once, on whatever is sent next.
    if (!retried && is_pending_error(error)) {
      retried = true;
      continue;
    }
    retried = false;
    if (runs[i].count > 1 && fall_back(socket, i, error)) {
      if (!send_singly(socket, i, stats)) {
        for (++i; i < count; ++i) stats.dropped_full += runs[i].count;
        return false;
      }
    } else {
      stats.dropped_error += runs[i].count;
    }
    ++i;
  }
  return true;
}

// Whether a segmented send that failed with `error` is worth sending singly; remembers why.
bool SendBatch::Impl::fall_back(UdpSocket& socket, std::size_t index, int error) {
  switch (error) {
    case EMSGSIZE:
    case EINVAL:
      limits.lower(*runs[index].to, runs[index].segment_size - 1);
      return true;
    case EIO:
    case ENOPROTOOPT:
      if (socket.segment()) {
        log::warning("UDP {}: segmentation offload is off from now on, the route cannot do it ({})",
                     socket.local().to_string(), std::strerror(error));
      }
      socket.disable_segment();
      return true;
    default:
      return false;
  }
}

// Sends the datagrams of message `index` one by one; false when the socket's buffer is full.
bool SendBatch::Impl::send_singly(UdpSocket& socket, std::size_t index, SendStats& stats) {
  msghdr header = messages[index].msg_hdr;
  header.msg_controllen -= kSegmentSpace;
  if (header.msg_controllen == 0) header.msg_control = nullptr;
  std::array<iovec, 2> parts;
  header.msg_iov = parts.data();
  bool full = false;
  std::uint32_t item = runs[index].first;
  for (std::uint32_t i = 0; i < runs[index].count; ++i, item = items[item].next) {
    if (full) {
      ++stats.dropped_full;
      continue;
    }
    header.msg_iovlen = fill_iovecs(items[item], parts.data(), parts.data());
    bool sent = false;
    for (int attempt = 0; attempt < 2 && !sent; ++attempt) {
      ++stats.calls;
      sent = calls.sendmsg(socket.fd(), &header, MSG_DONTWAIT) >= 0;
      if (!sent && errno != EINTR && !is_pending_error(errno)) break;
    }
    full = !sent && (errno == EAGAIN || errno == ENOBUFS);
    if (sent) {
      ++stats.datagrams;
    } else {
      ++(full ? stats.dropped_full : stats.dropped_error);
    }
  }
  return !full;
}

SendBatch::SendBatch(std::size_t capacity, const SendCalls& calls) : impl_(std::make_unique<Impl>(capacity, calls)) {}
SendBatch::~SendBatch() = default;

void SendBatch::flush() {
  if (size_ == 0) return;
  Impl& impl = *impl_;
  for (std::uint32_t i = 0; i < impl.socket_count; ++i) impl.send_socket(impl.sockets[i], stats_);
  impl.item_count = impl.group_count = impl.socket_count = 0;
  impl.last_group = impl.last_socket = kNone;
  impl.group_table.clear();
  impl.socket_table.clear();
  size_ = 0;
}

}  // namespace turnkit::net
