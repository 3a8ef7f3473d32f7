// First bytes and ClientHellos: what real OpenSSL clients send, cut at every byte, spread over records, and bent.
#include "net/client_hello.h"

#include "base/encoding.h"
#include "tls_test_support.h"

using namespace turnkit;
using namespace turnkit::net;
using namespace turnkit::net::testing;

namespace {

using State = HelloResult::State;

// What an OpenSSL client sends first.
std::string real_hello(const TlsClientRules& rules) {
  auto [a, b] = socket_pair();
  const auto client = make_tls_client_stream(std::move(a), client_context(rules));
  client->handshake();
  std::string out(8192, '\0');
  const ssize_t n = ::recv(b.get(), out.data(), out.size(), 0);
  out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return out;
}

TlsClientRules usual_rules() {
  TlsClientRules rules;
  rules.server_name = "Turn.Example.org";
  rules.alpn = {"stun.turn", "h2"};
  return rules;
}

void expect_usual(const HelloResult& result) {
  ASSERT_EQ(result.state, State::kDone);
  EXPECT_EQ(result.hello.server_name, "turn.example.org");
  EXPECT_EQ(result.hello.alpn, (std::vector<std::string>{"stun.turn", "h2"}));
}

// One handshake message in records of `size` bytes of it.
std::string in_records(const std::string& hello, std::size_t size) {
  const std::string message = hello.substr(5);
  std::string out;
  for (std::size_t at = 0; at < message.size(); at += size) {
    const std::string part = message.substr(at, size);
    out += hello.substr(0, 3);
    out += static_cast<char>(part.size() >> 8);
    out += static_cast<char>(part.size() & 0xFF);
    out += part;
  }
  return out;
}

TEST(ClientHello, ReadsNameAndProtocols) {
  expect_usual(read_client_hello(as_bytes(real_hello(usual_rules()))));
  const std::string bare = real_hello({});
  const HelloResult result = read_client_hello(as_bytes(bare));
  ASSERT_EQ(result.state, State::kDone);
  EXPECT_EQ(result.hello.server_name, "");
  EXPECT_TRUE(result.hello.alpn.empty());
}

TEST(ClientHello, CutAtEveryByteAsksForTheRightAmount) {
  const std::string whole = real_hello(usual_rules());
  for (const std::string& stream : {whole, in_records(whole, 7), in_records(whole, 100)}) {
    // What is asked for is never more than what is needed, and getting it always helps.
    std::size_t have = 0;
    for (int steps = 0;; ++steps) {
      ASSERT_LT(steps, 1000);
      const HelloResult result = read_client_hello(as_bytes(stream).first(have));
      if (result.state == State::kDone) break;
      ASSERT_EQ(result.state, State::kNeedMore) << have;
      ASSERT_GT(result.needed, have);
      ASSERT_LE(result.needed, stream.size());
      have = result.needed;
    }
    EXPECT_EQ(have, stream.size());
    for (std::size_t size = 0; size < stream.size(); ++size) {
      const HelloResult result = read_client_hello(as_bytes(stream).first(size));
      ASSERT_EQ(result.state, State::kNeedMore) << size;
      ASSERT_GT(result.needed, size);
    }
    expect_usual(read_client_hello(as_bytes(stream)));
    expect_usual(read_client_hello(as_bytes(stream + "what follows")));
  }
}

TEST(ClientHello, RefusesWhatCannotBeOne) {
  const auto state = [](std::string_view bytes) { return read_client_hello(as_bytes(bytes)).state; };
  EXPECT_EQ(state("GET / HTTP/1.1\r\n"), State::kBroken);
  EXPECT_EQ(state(std::string_view("\x17\x03\x03\x00\x05hello", 10)), State::kBroken);
  EXPECT_EQ(state(std::string_view("\x16\x03\x01\x00\x00", 5)), State::kBroken);      // an empty record
  EXPECT_EQ(state(std::string_view("\x16\x03\x01\x41\x01", 5)), State::kBroken);      // a record above 16384
  EXPECT_EQ(state(std::string_view("\x16\x03\x01\x00\x04\x02", 6)), State::kBroken);  // a ServerHello
  EXPECT_EQ(state(std::string_view("\x16\x03\x01\x00\x04\x01\x01\x00\x00", 9)), State::kBroken);  // 65536 bytes
  EXPECT_EQ(state(std::string_view("\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9)), State::kBroken);  // nothing in it
}

TEST(ClientHello, BentOnesNeverLeadAstray) {
  const std::string whole = real_hello(usual_rules());
  SeededRandom random(1);
  for (int round = 0; round < 5000; ++round) {
    std::string bent = whole;
    for (int i = 0; i < 2; ++i)
      bent[random.below(static_cast<std::uint32_t>(bent.size()))] = static_cast<char>(random.below(256));
    const HelloResult result = read_client_hello(as_bytes(bent));
    EXPECT_TRUE(result.state != State::kNeedMore || result.needed > bent.size());
    EXPECT_LE(result.hello.server_name.size(), 253U);
  }
}

TEST(FirstBytes, AreToldApart) {
  const auto judge = [](std::string_view bytes) { return judge_first_bytes(as_bytes(bytes)); };
  EXPECT_EQ(judge(real_hello({})), FirstBytes::kTls);
  EXPECT_EQ(judge("GET / HTTP/1.1"), FirstBytes::kHttp);
  EXPECT_EQ(judge("PRI * HTTP/2.0"), FirstBytes::kHttp);
  EXPECT_EQ(judge("PROXY TCP4 "), FirstBytes::kProxy);
  EXPECT_EQ(judge(std::string_view("\r\n\r\n\0\r\nQUIT\n\x21", 13)), FirstBytes::kProxy);
  EXPECT_EQ(judge(std::string_view("\x00\x03\x00\x08\x21\x12\xA4\x42", 8)), FirstBytes::kStun);
  EXPECT_EQ(judge(std::string_view("\x00\x03\x00\x08\x21\x12\xA4\x43", 8)), FirstBytes::kOther);
  EXPECT_EQ(judge(std::string_view("\x00\x03\x00\x07", 4)), FirstBytes::kOther);
  EXPECT_EQ(judge(std::string_view("\x16\x03\x05\x01", 4)), FirstBytes::kOther);
  EXPECT_EQ(judge("SSH-2.0-OpenSSH"), FirstBytes::kOther);
  EXPECT_EQ(judge("GETTING"), FirstBytes::kOther);
  EXPECT_EQ(judge("\x80\x2e\x01"), FirstBytes::kOther);
  EXPECT_EQ(judge(""), FirstBytes::kNeedMore);
}

// A prefix is judged as the whole is, or needs more; never as something else.
TEST(FirstBytes, PrefixesNeverMislead) {
  const std::string tls = real_hello({});
  for (const std::string_view whole :
       {std::string_view(tls), std::string_view("OPTIONS * HTTP/1.1\r\n"), std::string_view("PATCH / HTTP/1.1\r\n"),
        std::string_view("PROXY UNKNOWN\r\n"), std::string_view("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16),
        std::string_view("\x00\x01\x00\x00\x21\x12\xA4\x42", 8)}) {
    const FirstBytes judged = judge_first_bytes(as_bytes(whole));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const FirstBytes early = judge_first_bytes(as_bytes(whole).first(size));
      EXPECT_TRUE(early == judged || early == FirstBytes::kNeedMore) << size << " of " << escaped(whole.substr(0, 20));
    }
  }
}

}  // namespace
