// TlsStream against itself: versions, ALPN, resumption across reloads, client certificates, closing, blocked writes.
#include <thread>

#include "net/tls_internal.h"
#include "tls_test_support.h"

using namespace turnkit;
using namespace turnkit::net;
using namespace turnkit::net::testing;

namespace {

using State = StreamIo::State;

TlsClientRules up_to(TlsVersion version) {
  TlsClientRules rules;
  rules.maximum = version;
  return rules;
}

class TlsVersions : public ::testing::TestWithParam<TlsVersion> {};

TEST_P(TlsVersions, CarriesBytesBothWays) {
  StreamPair pair = stream_pair(server_context(), client_context(up_to(GetParam())));
  ASSERT_TRUE(handshake(pair)) << pair.server->failure() << pair.client->failure();
  EXPECT_TRUE(pair.server->is_established());
  EXPECT_EQ(pair.server->protection().substr(0, 8), GetParam() == TlsVersion::kTls13 ? "TLSv1.3 " : "TLSv1.2 ");
  EXPECT_EQ(pair.server->protection(), pair.client->protection());
  EXPECT_EQ(pair.client->write(as_bytes("up")).bytes, 2U);
  EXPECT_EQ(read_text(*pair.server), "up");
  EXPECT_EQ(pair.server->write(as_bytes("down")).bytes, 4U);
  EXPECT_EQ(read_text(*pair.client), "down");
}

TEST_P(TlsVersions, ResumesAcrossAReload) {
  const Certificate certificate;
  const Certificate renewed;
  const auto client = client_context(up_to(GetParam()));
  const auto before = server_context(material(certificate));
  const auto after = server_context(material(renewed), {}, before.get());
  int rounds = 0;
  for (const auto& [context, resumes] :
       {std::pair(before, false), std::pair(before, true), std::pair(before, true), std::pair(before, true),
        std::pair(after, true), std::pair(server_context(material(certificate)), false)}) {
    StreamPair pair = stream_pair(context, client);
    ASSERT_TRUE(handshake(pair));
    EXPECT_EQ(pair.server->resumed(), resumes) << rounds;
    EXPECT_EQ(pair.client->resumed(), resumes) << rounds;
    ++rounds;
    (void)read_text(*pair.client);  // TLS 1.3 sends tickets behind the handshake
  }
}

TEST_P(TlsVersions, ATicketFromBeforeDoesNotStandInForAClientCertificate) {
  const Certificate certificate;
  const Certificate authority;
  const auto client = client_context(up_to(GetParam()));
  const auto before = server_context(material(certificate));
  StreamPair first = stream_pair(before, client);
  ASSERT_TRUE(handshake(first));
  (void)read_text(*first.client);
  TlsMaterial strict = material(certificate);
  strict.ca = authority.pem();
  StreamPair second = stream_pair(server_context(strict, {}, before.get()), client);
  EXPECT_FALSE(handshake(second));
  EXPECT_FALSE(second.server->is_established());
}

TEST_P(TlsVersions, TicketKeysSealForHalfADayAndOpenForAnother) {
  TimePoint now{std::chrono::hours(1000)};
  TicketKeys keys([&] { return now; });
  const auto server = server_context();
  keys.attach(server->impl().tls.get());
  const auto resumes_after = [&](Duration wait) {
    const auto client = client_context(up_to(GetParam()));
    bool resumed = false;
    for (const Duration step : {Duration(), wait}) {
      now += step;
      StreamPair pair = stream_pair(server, client);
      EXPECT_TRUE(handshake(pair));
      resumed = pair.server->resumed();
      (void)read_text(*pair.client);
    }
    now += 10 * TicketKeys::kLife;
    return resumed;
  };
  EXPECT_TRUE(resumes_after({}));
  EXPECT_TRUE(resumes_after(TicketKeys::kLife));
  EXPECT_TRUE(resumes_after(2 * TicketKeys::kLife - std::chrono::seconds(1)));
  EXPECT_FALSE(resumes_after(2 * TicketKeys::kLife));
}

TEST_P(TlsVersions, ChoosesAlpnByItsOwnPreference) {
  TlsRules rules;
  rules.alpn = {std::string(kAlpnTurn), std::string(kAlpnNatDiscovery)};
  const auto server = server_context(rules);
  const auto agreed = [&](std::vector<std::string> offered) {
    TlsClientRules client = up_to(GetParam());
    client.alpn = std::move(offered);
    StreamPair pair = stream_pair(server, client_context(client));
    EXPECT_TRUE(handshake(pair)) << pair.client->failure();
    EXPECT_EQ(pair.server->alpn(), pair.client->alpn());
    return std::string(pair.server->alpn());
  };
  EXPECT_EQ(agreed({"stun.nat-discovery", "stun.turn"}), "stun.turn");
  EXPECT_EQ(agreed({"h2", "stun.nat-discovery"}), "stun.nat-discovery");
  EXPECT_EQ(agreed({"h2", "http/1.1"}), "");
  EXPECT_EQ(agreed({}), "");
}

TEST_P(TlsVersions, TellsAProperEndFromACut) {
  for (const bool proper : {true, false}) {
    StreamPair pair = stream_pair(server_context(), client_context(up_to(GetParam())));
    ASSERT_TRUE(handshake(pair));
    ASSERT_EQ(pair.client->write(as_bytes("last words")).bytes, 10U);
    if (proper) {
      pair.client->end_output();
    } else {
      ASSERT_EQ(::shutdown(pair.client->fd(), SHUT_WR), 0);
    }
    State last = State::kDone;
    EXPECT_EQ(read_text(*pair.server, &last), "last words");
    EXPECT_EQ(last, proper ? State::kEnd : State::kFailed);
    EXPECT_EQ(pair.server->failure(), proper ? "" : "closed without close_notify");
    if (!proper) continue;
    // The other direction goes on.
    EXPECT_EQ(pair.server->write(as_bytes("answer")).bytes, 6U);
    EXPECT_EQ(read_text(*pair.client), "answer");
  }
}

// The lengths of the TLS records that wait at a socket.
std::vector<std::size_t> waiting_records(int fd) {
  std::array<std::byte, 65536> raw;
  const ssize_t n = ::recv(fd, raw.data(), raw.size(), MSG_PEEK | MSG_DONTWAIT);
  std::vector<std::size_t> out;
  for (std::size_t at = 0; n > 0 && at + 5 <= static_cast<std::size_t>(n); at += 5 + out.back()) {
    out.push_back(load_be16(raw.data() + at + 3));
  }
  return out;
}

TEST_P(TlsVersions, MakesRecordsOfEachMessageApartAndLosesNothingWhenBlocked) {
  StreamPair pair = stream_pair(server_context(), client_context(up_to(GetParam())));
  ASSERT_TRUE(handshake(pair));
  (void)read_text(*pair.client);  // tickets
  // Each message begins with its length.
  const auto size_of = +[](Bytes data) { return std::size_t{load_be16(data.data())}; };
  std::vector<std::byte> messages;
  for (const std::size_t size : {100, 40, 20000, 8}) {
    const std::size_t at = messages.size();
    messages.resize(at + size, std::byte{7});
    store_be16(messages.data() + at, static_cast<std::uint16_t>(size));
  }
  const StreamIo io = pair.server->write_messages(messages, size_of);
  EXPECT_EQ(io.state, State::kDone);
  EXPECT_EQ(io.bytes, messages.size());
  const std::vector<std::size_t> records = waiting_records(pair.client->fd());
  ASSERT_EQ(records.size(), 5U);
  EXPECT_GT(records[2], 16384U);
  EXPECT_LT(records[4], 50U);
  EXPECT_EQ(read_text(*pair.client).size(), messages.size());

  std::size_t sent = 0;
  bool blocked = false;
  while (!blocked) {
    const StreamIo more = pair.server->write_messages(messages, size_of);
    sent += more.bytes;
    blocked = more.state == State::kWantWrite;
    ASSERT_TRUE(blocked || more.state == State::kDone);
  }
  std::size_t heard = 0;
  while (heard < sent) {
    heard += read_text(*pair.client).size();
    ASSERT_NE(pair.server->write_messages({}, size_of).state, State::kFailed);
  }
  EXPECT_EQ(heard, sent);
  EXPECT_EQ(pair.server->write_messages({}, size_of).state, State::kDone);
}

TEST_P(TlsVersions, AsksForClientCertificatesOfItsAuthority) {
  const Certificate authority = Certificate::authority();
  const Certificate stranger = Certificate::authority("Another");
  const Certificate good({}, &authority);
  const Certificate bad({}, &stranger);
  TempDir files;
  TlsMaterial from = material(good);
  from.ca = authority.pem();
  const auto server = server_context(from);
  const auto admitted = [&](const Certificate* own) {
    TlsClientRules rules = up_to(GetParam());
    if (own != nullptr) {
      rules.certificate_file = files.write("client.pem", own->pem());
      rules.key_file = files.write("client.key", own->key_pem());
    }
    StreamPair pair = stream_pair(server, client_context(rules));
    const bool done = handshake(pair);
    EXPECT_EQ(pair.server->failure().empty(), done);
    return done;
  };
  EXPECT_TRUE(admitted(&good));
  EXPECT_FALSE(admitted(&bad));
  EXPECT_FALSE(admitted(nullptr));
}

std::string version_name(const ::testing::TestParamInfo<TlsVersion>& info) {
  return info.param == TlsVersion::kTls12 ? "v12" : "v13";
}
INSTANTIATE_TEST_SUITE_P(Tls, TlsVersions, ::testing::Values(TlsVersion::kTls12, TlsVersion::kTls13), version_name);

TEST(TlsStream, OldVersionsOnlyWhereAskedFor) {
  TlsRules old;
  old.minimum = TlsVersion::kTls10;
  TlsRules newest;
  newest.allow_tls12 = false;
  const auto admits = [](const TlsRules& rules, TlsVersion version) {
    StreamPair pair = stream_pair(server_context(rules), client_context(up_to(version)));
    return handshake(pair);
  };
  EXPECT_TRUE(admits(old, TlsVersion::kTls10));
  EXPECT_TRUE(admits(old, TlsVersion::kTls11));
  EXPECT_TRUE(admits(old, TlsVersion::kTls13));
  EXPECT_FALSE(admits({}, TlsVersion::kTls11));
  EXPECT_FALSE(admits(newest, TlsVersion::kTls12));
  EXPECT_TRUE(admits(newest, TlsVersion::kTls13));
}

TEST(TlsStream, CiphersOfBothGenerationsFromOneList) {
  TlsRules rules;
  rules.cipher_list = "ECDHE-ECDSA-AES128-GCM-SHA256:TLS_CHACHA20_POLY1305_SHA256";
  StreamPair pair = stream_pair(server_context(rules), client_context());
  ASSERT_TRUE(handshake(pair));
  EXPECT_EQ(pair.server->protection(), "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256");
  pair = stream_pair(server_context(rules), client_context(up_to(TlsVersion::kTls12)));
  ASSERT_TRUE(handshake(pair));
  EXPECT_EQ(pair.server->protection(), "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256");
}

TEST(TlsStream, ClientChecksNameAndAuthority) {
  const Certificate authority = Certificate::authority();
  const Certificate own({}, &authority);
  TempDir files;
  const std::string ca = files.write("ca.pem", authority.pem());
  const std::string other = files.write("other.pem", Certificate::authority("Another").pem());
  const auto failure = [&](const std::string& name, const std::string& ca_file) {
    TlsClientRules rules;
    rules.verify = true;
    rules.server_name = name;
    rules.ca_file = ca_file;
    StreamPair pair = stream_pair(server_context(material(own)), client_context(rules));
    handshake(pair);
    return std::string(pair.client->failure());
  };
  EXPECT_EQ(failure("turn.test", ca), "");
  EXPECT_EQ(failure("127.0.0.1", ca), "");
  EXPECT_EQ(failure("turn.example", ca), "certificate verify failed: hostname mismatch");
  EXPECT_EQ(failure("127.0.0.2", ca), "certificate verify failed: IP address mismatch");
  EXPECT_EQ(failure("turn.test", other), "certificate verify failed: unable to get local issuer certificate");
}

// A writer whose socket is full goes on where it was, even when the caller's next piece is shorter.
TEST(TlsStream, BlockedWritesGoOnWhereTheyWere) {
  StreamPair pair = stream_pair(server_context(), client_context());
  ASSERT_TRUE(handshake(pair));
  SeededRandom random(7);
  const std::string text = random_text(random, 3'000'000);
  std::string got;
  std::size_t sent = 0;
  std::size_t blocked = 0;
  while (got.size() < text.size()) {
    // Pieces between 1 byte and 100 kB, and often a shorter one than was refused before.
    const std::size_t piece =
        std::min<std::size_t>(1 + random.below(random.below(3) == 0 ? 50 : 100'000), text.size() - sent);
    const StreamIo io = pair.server->write(as_bytes(text).subspan(sent, piece));
    ASSERT_NE(io.state, State::kFailed) << pair.server->failure();
    sent += io.bytes;
    if (io.state == State::kWantWrite || sent == text.size()) {
      ++blocked;
      got += read_text(*pair.client);
    }
  }
  EXPECT_GT(blocked, 5U);
  EXPECT_TRUE(got == text);
}

TEST(TlsStream, OneReadGathersManyRecords) {
  StreamPair pair = stream_pair(server_context(), client_context());
  ASSERT_TRUE(handshake(pair));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(pair.client->write(as_bytes("0123456789")).bytes, 10U);
  std::array<std::byte, 4096> buffer;
  EXPECT_EQ(pair.server->read(buffer).bytes, 100U);
  EXPECT_FALSE(pair.server->has_buffered());
  // A small buffer leaves the rest visible.
  for (int i = 0; i < 10; ++i) ASSERT_EQ(pair.client->write(as_bytes("0123456789")).bytes, 10U);
  EXPECT_EQ(pair.server->read(MutableBytes(buffer).first(15)).bytes, 15U);
  EXPECT_TRUE(pair.server->has_buffered());
  EXPECT_EQ(read_text(*pair.server).size(), 85U);
  EXPECT_FALSE(pair.server->has_buffered());
}

TEST(TlsStream, GarbageFailsInWords) {
  auto [a, b] = socket_pair();
  const auto server = make_tls_server_stream(std::move(a), server_context());
  EXPECT_EQ(server->handshake().state, State::kWantRead);
  ASSERT_GT(::send(b.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0), 0);
  EXPECT_EQ(server->handshake().state, State::kFailed);
  EXPECT_EQ(server->failure(), "http request");
  std::array<std::byte, 16> buffer;
  EXPECT_EQ(server->read(buffer).state, State::kFailed);
  EXPECT_EQ(server->write(as_bytes("x")).state, State::kFailed);
  server->end_output();
}

TEST(TlsStream, RandomInputNeverDoesMoreThanFail) {
  SeededRandom random(11);
  for (int round = 0; round < 200; ++round) {
    auto [a, b] = socket_pair();
    const auto server = make_tls_server_stream(std::move(a), server_context());
    std::string text = random_text(random, 1 + random.below(300));
    if (round % 2 == 0) text.replace(0, std::min<std::size_t>(text.size(), 5), std::string("\x16\x03\x01\x00\x50", 5));
    ASSERT_EQ(::send(b.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    b.reset();
    State state = State::kDone;
    for (int step = 0; step < 5; ++step) state = server->handshake().state;
    EXPECT_EQ(state, State::kFailed);
    EXPECT_FALSE(server->failure().empty());
  }
}

TEST(TlsStream, GoesOnInAnotherThread) {
  StreamPair pair = stream_pair(server_context(), client_context());
  ASSERT_TRUE(handshake(pair));
  ASSERT_EQ(pair.client->write(as_bytes("before")).bytes, 6U);
  std::string got;
  std::thread([&, stream = std::move(pair.server)] {
    got = read_text(*stream);
    EXPECT_EQ(stream->write(as_bytes("after")).bytes, 5U);
  }).join();
  EXPECT_EQ(got, "before");
  EXPECT_EQ(read_text(*pair.client), "after");
}

TEST(TlsStream, AVanishedPeerRaisesNoSignal) {
  StreamPair pair = stream_pair(server_context(), client_context());
  ASSERT_TRUE(handshake(pair));
  pair.client.reset();
  EXPECT_EQ(pair.server->write(as_bytes("x")).state, State::kFailed);
  EXPECT_EQ(pair.server->failure(), "Broken pipe");
}

}  // namespace
