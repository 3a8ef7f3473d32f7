// RecvBatch: recvmmsg into fixed slots. Slot, header and Datagram of one index belong together, so only the fields that
// the kernel overwrote are reset, and only in the headers that it used.
#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "net/sockaddr.h"
#include "net/udp_batch.h"

namespace turnkit::net {
namespace {

constexpr std::size_t kCacheLine = 64;
// An odd number of lines beyond the slot spreads the first lines of the slots over all sets of the caches; with a
// stride of 64 KiB they would all fall into one.
constexpr std::size_t kSkew = 21 * kCacheLine;
constexpr std::size_t kControlSize =
    CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(std::max(sizeof(in_pktinfo), sizeof(in6_pktinfo)));

using Control = std::array<std::byte, kControlSize>;
static_assert(kControlSize % alignof(cmsghdr) == 0);

struct StorageDeleter {
  void operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{kCacheLine}); }
};

template <typename T>
T read_as(const cmsghdr* control) {
  T value;
  std::memcpy(&value, CMSG_DATA(control), sizeof(value));
  return value;
}

void read_control(const cmsghdr* control, Datagram& out) {
  if (control->cmsg_level == SOL_UDP) {
    if (control->cmsg_type == UDP_GRO) out.segment_size = static_cast<std::uint32_t>(read_as<int>(control));
  } else if (control->cmsg_level == IPPROTO_IP) {
    if (control->cmsg_type == IP_TOS) out.tos = read_as<std::uint8_t>(control);
    if (control->cmsg_type == IP_PKTINFO) out.local.ip = to_ip(read_as<in_pktinfo>(control).ipi_spec_dst);
  } else if (control->cmsg_level == IPPROTO_IPV6) {
    if (control->cmsg_type == IPV6_TCLASS) out.tos = static_cast<std::uint8_t>(read_as<int>(control));
    if (control->cmsg_type == IPV6_PKTINFO) out.local.ip = to_ip(read_as<in6_pktinfo>(control).ipi6_addr);
  }
}

}  // namespace

struct RecvBatch::Impl {
  Impl(std::size_t slots, std::size_t slot_size);
  void take(std::size_t index, std::size_t size, const Address& local);

  std::unique_ptr<std::byte, StorageDeleter> storage;
  std::vector<Datagram> datagrams;
  std::vector<mmsghdr> headers;
  std::vector<iovec> iovecs;
  std::vector<SockAddr> names;
  std::vector<Control> controls;
};

RecvBatch::Impl::Impl(std::size_t slots, std::size_t slot_size)
    : datagrams(slots), headers(slots), iovecs(slots), names(slots), controls(slots) {
  const std::size_t lines = (kHeadroom + slot_size + kCacheLine - 1) / kCacheLine;
  const std::size_t stride = lines * kCacheLine + kSkew;
  storage.reset(static_cast<std::byte*>(::operator new (slots* stride, std::align_val_t{kCacheLine})));
  for (std::size_t i = 0; i < slots; ++i) {
    iovecs[i] = {storage.get() + i * stride + kHeadroom, slot_size};
    msghdr& header = headers[i].msg_hdr;
    header.msg_name = &names[i];
    header.msg_namelen = sizeof(SockAddr);
    header.msg_iov = &iovecs[i];
    header.msg_iovlen = 1;
    header.msg_control = &controls[i];
    header.msg_controllen = kControlSize;
  }
}

void RecvBatch::Impl::take(std::size_t index, std::size_t size, const Address& local) {
  msghdr& header = headers[index].msg_hdr;
  Datagram& datagram = datagrams[index];
  datagram.data = {static_cast<std::byte*>(iovecs[index].iov_base), size};
  datagram.segment_size = 0;
  datagram.source = from_sockaddr(names[index]).value_or(Address{});
  datagram.local = local;
  datagram.tos = 0;
  datagram.truncated = (header.msg_flags & MSG_TRUNC) != 0;
  if (header.msg_controllen != 0) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) read_control(c, datagram);
  }
  if (datagram.segment_size == 0 || datagram.segment_size > size) {
    datagram.segment_size = static_cast<std::uint32_t>(size);
  }
  header.msg_namelen = sizeof(SockAddr);
  header.msg_controllen = kControlSize;
  header.msg_flags = 0;
}

RecvBatch::RecvBatch(std::size_t slots, std::size_t slot_size)
    : slots_(slots), impl_(std::make_unique<Impl>(slots, slot_size)) {}
RecvBatch::~RecvBatch() = default;

RecvBatch::Received RecvBatch::receive(const UdpSocket& socket, std::size_t limit) {
  const std::size_t wanted = std::min(limit, free_slots());
  if (wanted == 0) return {{}, ENOBUFS, false};
  const std::size_t first = used_;
  mmsghdr* headers = impl_->headers.data() + first;
  std::size_t count = 0;
  for (;;) {
    if (wanted == 1) {
      const ssize_t size = ::recvmsg(socket.fd(), &headers->msg_hdr, MSG_DONTWAIT);
      headers->msg_len = static_cast<unsigned>(std::max<ssize_t>(size, 0));
      count = size >= 0 ? 1 : 0;
    } else {
      const int got = ::recvmmsg(socket.fd(), headers, static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
      count = got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    if (count != 0 || errno != EINTR) break;
  }
  if (count == 0) return {{}, errno, errno == EAGAIN};
  used_ += count;
  for (std::size_t i = 0; i < count; ++i) impl_->take(first + i, headers[i].msg_len, socket.local());
  return {{impl_->datagrams.data() + first, count}, 0, count < wanted};
}

}  // namespace turnkit::net
