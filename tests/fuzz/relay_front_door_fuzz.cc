// judge_http and is_for_turn: what is decided early stays decided, and no request can shape the answer's head. Input: 1
// byte of choices, the connection's first bytes.
#include "turnd/relay/front_door.h"

#include <algorithm>

#include "fuzz.h"

using namespace turnkit;
using namespace turnkit::fuzz;
using relay::HttpVerdict;

namespace {

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const Buffer start = input(data + 1, size - 1);
  relay::StreamConfig config;
  if ((data[0] & 1) != 0) config.acme_redirect = "https://acme.example.org/";
  if ((data[0] & 2) != 0) config.http_backend = Address{IpAddress::v4(127, 0, 0, 1), 80};
  config.respond_http = (data[0] & 4) != 0;

  const HttpVerdict verdict = relay::judge_http(start, config);
  const std::string_view answer = verdict.answer;
  require(answer.empty() == (verdict.kind != HttpVerdict::Kind::kAnswer), "an answer exactly where one is due");
  if (!answer.empty()) {
    const std::string_view head = answer.substr(0, answer.find("\r\n\r\n"));
    require(count(head, "\r\n") == 3 && count(head, "\n") == 3, "four lines, whatever was asked for");
    require(
        std::all_of(head.begin(), head.end(), [](char c) { return c == '\r' || c == '\n' || (c >= ' ' && c <= '~'); }),
        "printable");
    require(answer.size() < 1024, "short");
  }
  require(verdict.kind != HttpVerdict::Kind::kNeedMore || start.size() < relay::kMaxRequestLine, "no endless waiting");
  for (std::size_t cut = 0; cut < std::min<std::size_t>(start.size(), 80); ++cut) {
    const Buffer part = copy(Bytes(start).first(cut));
    const HttpVerdict early = relay::judge_http(part, config);
    require(early.kind == HttpVerdict::Kind::kNeedMore || early.answer == verdict.answer, "decided early is decided");
  }

  const net::HelloResult hello = net::read_client_hello(start);
  config.turn_names = {"turn.example.org", "*.example.net"};
  if (hello.state == net::HelloResult::State::kDone && !hello.hello.alpn.empty()) {
    relay::StreamConfig any_name = config;
    any_name.turn_names.clear();
    require(relay::is_for_turn(hello.hello, config) == relay::is_for_turn(hello.hello, any_name),
            "names do not matter where protocols are named");
  }
  return 0;
}
