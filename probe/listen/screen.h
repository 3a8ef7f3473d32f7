// What a listener shows: live lines for a person who watches, and a report at the end.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/interfaces.h"
#include "probe/listen/source.h"
#include "probe/options.h"
#include "probe/report.h"

namespace turnkit::probe {

// A client whose TCP connection requests to a port are answered again and again.
using HalfOpenClient = std::pair<IpAddress, std::uint16_t>;

// "UDP 8443 and TCP 8443, 443".
std::string describe(const PortSelection& ports);
// What to run at the other end, for each address of this host that others may reach.
std::vector<std::string> client_commands(const PortSelection& ports,
                                         const std::vector<net::InterfaceAddress>& addresses);

class Screen {
 public:
  // `quiet`: nothing is printed.
  Screen(std::FILE* out, bool color, bool quiet) : out_(out), color_(color), quiet_(quiet) {}

  void welcome(const PortSelection& ports, const std::vector<std::string>& commands);
  void line_arrived(const Source& source);
  // Prints what changed: new sources at once, others when they pause or every two seconds. Call it a few times a
  // second.
  void tick(const SourceTable& sources, const std::set<HalfOpenClient>& half_open, TimePoint now);
  void summary(const Report& report);

 private:
  struct Shown {
    std::uint64_t packets = 0;
    TimePoint at{};
    std::string sentence;
    std::string reason;
  };
  // True when it printed a line.
  bool show(const Source& source, Shown& shown, TimePoint now);
  void print(std::string_view line);

  std::FILE* out_;
  bool color_;
  bool quiet_;
  std::map<SourceKey, Shown> shown_;
  std::set<HalfOpenClient> shown_half_open_;
};

// One check per source and half-open client; one that says UNCONFIRMED when nothing arrived.
Report listener_report(const SourceTable& sources, const std::set<HalfOpenClient>& half_open,
                       const PortSelection& ports, const std::vector<std::string>& commands, TimePoint now);

}  // namespace turnkit::probe
