// From what was seen of a NAT to checks, with what they mean for calls.
#pragma once

#include <vector>

#include "probe/nat/evidence.h"
#include "probe/report.h"

namespace turnkit::probe {

// One check each for what was measured: udp, nat, mapping, filtering, ports, layers, size, hairpin, lifetime, meaning.
std::vector<Check> judge_nat(const NatEvidence& evidence);

}  // namespace turnkit::probe
