// From the evidence of a port check to its verdict. Pure: no sockets, no clock.
#pragma once

#include "probe/port/evidence.h"
#include "probe/report.h"

namespace turnkit::probe {

// `host` is what the person typed, for the commands to run next.
Check judge_udp(const UdpEvidence& evidence, const std::string& host);
Check judge_tcp(const TcpEvidence& evidence, const std::string& host);

struct Quantiles {
  double min = 0;
  double median = 0;
  double p95 = 0;
};
// Nearest-rank quantiles; zeros for no samples.
Quantiles quantiles(std::vector<double> samples);

}  // namespace turnkit::probe
