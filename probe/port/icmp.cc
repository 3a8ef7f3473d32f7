#include "probe/port/icmp.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace turnkit::probe {
namespace {

constexpr std::size_t kMaxKinds = 16;  // of different errors kept; more is noise

struct Row {
  std::uint8_t type;
  std::uint8_t code;
  IcmpMeaning meaning;
  const char* name;
};

// RFC 792, RFC 1812 section 5.2.7.1.
constexpr std::array kIcmpV4 = {
    Row{3, 0, IcmpMeaning::kNetUnreachable, "network unreachable"},
    Row{3, 1, IcmpMeaning::kHostUnreachable, "host unreachable"},
    Row{3, 2, IcmpMeaning::kPortClosed, "protocol unreachable"},
    Row{3, 3, IcmpMeaning::kPortClosed, "port unreachable"},
    Row{3, 5, IcmpMeaning::kNetUnreachable, "source route failed"},
    Row{3, 6, IcmpMeaning::kNetUnreachable, "network unknown"},
    Row{3, 7, IcmpMeaning::kHostUnreachable, "host unknown"},
    Row{3, 9, IcmpMeaning::kProhibited, "network administratively prohibited"},
    Row{3, 10, IcmpMeaning::kProhibited, "host administratively prohibited"},
    Row{3, 11, IcmpMeaning::kNetUnreachable, "network unreachable for the type of service"},
    Row{3, 12, IcmpMeaning::kHostUnreachable, "host unreachable for the type of service"},
    Row{3, 13, IcmpMeaning::kProhibited, "communication administratively prohibited"},
    Row{3, 4, IcmpMeaning::kOther, "fragmentation needed"},
    Row{11, 0, IcmpMeaning::kNetUnreachable, "time to live exceeded: a routing loop"},
};

// RFC 4443, section 3.
constexpr std::array kIcmpV6 = {
    Row{1, 0, IcmpMeaning::kNetUnreachable, "no route to destination"},
    Row{1, 1, IcmpMeaning::kProhibited, "communication administratively prohibited"},
    Row{1, 2, IcmpMeaning::kNetUnreachable, "beyond scope of source address"},
    Row{1, 3, IcmpMeaning::kHostUnreachable, "address unreachable"},
    Row{1, 4, IcmpMeaning::kPortClosed, "port unreachable"},
    Row{1, 5, IcmpMeaning::kProhibited, "source address failed ingress or egress policy"},
    Row{1, 6, IcmpMeaning::kProhibited, "reject route to destination"},
    Row{2, 0, IcmpMeaning::kOther, "packet too big"},
    Row{3, 0, IcmpMeaning::kNetUnreachable, "hop limit exceeded: a routing loop"},
};

template <typename Rows>
const Row* find_row(const Rows& rows, const IcmpSeen& icmp) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&icmp](const Row& r) { return r.type == icmp.type && r.code == icmp.code; });
  return found == rows.end() ? nullptr : &*found;
}

}  // namespace

IcmpText explain(const IcmpSeen& icmp) {
  const Row* row = icmp.family == Family::kIPv4 ? find_row(kIcmpV4, icmp) : find_row(kIcmpV6, icmp);
  const char* protocol = icmp.family == Family::kIPv4 ? "ICMP" : "ICMPv6";
  if (row == nullptr) return {IcmpMeaning::kOther, fmt::format("{} {}/{}", protocol, icmp.type, icmp.code)};
  return {row->meaning, fmt::format("{} {}/{}, {}", protocol, icmp.type, icmp.code, row->name)};
}

void add_icmp(const net::IcmpError& error, std::vector<IcmpSeen>& out) {
  const auto same = [&error](const IcmpSeen& s) {
    return s.type == error.type && s.code == error.code && s.reporter == error.reporter;
  };
  const auto found = std::find_if(out.begin(), out.end(), same);
  if (found != out.end()) {
    ++found->count;
  } else if (out.size() < kMaxKinds) {
    out.push_back({error.destination.family(), error.type, error.code, error.reporter, 1});
  }
}

bool collect_icmp(int fd, const Address& target, std::vector<IcmpSeen>& out) {
  bool any = false;
  net::IcmpError error;
  while (net::next_icmp_error(fd, error)) {
    if (error.destination.ip != target.ip) continue;
    any = true;
    add_icmp(error, out);
  }
  return any;
}

const IcmpSeen* deciding(const std::vector<IcmpSeen>& seen) {
  const IcmpSeen* best = nullptr;
  const auto rank = [](const IcmpSeen& icmp) { return static_cast<int>(explain(icmp).meaning); };
  for (const IcmpSeen& icmp : seen) {
    if (explain(icmp).meaning == IcmpMeaning::kOther) continue;
    if (best == nullptr || rank(icmp) < rank(*best)) best = &icmp;
  }
  return best;
}

}  // namespace turnkit::probe
