// bench_floor: the cheapest forwarder that speaks enough TURN for a load generator to drive it. It is what a relay's
// user code is measured against: one thread, epoll, recvmmsg and sendmmsg, UDP_GRO in and UDP_SEGMENT out, one table
// from client to relay socket and peer, the ChannelData header stripped one way and added the other. No authentication,
// permissions, timers, logs or fall-backs; one channel a client (the last one bound), IPv4 only. Not for any network but
// a test's.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "stun/attributes.h"
#include "stun/builder.h"
#include "stun/channel_data.h"
#include "stun/classify.h"
#include "stun/message.h"

namespace turnkit::bench {
namespace {

using stun::Attr;
using stun::Class;
using stun::Method;

constexpr std::size_t kSlots = 64;
constexpr std::size_t kSlotSize = 65536;
constexpr std::size_t kSlotStride =
    kSlotSize + std::size_t{21} * 64;  // odd in cache lines, or all slots share a cache set
constexpr std::size_t kMaxSegments = 64;
constexpr std::size_t kHeader = stun::kChannelHeaderSize;
constexpr std::uint32_t kLifetime = 600;

struct Options {
  sockaddr_in listen{};
  int socket_buffer = 0;
};

struct Client {
  std::uint64_t key = 0;
  sockaddr_in address{};
  sockaddr_in peer{};
  int relay = -1;
  std::uint16_t relay_port = 0;
  std::uint16_t channel = 0;  // 0: none bound yet
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

void set(int fd, int level, int name, int value) { (void)::setsockopt(fd, level, name, &value, sizeof(value)); }

int open_socket(const sockaddr_in& local, int buffer) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  set(fd, SOL_UDP, UDP_GRO, 1);
  set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  if (buffer > 0) {
    set(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer);
    set(fd, SOL_SOCKET, SO_SNDBUFFORCE, buffer);
  }
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

std::uint64_t key_of(const sockaddr_in& address) {
  return (std::uint64_t{address.sin_addr.s_addr} << 16) | address.sin_port;
}

Address to_address(const sockaddr_in& in) {
  return {IpAddress::from_bytes({reinterpret_cast<const std::byte*>(&in.sin_addr), 4}), ntohs(in.sin_port)};
}

// The one table: client address to client, open addressing, never smaller. A slot that was erased keeps its place in
// the chain.
class Clients {
 public:
  Client* find(std::uint64_t key) const {
    for (std::size_t i = place(key);; i = (i + 1) & mask_) {
      if (entries_[i].key == key) return entries_[i].client.get();
      if (entries_[i].key == 0) return nullptr;
    }
  }
  Client* insert(std::uint64_t key) {
    if ((used_ + 1) * 2 > entries_.size()) grow();
    std::size_t i = place(key);
    while (entries_[i].key != 0 && entries_[i].key != key) i = (i + 1) & mask_;
    if (entries_[i].key == 0) ++used_;
    entries_[i].key = key;
    entries_[i].client = std::make_unique<Client>();
    return entries_[i].client.get();
  }
  void erase(std::uint64_t key) {
    for (std::size_t i = place(key); entries_[i].key != 0; i = (i + 1) & mask_) {
      if (entries_[i].key == key) entries_[i].client.reset();
    }
  }

 private:
  struct Entry {
    std::uint64_t key = 0;
    std::unique_ptr<Client> client;
  };
  [[nodiscard]] std::size_t place(std::uint64_t key) const { return ((key * 0x9E3779B97F4A7C15ULL) >> 32) & mask_; }
  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    mask_ = entries_.size() - 1;
    used_ = 0;
    for (Entry& entry : old) {
      if (!entry.client) continue;
      std::size_t i = place(entry.key);
      while (entries_[i].key != 0) i = (i + 1) & mask_;
      entries_[i] = std::move(entry);
      ++used_;
    }
  }
  std::vector<Entry> entries_ = std::vector<Entry>(4096);
  std::size_t mask_ = 4095;
  std::size_t used_ = 0;
};

// Slots, headers and ancillary data of recvmmsg.
class Input {
 public:
  Input() : storage_(static_cast<std::byte*>(::operator new(kSlots* kSlotStride))) {
    for (std::size_t i = 0; i < kSlots; ++i) {
      iovecs_[i] = {storage_ + i * kSlotStride, kSlotSize};
      headers_[i] = {};
      headers_[i].msg_hdr.msg_name = &names_[i];
      headers_[i].msg_hdr.msg_iov = &iovecs_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
      headers_[i].msg_hdr.msg_control = controls_[i].data();
      reset(i);
    }
  }
  ~Input() { ::operator delete(storage_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // How many slots from `first` on it filled.
  std::size_t receive(int fd, std::size_t first) {
    const int got = ::recvmmsg(fd, &headers_[first], static_cast<unsigned>(kSlots - first), MSG_DONTWAIT, nullptr);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  [[nodiscard]] Bytes data(std::size_t i) const { return {storage_ + i * kSlotStride, headers_[i].msg_len}; }
  [[nodiscard]] const sockaddr_in& source(std::size_t i) const { return names_[i]; }
  // The size of the run's segments, of the datagram where it is single; makes the slot ready for the next call.
  std::size_t take_segment_size(std::size_t i) {
    std::size_t size = headers_[i].msg_len;
    if (headers_[i].msg_hdr.msg_controllen != 0) {
      const cmsghdr* control = CMSG_FIRSTHDR(&headers_[i].msg_hdr);
      if (control != nullptr && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
        int segment = 0;
        std::memcpy(&segment, CMSG_DATA(control), sizeof(segment));
        if (segment > 0) size = static_cast<std::size_t>(segment);
      }
    }
    reset(i);
    return size;
  }

 private:
  void reset(std::size_t i) {
    headers_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in);
    headers_[i].msg_hdr.msg_controllen = sizeof(controls_[i]);
  }
  std::byte* storage_;
  std::array<mmsghdr, kSlots> headers_;
  std::array<iovec, kSlots> iovecs_;
  std::array<sockaddr_in, kSlots> names_;
  alignas(cmsghdr) std::array<std::array<std::byte, CMSG_SPACE(sizeof(int))>, kSlots> controls_;
};

// One message to send: a datagram or a run, gathered from where it was received.
struct Output {
  std::array<iovec, 2 * kMaxSegments> iovecs;
  std::size_t count = 0;
  std::array<std::byte, 2 * kHeader> heads;  // of a full segment, and of the last
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> control;

  void push(const std::byte* data, std::size_t size) { iovecs[count++] = {const_cast<std::byte*>(data), size}; }

  void finish(msghdr& header, const sockaddr_in& to, std::size_t segments, std::size_t segment_size) {
    header = {};
    header.msg_name = const_cast<sockaddr_in*>(&to);
    header.msg_namelen = sizeof(to);
    header.msg_iov = iovecs.data();
    header.msg_iovlen = count;
    if (segments < 2) return;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* segment = CMSG_FIRSTHDR(&header);
    segment->cmsg_level = SOL_UDP;
    segment->cmsg_type = UDP_SEGMENT;
    segment->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(segment_size);
    std::memcpy(CMSG_DATA(segment), &size, sizeof(size));
  }
};

class Floor {
 public:
  explicit Floor(const Options& options) : options_(options) {
    listener_ = open_socket(options_.listen, options_.socket_buffer);
    if (listener_ < 0) die("bind");
    socklen_t size = sizeof(options_.listen);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&options_.listen), &size);
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    watch(listener_, nullptr);
  }

  void run() {
    std::printf("bench_floor: listening on %s\n", to_address(options_.listen).to_string().c_str());
    std::fflush(stdout);
    std::array<epoll_event, 128> events;
    for (;;) {
      const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      bool listener_ready = false;
      for (int i = 0; i < ready; ++i) {
        auto* client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
        client != nullptr ? from_peer(*client) : void(listener_ready = true);
      }
      flush();
      if (listener_ready) from_clients();  // last: it may erase clients
    }
  }

 private:
  void watch(int fd, Client* client) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = client;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  // ---- client to peer: each slot is one flow, and leaves as one message from its relay socket

  void from_clients() {
    const std::size_t count = input_.receive(listener_, 0);
    for (std::size_t i = 0; i < count; ++i) {
      const Bytes data = input_.data(i);
      const std::size_t segment_size = input_.take_segment_size(i);
      if (stun::classify(data) == stun::PacketKind::kChannelData) {
        const Client* client = clients_.find(key_of(input_.source(i)));
        if (client != nullptr && client->channel != 0) strip(*client, data, segment_size);
      } else {
        for (std::size_t at = 0; at < data.size(); at += segment_size) {
          answer(data.subspan(at, std::min(segment_size, data.size() - at)), input_.source(i));
        }
      }
    }
  }

  void strip(const Client& client, Bytes data, std::size_t segment_size) {
    if (segment_size <= kHeader) return;
    while (!data.empty()) {
      Output& out = outputs_[0];
      out.count = 0;
      while (!data.empty() && out.count < kMaxSegments) {
        const std::size_t size = std::min(segment_size, data.size());
        if (size > kHeader) out.push(data.data() + kHeader, size - kHeader);
        data = data.subspan(size);
      }
      if (out.count == 0) return;
      msghdr header;
      out.finish(header, client.peer, out.count, segment_size - kHeader);
      (void)::sendmsg(client.relay, &header, MSG_DONTWAIT);
    }
  }

  // ---- peer to client: the messages of all ready relays leave from the listener in one sendmmsg

  void from_peer(const Client& client) {
    if (used_ == kSlots) flush();
    const std::size_t first = used_;
    const std::size_t count = input_.receive(client.relay, first);
    for (std::size_t i = first; i < first + count; ++i) {
      const Bytes data = input_.data(i);
      const std::size_t segment_size = input_.take_segment_size(i);
      if (client.channel != 0 && !data.empty()) add_header(client, data, segment_size);
    }
    used_ += count;
  }

  void add_header(const Client& client, Bytes data, std::size_t segment_size) {
    while (!data.empty()) {
      if (messages_used_ == kSlots) send_messages();
      Output& out = outputs_[messages_used_];
      out.count = 0;
      stun::write_channel_header(out.heads.data(), client.channel, segment_size);
      std::size_t segments = 0;
      for (; !data.empty() && segments < kMaxSegments; ++segments) {
        const std::size_t size = std::min(segment_size, data.size());
        const std::byte* head = out.heads.data();
        if (size != segment_size) {
          stun::write_channel_header(out.heads.data() + kHeader, client.channel, size);
          head += kHeader;
        }
        out.push(head, kHeader);
        out.push(data.data(), size);
        data = data.subspan(size);
      }
      out.finish(messages_[messages_used_++].msg_hdr, client.address, segments, segment_size + kHeader);
    }
  }

  void send_messages() {
    for (std::size_t at = 0; at < messages_used_;) {
      const int sent = ::sendmmsg(listener_, &messages_[at], static_cast<unsigned>(messages_used_ - at), MSG_DONTWAIT);
      at += sent > 0 ? static_cast<std::size_t>(sent) : 1;
    }
    messages_used_ = 0;
  }

  void flush() {
    send_messages();
    used_ = 0;
  }

  // ---- control messages

  void answer(Bytes datagram, const sockaddr_in& source) {
    const auto request = stun::MessageView::parse(datagram);
    if (!request || request->cls() != Class::kRequest) return;
    std::array<std::byte, 512> buffer;
    const auto id = request->transaction_id();
    stun::Builder out(buffer, Class::kSuccess, request->method(), id);
    switch (request->method()) {
      case Method::kBinding:
        out.xor_address(Attr::kXorMappedAddress, to_address(source));
        break;
      case Method::kAllocate:
        if (!allocate(source, out)) return;
        break;
      case Method::kRefresh: {
        const auto attribute = request->find(Attr::kLifetime);
        const auto lifetime = attribute ? stun::decode_u32(attribute->value) : std::nullopt;
        if (lifetime == 0U) release(source);
        out.u32(Attr::kLifetime, lifetime == 0U ? 0 : kLifetime);
        break;
      }
      case Method::kCreatePermission:
        break;
      case Method::kChannelBind:
        if (!bind_channel(*request, source)) return;
        break;
      default:
        return;
    }
    if (request->has(Attr::kFingerprint)) out.fingerprint();
    const auto message = out.finish();
    if (!message) return;
    (void)::sendto(listener_, message->data(), message->size(), MSG_DONTWAIT,
                   reinterpret_cast<const sockaddr*>(&source), sizeof(source));
  }

  bool allocate(const sockaddr_in& source, stun::Builder& out) {
    Client* client = clients_.find(key_of(source));
    if (client == nullptr) {
      sockaddr_in local = options_.listen;
      local.sin_port = 0;
      const int fd = open_socket(local, options_.socket_buffer);
      if (fd < 0) return false;
      socklen_t size = sizeof(local);
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
      client = clients_.insert(key_of(source));
      *client = {.key = key_of(source),
                 .address = source,
                 .peer = {},
                 .relay = fd,
                 .relay_port = local.sin_port,
                 .channel = 0};
      watch(fd, client);
    }
    sockaddr_in relayed = options_.listen;
    relayed.sin_port = client->relay_port;
    out.xor_address(Attr::kXorRelayedAddress, to_address(relayed));
    out.xor_address(Attr::kXorMappedAddress, to_address(source));
    out.u32(Attr::kLifetime, kLifetime);
    return true;
  }

  bool bind_channel(const stun::MessageView& request, const sockaddr_in& source) {
    Client* client = clients_.find(key_of(source));
    const auto number = request.find(Attr::kChannelNumber);
    const auto peer = request.find(Attr::kXorPeerAddress);
    if (client == nullptr || !number || !peer) return false;
    const auto channel = stun::decode_channel_number(number->value);
    const auto address = stun::decode_xor_address(peer->value, request.transaction_id());
    if (!channel || !address || !address->ip.is_v4()) return false;
    client->channel = *channel;
    client->peer.sin_family = AF_INET;
    client->peer.sin_port = htons(address->port);
    std::memcpy(&client->peer.sin_addr, address->ip.bytes().data(), 4);
    return true;
  }

  void release(const sockaddr_in& source) {
    const Client* client = clients_.find(key_of(source));
    if (client == nullptr) return;
    ::close(client->relay);
    clients_.erase(key_of(source));
  }

  Options options_;
  int listener_ = -1;
  int epoll_ = -1;
  Clients clients_;
  Input input_;
  std::size_t used_ = 0;  // slots that messages_ point into
  std::array<Output, kSlots> outputs_;
  std::array<mmsghdr, kSlots> messages_;
  std::size_t messages_used_ = 0;
};

std::optional<Options> parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view value = argv[i + 1];
    if (name == "--listen") {
      const auto address = Address::parse(value);
      if (!address || !address->ip.is_v4() || address->ip.is_unspecified()) return std::nullopt;
      options.listen.sin_family = AF_INET;
      options.listen.sin_port = htons(address->port);
      std::memcpy(&options.listen.sin_addr, address->ip.bytes().data(), 4);
    } else if (name == "--socket-buffer") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), options.socket_buffer);
      if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  if (argc % 2 == 0 || options.listen.sin_family != AF_INET) return std::nullopt;
  return options;
}

}  // namespace
}  // namespace turnkit::bench

int main(int argc, char** argv) {
  const auto options = turnkit::bench::parse_options(argc, argv);
  if (!options) {
    std::fprintf(stderr,
                 "usage: bench_floor --listen IPV4:PORT [--socket-buffer BYTES]\n"
                 "An open relay without authentication: for benchmarks on loopback or in network namespaces only.\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const auto floor = std::make_unique<turnkit::bench::Floor>(*options);
  floor->run();
}
