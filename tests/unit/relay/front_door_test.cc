#include "turnd/relay/front_door.h"

#include <gtest/gtest.h>

namespace turnkit::relay {
namespace {

using Kind = HttpVerdict::Kind;

TEST(FrontDoor, NamesMatchExactlyOrByOneLabel) {
  EXPECT_TRUE(matches_name("turn.example.org", "turn.example.org"));
  EXPECT_TRUE(matches_name("turn.example.org", "*.example.org"));
  EXPECT_FALSE(matches_name("example.org", "*.example.org"));
  EXPECT_FALSE(matches_name("a.turn.example.org", "*.example.org"));
  EXPECT_FALSE(matches_name(".example.org", "*.example.org"));
  EXPECT_FALSE(matches_name("turn.example.org.evil", "turn.example.org"));
  EXPECT_FALSE(matches_name("", "*.example.org"));
}

// RFC 7443 before server names.
TEST(FrontDoor, ProtocolsDecideBeforeNames) {
  StreamConfig config;
  config.turn_names = {"turn.example.org"};
  const auto ours = [&](const std::string& name, std::vector<std::string> alpn) {
    return is_for_turn({name, std::move(alpn)}, config);
  };
  EXPECT_TRUE(ours("www.example.org", {"h2", "stun.turn"}));
  EXPECT_TRUE(ours("", {"stun.nat-discovery"}));
  EXPECT_TRUE(ours("www.example.org", {"webrtc", "c-webrtc"}));
  EXPECT_FALSE(ours("turn.example.org", {"h2", "http/1.1"}));
  EXPECT_TRUE(ours("turn.example.org", {}));
  EXPECT_FALSE(ours("www.example.org", {}));
  EXPECT_TRUE(ours("", {}));
  config.turn_names.clear();
  EXPECT_TRUE(ours("www.example.org", {}));
}

TEST(FrontDoor, HttpWithoutAnyOptionIsClosed) {
  EXPECT_EQ(judge_http(as_bytes("GET / HTTP/1.1\r\n"), {}).kind, Kind::kClose);
}

TEST(FrontDoor, BackendComesBeforeTheAnswer) {
  StreamConfig config;
  config.respond_http = true;
  EXPECT_EQ(judge_http(as_bytes("GET / "), config).kind, Kind::kAnswer);
  config.http_backend = Address{IpAddress::v4(127, 0, 0, 1), 80};
  EXPECT_EQ(judge_http(as_bytes("GET / "), config).kind, Kind::kBackend);
}

TEST(FrontDoor, AcmeTokensAreRedirectedAndNothingElseIs) {
  StreamConfig config;
  config.acme_redirect = "https://acme.example.org/";
  const auto location = [&](std::string_view request) -> std::string {
    const HttpVerdict verdict = judge_http(as_bytes(request), config);
    if (verdict.kind != Kind::kAnswer) return {};
    const std::size_t at = verdict.answer.find("Location: ") + 10;
    return verdict.answer.substr(at, verdict.answer.find("\r\n", at) - at);
  };
  const std::string path = "GET /.well-known/acme-challenge/";
  EXPECT_EQ(location(path + "a-B_9 HTTP/1.1\r\n"), "https://acme.example.org/a-B_9");
  EXPECT_EQ(location(path + "x HTTP/1.0\n"), "https://acme.example.org/x");
  EXPECT_EQ(location(path + std::string(256, 'x') + " HTTP/1.1\r\n").size(), 256 + config.acme_redirect.size());
  // What could change the answer's shape, or be nobody's token.
  for (const std::string& token :
       {std::string(), std::string("../x"), std::string("x%0d%0aSet-Cookie:1"), std::string("x?y"), std::string("x#"),
        std::string("x\0y", 3), std::string("x\ty"), std::string(257, 'x'), std::string("\xC3\xA4")}) {
    EXPECT_EQ(location(path + token + " HTTP/1.1\r\n"), "") << token;
  }
  EXPECT_EQ(location(path + "x\r\nSet-Cookie: 1 HTTP/1.1\r\n"), "");
  EXPECT_EQ(location(path + "x\r\n"), "");  // HTTP/0.9
  EXPECT_EQ(location("POST /.well-known/acme-challenge/x HTTP/1.1\r\n"), "");
  EXPECT_EQ(location("GET /.well-known/acme-challenge HTTP/1.1\r\n"), "");
}

TEST(FrontDoor, TheRequestLineIsWaitedForUpToALimit) {
  StreamConfig config;
  config.acme_redirect = "https://acme.example.org/";
  EXPECT_EQ(judge_http(as_bytes("GET /.well-known/acme-challenge/x HTTP/1.1"), config).kind, Kind::kNeedMore);
  const std::string endless = "GET /" + std::string(4 * kMaxRequestLine, 'x');
  EXPECT_EQ(judge_http(as_bytes(endless), config).kind, Kind::kClose);
  config.acme_redirect.clear();
  config.respond_http = true;
  EXPECT_EQ(judge_http(as_bytes("GET /"), config).kind, Kind::kAnswer);  // nothing to wait for
}

}  // namespace
}  // namespace turnkit::relay
