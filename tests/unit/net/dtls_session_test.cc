// DtlsSession and DtlsGate against each other: the cookie exchange, data, every single loss, fragments, garbage.
#include <poll.h>

#include <map>

#include "tls_test_support.h"

using namespace turnkit;
using namespace turnkit::net;
using namespace turnkit::net::testing;

namespace {

using Datagrams = DtlsSession::Datagrams;
using State = DtlsSession::State;

const Address kClient = *Address::parse("192.0.2.1:40000");
const Address kServer = *Address::parse("198.51.100.1:5349");

// A client, a gate and the session behind it, and what was sent between them.
struct Link {
  explicit Link(const TlsRules& rules = {}, TlsClientRules client_rules = {}, std::size_t mtu = 1200)
      : Link(server_context(rules), client_context(client_rules), mtu) {}
  Link(const std::shared_ptr<const TlsContext>& server_side, std::shared_ptr<TlsClientContext> client_side,
       std::size_t mtu = 1200)
      : gate(server_side, mtu), client(DtlsSession::make_client(std::move(client_side), mtu)) {}

  void to_server(Bytes datagram) {
    if (server) {
      server->receive(datagram, to_client, [this](MutableBytes data) { at_server += as_text(data); });
    } else {
      server = gate.receive(datagram, kClient, kServer, to_client);
    }
  }
  void to_client_side(Bytes datagram) {
    client->receive(datagram, to_server_queue, [this](MutableBytes data) { at_client += as_text(data); });
  }

  // Delivers until nothing is under way; drops the datagram whose number (from 0) is `lost`.
  void pump() {
    while (!to_server_queue.empty() || !to_client.empty()) {
      for (const auto& datagram : std::exchange(to_server_queue, {})) {
        largest = std::max(largest, datagram.size());
        if (sent++ != lost) to_server(datagram);
      }
      for (const auto& datagram : std::exchange(to_client, {})) {
        largest = std::max(largest, datagram.size());
        if (sent++ != lost) to_client_side(datagram);
      }
    }
  }
  [[nodiscard]] bool established() const {
    return client->state() == State::kEstablished && server && server->state() == State::kEstablished;
  }
  // Waits for the nearest timer of the two and lets it act. False when neither has one.
  bool wait_for_timer() {
    auto wait = client->next_timeout();
    if (server && server->next_timeout())
      wait = wait ? std::min(*wait, *server->next_timeout()) : server->next_timeout();
    if (!wait) return false;
    ::poll(nullptr, 0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(*wait).count()));
    EXPECT_TRUE(client->on_timer(to_server_queue));
    EXPECT_TRUE(!server || server->on_timer(to_client));
    return true;
  }
  bool connect() {
    client->start(to_server_queue);
    pump();
    for (int timers = 0; timers < 4 && !established() && wait_for_timer(); ++timers) pump();
    return established();
  }

  DtlsGate gate;
  std::unique_ptr<DtlsSession> client;
  std::unique_ptr<DtlsSession> server;
  Datagrams to_server_queue;
  Datagrams to_client;
  std::string at_server;
  std::string at_client;
  int sent = 0;
  int lost = -1;
  std::size_t largest = 0;
};

TEST(Dtls, CarriesDatagramsBothWays) {
  TlsRules rules;
  rules.alpn = {std::string(kAlpnTurn)};
  TlsClientRules client;
  client.alpn = {"stun.turn"};
  Link link(rules, client);
  ASSERT_TRUE(link.connect());
  EXPECT_EQ(link.server->protection(), "DTLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
  EXPECT_EQ(link.client->protection(), link.server->protection());
  EXPECT_EQ(link.server->alpn(), "stun.turn");
  EXPECT_FALSE(link.client->next_timeout());
  EXPECT_FALSE(link.server->next_timeout());
  link.to_server(link.client->protect(as_bytes("up")));
  EXPECT_EQ(link.at_server, "up");
  const std::string large(16384, 'x');
  link.to_client_side(link.server->protect(as_bytes(large)));
  EXPECT_EQ(link.at_client, large);
  EXPECT_TRUE(link.server->protect(as_bytes(large + "x")).empty());
  EXPECT_TRUE(link.to_client.empty());
}

TEST(Dtls, AnswersFromTheCallbackDoNotMixWithTheFlight) {
  Link link;
  ASSERT_TRUE(link.connect());
  const Bytes question = link.client->protect(as_bytes("ping"));
  std::vector<std::byte> answer;
  link.server->receive(question, link.to_client, [&](MutableBytes data) {
    const Bytes record = link.server->protect(data);
    answer.assign(record.begin(), record.end());
  });
  EXPECT_TRUE(link.to_client.empty());
  link.to_client_side(answer);
  EXPECT_EQ(link.at_client, "ping");
}

TEST(Dtls, EndsWithCloseNotify) {
  Link link;
  ASSERT_TRUE(link.connect());
  link.client->end(link.to_server_queue);
  EXPECT_EQ(link.client->state(), State::kEnded);
  ASSERT_EQ(link.to_server_queue.size(), 1U);
  link.pump();
  EXPECT_EQ(link.server->state(), State::kEnded);
  EXPECT_TRUE(link.server->protect(as_bytes("x")).empty());
}

TEST(Dtls, ResumesAcrossAReload) {
  const auto client = client_context();
  const Certificate certificate;
  const auto before = server_context(material(certificate));
  const auto after = server_context(material(Certificate()), {}, before.get());
  std::vector<int> flights;
  for (const auto& context : {before, after}) {
    Link link(context, client);
    ASSERT_TRUE(link.connect());
    flights.push_back(link.sent);
  }
  // The second handshake shows no certificate and takes a round trip less.
  EXPECT_LT(flights[1], flights[0]);
}

// Whichever datagram of a handshake is lost, full or resumed, retransmission brings it to its end.
TEST(Dtls, SurvivesTheLossOfAnyDatagram) {
  for (const bool resumed : {false, true}) {
    const auto server = server_context();
    const auto client = client_context();
    ASSERT_TRUE(!resumed || Link(server, client).connect());
    const auto fresh_client = [&] { return resumed ? client : client_context(); };
    Link whole(server, fresh_client());
    ASSERT_TRUE(whole.connect());
    ASSERT_GE(whole.sent, 5);
    for (int lost = 0; lost < whole.sent; ++lost) {
      Link link(server, fresh_client());
      link.lost = lost;
      ASSERT_TRUE(link.connect()) << "datagram " << lost << (resumed ? ", resumed" : "");
      link.to_server(link.client->protect(as_bytes("up")));
      EXPECT_EQ(link.at_server, "up");
      link.to_client_side(link.server->protect(as_bytes("down")));
      EXPECT_EQ(link.at_client, "down");
    }
  }
}

TEST(Dtls, KeepsToTheMtuAndSurvivesSmallOnes) {
  for (const std::size_t mtu : {300U, 600U, 1200U}) {
    CertificateOptions options;
    options.rsa_bits = 4096;  // a certificate of several fragments
    Link link(server_context(material(Certificate(options))), client_context(), mtu);
    ASSERT_TRUE(link.connect()) << mtu;
    EXPECT_LE(link.largest, mtu);
  }
}

TEST(Dtls, RetransmitsSoonButNotBeforeItsTime) {
  Link link;
  link.client->start(link.to_server_queue);
  ASSERT_TRUE(link.client->next_timeout());
  EXPECT_GT(*link.client->next_timeout(), std::chrono::milliseconds(100));
  EXPECT_LE(*link.client->next_timeout(), std::chrono::milliseconds(400));
  const std::size_t flight = link.to_server_queue.size();
  EXPECT_TRUE(link.client->on_timer(link.to_server_queue));  // nothing is due yet
  EXPECT_EQ(link.to_server_queue.size(), flight);
}

TEST(DtlsGate, KeepsNothingAndAnswersLessThanItGot) {
  Link link;
  link.client->start(link.to_server_queue);
  ASSERT_EQ(link.to_server_queue.size(), 1U);
  Datagrams out;
  EXPECT_EQ(link.gate.receive(link.to_server_queue[0], kClient, kServer, out), nullptr);
  ASSERT_EQ(out.size(), 1U);
  EXPECT_LT(out[0].size(), 60U);
  EXPECT_LT(out[0].size(), link.to_server_queue[0].size());
}

// The client's second ClientHello, with a cookie for kClient at `now`.
std::vector<std::byte> hello_with_cookie(Link& link, TimePoint now) {
  link.client->start(link.to_server_queue);
  Datagrams out;
  EXPECT_EQ(link.gate.receive(link.to_server_queue.at(0), kClient, kServer, out, now), nullptr);
  link.to_server_queue.clear();
  link.to_client_side(out.at(0));
  return link.to_server_queue.at(0);
}

TEST(DtlsGate, CookiesAreBoundToBothAddressesAndToTime) {
  Link link;
  const TimePoint now = TimePoint() + std::chrono::hours(5);
  const auto hello = hello_with_cookie(link, now);
  const auto admits = [&](const Address& client, const Address& server, Duration later) {
    Datagrams out;
    const bool admitted = link.gate.receive(hello, client, server, out, now + later) != nullptr;
    EXPECT_FALSE(out.empty());
    return admitted;
  };
  EXPECT_TRUE(admits(kClient, kServer, {}));
  EXPECT_TRUE(admits(kClient, kServer, std::chrono::seconds(30)));
  EXPECT_FALSE(admits(kClient, kServer, std::chrono::seconds(61)));
  EXPECT_FALSE(admits({kClient.ip, 40001}, kServer, {}));
  EXPECT_FALSE(admits({IpAddress::v4(192, 0, 2, 2), kClient.port}, kServer, {}));
  EXPECT_FALSE(admits(kClient, {kServer.ip, 3478}, {}));
  EXPECT_FALSE(admits(kServer, kClient, {}));
}

TEST(DtlsGate, CookiesSurviveAReload) {
  const Certificate certificate;
  const auto before = server_context(material(certificate));
  Link link(before, client_context());
  const TimePoint now = read_clock().mono;
  const auto hello = hello_with_cookie(link, now);
  Datagrams out;
  link.gate.set_context(server_context(material(certificate)));
  EXPECT_EQ(link.gate.receive(hello, kClient, kServer, out, now), nullptr);
  link.gate.set_context(server_context(material(certificate), {}, before.get()));
  EXPECT_NE(link.gate.receive(hello, kClient, kServer, out, now), nullptr);
}

TEST(DtlsGate, EveryOtherByteStringGetsNothing) {
  Link link;
  link.client->start(link.to_server_queue);
  const auto hello = link.to_server_queue.at(0);
  Datagrams out;
  for (std::size_t size = 0; size < hello.size(); ++size) {
    EXPECT_EQ(link.gate.receive(Bytes(hello).first(size), kClient, kServer, out), nullptr);
    EXPECT_TRUE(out.empty()) << size;
  }
  SeededRandom random(3);
  for (int round = 0; round < 2000; ++round) {
    auto bent = hello;
    for (int i = 0; i < 3; ++i)
      bent[random.below(static_cast<std::uint32_t>(bent.size()))] ^= std::byte(1 + random.below(255));
    EXPECT_EQ(link.gate.receive(bent, kClient, kServer, out), nullptr);
  }
  EXPECT_TRUE(DtlsGate::is_client_hello(hello));
  EXPECT_FALSE(DtlsGate::is_client_hello(Bytes(hello).first(40)));
  EXPECT_FALSE(DtlsGate::is_client_hello(as_bytes("\x16\xfe\xfd")));
}

// Cuts a datagram's one handshake record into two fragments of the same message, as small path MTUs make clients do;
// `sequence` is the first record's number.
std::vector<std::vector<std::byte>> fragments(Bytes record, std::size_t first, std::size_t sequence) {
  constexpr std::size_t kHeaders = 13 + 12;
  const Bytes body = record.subspan(kHeaders);
  std::vector<std::vector<std::byte>> out;
  for (const auto& [offset, size] : {std::pair<std::size_t, std::size_t>{0, first}, {first, body.size() - first}}) {
    std::vector<std::byte> piece(record.begin(), record.begin() + kHeaders);
    const Bytes part = body.subspan(offset, size);
    piece.insert(piece.end(), part.begin(), part.end());
    piece[10] = std::byte(out.size() + sequence);
    store_be16(piece.data() + 11, static_cast<std::uint16_t>(size + 12));
    store_be16(piece.data() + 13 + 7, static_cast<std::uint16_t>(offset));
    store_be16(piece.data() + 13 + 10, static_cast<std::uint16_t>(size));
    out.push_back(std::move(piece));
  }
  return out;
}

TEST(DtlsGate, AdmitsClientHellosInFragments) {
  for (const bool joined : {false, true}) {
    Link link;
    link.client->start(link.to_server_queue);
    const auto first = fragments(link.to_server_queue.at(0), 80, 7);
    link.to_server_queue.clear();
    for (const auto& piece : first) link.to_server(piece);
    ASSERT_EQ(link.to_client.size(), 1U) << "one HelloVerifyRequest, for the first fragment";
    link.to_client_side(link.to_client[0]);
    link.to_client.clear();
    const auto second = fragments(link.to_server_queue.at(0), 100, 9);
    link.to_server_queue.clear();
    if (joined) {
      auto both = second[0];
      both.insert(both.end(), second[1].begin(), second[1].end());
      link.to_server(both);
    } else {
      link.to_server(second[1]);  // too early: nothing is kept for it
      EXPECT_EQ(link.server, nullptr);
      link.to_server(second[0]);
      ASSERT_NE(link.server, nullptr);
      EXPECT_TRUE(link.to_client.empty());
      link.to_server(second[1]);
    }
    ASSERT_NE(link.server, nullptr);
    link.pump();
    EXPECT_TRUE(link.established());
  }
}

TEST(Dtls, GarbageDoesNoHarmToASession) {
  Link link;
  ASSERT_TRUE(link.connect());
  SeededRandom random(5);
  for (int round = 0; round < 2000; ++round) {
    const Bytes record = link.client->protect(as_bytes("lost"));
    std::vector<std::byte> bent(record.begin(), record.end());
    if (round % 2 == 0) {
      random.fill(bent);
      bent[0] = std::byte(20 + random.below(4));
    } else {
      bent[13 + random.below(static_cast<std::uint32_t>(bent.size() - 13))] ^= std::byte(1 + random.below(255));
    }
    link.to_server(bent);
  }
  EXPECT_EQ(link.at_server, "");
  link.to_server(link.client->protect(as_bytes("up")));
  EXPECT_EQ(link.at_server, "up");
}

TEST(Dtls, ReplayedRecordsAreDropped) {
  Link link;
  ASSERT_TRUE(link.connect());
  const Bytes record = link.client->protect(as_bytes("once "));
  link.to_server(record);
  link.to_server(record);
  EXPECT_EQ(link.at_server, "once ");
}

TEST(Dtls, AsksForClientCertificates) {
  const Certificate authority = Certificate::authority();
  const Certificate own({}, &authority);
  TlsMaterial from = material(own);
  from.ca = authority.pem();
  TempDir files;
  TlsClientRules rules;
  {
    Link link(server_context(from), client_context(rules));
    EXPECT_FALSE(link.connect());
    EXPECT_EQ(link.client->state(), State::kFailed);
  }
  rules.certificate_file = files.write("client.pem", own.pem());
  rules.key_file = files.write("client.key", own.key_pem());
  Link link(server_context(from), client_context(rules));
  EXPECT_TRUE(link.connect());
}

}  // namespace
