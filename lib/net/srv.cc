// SRV through c-ares, because getaddrinfo(3) knows no SRV. The only file that includes its header.
#include "net/srv.h"

#include <ares.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "base/encoding.h"

namespace turnkit::net {
namespace {

constexpr int kClassIn = 1;
constexpr int kTypeSrv = 33;
constexpr int kAttempts = 2;
constexpr int kUdpPayload = 1232;        // EDNS; larger answers come over TCP
constexpr std::size_t kMaxRecords = 32;  // more is nonsense or hostile

struct Answer {
  bool done = false;
  int status = ARES_SUCCESS;
  std::vector<SrvRecord> records;
};

void on_answer(void* argument, int status, int /*timeouts*/, unsigned char* bytes, int size) {
  auto& answer = *static_cast<Answer*>(argument);
  answer.done = true;
  answer.status = status;
  if (status != ARES_SUCCESS) return;
  ares_srv_reply* list = nullptr;
  answer.status = ares_parse_srv_reply(bytes, size, &list);
  for (const ares_srv_reply* entry = list; entry != nullptr; entry = entry->next) {
    if (answer.records.size() == kMaxRecords) break;
    answer.records.push_back({entry->priority, entry->weight, entry->port, entry->host != nullptr ? entry->host : ""});
  }
  if (list != nullptr) ares_free_data(list);
}

// Until the answer is there; c-ares itself gives up after its attempts, `until` is for a resolver that it misjudges.
void wait_for(ares_channel channel, const Answer& answer, TimePoint until) {
  while (!answer.done && read_clock().mono < until) {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    const int wanted = ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM);
    std::vector<pollfd> fds;
    for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
      short events = 0;
      if (ARES_GETSOCK_READABLE(wanted, i)) events = POLLIN;
      if (ARES_GETSOCK_WRITABLE(wanted, i)) events = static_cast<short>(events | POLLOUT);
      if (events != 0) fds.push_back({sockets[static_cast<std::size_t>(i)], events, 0});
    }
    timeval longest{0, 100'000};
    const timeval* next = ares_timeout(channel, &longest, &longest);
    const int wait_ms = static_cast<int>(next->tv_sec * 1000 + next->tv_usec / 1000) + 1;
    const int ready = ::poll(fds.data(), fds.size(), wait_ms);
    if (ready <= 0) ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (const pollfd& fd : fds) {
      const bool in = (fd.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
      const bool out = (fd.revents & POLLOUT) != 0;
      if (in || out) ares_process_fd(channel, in ? fd.fd : ARES_SOCKET_BAD, out ? fd.fd : ARES_SOCKET_BAD);
    }
  }
}

}  // namespace

Result<std::vector<SrvRecord>> lookup_srv(const std::string& name, const SrvOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] { ares_library_init(ARES_LIB_INIT_ALL); });
  ares_options settings{};
  settings.timeout = static_cast<int>(options.timeout.count());
  settings.tries = kAttempts;
  settings.flags = ARES_FLAG_EDNS;
  settings.ednspsz = kUdpPayload;
  ares_channel raw = nullptr;
  constexpr int kGiven = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ;
  if (const int status = ares_init_options(&raw, &settings, kGiven); status != ARES_SUCCESS) {
    return Error{std::string("cannot set up the DNS resolver: ") + ares_strerror(status)};
  }
  Answer answer;  // outlives the channel, whose end calls on_answer() if that has not happened
  const std::unique_ptr<ares_channeldata, decltype(&ares_destroy)> channel(raw, &ares_destroy);
  if (!options.servers.empty()) {
    if (const int status = ares_set_servers_ports_csv(channel.get(), options.servers.c_str()); status != ARES_SUCCESS) {
      return Error{"\"" + escaped(options.servers) + "\" is no list of DNS servers: " + ares_strerror(status)};
    }
  }
  ares_query(channel.get(), name.c_str(), kClassIn, kTypeSrv, &on_answer, &answer);
  wait_for(channel.get(), answer, read_clock().mono + 8 * options.timeout);
  if (!answer.done) answer.status = ARES_ETIMEOUT;
  if (answer.status == ARES_ENODATA || answer.status == ARES_ENOTFOUND) return std::vector<SrvRecord>{};
  if (answer.status != ARES_SUCCESS) {
    return Error{"cannot look up the SRV records of \"" + escaped(name) + "\": " + ares_strerror(answer.status)};
  }
  return std::move(answer.records);
}

std::vector<SrvRecord> in_srv_order(std::vector<SrvRecord> records, Random& random) {
  // Records of weight 0 come first, which gives them their small chance (RFC 2782).
  std::stable_sort(records.begin(), records.end(), [](const SrvRecord& a, const SrvRecord& b) {
    return a.priority != b.priority ? a.priority < b.priority : (a.weight == 0 && b.weight != 0);
  });
  std::vector<SrvRecord> out;
  while (!records.empty()) {
    const auto group_end = std::find_if(records.begin(), records.end(), [&records](const SrvRecord& record) {
      return record.priority != records.front().priority;
    });
    std::uint32_t total = 0;
    for (auto record = records.begin(); record != group_end; ++record) total += record->weight;
    const std::uint32_t drawn = random.below(total + 1);
    std::uint32_t sum = 0;
    auto chosen = records.begin();
    for (; std::next(chosen) != group_end; ++chosen) {
      sum += chosen->weight;
      if (sum >= drawn) break;
    }
    out.push_back(std::move(*chosen));
    records.erase(chosen);
  }
  return out;
}

}  // namespace turnkit::net
