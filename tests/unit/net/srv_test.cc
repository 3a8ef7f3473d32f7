// SRV look-ups against a DNS server of the test's own, and their order (RFC 2782).
#include "net/srv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <functional>
#include <map>
#include <thread>

#include "net/send_one.h"
#include "net/udp_batch.h"
#include "net/udp_socket.h"

namespace turnkit::net {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Answers every query in a thread of its own with what `make` gives; empty: with nothing.
class DnsServer {
 public:
  using Make = std::function<std::vector<std::byte>(Bytes query)>;
  explicit DnsServer(Make make)
      : make_(std::move(make)),
        socket_(*UdpSocket::bind({IpAddress::v4(127, 0, 0, 1), 0})),
        thread_([this] { run(); }) {}
  ~DnsServer() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] SrvOptions options() const { return {milliseconds(200), socket_.local().to_string()}; }

 private:
  void run() {
    RecvBatch batch(4, 4096);
    while (!stop_) {
      pollfd wait{socket_.fd(), POLLIN, 0};
      if (::poll(&wait, 1, 20) <= 0) continue;
      for (const Datagram& query : batch.receive(socket_).datagrams) {
        const std::vector<std::byte> answer = make_(query.data);
        if (!answer.empty()) (void)send_one(socket_, query.source, answer);
      }
      batch.clear();
    }
  }

  Make make_;
  UdpSocket socket_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// The answer to `query` with that code and these SRV records; the question is its bytes 12 and on, up to 5 after the
// name's end.
std::vector<std::byte> dns_answer(Bytes query, std::uint8_t code, const std::vector<SrvRecord>& records) {
  std::size_t end = 12;
  while (query[end] != std::byte{0}) end += 1 + std::to_integer<std::size_t>(query[end]);
  end += 5;
  std::vector<std::byte> out(1024);
  Writer writer(out);
  writer.bytes(query.first(2));
  writer.u16(static_cast<std::uint16_t>(0x8580 | code));
  writer.u16(1);
  writer.u16(static_cast<std::uint16_t>(records.size()));
  writer.u32(0);
  writer.bytes(query.subspan(12, end - 12));
  for (const SrvRecord& record : records) {
    std::string name;
    for (std::size_t at = 0; at < record.target.size();) {
      const std::size_t dot = std::min(record.target.find('.', at), record.target.size());
      name += static_cast<char>(dot - at) + record.target.substr(at, dot - at);
      at = dot + 1;
    }
    name += '\0';
    writer.u16(0xC00C);
    writer.u16(33);
    writer.u16(1);
    writer.u32(60);
    writer.u16(static_cast<std::uint16_t>(6 + name.size()));
    writer.u16(record.priority);
    writer.u16(record.weight);
    writer.u16(record.port);
    writer.bytes(as_bytes(name));
  }
  out.resize(writer.size());
  return out;
}

TEST(Srv, FindsTheRecords) {
  DnsServer server([](Bytes query) {
    return dns_answer(query, 0, {{10, 5, 3478, "a.example.com"}, {20, 0, 3479, "b.example.com"}, {30, 0, 0, ""}});
  });
  const auto found = lookup_srv("_stun._udp.example.com", server.options());
  ASSERT_TRUE(found) << found.error().text;
  ASSERT_EQ(found->size(), 3U);
  const auto& a = *std::find_if(found->begin(), found->end(), [](const SrvRecord& r) { return r.priority == 10; });
  EXPECT_EQ(a.target, "a.example.com");
  EXPECT_EQ(a.port, 3478);
  EXPECT_EQ(a.weight, 5);
  const auto& none = *std::find_if(found->begin(), found->end(), [](const SrvRecord& r) { return r.priority == 30; });
  EXPECT_EQ(none.target, "");
}

TEST(Srv, NoSuchNameAndNoSuchRecordAreEmpty) {
  for (const std::uint8_t code : {std::uint8_t{3}, std::uint8_t{0}}) {
    DnsServer server([code](Bytes query) { return dns_answer(query, code, {}); });
    const auto found = lookup_srv("_stun._udp.example.com", server.options());
    ASSERT_TRUE(found) << found.error().text;
    EXPECT_THAT(*found, IsEmpty());
  }
}

TEST(Srv, FailuresOfDnsAreErrors) {
  DnsServer broken([](Bytes query) { return dns_answer(query, 2, {}); });
  auto found = lookup_srv("_stun._udp.example.com", broken.options());
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().text, HasSubstr("_stun._udp.example.com"));
  DnsServer silent([](Bytes) { return std::vector<std::byte>(); });
  found = lookup_srv("_stun._udp.example.com", silent.options());
  ASSERT_FALSE(found);
  DnsServer garbage([](Bytes query) {
    std::vector<std::byte> answer = dns_answer(query, 0, {{1, 1, 1, "a.example.com"}});
    answer.resize(answer.size() - 5);
    return answer;
  });
  EXPECT_FALSE(lookup_srv("_stun._udp.example.com", garbage.options()));
  EXPECT_FALSE(lookup_srv("_stun._udp.example.com", {milliseconds(100), "nonsense"}));
}

TEST(Srv, TakesABoundedNumberOfRecords) {
  DnsServer server([](Bytes query) {
    std::vector<SrvRecord> records;
    for (std::uint16_t i = 0; i < 40; ++i) records.push_back({i, 0, 1, "a"});
    return dns_answer(query, 0, records);
  });
  const auto found = lookup_srv("_s._udp.x", server.options());
  ASSERT_TRUE(found) << found.error().text;
  EXPECT_EQ(found->size(), 32U);
}

TEST(SrvOrder, GoesByPriorityFirst) {
  SeededRandom random(1);
  const auto ordered = in_srv_order({{20, 9, 1, "c"}, {10, 0, 1, "a"}, {30, 0, 1, "d"}, {10, 1, 1, "b"}}, random);
  ASSERT_EQ(ordered.size(), 4U);
  EXPECT_EQ(ordered[2].target, "c");
  EXPECT_EQ(ordered[3].target, "d");
}

TEST(SrvOrder, DrawsByWeight) {
  SeededRandom random(1);
  std::map<std::string, int> first;
  for (int i = 0; i < 4000; ++i) {
    ++first[in_srv_order({{1, 30, 1, "heavy"}, {1, 10, 1, "light"}, {1, 0, 1, "none"}}, random).front().target];
  }
  EXPECT_NEAR(first["heavy"], 3000, 200);
  EXPECT_NEAR(first["light"], 1000, 200);
  EXPECT_GT(first["none"], 0);  // a very small chance (RFC 2782)
  EXPECT_LT(first["none"], 200);
}

}  // namespace
}  // namespace turnkit::net
