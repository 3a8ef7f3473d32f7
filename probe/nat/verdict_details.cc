// Checks of ports, packet sizes, hairpin and lifetime: see judge.h.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "probe/nat/judge.h"
#include "probe/port/verdict_common.h"

namespace turnkit::probe {
namespace {

std::int64_t integer(std::size_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

Check Judge::judge_ports() const {
  Check check = begin("ports");
  const PortFinding& ports = f_.ports;
  std::vector<std::string> pairs;
  for (const PortPair& pair : e_.ports) pairs.push_back(fmt::format("{} -> {}", pair.local, pair.mapped.to_string()));
  check.facts.push_back({"pairs", pairs});
  check.facts.push_back({"tested", integer(ports.tested)});
  check.facts.push_back({"kept", integer(ports.kept)});
  check.facts.push_back({"same_parity", integer(ports.same_parity)});
  check.facts.push_back({"contiguous", ports.contiguous});
  if (ports.tested == 0) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow, "no-answer", "Ports: not known; requests were not answered");
    return check;
  }
  const Confidence confidence = ports.tested >= 3 ? Confidence::kMedium : Confidence::kLow;
  if (ports.kept == ports.tested) {
    set(check, Verdict::kPass, confidence, "kept", fmt::format("Ports: all {} kept", ports.tested));
  } else if (ports.kept == 0) {
    set(check, Verdict::kPass, confidence, "changed", fmt::format("Ports: changed ({})", fmt::join(pairs, ", ")));
  } else {
    set(check, Verdict::kPass, confidence, "sometimes-kept",
        fmt::format("Ports: {} of {} kept", ports.kept, ports.tested));
  }
  return check;
}

// Requests with DF for what gets out; an answer to PADDING for what comes back.
Check Judge::judge_sizes() const {
  Check check = begin("size");
  std::size_t passed = 0;
  std::optional<std::size_t> failed;
  std::optional<IpAddress> refused_by;
  for (const SizeTest& test : e_.sizes) {
    if (test.passed) passed = std::max(passed, test.packet);
    if (!test.passed && (!failed || test.packet < *failed)) failed = test.packet;
    if (test.refused_by) refused_by = test.refused_by;
  }
  check.facts.push_back({"largest_sent", integer(passed)});
  if (failed) check.facts.push_back({"smallest_lost", integer(*failed)});
  if (passed == 0 || (failed && *failed < passed)) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow, passed == 0 ? "no-answer" : "contradictory",
        passed == 0 ? "Packet size: not known; the server does not answer larger requests"
                    : "Packet size: not known; larger packets came through where smaller ones did not");
    return check;
  }
  const bool small = failed && *failed <= 1280;
  set(check, small ? Verdict::kWarn : Verdict::kPass, failed && !refused_by ? Confidence::kLow : Confidence::kHigh,
      small ? "small" : "enough",
      fmt::format("Packet size: {} bytes get out unfragmented{}", passed,
                  failed ? fmt::format(", {} do not", *failed) : std::string(", the most that was tried")));
  if (refused_by) {
    check.facts.push_back({"refused_by", refused_by->to_string()});
    check.details.push_back(fmt::format("{} says so by ICMP, so senders can adapt.", refused_by->to_string()));
  } else if (failed) {
    check.details.emplace_back(
        "No ICMP error says so: a black hole, where senders cannot adapt, or a server that ignores large requests.");
  }
  if (small) {
    check.advice.emplace_back(
        "WebRTC sends packets of 1200 bytes, and DTLS flights above: raise the MTU of the tunnel or VPN.");
  }
  if (e_.padded) {
    const std::size_t headers = e_.server.ip.is_v4() ? 28 : 48;
    const std::size_t answer = e_.padded->ok() ? e_.padded->answer->bytes + headers : 0;
    check.facts.push_back({"largest_received", integer(answer)});
    if (answer >= 1280) {
      check.details.push_back(fmt::format("An answer of {} bytes came back{}.", answer,
                                          answer > 1500 ? ", put together from fragments" : ""));
    } else if (e_.padded->answer == std::nullopt && passed >= 1500) {
      check.details.emplace_back(
          "The answer to PADDING, which is as large as a packet can be or larger, did not come "
          "back: fragments may be dropped on the way.");
    }
  }
  return check;
}

Check Judge::judge_hairpin() const {
  Check check = begin("hairpin");
  if (!e_.hairpin_source) {
    set(check, Verdict::kWarn, Confidence::kMedium, "none",
        "Hairpin: the own public address does not work from inside");
    check.details.emplace_back("A media server behind this NAT needs another address for clients inside it.");
    return check;
  }
  const bool external = e_.hairpin_source->ip != e_.local;
  set(check, Verdict::kPass, Confidence::kHigh, external ? "external-source" : "internal-source",
      fmt::format("Hairpin: works; packets come back from {}", e_.hairpin_source->to_string()));
  if (!external) {
    check.status = Verdict::kWarn;
    check.details.emplace_back("They come with the inside address, which RFC 4787 forbids; ICE gets along with it.");
  }
  check.facts.push_back({"source", e_.hairpin_source->to_string()});
  return check;
}

Check Judge::judge_lifetime() const {
  Check check = begin("lifetime");
  const LifetimeEvidence& e = *e_.lifetime;
  const LifetimeFinding found = lifetime_of(e);
  const auto s = [](std::chrono::milliseconds t) { return static_cast<double>(t.count()) / 1000; };
  std::vector<std::string> tests;
  for (const LifetimeTest& test : e.tests) {
    tests.push_back(fmt::format("{:.1f} s: {}", s(test.idle), test.alive ? "alive" : "gone"));
  }
  check.facts.push_back({"tests", tests});
  check.facts.push_back({"limit_s", std::int64_t{e.limit.count()}});
  if (found.alive) check.facts.push_back({"alive_after_s", s(*found.alive)});
  if (found.expired) check.facts.push_back({"gone_after_s", s(*found.expired)});
  if (!e.opened || (e.supported && e.tests.empty())) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow, "no-answer",
        "Lifetime: not known; requests of this test were not answered");
    return check;
  }
  if (!e.supported) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow,
        e.error_code != 0 ? "response-port-refused" : "response-port-silent",
        "Lifetime: not known; the server cannot send to another port of ours (RESPONSE-PORT)");
    advise_server(e_, check);
    return check;
  }
  if (found.contradictory) {
    set(check, Verdict::kUnconfirmed, Confidence::kLow, "contradictory",
        fmt::format("Lifetime: not known; the tests contradict each other ({})", fmt::join(tests, ", ")));
    return check;
  }
  if (!found.expired) {
    set(check, Verdict::kPass, Confidence::kMedium, "longer-than-tested",
        fmt::format("Lifetime: mappings last {:.0f} s and longer", s(*found.alive)));
    return check;
  }
  const double least = found.alive ? s(*found.alive) : 0;
  const bool too_short = *found.expired <= std::chrono::seconds(16);
  set(check, too_short ? Verdict::kWarn : Verdict::kPass, Confidence::kMedium, too_short ? "short" : "measured",
      fmt::format("Lifetime: an idle mapping lasts between {:.0f} and {:.0f} s", least, s(*found.expired)));
  check.details.emplace_back(
      "Of a mapping that has seen one request and its answer; busy ones may last longer. RFC 4787 asks for 120 s.");
  if (too_short)
    check.advice.emplace_back(
        "ICE keeps mappings open every 15 s, which may be too late here: raise the NAT's UDP timeout.");
  return check;
}

}  // namespace turnkit::probe
