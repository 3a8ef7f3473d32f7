// The parts of the verdict on a NAT: one member for each check. verdict.cc has those of reach, presence and meaning,
// verdict_behaviour.cc those of RFC 4787's behaviours, verdict_details.cc the others.
#pragma once

#include <vector>

#include "probe/nat/evidence.h"
#include "probe/nat/meaning.h"
#include "probe/report.h"

namespace turnkit::probe {

class Judge {
 public:
  explicit Judge(const NatEvidence& e) : e_(e), f_(findings_of(e)) {}
  std::vector<Check> run();

 private:
  Check begin(const char* what) const;
  Check judge_udp() const;
  Check judge_presence() const;
  Check judge_layers() const;
  Check judge_mapping() const;
  Check judge_filtering() const;
  Check judge_ports() const;
  Check judge_sizes() const;
  Check judge_hairpin() const;
  Check judge_lifetime() const;
  Check judge_meaning() const;
  void judge_silence(Check& check) const;

  const NatEvidence& e_;
  NatFindings f_;
};

// Adds what to do where only another server could tell.
void advise_server(const NatEvidence& evidence, Check& check);

}  // namespace turnkit::probe
